"""The collector follows its supervisor from the first moment on."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.collector.supervisor_commands import SupervisorCommands
from proxy.collector.watch.workers import GRACE_S, Workers
from proxy.process.control_channel import Control


@dataclass
class FakeSources:
    """Remembers what was attached."""

    attached: list[int] = field(default_factory=list)
    on_removed: Any = None

    def subscribe(self, on_removed: Any) -> None:
        """Remember it."""
        self.on_removed = on_removed

    def attach_fd(self, fd: int) -> None:
        """Remember the file, which must be open."""
        self.attached.append(os.fstat(fd).st_ino)


@dataclass
class FakeStatus:
    """Remembers whether it is draining."""

    is_draining: bool = False

    def start_draining(self) -> None:
        """Remember it."""
        self.is_draining = True


@pytest.fixture
async def line() -> AsyncIterator[tuple[Control, SupervisorCommands]]:
    """The supervisor's end, and the commands of a collector."""
    ours, theirs = (Control(end) for end in socket.socketpair())
    commands = SupervisorCommands(theirs)
    yield ours, commands
    asyncio.get_running_loop().remove_reader(theirs.fileno())
    ours.close()
    theirs.close()


async def settled() -> None:
    """Let the loop look at its descriptors."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_rings_said_before_anybody_follows_are_kept(
    line: tuple[Control, SupervisorCommands],
) -> None:
    """What arrives while the store is being opened is handed on first, and what comes later at
    once.
    """
    supervisor, commands = line
    before = set(os.listdir("/proc/self/fd"))
    with socket.socket() as first, socket.socket() as second:
        inodes = [os.fstat(first.fileno()).st_ino, os.fstat(second.fileno()).st_ino]
        supervisor.send("rings []", [first.fileno()])
        async with asyncio.timeout(60):
            await commands.rings_known()
        sources: Any = FakeSources()
        status: Any = FakeStatus()
        commands.follow(sources, status, Workers({}))
        assert sources.attached == inodes[:1]
        supervisor.send("rings []", [second.fileno()])
        await settled()
        assert sources.attached == inodes

    assert set(os.listdir("/proc/self/fd")) <= before


async def test_no_rings_are_known_too(line: tuple[Control, SupervisorCommands]) -> None:
    """An empty word is a word; without one the collector waits."""
    supervisor, commands = line
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await commands.rings_known()
    supervisor.send("rings []")
    async with asyncio.timeout(60):
        await commands.rings_known()


async def test_not_ready_and_drain(line: tuple[Control, SupervisorCommands]) -> None:
    """The first makes it not ready, the second ends it; both count although they came before the
    store was open.
    """
    supervisor, commands = line
    supervisor.send("not-ready")
    await settled()
    assert not commands.stopping.is_set()
    status: Any = FakeStatus()
    sources: Any = FakeSources()
    commands.follow(sources, status, Workers({}))
    assert status.is_draining
    supervisor.send("drain")
    await settled()
    assert commands.stopping.is_set()


async def test_the_end_of_the_supervisor_is_a_command_to_stop(
    line: tuple[Control, SupervisorCommands],
) -> None:
    """Also for one who still waits for the first word."""
    supervisor, commands = line
    supervisor.close()
    async with asyncio.timeout(60):
        await commands.rings_known()
        await commands.stopping.wait()
    assert not commands.is_handing_over


async def test_a_hand_over_is_a_stop_with_a_successor(
    line: tuple[Control, SupervisorCommands],
) -> None:
    """The collector ends, and is not draining: another one goes on with the rings."""
    supervisor, commands = line
    status: Any = FakeStatus()
    sources: Any = FakeSources()
    commands.follow(sources, status, Workers({}))
    supervisor.send("hand-over")
    async with asyncio.timeout(60):
        await commands.stopping.wait()
    assert commands.is_handing_over
    assert not status.is_draining


async def test_a_ring_that_is_gone_is_told(line: tuple[Control, SupervisorCommands]) -> None:
    """The supervisor hears which ring it may let go."""
    supervisor, commands = line
    sources: Any = FakeSources()
    status: Any = FakeStatus()
    commands.follow(sources, status, Workers({}))
    sources.on_removed(b"\x00\xff")
    assert supervisor.receive()[0] == ["retired 00ff"]


async def test_workers_are_known_and_a_ring_nobody_reads_is_told(
    line: tuple[Control, SupervisorCommands],
) -> None:
    """What was said of the workers before anybody followed counts, and the supervisor hears what is
    missing.
    """
    supervisor, commands = line
    supervisor.send(
        'rings [{"name": "worker 0", "pid": 7, "ready": true, "failures": 0, "ring": "00ff"}]'
    )
    await settled()
    clock = [0.0]
    workers = Workers({}, lambda: clock[0])
    sources: Any = FakeSources()
    status: Any = FakeStatus()
    commands.follow(sources, status, workers)
    assert workers.accepting == 1
    workers.look()
    clock[0] = GRACE_S
    workers.look()
    assert supervisor.receive()[0] == ["unread 1"]
    supervisor.send("rings []")
    await settled()
    workers.look()
    assert supervisor.receive()[0] == ["unread 0"]
