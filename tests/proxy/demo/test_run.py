"""The demo as a whole: addresses, messages, start and stop, exit codes. sidelog itself is played by a small server."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from proxy.cli.commands.client import data_directory
from proxy.demo.run import CannotStart, main, make_plan
from proxy.process.data_dir import lock_data_dir
from proxy.settings.load import load
from proxy.settings.model import SettingsError
from tests.support.ports import free_port
from tests.support.programs import PROGRAM_S

FAKE_SIDELOG = """
import http.server, pathlib, sys
directory = pathlib.Path(sys.argv[sys.argv.index("--data-dir") + 1])
directory.mkdir()
(directory / "admin-token").write_text("t0ken\\n")
host, _, port = sys.argv[sys.argv.index("--admin-listen") + 1].rpartition(":")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"keys": [], "secret": "sk"}')
    do_POST = do_GET
    def log_message(self, *_):
        pass
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""

DEMO = """
import sys
from proxy.demo import run
fake, listen, admin_listen, data_dir = sys.argv[1:]
class FakePlan(run.Plan):
    @property
    def serve_command(self):
        return [sys.executable, fake, *super().serve_command[5:]]
run.Plan = FakePlan
run.TIMEOUT_START_S = 240.0
sys.exit(run.main(listen, admin_listen, data_dir))
"""


def free_address() -> str:
    """Return a loopback address nobody listens on."""
    return f"127.0.0.1:{free_port()}"


def start_demo(tmp_path: Path, fake: str) -> subprocess.Popen[str]:
    """Start a demo whose sidelog is `fake`."""
    script = tmp_path / "fake.py"
    script.write_text(fake)
    arguments = [str(script), free_address(), free_address(), str(tmp_path / "data")]
    return subprocess.Popen(
        [sys.executable, "-c", DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def read_welcome(process: subprocess.Popen[str]) -> str:
    """Read what the demo prints once it is ready."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            return "".join(lines)
    raise AssertionError(f"the demo ended: {process.stderr.read() if process.stderr else ''}")


def admin_url(text: str) -> str:
    """Find the admin port's URL in the welcome."""
    found = re.search(r"(http://\S+)/login#token=t0ken", text)
    assert found is not None, text
    return found[1]


def wait_until_gone(url: str) -> None:
    """Return when nobody listens any more; one that is starved answers late."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=60).close()
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionRefusedError):
                return
        except OSError:
            pass  # it ends just now
        time.sleep(0.05)
    raise AssertionError(f"{url} still answers")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_takes_everything_down(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The welcome names proxy, UI and token; a signal ends the children and decides the exit code."""
    with start_demo(tmp_path, FAKE_SIDELOG) as process:
        text = read_welcome(process)
        assert text.count("sidelog ") >= 2
        process.send_signal(number)
        _, errors = process.communicate(timeout=PROGRAM_S)
        assert (process.returncode, errors) == (code, "")
        wait_until_gone(admin_url(text))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """After SIGKILL no child holds the demo's output any more."""
    with start_demo(tmp_path, FAKE_SIDELOG) as process:
        text = read_welcome(process)
        process.kill()
        process.communicate(timeout=PROGRAM_S)  # returns once nobody holds the pipe any more
        wait_until_gone(admin_url(text))
        assert process.returncode == -signal.SIGKILL


def test_an_exit_of_sidelog_is_passed_on(tmp_path: Path) -> None:
    """Its exit code is the demo's, its message reaches the terminal."""
    with start_demo(tmp_path, "import sys; sys.exit('cannot open the store')") as process:
        _, errors = process.communicate(timeout=PROGRAM_S)
        assert (process.returncode, errors) == (1, "cannot open the store\n")


def test_a_killed_sidelog_counts_as_in_a_shell(tmp_path: Path) -> None:
    """A child that died by a signal gives 128 and its number."""
    fake = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with start_demo(tmp_path, fake) as process:
        process.communicate(timeout=PROGRAM_S)
        assert process.returncode == 128 + signal.SIGKILL


def test_a_port_in_use_is_named_with_what_to_do(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By sidelog, and the exit code is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(f"127.0.0.1:{port}", free_address(), str(tmp_path / "data")) == 1
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in capfd.readouterr().err


def test_wrong_settings_are_reported_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong variable in the environment is found before anything listens."""
    monkeypatch.setenv("SIDELOG_PROXY__WORKERS", "many")
    assert main(free_address(), free_address()) == 2
    assert "SIDELOG_PROXY__WORKERS" in capsys.readouterr().err


def test_a_demo_listens_on_a_port() -> None:
    """Its traffic cannot come over a Unix socket."""
    with pytest.raises(CannotStart, match=r"its traffic needs a port: expected host:port, .* got 'unix:/run/a\.sock'"):
        make_plan("unix:/run/a.sock", "127.0.0.1:8090", None, "http://127.0.0.1:9", {})


def test_the_environment_names_addresses_where_the_caller_does_not() -> None:
    """A given address wins over the environment, which wins over the default."""
    environ = {"SIDELOG_PROXY__LISTEN": "127.0.0.1:1111", "SIDELOG_ADMIN__LISTEN": "127.0.0.1:2222"}
    upstream = "http://127.0.0.1:9"
    plan = make_plan("127.0.0.1:8080", "127.0.0.1:3333", None, upstream, environ)
    assert (plan.listen, plan.admin_listen) == ("127.0.0.1:1111", "127.0.0.1:3333")
    assert plan.data_directory == Path.cwd() / "sidelog-demo"
    plan = make_plan("127.0.0.1:8080", "127.0.0.1:8090", "here", upstream, {"STATE_DIRECTORY": "/there"})
    assert (plan.listen, plan.admin_listen) == ("127.0.0.1:8080", "127.0.0.1:8090")
    assert plan.data_directory == Path.cwd() / "here"


def test_the_settings_of_a_demo_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routes and an alert that give pages something to show; what the user sets wins."""
    plan = make_plan("127.0.0.1:1", "127.0.0.1:2", str(tmp_path), "http://127.0.0.1:9", {})
    settings = load({"proxy.upstream": plan.upstream_url}, plan.serve_environ, None)
    assert [route.id for route in settings.routes] == ["users", "tools", "default"]
    assert [alert.url for alert in settings.alerts] == ["http://127.0.0.1:9/hook"]
    monkeypatch.setenv("SIDELOG_ALERTS", "[]")
    assert load({}, plan.serve_environ, None).alerts == ()


def test_an_address_that_is_none_is_a_settings_error() -> None:
    """It names the setting, as `serve` would."""
    with pytest.raises(SettingsError, match=r"admin\.listen"):
        make_plan("127.0.0.1:8080", "nowhere", None, "http://127.0.0.1:9", {})


def test_where_only_the_demo_ran_its_records_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own records come first, and a directory that is named before both."""
    monkeypatch.chdir(tmp_path)
    assert data_directory(None, {}) == Path("sidelog-data")
    Path("sidelog-demo").mkdir()
    Path("sidelog-demo", "state.json").write_text("{}")
    assert data_directory(None, {}) == Path("sidelog-demo")
    assert data_directory(None, {"SIDELOG_DATA_DIR": "mine"}) == Path("mine")
    Path("sidelog-data").mkdir()
    assert data_directory(None, {}) == Path("sidelog-data")
    held = lock_data_dir(Path("sidelog-demo"))
    assert data_directory(None, {}) == Path("sidelog-demo")
    os.close(held.lock_fd)
