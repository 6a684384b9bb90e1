"""The end of a dead worker's ring: what was in flight is recorded once, and no other ring waits for
it.
"""

import asyncio
from pathlib import Path

from proxy.ring.segment import segments_in
from proxy.ring.segment_layout import HEAD
from storage.ledger import RETIRED_TOTALS
from storage.record import Batch, Position, Record
from tests.proxy.collector.rings.test_drain import events
from tests.support.memory_store import MemoryStorage
from tests.support.rings import INSTANCE, RingWorker, collecting, rows


async def test_a_retired_ring_is_folded_into_the_past(tmp_path: Path, worker: RingWorker) -> None:
    """The file goes, the row goes, the counts and the counters stay."""
    store = MemoryStorage()
    worker.record(6)
    worker.die()

    async with collecting(tmp_path, store) as plane:
        removed: list[bytes] = []
        plane.sources.subscribe(on_removed=removed.append)
        await plane.until_empty()
        assert removed == [worker.source]
        assert plane.sources.counters().requests == {("shop", "GET", "2xx"): 6}

    positions = await store.positions(INSTANCE)
    assert positions == {RETIRED_TOTALS: Position(taken=6, stored=6, received=6, closed=True)}
    assert not segments_in(tmp_path)


async def test_a_closed_position_needs_only_its_file_removed(
    tmp_path: Path, worker: RingWorker
) -> None:
    """A kill between the closing commit and the unlinking leaves a file whose entries are not read
    again.
    """
    store = MemoryStorage()
    worker.record(2)
    await store.commit(Batch(INSTANCE, [], {worker.source: Position(1, 2, 2, 2, {}, closed=True)}))
    worker.die()
    async with collecting(tmp_path, store) as plane:
        assert not segments_in(tmp_path)
        ledger = await plane.until_empty()
    assert (ledger.received, ledger.stored) == (2, 2)
    assert await rows(store) == []


class AskedStore(MemoryStorage):
    """Keeps who asks for a record waiting."""

    def __init__(self) -> None:
        """Answer once `may_answer` is set."""
        super().__init__()
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def get(self, record_id: bytes) -> Record | None:
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().get(record_id)


async def test_two_dead_workers_may_go_in_the_same_moment(tmp_path: Path) -> None:
    """While the store is asked about one ring's last exchanges, others are drained, and go."""
    dead = RingWorker(tmp_path)
    also_dead = RingWorker(tmp_path)
    alive = RingWorker(tmp_path)
    dead.show(dead.begin())
    dead.die()

    store = AskedStore()
    async with collecting(tmp_path, store) as plane:
        await store.is_asked.wait()
        also_dead.record(2)
        also_dead.die()
        alive.record(3)
        await plane.until_stored(5)
        await plane.until(lambda: plane.sources.attached.keys() == {dead.source, alive.source})
        store.may_answer.set()
        await plane.until(lambda: plane.sources.attached.keys() == {alive.source})
        alive.die()
        ledger = await plane.until_empty()

    assert (ledger.received, ledger.stored) == (6, 6)


async def test_a_ring_that_is_given_up_while_the_store_is_asked_is_closed_once(
    tmp_path: Path,
) -> None:
    """Its header breaks between the question and the answer: what was in flight is not known any
    more.
    """
    dead = RingWorker(tmp_path)
    store = AskedStore()
    dead.show(dead.begin())
    dead.die()

    async with collecting(tmp_path, store) as plane:
        await store.is_asked.wait()
        plane.sources.attached[dead.source].segment.cells[HEAD] = 1 << 60
        await plane.until(lambda: not plane.sources.attached)
        store.may_answer.set()
        ledger = await plane.until_empty()

    assert (ledger.received, ledger.stored) == (1, 1)
    assert [event["reason"] for event in events(await rows(store), "unclean_start")] == [
        "ring_damaged"
    ]
