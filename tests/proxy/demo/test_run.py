"""The demo as a whole: addresses, messages, start and stop."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from proxy.cli import app
from proxy.cli.commands.client import data_directory, of_running
from proxy.demo import run
from proxy.demo.run import CannotStart, start
from proxy.process.data_dir import TOKEN_FILE, lock_data_dir
from proxy.settings.load import load
from proxy.settings.model import SettingsError
from tests.support.here import run_here
from tests.support.ports import free_port
from tests.support.programs import PROGRAM_S
from tests.support.upstream import running

URL = "http://127.0.0.1:9"


def free_address() -> str:
    """Return a loopback address nobody listens on."""
    return f"127.0.0.1:{free_port()}"


@contextmanager
def demo(data_dir: Path, listen: str) -> Iterator[subprocess.Popen[str]]:
    """Start a demo."""
    addresses = ["--listen", listen, "--admin-listen", free_address()]
    command = [sys.executable, "-m", "proxy", "demo", *addresses, "--data-dir", str(data_dir)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_welcome(process: subprocess.Popen[str]) -> str:
    """Read what the demo prints at its start."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            return "".join(lines)

    raise AssertionError(f"the demo ended: {process.stderr.read() if process.stderr else ''}")


def await_visits(data_dir: Path) -> None:
    """Return when traffic came through."""
    words = ("query", "--json", "--limit", "1", "--data-dir", str(data_dir))
    deadline = time.monotonic() + PROGRAM_S
    while not run_here(*words)[1]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_everything_down(tmp_path: Path, number: signal.Signals) -> None:
    """The welcome names proxy, UI and token, and traffic comes; what is behind sidelog ends with
    it.
    """
    listen = free_address()
    with demo(tmp_path / "data", listen) as process:
        text = read_welcome(process)
        assert f"http://{listen}   in front of a demo service" in text
        assert re.search(r"http://\S+/login#token=\S+", text)
        await_visits(tmp_path / "data")
        process.send_signal(number)
        process.communicate(timeout=PROGRAM_S)  # returns once nobody holds the pipes any more
        assert process.returncode == 0


def test_a_killed_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """After SIGKILL no process holds the demo's output any more."""
    with demo(tmp_path / "data", free_address()) as process:
        read_welcome(process)
        await_visits(tmp_path / "data")
        process.kill()
        process.communicate(timeout=PROGRAM_S)
        assert process.returncode == -signal.SIGKILL


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    """By sidelog, and the exit code is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path / "data", f"127.0.0.1:{port}") as process:
            _, errors = process.communicate(timeout=PROGRAM_S)
            assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in errors


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """With what the process beside sidelog is started, in its place."""
    started: list[tuple[str, ...]] = []

    def start_beside(*arguments: str) -> tuple[str, str]:
        started.append(arguments)
        return URL, "@nobody"

    monkeypatch.setattr(run, "_start_beside", start_beside)
    return started


def test_wrong_settings_are_reported_with_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    beside: list[tuple[str, ...]],
) -> None:
    """A wrong variable is found before anything is started; so is a Unix socket, which is no port."""
    monkeypatch.setenv("SIDELOG_PROXY__WORKERS", "many")
    assert app.main(["demo"]) == 2
    assert "SIDELOG_PROXY__WORKERS" in capsys.readouterr().err
    monkeypatch.delenv("SIDELOG_PROXY__WORKERS")
    assert app.main(["demo", "--listen", "unix:/run/a.sock"]) == 1
    assert "needs a port: expected host:port" in capsys.readouterr().err
    with pytest.raises(CannotStart):
        start("unix:/run/a.sock", "127.0.0.1:8090", None, {})
    with pytest.raises(SettingsError, match=r"admin\.listen"):
        start("127.0.0.1:8080", "nowhere", None, {})
    assert beside == []


def test_the_environment_names_addresses_where_the_caller_does_not(
    beside: list[tuple[str, ...]],
) -> None:
    """A given address wins over the environment, which wins over the default."""
    environ = {"SIDELOG_PROXY__LISTEN": "127.0.0.1:1111", "SIDELOG_ADMIN__LISTEN": "127.0.0.1:2222"}
    found = start("127.0.0.1:8080", "127.0.0.1:3333", None, environ)
    assert (found["proxy.listen"], found["admin.listen"]) == ("127.0.0.1:1111", "127.0.0.1:3333")
    assert (found["proxy.upstream"], found["data_dir"]) == (URL, "sidelog-demo")
    start("127.0.0.1:8080", "127.0.0.1:8090", "here", {"STATE_DIRECTORY": "/there"})
    assert beside == [
        ("127.0.0.1:1111", "127.0.0.1:3333", str(Path.cwd() / "sidelog-demo")),
        ("127.0.0.1:8080", "127.0.0.1:8090", str(Path.cwd() / "here")),
    ]


@pytest.mark.usefixtures("beside")
def test_the_settings_of_a_demo_are_valid(tmp_path: Path) -> None:
    """Routes and an alert that give pages something to show; what the user sets wins."""
    environ: dict[str, str] = {}
    overrides = start("127.0.0.1:11", "127.0.0.1:12", str(tmp_path), environ)
    settings = load(overrides, environ, None)
    assert [route.id for route in settings.routes] == ["users", "tools", "default"]
    assert [alert.url for alert in settings.alerts] == [f"{URL}/hook"]
    environ = {"SIDELOG_ALERTS": "[]"}
    assert (
        load(start("127.0.0.1:11", "127.0.0.1:12", str(tmp_path), environ), environ, None).alerts
        == ()
    )


def test_where_only_the_demo_ran_its_records_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own records come first, and a directory that is named before both."""
    monkeypatch.chdir(tmp_path)
    assert data_directory(None, {}) == Path("sidelog-data")
    Path("sidelog-demo").mkdir()
    Path("sidelog-demo", "state.json").write_text("{}")
    assert data_directory(None, {}) == Path("sidelog-data")
    Path("sidelog-demo", "state.json").write_text('{"admin_url": "http://127.0.0.1:1"}')
    assert data_directory(None, {}) == Path("sidelog-demo")
    assert data_directory(None, {"SIDELOG_DATA_DIR": "mine"}) == Path("mine")
    Path("sidelog-data").mkdir()
    assert data_directory(None, {}) == Path("sidelog-data")
    Path("sidelog-data", "state.json").write_text('{"instance": "a start that failed"}')
    assert data_directory(None, {}) == Path("sidelog-demo")
    Path("sidelog-data", "state.json").unlink()
    assert of_running({}, None, {}) == {}
    held = lock_data_dir(Path("sidelog-demo"))
    assert data_directory(None, {}) == Path("sidelog-demo")
    assert of_running({}, None, {}) == {"data_dir": "sidelog-demo"}
    assert of_running({"proxy.upstream": "http://a"}, None, {}) == {"proxy.upstream": "http://a"}
    assert (
        of_running({}, Path("a.toml"), {}) == of_running({}, None, {"SIDELOG_DATA_DIR": "a"}) == {}
    )
    os.close(held.lock_fd)


@pytest.mark.parametrize("taken", ["--listen", "--admin-listen"])
def test_a_taken_port_is_one_line_and_gets_nothing(tmp_path: Path, taken: str) -> None:
    """No banner that leads into the other program, no question to it, and above all not the token."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        addresses = {"--listen": free_address(), "--admin-listen": free_address()} | {
            taken: address
        }
        flags = [text for flag in addresses.items() for text in flag]
        command = [
            sys.executable,
            "-m",
            "proxy",
            "demo",
            *flags,
            "--data-dir",
            str(tmp_path / "data"),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROGRAM_S, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert f"cannot listen on {address}: address already in use" in done.stderr
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_sidelog_that_is_stopped_before_the_first_key_ends_it_in_silence(tmp_path: Path) -> None:
    """Its end is that of the demo: no traceback stands behind the log."""

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    async def leave(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    admin = web.Application()
    admin.add_routes([web.get("/readyz", ready), web.get("/api/keys", leave)])
    (tmp_path / TOKEN_FILE).write_text("token")
    with running(admin) as url:
        address = url.removeprefix("http://")
        command = [sys.executable, "-m", "proxy.demo.run", free_address(), address, str(tmp_path)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            _, _, name = process.stdout.readline().strip().partition(" ")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
                notices.sendto(b"READY=1", "\0" + name.removeprefix("@"))
            _, complaints = process.communicate(timeout=PROGRAM_S)

    assert (process.returncode, complaints) == (0, "")
