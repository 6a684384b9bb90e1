"""The collector hears its supervisor from the first moment on."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.collector.supervisor_commands import Orders
from proxy.process.control_channel import Control


@dataclass
class FakeSources:
    """Remembers what was adopted."""

    adopted: list[int] = field(default_factory=list)
    on_removed: Any = None

    def adopt(self, fd: int) -> None:
        """Remember the file, which must be open."""
        self.adopted.append(os.fstat(fd).st_ino)


@pytest.fixture
async def line() -> AsyncIterator[tuple[Control, Orders]]:
    """The supervisor's end, and the orders of a collector."""
    ours, theirs = (Control(end) for end in socket.socketpair())
    orders = Orders(theirs)
    yield ours, orders
    asyncio.get_running_loop().remove_reader(theirs.fileno())
    ours.close()
    theirs.close()


async def settled() -> None:
    """Let the loop look at its descriptors."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_rings_said_before_anybody_follows_are_kept(line: tuple[Control, Orders]) -> None:
    """What arrives while the store is being opened is handed on first, and what comes later at once."""
    supervisor, orders = line
    before = set(os.listdir("/proc/self/fd"))
    with socket.socket() as first, socket.socket() as second:
        inodes = [os.fstat(first.fileno()).st_ino, os.fstat(second.fileno()).st_ino]
        supervisor.send("rings", [first.fileno()])
        async with asyncio.timeout(5):
            await orders.rings_known()
        sources: Any = FakeSources()
        status: Any = SimpleNamespace(is_draining=False)
        orders.follow(sources, status)
        assert sources.adopted == inodes[:1]
        supervisor.send("rings", [second.fileno()])
        await settled()
        assert sources.adopted == inodes
    assert set(os.listdir("/proc/self/fd")) == before


async def test_no_rings_are_known_too(line: tuple[Control, Orders]) -> None:
    """An empty word is a word; without one the collector waits."""
    supervisor, orders = line
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await orders.rings_known()
    supervisor.send("rings")
    async with asyncio.timeout(5):
        await orders.rings_known()


async def test_not_ready_and_drain(line: tuple[Control, Orders]) -> None:
    """The first makes it not ready, the second ends it; both count although they came before the store was open."""
    supervisor, orders = line
    supervisor.send("not-ready")
    await settled()
    assert not orders.stopping.is_set()
    status: Any = SimpleNamespace(is_draining=False)
    sources: Any = FakeSources()
    orders.follow(sources, status)
    assert status.is_draining
    supervisor.send("drain")
    await settled()
    assert orders.stopping.is_set()


async def test_the_end_of_the_supervisor_is_an_order_to_stop(line: tuple[Control, Orders]) -> None:
    """Also for one who still waits for the first word."""
    supervisor, orders = line
    supervisor.close()
    async with asyncio.timeout(5):
        await orders.rings_known()
        await orders.stopping.wait()
    assert not orders.is_handing_over


async def test_a_hand_over_is_a_stop_with_a_successor(line: tuple[Control, Orders]) -> None:
    """The collector ends, and is not draining: another one goes on with the rings."""
    supervisor, orders = line
    status: Any = SimpleNamespace(is_draining=False)
    sources: Any = FakeSources()
    orders.follow(sources, status)
    supervisor.send("hand-over")
    async with asyncio.timeout(5):
        await orders.stopping.wait()
    assert orders.is_handing_over
    assert not status.is_draining


async def test_a_ring_that_is_gone_is_told(line: tuple[Control, Orders]) -> None:
    """The supervisor hears which anonymous ring it may let go."""
    supervisor, orders = line
    sources: Any = FakeSources()
    status: Any = SimpleNamespace(is_draining=False)
    orders.follow(sources, status)
    sources.on_removed(b"\x00\xff")
    assert supervisor.receive()[0] == ["retired 00ff"]
