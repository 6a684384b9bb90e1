"""The supervisor keeps its children alive, in order, and knows when starting again is pointless."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.children import Child, Collector, Worker
from proxy.control import HOPELESS_EXIT
from proxy.datadir import DataDir, read_state, take
from proxy.listeners import Listeners, open_listeners
from proxy.settings import RouteSettings, Settings, freeze
from proxy.supervisor import Supervisor, _read_settings, announce


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Two workers on free ports."""
    made: dict[str, Any] = msgspec.to_builtins(Settings(routes=(RouteSettings(id="a", upstream="http://x"),)))
    made["proxy"].update(listen="127.0.0.1:0", workers=2)
    made["admin"]["listen"] = "127.0.0.1:0"
    made["ring"].update(bytes=1 << 20, directory=str(tmp_path / "rings"))
    return made


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    """A data directory of our own."""
    taken = take(tmp_path / "data")
    yield taken
    os.close(taken.lock_fd)


@pytest.fixture
def listeners(settings: dict[str, Any]) -> Iterator[Listeners]:
    """Its sockets."""
    opened = open_listeners(settings, {})
    yield opened
    for listener in (*opened.data, opened.admin):
        listener.close()


@pytest.fixture
def harmless_signals() -> Iterator[None]:
    """Give the test process its signal handlers back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def supervised(
    settings: dict[str, Any],
    data: DataDir,
    listeners: Listeners,
    monkeypatch: pytest.MonkeyPatch,
    harmless_signals: None,
) -> Iterator[Supervisor]:
    """A supervisor whose children are processes of `tests.support.child`."""
    for kind in (Collector, Worker):
        monkeypatch.setattr(kind, "command", lambda self, fd: (["tests.support.child", str(fd)], []))
    made = Supervisor(settings, -1, data, listeners)
    yield made
    for child in made._children:
        child.kill()
        if child.control is not None:
            child.control.close()


class Play(threading.Thread):
    """What happens to a running supervisor, step by step; it is told to stop at the end, whatever happens."""

    def __init__(self, steps: Callable[[], None]) -> None:
        """Begin."""
        super().__init__()
        self._steps = steps
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Take the steps."""
        try:
            self._steps()
        except BaseException as error:
            self.error = error
        os.kill(os.getpid(), signal.SIGTERM)


def until(is_true: Callable[[], object]) -> None:
    """Wait."""
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def run(supervisor: Supervisor, steps: Callable[[], None]) -> int:
    """Run it through some steps; return its exit code."""
    play = Play(steps)
    code = supervisor.run()
    play.join()
    if play.error is not None:
        raise play.error
    return code


def pid(child: Child) -> int:
    """Process id of a running child, 0 of another."""
    return int(str(child.describe()["pid"] or 0))


def test_all_start_and_a_stop_drains_them(supervised: Supervisor) -> None:
    """Ready when all are; SIGTERM ends every child with code 0."""

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))

    assert run(supervised, steps) == 0
    assert [child.exit_code for child in supervised._children] == [0, 0, 0]


def test_readiness_is_announced_once_all_are_ready(supervised: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY=1 comes once, also when a child is started again later; STOPPING=1 at the stop."""
    told: list[str] = []
    monkeypatch.setattr("proxy.supervisor.notify", told.append)

    def steps() -> None:
        until(lambda: "READY=1" in told)
        first = pid(supervised._workers[0])
        os.kill(first, signal.SIGKILL)
        until(lambda: supervised._workers[0].is_ready and pid(supervised._workers[0]) != first)

    assert run(supervised, steps) == 0
    assert told == ["READY=1", "STOPPING=1"]


def test_a_dead_worker_is_started_again_and_adopted_meanwhile(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The survivor hears `adopt`, and `release` once the owner is ready again."""
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(Worker, "tell", lambda self, line, fds=None: told.append((self.index, line)))

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        first = pid(supervised._workers[0])
        os.kill(first, signal.SIGKILL)
        until(lambda: (1, "release 0") in told)
        monkeypatch.undo()

    supervised._limits = {**supervised._limits, "drain_timeout_s": 0}
    monkeypatch.setattr("proxy.supervisor.KILL_AFTER_S", 0.1)
    run(supervised, steps)
    assert told[:2] == [(1, "adopt 0"), (1, "release 0")]


def test_a_child_that_cannot_do_better_ends_everything(supervised: Supervisor) -> None:
    """A collector that says that starting again is pointless is not started again; the exit code is 1."""

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        supervised._collector.tell(f"exit {HOPELESS_EXIT}")
        until(lambda: supervised._collector.exit_code == HOPELESS_EXIT)
        until(lambda: all(not pid(child) for child in supervised._workers))

    assert run(supervised, steps) == 1
    assert [worker.exit_code for worker in supervised._workers] == [0, 0]


def test_a_child_that_cannot_be_started_is_tried_again(supervised: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for a process or a ring is a matter of time, not the end of the others."""
    start = Worker.start
    failures = 3

    def start_or_fail(worker: Worker) -> None:
        nonlocal failures
        if worker.index == 0 and failures:
            failures -= 1
            raise OSError("no room")
        start(worker)

    monkeypatch.setattr(Worker, "start", start_or_fail)

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))

    assert run(supervised, steps) == 0
    assert failures == 0


def test_a_retired_ring_is_let_go(supervised: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector's word reaches the worker that has the ring."""
    forgotten: list[str] = []
    monkeypatch.setattr(Worker, "forget_ring", lambda self, source: forgotten.append(source))

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        supervised._collector.tell("say retired 00ff")
        until(lambda: forgotten)

    assert run(supervised, steps) == 0
    assert forgotten == ["00ff", "00ff"]


def test_the_status_goes_to_the_log_and_reload_is_refused(
    supervised: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGUSR1 describes the children; SIGHUP changes nothing and says so."""
    caplog.set_level("INFO")

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: len([record for record in caplog.records if record.name == "proxy.supervisor"]) >= 2)

    assert run(supervised, steps) == 0
    (status,) = [record for record in caplog.records if record.message == "status"]
    assert [child["name"] for child in status.__dict__["children"]] == ["collector", "worker 0", "worker 1"]
    assert any("needs a restart" in record.message for record in caplog.records)


def test_a_child_that_does_not_end_is_killed_in_time(supervised: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that never drains does not keep the others from ending."""
    monkeypatch.setattr("proxy.supervisor.KILL_AFTER_S", 0.1)
    supervised._limits = {**supervised._limits, "drain_timeout_s": 0.1}

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        os.kill(pid(supervised._workers[0]), signal.SIGSTOP)

    assert run(supervised, steps) == 0
    assert supervised._workers[0].exit_code == -9
    assert supervised._collector.exit_code == 0


def test_a_second_signal_kills_what_is_left(supervised: Supervisor) -> None:
    """Nobody waits for a child that hangs when told twice; the code says that the stop was not in order."""
    worker = supervised._workers[0]

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        os.kill(pid(worker), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: supervised._listeners.data[0].fileno() == -1)

    assert run(supervised, steps) == 1
    assert worker.exit_code == -9


def test_the_listening_sockets_are_closed_before_the_workers_drain(supervised: Supervisor) -> None:
    """A connection that comes then is refused instead of waiting for nobody."""

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))

    assert run(supervised, steps) == 0
    assert [listener.fileno() for listener in supervised._listeners.data] == [-1, -1]
    assert supervised._listeners.admin.fileno() >= 0


def test_the_announcement_keeps_what_the_state_holds(
    data: DataDir, listeners: Listeners, settings: dict[str, Any]
) -> None:
    """The command line finds the admin port in the state, beside the instance."""
    announce(data, listeners, settings)
    state = read_state(data.path)
    assert state["admin_url"] == f"http://127.0.0.1:{listeners.admin_address[1]}"
    assert state["instance"] == data.instance


def test_settings_are_read_from_the_start_of_their_descriptor(tmp_path: Path) -> None:
    """However often and by whomever the shared offset was moved."""
    file = tmp_path / "settings"
    file.write_bytes(freeze(Settings()))
    with file.open("rb") as stream:
        stream.read()
        for _ in range(2):
            assert _read_settings(stream.fileno()) == json.loads(file.read_bytes())
