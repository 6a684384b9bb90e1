"""The collector follows its supervisor from the first moment on."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.collector.supervisor_commands import SupervisorCommands
from proxy.collector.watch.workers import GRACE_S, Workers
from proxy.process.control_channel import Control


class Line:
    """The supervisor's end, the commands of a collector, and the sources and the status to which
    they are handed on: it remembers what they are told.
    """

    def __init__(self) -> None:
        self.supervisor, self.theirs = (Control(end) for end in socket.socketpair())
        self.commands = SupervisorCommands(self.theirs)
        self.now_s = 0.0
        self.workers = Workers({}, lambda: self.now_s)
        self.attached: list[int] = []
        self.on_removed: Any = None
        self.is_draining = False

    def follow(self) -> None:
        """Hand on what was said, and what will be."""
        anything: Any = self
        self.commands.follow(anything, anything, self.workers)

    def subscribe(self, on_removed: Any) -> None:
        """Remember it."""
        self.on_removed = on_removed

    def attach_fd(self, fd: int) -> None:
        """Remember the file, which must be open."""
        self.attached.append(os.fstat(fd).st_ino)

    def start_draining(self) -> None:
        """Remember it."""
        self.is_draining = True


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """A line that nobody follows yet."""
    made = Line()
    yield made
    asyncio.get_running_loop().remove_reader(made.theirs.fileno())
    made.supervisor.close()
    made.theirs.close()


async def settled() -> None:
    """Let the loop look at its descriptors."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_rings_said_before_anybody_follows_are_kept(line: Line) -> None:
    """What arrives while the store is being opened is handed on first, and what comes later at
    once.
    """
    before = set(os.listdir("/proc/self/fd"))
    with socket.socket() as first, socket.socket() as second:
        inodes = [os.fstat(first.fileno()).st_ino, os.fstat(second.fileno()).st_ino]
        line.supervisor.send("rings []", [first.fileno()])
        async with asyncio.timeout(60):
            await line.commands.rings_known()
        line.follow()
        assert line.attached == inodes[:1]
        line.supervisor.send("rings []", [second.fileno()])
        await settled()
        assert line.attached == inodes

    assert set(os.listdir("/proc/self/fd")) <= before


async def test_no_rings_are_known_too(line: Line) -> None:
    """An empty word is a word; without one the collector waits."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await line.commands.rings_known()
    line.supervisor.send("rings []")
    async with asyncio.timeout(60):
        await line.commands.rings_known()


async def test_not_ready_and_drain(line: Line) -> None:
    """The first makes it not ready, the second ends it; both count although they came before the
    store was open.
    """
    line.supervisor.send("not-ready")
    await settled()
    assert not line.commands.stopping.is_set()
    line.follow()
    assert line.is_draining
    line.supervisor.send("drain")
    await settled()
    assert line.commands.stopping.is_set()


async def test_the_end_of_the_supervisor_is_a_command_to_stop(line: Line) -> None:
    """Also for one who still waits for the first word."""
    line.supervisor.close()
    async with asyncio.timeout(60):
        await line.commands.rings_known()
        await line.commands.stopping.wait()
    assert not line.commands.is_handing_over


async def test_a_hand_over_is_a_stop_with_a_successor(line: Line) -> None:
    """The collector ends, and is not draining: another one goes on with the rings."""
    line.follow()
    line.supervisor.send("hand-over")
    async with asyncio.timeout(60):
        await line.commands.stopping.wait()
    assert line.commands.is_handing_over
    assert not line.is_draining


async def test_a_ring_that_is_gone_is_told(line: Line) -> None:
    """The supervisor hears which ring it may let go."""
    line.follow()
    line.on_removed(b"\x00\xff")
    assert line.supervisor.receive()[0] == ["retired 00ff"]


async def test_workers_are_known_and_a_ring_nobody_reads_is_told(line: Line) -> None:
    """What was said of the workers before anybody followed counts, and the supervisor hears what is
    missing.
    """
    line.supervisor.send(
        'rings [{"name": "worker 0", "pid": 7, "ready": true, "failures": 0, "ring": "00ff"}]'
    )
    await settled()
    line.follow()
    assert line.workers.accepting == 1
    line.workers.look()
    line.now_s = GRACE_S
    line.workers.look()
    assert line.supervisor.receive()[0] == ["unread 1"]
    line.supervisor.send("rings []")
    await settled()
    line.workers.look()
    assert line.supervisor.receive()[0] == ["unread 0"]
