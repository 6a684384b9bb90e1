"""A worker whose ring nobody reads is noticed soon, and nobody else is accused."""

import logging
import os

import msgspec
import pytest

from proxy.collector.rings.sources import Sources
from proxy.collector.watch.workers import GRACE_S, Workers, WorkerShown
from tests.support.rings import RingWorker


class World:
    """What is attached, what is said, and the time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.sources = Sources(None, {})
        self.workers = Workers(self.sources.attached, lambda: self.now_s)
        self.told: list[int] = []
        self.workers.on_unread = self.told.append

    def say(self, *workers: WorkerShown) -> None:
        """Speak as the supervisor."""
        self.workers.update(msgspec.json.encode(workers))

    def look(self, after_s: float = 0.0) -> tuple[str, ...]:
        """Let time pass, and look."""
        self.now_s += after_s
        self.workers.look()
        return self.workers.unread


def test_before_the_first_word_nothing_is_missing() -> None:
    """There may be no supervisor at all."""
    world = World()
    assert world.look() == ()
    assert (world.workers.shown, world.workers.accepting, world.told) == (None, 0, [])


def test_a_ring_nobody_reads_is_an_error_after_a_moment(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it once, the supervisor hears it at every look. A new process starts over."""
    world = World()
    world.say(WorkerShown("worker 0", 7, ready=True, ring="00" * 16))
    assert world.look() == ()
    assert world.look(GRACE_S / 2) == ()
    assert world.look(GRACE_S / 2) == ("worker 0",)
    assert world.look(1) == ("worker 0",)
    assert world.told == [1, 1]
    world.say(WorkerShown("worker 0", None, ready=False, ring=""))
    assert world.look() == ()
    assert world.told == [1, 1, 0]
    assert world.look() == ()
    assert world.told == [1, 1, 0]
    levels = [(record.levelno, record.args) for record in caplog.records]
    assert levels == [(logging.ERROR, ("worker 0",)), (logging.WARNING, ("worker 0",))]


def test_a_ring_that_is_attached_is_read(worker: RingWorker) -> None:
    """A ring that is closed under a living worker, because it is damaged, is unread."""
    world = World()
    world.sources.attach_fd(worker.segment.fd)
    world.say(WorkerShown("worker 0", 7, ready=True, ring=worker.source.hex()))
    world.look()
    assert world.look(GRACE_S) == ()
    (source,) = world.sources.attached.values()
    source.give_up()
    world.look()
    assert world.look(GRACE_S) == ("worker 0",)
    world.sources.close()


@pytest.mark.parametrize("ring", ["", "no hex", "ab"])
def test_a_worker_that_serves_without_a_ring_is_unread(ring: str) -> None:
    """Whatever the report has in place of the ring."""
    world = World()
    world.say(WorkerShown("worker 0", 7, ready=True, ring=ring))
    world.look()
    assert world.look(GRACE_S) == ("worker 0",)


def test_who_does_not_serve_yet_needs_no_ring() -> None:
    """A worker that starts is not missed. One that leaves does not count as accepting."""
    world = World()
    world.say(
        WorkerShown("worker 0", 7, ready=False, ring=""),
        WorkerShown("worker 1", 8, ready=True, ring="", leaving=True),
    )
    world.look()
    assert world.look(GRACE_S) == ("worker 1",)
    assert world.workers.accepting == 0


def test_the_processes_are_those_the_supervisor_names() -> None:
    """A worker that leaves beside its successor has a name of its own. A single process is
    `sidelog`.
    """
    workers = Workers({})
    assert workers.process_ids() == {"sidelog": os.getpid()}
    shown = [
        WorkerShown(name="worker 0", pid=11, ready=True, ring=""),
        WorkerShown(name="worker 0", pid=12, ready=True, ring="", leaving=True),
        WorkerShown(name="worker 1", pid=None, ready=False, ring=""),
    ]
    workers.update(msgspec.json.encode(shown))
    assert workers.process_ids() == {
        "supervisor": os.getppid(), "collector": os.getpid(), "worker 0": 11, "worker 0 leaving": 12,
    }  # fmt: skip
    workers.update(
        msgspec.json.encode([WorkerShown(name="worker 0", pid=os.getpid(), ready=True, ring="")])
    )
    assert workers.process_ids() == {"sidelog": os.getpid()}
