"""Rings, spool and store together: a ring is let go when the store has all of it, whoever is killed
meanwhile.
"""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from proxy.ring.segment_layout import PAGE
from storage.errors import StorageUnavailable
from storage.ledger import Ledger
from storage.record import Batch
from tests.proxy.collector.rings.test_drain import eventful_worker, events, told
from tests.support.listeners import Listener
from tests.support.memory_store import MemoryStorage
from tests.support.rings import RingWorker, collecting, rows


class FickleStore(MemoryStorage):
    """A store that is away for writing when a test says so, or as chance has it."""

    is_away = False
    chance: random.Random | None = None

    async def commit(self, batch: Batch) -> int:
        """Commit, unless away."""
        if self.is_away or (self.chance is not None and self.chance.random() < 0.5):
            raise StorageUnavailable("away for the test")
        return await super().commit(batch)


def remove_files(directory: Path) -> None:
    """Remove the rings, as a reboot does; the spool is in a directory of its own."""
    for path in list(directory.iterdir()):
        if path.is_file():
            path.unlink()


async def test_what_is_spooled_is_released_from_the_ring(tmp_path: Path) -> None:
    """With the store away the ring empties into the spool; when it is back, all is stored in place."""
    worker = RingWorker(tmp_path)
    store = FickleStore()
    store.is_away = True
    ids = worker.record(20)

    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        reader = plane.sources.attached[worker.source].reader
        await plane.until(lambda: reader.released > 0 and plane.writer.spooled_records >= 12)
        assert plane.ledger().stored == 0
        store.is_away = False
        await plane.until(lambda: plane.ledger().stored == 20)

    assert sorted(record.id for record in await rows(store)) == sorted(ids)
    worker.die()


async def test_a_dead_worker_s_ring_stays_until_the_spool_is_empty(tmp_path: Path) -> None:
    """Its position is closed after all of its records are stored, and its file goes then."""
    worker = RingWorker(tmp_path)
    store = FickleStore()
    store.is_away = True
    ids = worker.record(20)
    worker.die()

    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        await plane.until(lambda: plane.writer.spooled_records >= 12)
        assert worker.source in plane.sources.attached
        store.is_away = False
        ledger = await plane.until_empty()

    assert (ledger.stored, ledger.received, ledger.spooled) == (20, 20, 0)
    assert sorted(record.id for record in await rows(store)) == sorted(ids)


async def test_what_is_replayed_after_a_restart_is_stored_and_not_waiting(tmp_path: Path) -> None:
    """The ring was taken further than the frames that are replayed: the ledger counts what the
    store has by then.
    """
    worker = RingWorker(tmp_path)
    store = FickleStore()
    store.is_away = True
    worker.record(24)
    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        await plane.until(lambda: plane.writer.spooled_records >= 18)
        await plane.writer.close(60)
    store.is_away = False
    ledgers = []
    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        plane.writer.subscribe(Listener(on_commit=lambda batch: ledgers.append(plane.ledger())))
        await plane.until(lambda: plane.ledger().stored == 24)
    assert [(ledger.stored + ledger.spooled, ledger.waiting) for ledger in ledgers] == [
        (24, 0)
    ] * len(ledgers)
    assert len(ledgers) > 2
    worker.die()


async def test_a_ring_lost_while_its_records_are_spooled_is_told_once(tmp_path: Path) -> None:
    """After the machine was away the spool's records are stored, and the ring that is gone is told
    of, in the end.
    """
    worker = RingWorker(tmp_path)
    store = FickleStore()
    ids = worker.record(12)

    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        await plane.until(lambda: plane.ledger().stored == 12)
        store.is_away = True
        ids += worker.record(12)
        await plane.until(lambda: plane.writer.spooled_records >= 3)

    worker.die()
    remove_files(tmp_path)
    store.is_away = False

    for _ in range(3):
        async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
            await plane.until(
                lambda: not plane.writer.spooled_records and not plane.writer.waiting_records
            )

    stored = await rows(store)
    assert len(events(stored, "unclean_start")) == 1
    kept = Counter(record.id for record in stored if record.kind == "exchange")
    assert set(kept.values()) == {1}
    assert len(kept) >= 15
    assert kept.keys() <= set(ids)


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_ring_cut_within_its_header_page_says_at_least_how_much_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_stored: bool
) -> None:
    """Its count of entries may be left: what was not taken of them is the least, in log, event and
    ledger, and once.
    """
    worker = RingWorker(tmp_path)
    store = MemoryStorage()
    if is_stored:
        worker.record(5)
        async with collecting(tmp_path, store) as plane:
            await plane.until(lambda: plane.ledger().stored == 5)

    worker.record(3)
    path = worker.segment.path
    assert path is not None
    whole = path.stat().st_size
    stored = 5 * is_stored + 1
    os.truncate(path, PAGE - 1)

    for _ in range(3):
        async with collecting(tmp_path, store) as plane:
            await plane.until(
                lambda: not plane.writer.waiting_records and plane.ledger().stored == stored
            )
            assert plane.ledger() == Ledger(
                received=stored + 3, stored=stored, spooled=0, waiting=0, dropped={"corrupt": 3}
            )

    os.truncate(path, whole)
    worker.die()
    path.unlink()
    async with collecting(tmp_path, store) as plane:
        await plane.until(lambda: worker.source not in plane.committed.positions)
        assert plane.ledger().dropped == {"corrupt": 3}
    (event,) = events(await rows(store), "unclean_start")
    assert (event["count"], event["minCount"], event["reason"]) == (None, 3, "ring_lost")
    assert "left in place, with at least 3 records" in caplog.text


async def test_a_ring_that_may_be_read_later_is_not_lost(tmp_path: Path) -> None:
    """Another version wrote it, or another user: what is behind its position is stored when it can
    be read.
    """
    worker = RingWorker(tmp_path)
    store = MemoryStorage()
    worker.record(5)
    async with collecting(tmp_path, store) as plane:
        await plane.until(lambda: plane.ledger().stored == 5)
    worker.record(3)
    path = worker.segment.path
    assert path is not None
    worker.die()
    hidden = path.rename(tmp_path / "hidden")
    path.symlink_to(hidden)  # which is not followed
    async with collecting(tmp_path, store) as plane:
        await plane.until(lambda: not plane.writer.waiting_records)
        assert worker.source in plane.committed.positions
    hidden.rename(path)
    async with collecting(tmp_path, store) as plane:
        ledger = await plane.until_empty()
    assert (ledger.received, ledger.stored, ledger.dropped) == (8, 8, {})
    assert not events(await rows(store), "unclean_start")


@pytest.mark.parametrize("seed", range(8))
async def test_kills_and_outages_in_any_order_lose_and_double_nothing(
    tmp_path: Path, seed: int
) -> None:
    """A dead worker with everything that can be in a ring, a store that is away half the time,
    collectors killed.
    """
    chance = random.Random(seed)
    worker, ids, lost = eventful_worker(tmp_path)
    store = FickleStore()

    for _ in range(8):
        store.chance = chance
        async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
            for _ in range(chance.randrange(1, 8)):
                await asyncio.sleep(chance.choice((0, 0.002, 0.01)))
                assert plane.ledger().is_balanced, plane.ledger()

    store.chance = None
    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        ledger = await plane.until_empty()
        await plane.until(lambda: not plane.writer.spooled_records)
        ledger = plane.ledger()

    stored = await rows(store)
    assert Counter(record.id for record in stored if record.kind == "exchange") == Counter(
        [*ids, lost]
    )
    assert ledger.is_balanced
    assert (ledger.waiting, ledger.spooled) == (0, 0)
    assert ledger.stored == len(stored)
    assert ledger.dropped["ring_full"] == 1
    assert sum(ledger.dropped.values()) == 3
    assert told(stored) == ledger.dropped
    assert worker.source not in await store.positions("sidecar-1")
