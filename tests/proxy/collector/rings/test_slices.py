"""Hostile bodies neither hold the collector's loop nor cost another record."""

import asyncio
import gc
import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.ring.body_window import Window
from tests.proxy.worker.vectors.bodies import HOSTILE, HostileBody
from tests.support.long import long
from tests.support.memory_store import MemoryStorage
from tests.support.rings import MortalStore, RingWorker, collecting, rows

MAX_HOLD_S = 0.15
"""CPU time of the loop's thread in one iteration; about 10 ms is usual, 80 on cores that many
share, and a body that is not taken apart takes 350.
"""


@pytest.fixture(autouse=True)
def few_objects() -> Iterator[None]:
    """What the test run has loaded is not looked through for cycles, as what the collector has
    loaded is not.
    """
    gc.freeze()
    yield
    gc.unfreeze()


def record_hostile(worker: RingWorker, body: HostileBody, windows: tuple[int, int]) -> bytes:
    """Record an exchange that sends the body and gets it back."""
    exchange = worker.begin()
    coding = f"content-encoding: {body.coding}\r\n" if body.coding else ""
    fields = f"host: shop\r\ncontent-type: {body.content_type}\r\n{coding}\r\n"
    exchange.method = b"POST"
    exchange.request_head = f"POST {body.path} HTTP/1.1\r\n{fields}".encode()
    exchange.response_head = f"HTTP/1.1 200 OK\r\n{fields}".encode()
    exchange.request_body, exchange.response_body = Window(*windows), Window(*windows)
    exchange.request_body.add(body.content)
    exchange.response_body.add(body.content)
    return worker.finish(exchange)


async def watch(holds: list[float]) -> None:
    """Note how much CPU time this thread takes between two looks, that is, in little more than one
    iteration.
    """
    before_s = time.thread_time()
    while True:
        await asyncio.sleep(0.001)
        now_s = time.thread_time()
        holds.append(now_s - before_s)
        before_s = now_s


@pytest.mark.parametrize(
    "windows",
    [long((30_000, 1000)), (65_536, 16_384), long((1 << 20, 16_384))],
    ids=["small", "usual", "1 MiB"],
)
async def test_hostile_bodies_hold_nobody_up(tmp_path: Path, windows: tuple[int, int]) -> None:
    """Whatever a body is, the loop goes round, and the records before and behind it are stored in
    order.
    """
    worker = RingWorker(tmp_path, ring_bytes=64 << 20)
    store = MemoryStorage()
    expected: list[bytes] = []
    for body in HOSTILE.values():
        expected += [*worker.record(), record_hostile(worker, body, windows), *worker.record()]
    holds: list[float] = []
    async with collecting(tmp_path, store) as plane:
        watching = asyncio.get_running_loop().create_task(watch(holds))
        await plane.until(lambda: plane.ledger().stored == len(expected), 200)
        watching.cancel()
        ledger = plane.ledger()

    worker.die()
    assert ledger.dropped == {}
    assert [record.id for record in await rows(store)] == expected
    assert max(holds) < MAX_HOLD_S


async def test_a_crowd_of_hostile_bodies_is_taken_apart(tmp_path: Path) -> None:
    """Many that are short enough for the loop, in one slice, are taken with pauses between them."""
    worker = RingWorker(tmp_path, ring_bytes=16 << 20)
    store = MemoryStorage()
    expected = [
        record_hostile(worker, body, (4000, 0)) for body in HOSTILE.values() for _ in range(4)
    ]
    holds: list[float] = []

    async with collecting(tmp_path, store) as plane:
        watching = asyncio.get_running_loop().create_task(watch(holds))
        await plane.until(lambda: plane.ledger().stored == len(expected), 200)
        watching.cancel()

    worker.die()
    assert [record.id for record in await rows(store)] == expected
    assert max(holds) < MAX_HOLD_S


async def test_what_waits_is_counted_as_it_reads(tmp_path: Path, worker: RingWorker) -> None:
    """A compressed body waits for the store as its text, and its text is what fills the queue."""
    store = MortalStore()
    store.dies_at = 1
    text = b"".join(b"%d: a line of a log\n" % number for number in range(2000))

    for _ in range(8):
        record_hostile(
            worker, HostileBody("/logs", "text/plain", gzip.compress(text), "gzip"), (65_536, 0)
        )

    async with collecting(tmp_path, store) as plane:
        await plane.until(lambda: plane.writer.waiting_records == 8, 60)
        held_bytes = plane.writer.held_bytes
    assert held_bytes > 8 * 2 * len(text)  # what was sent, and the same that came back
