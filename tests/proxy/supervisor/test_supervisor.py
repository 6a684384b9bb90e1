"""The supervisor keeps its children alive, in order, and knows when starting again is pointless."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.process.control_channel import EXIT_CONFIG, Control
from proxy.process.data_dir import DataDir, read_state
from proxy.process.listeners import Listeners
from proxy.supervisor import children
from proxy.supervisor import supervisor as module
from proxy.supervisor.children import Child, Collector, Worker
from proxy.supervisor.reload import Reload
from proxy.supervisor.ring_room import RingRoom
from proxy.supervisor.startup import _announce
from proxy.supervisor.supervisor import Supervisor
from tests.support.programs import PROGRAM_S


class Play(threading.Thread):
    """What happens to a running supervisor, step by step; it is told to stop at the end, whatever
    happens.
    """

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
    deadline = time.monotonic() + PROGRAM_S
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


@pytest.mark.parametrize("is_free", [True, False])
def test_workers_do_not_wait_for_rings_of_the_last_run(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, is_free: bool
) -> None:
    """They start at once, with rings that take memory as they fill. A store that hangs may hold the
    old ones.
    """
    monkeypatch.setattr(RingRoom, "is_free", lambda *_: is_free)
    monkeypatch.setattr(RingRoom, "look", lambda *_: "taken")

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))

    assert run(supervised, steps) == 0
    assert [worker.is_lean for worker in supervised._workers] == [not is_free] * 2


def test_readiness_is_announced_once_all_are_ready(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY=1 comes once, also when a child is started again later; STOPPING=1 at the stop."""
    told: list[str] = []
    monkeypatch.setattr("proxy.supervisor.supervisor.notify", told.append)

    def steps() -> None:
        until(lambda: "READY=1" in told)
        first = pid(supervised._workers[0])
        os.kill(first, signal.SIGKILL)
        until(
            lambda: (
                supervised._workers[0].is_ready and pid(supervised._workers[0]) not in (first, 0)
            )
        )

    assert run(supervised, steps) == 0
    assert told == ["READY=1", "STOPPING=1"]


def test_a_dead_worker_is_started_again_and_adopted_meanwhile(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The survivor hears `adopt`, and `release` once the owner is ready again."""
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(Worker, "ping", lambda self, now_s: None)
    monkeypatch.setattr(
        Worker, "send", lambda self, line, fds=None: told.append((self.index, line))
    )

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        first = pid(supervised._workers[0])
        os.kill(first, signal.SIGKILL)
        until(lambda: (1, "release 0") in told)
        monkeypatch.undo()

    supervised._limits = {**supervised._limits, "drain_timeout_s": 0}
    monkeypatch.setattr("proxy.supervisor.supervisor.KILL_AFTER_S", 0.1)
    run(supervised, steps)
    assert told[:2] == [(1, "adopt 0"), (1, "release 0")]


def test_a_stop_says_whom_it_waits_for_and_is_bounded(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that does not end is named, and killed when its time is over: here when the other
    one has ended.
    """

    def clock() -> float:
        is_named = any(text.startswith("waiting for ") for text in caplog.messages)
        return time.monotonic() + 3600 * (is_named and supervised._workers[0].exit_code is not None)

    monkeypatch.setattr("proxy.supervisor.supervisor.time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr("proxy.supervisor.supervisor.SLOW_STOP_S", 0.05)
    monkeypatch.setattr("proxy.supervisor.supervisor.KILL_AFTER_S", 60.0)
    supervised._limits = {**supervised._limits, "drain_timeout_s": 0}

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        os.kill(pid(supervised._workers[1]), signal.SIGSTOP)

    run(supervised, steps)
    said = [
        record.getMessage()
        for record in caplog.records
        if record.name == "proxy.supervisor.supervisor"
    ]
    assert {"waiting for worker 1 to stop", "waiting for worker 0, worker 1 to stop"} & set(said)
    assert "worker 1 did not stop in time and is killed; its records stay in the ring" in said
    assert supervised._workers[1].exit_code == -signal.SIGKILL


@pytest.mark.parametrize("has_served", [False, True])
def test_a_child_that_cannot_do_better_ends_the_start(
    supervised: Supervisor, has_served: bool
) -> None:
    """A collector that says so is not started again, unless it could be before: the workers have
    clients by then.
    """

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        supervised._collector.has_served = has_served
        supervised._collector.send(f"exit {EXIT_CONFIG}")
        until(lambda: supervised._collector.exit_code == EXIT_CONFIG)
        until(
            lambda: all(
                child.is_ready == has_served == bool(pid(child)) for child in supervised._children
            )
        )

    assert run(supervised, steps) == (0 if has_served else 1)


def test_a_child_that_cannot_be_started_is_tried_again(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setattr(Worker, "close_ring", lambda self, source: forgotten.append(source))

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        supervised._collector.send("say retired 00ff")
        until(lambda: forgotten)

    assert run(supervised, steps) == 0
    assert forgotten == ["00ff", "00ff"]


def all_ready(supervisor: Supervisor) -> bool:
    """Whether every child that should be is ready."""
    return all(child.is_ready for child in supervisor._children)


def test_the_status_goes_to_the_log(
    supervised: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGUSR1 describes the children."""
    caplog.set_level("INFO")

    def steps() -> None:
        until(lambda: all_ready(supervised))
        os.kill(os.getpid(), signal.SIGUSR1)
        until(lambda: "status" in caplog.messages)

    assert run(supervised, steps) == 0
    (status,) = [record for record in caplog.records if record.message == "status"]
    assert [child["name"] for child in status.__dict__["children"]] == [
        "collector",
        "worker 0",
        "worker 1",
    ]


def test_a_reload_replaces_every_child(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New workers are ready before the old ones retire; the collector follows; the manager hears of
    both ends.
    """
    told: list[str] = []
    monkeypatch.setattr(
        "proxy.supervisor.supervisor.notify", lambda text: told.append(text.partition("\n")[0])
    )
    old = supervised._children
    ready_at_retirement: list[bool] = []
    send = Worker.send

    def watched(worker: Worker, line: str, descriptors: list[int] | None = None) -> None:
        if line == "retire":
            ready_at_retirement.append(all_ready(supervised))
        send(worker, line, descriptors)

    def steps() -> None:
        until(lambda: "READY=1" in told)
        before = [pid(child) for child in old]
        monkeypatch.setattr(Worker, "send", watched)
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: told.count("READY=1") == 2 and not supervised._leaving)
        assert not {pid(child) for child in supervised._children} & set(before)
        assert all_ready(supervised)

    assert run(supervised, steps) == 0
    assert ready_at_retirement == [True, True]
    assert told == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert [worker.exit_code for worker in old] == [0, 0, 0]


def test_a_second_hangup_waits_for_the_first(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reloads, one after the other."""
    begun = threading.Event()
    read = Reload._read

    def noted(reload: Reload) -> None:
        read(reload)
        begun.set()

    monkeypatch.setattr(Reload, "_read", noted)

    def steps() -> None:
        until(lambda: all_ready(supervised))
        first = supervised._workers
        os.kill(os.getpid(), signal.SIGHUP)
        until(begun.is_set)
        os.kill(os.getpid(), signal.SIGHUP)

        def third() -> bool:
            return (
                supervised._reloads["done"] == 2
                and all_ready(supervised)
                and not supervised._leaving
            )

        until(third)
        assert not any(pid(worker) for worker in first)

    assert run(supervised, steps) == 0


def test_workers_that_do_not_start_take_a_reload_back(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that ends before it is ready: the old ones go on, the other new one retires, and a later
    reload works.
    """
    start = Worker.start

    def start_or_fail(worker: Worker) -> None:
        start(worker)
        if worker.index == 1:
            worker.kill()

    def steps() -> None:
        until(lambda: all_ready(supervised))
        before = [pid(worker) for worker in supervised._workers]
        with monkeypatch.context() as failing:
            failing.setattr(Worker, "start", start_or_fail)
            os.kill(os.getpid(), signal.SIGHUP)
            until(lambda: any("keeping the current settings" in text for text in caplog.messages))

        assert [pid(worker) for worker in supervised._workers] == before
        os.kill(os.getpid(), signal.SIGHUP)
        until(
            lambda: (
                [pid(worker) for worker in supervised._workers] != before and all_ready(supervised)
            )
        )

    assert run(supervised, steps) == 0
    assert supervised._reloads == {"done": 1, "refused": 1}


def test_a_collector_that_does_not_hand_over_is_killed_in_time(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one starts with the new settings all the same."""
    monkeypatch.setattr("proxy.supervisor.supervisor.COLLECTOR_STOP_S", 0.2)
    hung = 0

    def steps() -> None:
        nonlocal hung
        until(lambda: all_ready(supervised))
        hung = pid(supervised._collector)
        os.kill(hung, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: pid(supervised._collector) not in (hung, 0) and all_ready(supervised))
        monkeypatch.undo()

    assert run(supervised, steps) == 0


def test_a_child_that_does_not_end_is_killed_in_time(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that never drains does not keep the others from ending."""
    monkeypatch.setattr("proxy.supervisor.supervisor.KILL_AFTER_S", 0.1)
    supervised._limits = {**supervised._limits, "drain_timeout_s": 0.1}

    def steps() -> None:
        until(lambda: all(child.is_ready for child in supervised._children))
        os.kill(pid(supervised._workers[0]), signal.SIGSTOP)

    assert run(supervised, steps) == 0
    assert supervised._workers[0].exit_code == -9
    assert supervised._collector.exit_code == 0


def test_a_stop_starts_a_collector_that_is_due(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had ended, and would be started again later: the rings of the workers are to be emptied
    now.
    """
    monkeypatch.setattr(Collector, "schedule_restart", lambda self, now: 60.0)

    def steps() -> None:
        until(lambda: all_ready(supervised))
        os.kill(pid(supervised._collector), signal.SIGKILL)
        until(lambda: supervised._collector.exit_code == -9)

    assert run(supervised, steps) == 0
    assert supervised._collector.exit_code == 0


def test_a_stop_replaces_a_collector_that_does_not_hand_over(supervised: Supervisor) -> None:
    """It is killed in time, and its end is heard once; the next one empties the rings."""
    hung: list[Control] = []

    def steps() -> None:
        until(lambda: all_ready(supervised))
        assert supervised._collector.control is not None
        hung.append(supervised._collector.control)
        os.kill(pid(supervised._collector), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: supervised._collector.is_handing_over)
        supervised._hand_over_by_s = time.monotonic() + 1

    assert run(supervised, steps) == 0
    assert supervised._collector.exit_code == 0
    assert hung[0].fileno() == -1


def test_a_worker_that_does_not_answer_is_told(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, to the collector and at the health port, until it answers again."""
    monkeypatch.setattr(children, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(module, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(children, "SILENT_S", 0.5)
    worker = supervised._workers[0]
    silent: list[tuple[bool, object]] = []

    def steps() -> None:
        until(lambda: all_ready(supervised))
        os.kill(pid(worker), signal.SIGSTOP)
        until(lambda: worker.is_silent)
        is_ready, members = supervised._readiness()
        silent.append((is_ready, members["workers_ready"]))
        assert worker.roll_call()["silent"]
        os.kill(pid(worker), signal.SIGCONT)
        until(lambda: not worker.is_silent)
        silent.append((supervised._readiness()[0], 2))

    assert run(supervised, steps) == 0
    assert silent == [(False, 1), (True, 2)]
    assert "worker 0 has not answered for 0.5 s: is it stopped?" in caplog.messages
    assert "worker 0 answers again" in caplog.messages


def test_a_signal_that_comes_twice_is_one(supervised: Supervisor) -> None:
    """Sent to the process and to its group, as timeout(1) does, it cuts nobody's time."""
    worker = supervised._workers[0]

    def steps() -> None:
        until(lambda: all_ready(supervised))
        os.kill(pid(worker), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: supervised._stopping_since_s)
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: supervised._listeners.data[0].fileno() == -1)
        os.kill(pid(worker), signal.SIGCONT)

    assert run(supervised, steps) == 0
    assert worker.exit_code == 0


def test_a_second_signal_kills_what_is_left(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a child that hangs when told twice; the code says that the stop was not in
    order.
    """
    monkeypatch.setattr(module, "SAME_SIGNAL_S", 0.0)
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
    _announce(data, listeners, settings, greeting="")
    state = read_state(data.path)
    assert state["admin_url"] == f"http://127.0.0.1:{listeners.admin_address[1]}"
    assert state["instance"] == data.instance
