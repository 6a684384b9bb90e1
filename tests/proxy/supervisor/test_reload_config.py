"""How the configuration of a running sidelog is read again."""

import json
import os
import subprocess
from pathlib import Path

from proxy.process.memfd import anonymous_file, hand_over, read_document
from proxy.process.own_packages import module_command, module_environment
from proxy.settings.model import AdminSettings, ProxySettings, Settings, freeze, thaw
from tests.support.programs import PROGRAM_S

RUNNING = Settings(
    data_dir=os.path.abspath("sidelog-data"), proxy=ProxySettings(listen="127.0.0.1:2")
)


def reread(
    source: object, running: Settings = RUNNING
) -> tuple[subprocess.CompletedProcess[str], bytes]:
    """Run the reading process."""
    source_fd = hand_over(json.dumps(source).encode(), "test")
    settings_fd = anonymous_file("test")

    running_fd = hand_over(freeze(running), "test")
    try:
        done = subprocess.run(
            module_command(
                *("proxy.supervisor.reload_config", "--log-level", "info"),
                *(
                    "--source-fd",
                    str(source_fd),
                    "--running-fd",
                    str(running_fd),
                    "--settings-fd",
                    str(settings_fd),
                ),
            ),
            pass_fds=(source_fd, running_fd, settings_fd),
            env={**module_environment(), "SIDELOG_PROXY__STAGE": "from-the-environment"},
            capture_output=True,
            text=True,
            timeout=PROGRAM_S,
        )
        return done, read_document(settings_fd)
    finally:
        for fd in (source_fd, running_fd, settings_fd):
            os.close(fd)


def test_the_configuration_is_read_as_at_the_start(tmp_path: Path) -> None:
    """File, environment and flags, each over the one before."""
    file = tmp_path / "c.toml"
    file.write_text(
        '[proxy]\nstage = "file"\nrecord_id_header = "X-File"\nlisten = "127.0.0.1:1"\n'
    )
    flags = {"proxy.upstream": "http://a", "proxy.listen": "127.0.0.1:2"}
    done, document = reread({"overrides": flags, "config": str(file)})
    assert (done.returncode, done.stderr) == (0, "")
    settings = thaw(document)
    proxy = settings.proxy
    assert (proxy.stage, proxy.record_id_header, proxy.listen) == (
        "from-the-environment",
        "X-File",
        "127.0.0.1:2",
    )


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    """All problems together, and nothing is written."""
    file = tmp_path / "c.toml"
    file.write_text("[proxy]\nnope = 1\nworkers = 99\n")
    done, document = reread({"overrides": {}, "config": str(file)})
    assert (done.returncode, document) == (2, b"")
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["level"] == "error"
    for word in ("invalid configuration", "proxy.nope", "proxy.workers", "--upstream"):
        assert word in line


def test_what_needs_a_restart_stays_and_is_one_line(tmp_path: Path) -> None:
    """What is written is what to run with; what contradicts a setting that stays is refused."""
    file = tmp_path / "c.toml"
    running = Settings(data_dir=RUNNING.data_dir, admin=AdminSettings(listen="0.0.0.0:8090"))
    source = {"overrides": {"proxy.upstream": "http://a"}, "config": str(file)}
    file.write_text("[proxy]\nworkers = 2\n")
    done, document = reread(source, running)
    assert (done.returncode, thaw(document).proxy.workers, thaw(document).admin) == (
        0,
        1,
        running.admin,
    )
    (line,) = done.stderr.splitlines()
    assert "these settings change only with a restart: proxy.workers, admin.listen" in line
    file.write_text('[admin]\nauth = "off"\n')
    done, document = reread(source, running)
    assert (done.returncode, document) == (2, b"")
    (line,) = done.stderr.splitlines()
    assert "admin.listen: changes only with a restart (default)" in line
