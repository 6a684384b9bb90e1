"""What of new settings a running sidelog takes over, and how the configuration is read again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.process.memfd import anonymous_file, hand_over, read_document
from proxy.settings.model import ProxySettings, RouteSettings, Settings, thaw
from proxy.settings.sources import leaves
from proxy.supervisor.reload import NEEDS_RESTART, merge

ROOT = Path(__file__).parents[3]


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as the supervisor has them."""
    shown: dict[str, Any] = json.loads(msgspec.json.encode(settings))
    return shown


def test_what_needs_a_restart_are_settings() -> None:
    """Each name is one that is declared."""
    assert set(NEEDS_RESTART) <= {name for name, _ in leaves()}


@pytest.mark.parametrize("name", NEEDS_RESTART)
def test_what_needs_a_restart_stays_and_is_named(name: str) -> None:
    """The rest of the new settings is taken over; neither argument changes."""
    old = plain(Settings())
    new = plain(Settings(proxy=ProxySettings(stage="new"), routes=(RouteSettings(id="a", upstream="http://a"),)))
    section, _, key = name.rpartition(".")
    (new[section] if section else new)[key] = "other"
    before = json.dumps([old, new])
    merged, kept = merge(old, new)
    assert kept == [name]
    assert (merged[section] if section else merged)[key] == (old[section] if section else old)[key]
    assert (merged["proxy"]["stage"], len(merged["routes"])) == ("new", 1)
    assert json.dumps([old, new]) == before
    thaw(json.dumps(merged).encode())


def reread(source: object) -> tuple[subprocess.CompletedProcess[str], bytes]:
    """Run the reading process."""
    source_fd, settings_fd = hand_over(json.dumps(source).encode(), "test"), anonymous_file("test")
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "proxy.supervisor.reload_config", "--log-level", "info"),
                *("--source-fd", str(source_fd), "--settings-fd", str(settings_fd)),
            ],
            pass_fds=(source_fd, settings_fd),
            cwd=ROOT,
            env={**os.environ, "SIDELOG_PROXY__STAGE": "from-the-environment"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done, read_document(settings_fd)
    finally:
        os.close(source_fd)
        os.close(settings_fd)


def test_the_configuration_is_read_as_at_the_start(tmp_path: Path) -> None:
    """File, environment and flags, each over the one before."""
    file = tmp_path / "c.toml"
    file.write_text('[proxy]\nstage = "file"\nvia = "file"\nlisten = "127.0.0.1:1"\n')
    flags = {"proxy.upstream": "http://a", "proxy.listen": "127.0.0.1:2"}
    done, document = reread({"overrides": flags, "config": str(file)})
    assert (done.returncode, done.stderr) == (0, "")
    settings = thaw(document)
    proxy = settings.proxy
    assert (proxy.stage, proxy.via, proxy.listen) == ("from-the-environment", "file", "127.0.0.1:2")


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
