"""Children are started with what they need, heard, and started again later and later."""

import errno
import json
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.process.control_channel import MAX_DESCRIPTORS, Control
from proxy.process.data_dir import DataDir
from proxy.process.listeners import open_listeners
from proxy.process.ring_home import claim_ring_home
from proxy.process.shared_memory import RING_OVERHEAD_BYTES, SharedMemoryError
from proxy.process.wakeup import Wakeup
from proxy.settings.model import RouteSettings, Settings
from proxy.supervisor.children import BACKOFF_MAX_S, STABLE_S, Child, Collector, Shared, Worker
from tests.support.programs import PROGRAM_S


class TestChild(Child):
    """A process of `tests.support.child`."""

    __test__ = False
    name = "test child"

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        """See `Child.command`."""
        return ["tests.support.child", str(control_fd)], []


class TestWorker(Worker):
    """A worker that is one."""

    __test__ = False

    def command(self, control_fd: int) -> tuple[list[str], list[int]]:
        """See `Child.command`."""
        return ["tests.support.child", str(control_fd)], []


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    """What children share, over two workers; closed at the end."""
    settings: dict[str, Any] = msgspec.to_builtins(
        Settings(routes=(RouteSettings(id="a", upstream="http://x"),))
    )
    settings["proxy"].update(listen="127.0.0.1:0", workers=2)
    settings["admin"]["listen"] = "127.0.0.1:0"
    settings["ring"].update(bytes=1 << 20, directory=str(tmp_path / "rings"))
    settings_fd, lock_fd, counters_fd = (os.open(os.devnull, os.O_RDONLY) for _ in range(3))
    listeners = open_listeners(settings, {})
    wakeup = Wakeup.create()
    home = claim_ring_home(str(tmp_path / "rings"), tmp_path)
    data = DataDir(tmp_path, "sl-1", "token", lock_fd)
    yield Shared(settings, settings_fd, data, listeners, home, wakeup, counters_fd)
    home.release()
    wakeup.close()
    for listener in (*listeners.data, listeners.admin):
        listener.close()
    for fd in (settings_fd, lock_fd, counters_fd):
        os.close(fd)


@pytest.fixture
def child(shared: Shared) -> Iterator[TestChild]:
    """A running child, killed at the end if need be."""
    made = TestChild(shared)
    made.start()
    yield made
    made.kill()
    if made.control is not None:
        made.control.close()


def heard(child: Child) -> tuple[list[str], bool]:
    """Wait for the next words of a child, or its end."""
    assert child.control is not None
    assert select.select([child.control], [], [], PROGRAM_S)[0]
    lines, _, has_ended = child.control.receive()
    return lines, has_ended


def option(arguments: list[str], name: str) -> list[int]:
    """The descriptors an option names."""
    return [int(fd) for fd in arguments[arguments.index(name) + 1].split(",")]


def test_a_child_speaks_and_obeys(child: TestChild) -> None:
    """Lines travel both ways; its exit code is told once."""
    assert heard(child) == (["ready"], False)
    assert child.poll() is None
    child.send("say retired 00")
    assert heard(child) == (["retired 00"], False)
    child.is_ready = True
    child.send("exit 7")
    assert heard(child) == ([], True)
    while (code := child.poll()) is None:
        pass
    assert (code, child.exit_code, child.is_ready, child.poll()) == (7, 7, False, None)
    child.send("nobody hears this")


def test_the_end_of_the_line_ends_the_child(child: TestChild) -> None:
    """A child whose supervisor is gone ends by itself."""
    assert heard(child) == (["ready"], False)
    assert child.control is not None
    child.control.close()
    child.control = None
    while child.is_running():
        pass
    assert child.exit_code == 0


def test_kill_ends_at_once_and_is_repeatable(child: TestChild) -> None:
    """Killed is killed; there is nothing left to kill."""
    assert child.is_running()
    child.kill()
    assert not child.is_running()
    assert child.exit_code == -9
    child.kill()


def test_restarts_back_off(shared: Shared) -> None:
    """At once, then after 0.1 s, doubling to the bound; a child that lived long enough starts
    afresh.
    """
    child = TestChild(shared)
    now = 1000.0
    child._started_at = now
    delays = [child.schedule_restart(now) for _ in range(10)]
    assert delays == [
        0.0,
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        3.2,
        BACKOFF_MAX_S,
        BACKOFF_MAX_S,
        BACKOFF_MAX_S,
    ]
    assert child.due_at == now + BACKOFF_MAX_S
    assert not child.is_due(now + BACKOFF_MAX_S - 0.01)
    assert child.is_due(now + BACKOFF_MAX_S)
    child._started_at = now
    assert child.schedule_restart(now + STABLE_S) == 0.0
    assert child.schedule_restart(now + STABLE_S - 1) == 0.0
    assert child.schedule_restart(now + STABLE_S - 1) == 0.1


def test_a_start_that_fails_backs_off(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine lacks processes, trying without a pause would take what is left of it."""
    child = TestChild(shared)

    def fail(*args: object, **options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", fail)
    delays = []
    for _ in range(4):
        with pytest.raises(BlockingIOError):
            child.start()
        delays.append(child.schedule_restart(child._started_at))

    assert delays == [0.0, 0.1, 0.2, 0.4]


def test_a_start_clears_what_was_due(shared: Shared, child: TestChild) -> None:
    """A child that runs is not due."""
    child.schedule_restart(0.0)
    child.kill()
    assert child.control is not None
    child.control.close()
    child.start()
    assert (child.due_at, child.is_ready) == (None, False)
    assert child.describe()["pid"] is not None


def test_a_start_that_fails_leaves_nothing_open(shared: Shared) -> None:
    """No room for the process or its ring: the line is closed again."""

    class Roomless(TestChild):
        def command(self, control_fd: int) -> tuple[list[str], list[int]]:
            raise SharedMemoryError("no room")

    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(SharedMemoryError):
        Roomless(shared).start()
    assert set(os.listdir("/proc/self/fd")) <= before


def test_the_command_of_a_worker(shared: Shared) -> None:
    """It gets all data sockets, index, settings and wake-up; no admin socket, no lock."""
    worker = Worker(shared, 1)
    arguments, descriptors = worker.command(99)
    listen = [listener.fileno() for listener in shared.listeners.data]
    assert arguments[0] == "proxy.worker"
    assert option(arguments, "--listen-fds") == listen
    assert option(arguments, "--settings-fd") == [shared.settings_fd]
    assert option(arguments, "--control-fd") == [99]
    assert arguments[arguments.index("--index") + 1] == "1"
    assert arguments[arguments.index("--instance") + 1] == "sl-1"
    assert arguments[arguments.index("--ring-directory") + 1] == str(shared.rings.path)
    own = {shared.settings_fd, shared.rings.lock_fd}
    assert {*listen, *own, shared.wakeup.read_fd, shared.wakeup.write_fd} == set(descriptors)


def test_the_command_of_a_collector(shared: Shared) -> None:
    """It gets the admin socket and the lock, and no data socket."""
    arguments, descriptors = Collector(shared).command(99)
    admin = shared.listeners.admin.fileno()
    assert arguments[0] == "proxy.collector"
    assert option(arguments, "--admin-fd") == [admin]
    assert option(arguments, "--lock-fd") == [shared.data.lock_fd]
    assert arguments[arguments.index("--ring-directory") + 1] == str(shared.rings.path)
    own = {shared.data.lock_fd, shared.settings_fd, shared.counters_fd, shared.rings.lock_fd}
    assert {admin, *own} <= set(descriptors)
    assert not {listener.fileno() for listener in shared.listeners.data} & set(descriptors)


def test_a_configured_ring_directory_must_hold_all_rings(shared: Shared) -> None:
    """One that is too small is an error that names it; it is asked for all workers at once."""
    shared.settings["ring"]["directory"] = "/rings"
    shared.check_ring_directory()
    shared.settings["ring"]["bytes"] = 1 << 60

    with pytest.raises(
        SharedMemoryError, match=f"the rings need {2 * ((1 << 60) + RING_OVERHEAD_BYTES)}"
    ):
        shared.check_ring_directory()

    shared.settings["proxy"]["data_port"] = False
    shared.check_ring_directory()
    assert shared.workers == 0


def ring_file() -> int:
    """Open a file that may be a ring."""
    return os.open(os.devnull, os.O_RDONLY)


def is_open(fd: int) -> bool:
    """Whether a descriptor is one."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_every_ring_is_held_until_it_is_emptied(shared: Shared) -> None:
    """Those of earlier processes too; the collector says when one is needed no more."""
    worker = Worker(shared, 0)
    first = ring_file()
    second = ring_file()
    worker.on_ring("ab", first)
    worker.on_ring("cd", second)
    assert worker.rings == {"ab": first, "cd": second}
    assert worker.roll_call()["ring"] == "cd"
    worker.close_ring("ab")
    assert not is_open(first)
    worker.close_ring("unknown")
    worker.on_ring("ef", None)
    assert worker.roll_call()["ring"] == "ef"
    worker.close_rings()
    assert worker.rings == {}
    assert not is_open(second)


@pytest.fixture
def told(shared: Shared) -> Iterator[tuple[Collector, Control]]:
    """A collector, and its end of the line."""
    ours, theirs = (Control(end) for end in socket.socketpair())
    collector = Collector(shared)
    collector.control = ours
    yield collector, theirs
    ours.close()
    theirs.close()


def words(theirs: Control) -> tuple[list[list[dict[str, Any]]], int]:
    """What a collector hears: workers by line, and how many descriptors came with them."""
    lines, descriptors, _ = theirs.receive()
    for fd in descriptors:
        os.close(fd)
    return [
        json.loads(line.removeprefix("rings ")) for line in lines if line.startswith("rings ")
    ], len(descriptors)


def test_a_collector_is_told_of_workers_and_rings(
    shared: Shared, told: tuple[Collector, Control]
) -> None:
    """At once, although there are none; then only what has changed, and each ring once, until it
    asks again.
    """
    collector, theirs = told
    assert collector.announce([], {})
    assert words(theirs) == ([[]], 0)
    assert collector.announce([], {})
    assert words(theirs) == ([], 0)

    worker = TestWorker(shared, 0)
    worker.start()
    worker.on_ring("ab", ring_file())
    assert collector.announce([worker], {})
    expected = {"name": "worker 0", "pid": worker.describe()["pid"], "ready": False, "failures": 0}
    assert words(theirs) == ([[{**expected, "ring": "ab", "leaving": False, "silent": False}]], 1)
    worker.is_ready = True
    worker.retire()
    assert collector.announce([worker], {})
    assert words(theirs) == (
        [[{**expected, "ready": True, "ring": "ab", "leaving": True, "silent": False}]],
        0,
    )
    collector.announce_again()
    assert collector.announce([worker], {})
    assert words(theirs)[1] == 1
    worker.kill()
    assert collector.announce([worker], {})
    assert words(theirs) == ([[]], 0)
    worker.close_rings()
    assert worker.control is not None
    worker.control.close()


def test_what_the_supervisor_counts_is_told_when_it_changes(
    told: tuple[Collector, Control],
) -> None:
    """Behind the rings, which are always first."""
    collector, theirs = told
    for lost in (0, 0, 2):
        assert collector.announce([], {"log_lines_dropped": lost})
    assert theirs.receive()[0] == [
        "rings []",
        'counts {"log_lines_dropped": 0}',
        'counts {"log_lines_dropped": 2}',
    ]


def test_more_rings_than_a_message_holds_come_in_several(
    shared: Shared, told: tuple[Collector, Control]
) -> None:
    """None is left out."""
    collector, theirs = told
    worker = Worker(shared, 0)
    for number in range(MAX_DESCRIPTORS + 3):
        worker.on_ring(str(number), ring_file())
    assert collector.announce([worker], {})
    assert words(theirs) == ([[], []], MAX_DESCRIPTORS + 3)
    worker.close_rings()


def test_a_collector_that_takes_nothing_in_is_told_later(
    shared: Shared, told: tuple[Collector, Control]
) -> None:
    """Nothing waits for it, and no word is lost or cut."""
    collector, theirs = told
    worker = TestWorker(shared, 0)
    worker.start()
    number = 0
    while collector.announce([worker], {}):
        number += 1
        worker.on_ring(f"{number:032x}", None)
    heard: list[list[dict[str, Any]]] = []
    while not collector.announce([worker], {}) or heard[-1][0]["ring"] != f"{number:032x}":
        heard += words(theirs)[0]
    assert all(len(workers) == 1 for workers in heard)
    worker.kill()
    assert worker.control is not None
    worker.control.close()


def test_adopting_is_said_once(shared: Shared) -> None:
    """A survivor hears once that it adopts, and once that the owner is back."""
    ours, theirs = (Control(end) for end in socket.socketpair())
    worker = Worker(shared, 0)
    worker.control = ours
    worker.release(1)
    worker.adopt(1)
    worker.adopt(1)
    worker.release(1)
    worker.release(1)
    assert theirs.receive()[0] == ["adopt 1", "release 1"]
    ours.close()
    theirs.close()
