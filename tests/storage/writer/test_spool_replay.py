"""Writer, spool and store together: whatever the store does, nothing is lost or doubled, and the
ledger balances.
"""

import asyncio
import errno
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.ledger import RETIRED_TOTALS, SOURCE_SPOOL, Ledger
from storage.query import CountQuery
from storage.record import Batch, Entry, Position
from storage.sqlite.store import SqliteStorage
from storage.writer.attempts import CommitTimeout
from storage.writer.backlog import BacklogLimits
from storage.writer.spool import FrameLocation, Spool
from storage.writer.spool_replay import SpoolReplay, positions_file
from tests.storage.writer.spool_rig import (
    ALL,
    ENTRY_BYTES,
    QUEUE_RECORDS,
    RING,
    SPOOL_BYTES,
    FickleStore,
    Rig,
)


async def test_the_oldest_go_to_the_spool_and_come_back(store: FickleStore, rig: Rig) -> None:
    """With the store away, more than the queue holds is spooled; when it is back, all is stored
    once, and files go.
    """
    async with rig.running() as writer:
        rig.push(20)
        await rig.until(rig.is_settled)
        store.is_away = True
        rig.push(200)
        await rig.until(lambda: rig.position.taken == 220 and writer.spooled_records >= 150)
        ledger = rig.ledger()
        assert (ledger.received, ledger.stored) == (220, 20)
        assert ledger.spooled == writer.spooled_records
        assert writer.waiting_records <= 27
        assert writer.oldest_unstored_s > 0
        store.is_away = False
        rig.push(30)
        await rig.until(rig.is_settled)
        assert rig.ledger() == Ledger(received=250, stored=250, spooled=0, waiting=0)
        await rig.until(lambda: rig.spool.size_bytes == 0)

    ids = await store.stored_ids()
    assert sorted(ids) == sorted(record.id for record in rig.ring)
    assert writer.counters.batches["spooled"] > 10


async def test_what_is_spooled_is_in_no_other_account_while_it_is_synced(
    store: FickleStore, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may take its time: meanwhile nothing less is stored than before, which would look like
    a counter's reset.

    What the spool has is not waiting any more.
    """
    monkeypatch.setattr("storage.writer.writer.SYNC_EVERY_S", 0.0)
    ledgers: list[Ledger] = []
    async with rig.running() as writer:
        rig.push(20)
        await rig.until(rig.is_settled)
        synchronize = rig.spool.synchronize

        def note_and_synchronize() -> None:
            ledgers.append(rig.ledger())
            synchronize()

        monkeypatch.setattr(rig.spool, "synchronize", note_and_synchronize)
        await rig.lose_store(store, writer, records=100, spooled=50)

    assert {ledger.stored for ledger in ledgers} == {20}
    assert max(ledger.spooled for ledger in ledgers) >= 50


async def test_live_batches_and_the_spool_take_turns(store: FickleStore, rig: Rig) -> None:
    """While the spool is replayed, new records are stored too, neither all after nor all before."""
    async with rig.running() as writer:
        store.is_away = True
        rig.push(400)
        await rig.until(lambda: writer.spooled_records > 300)
        store.is_away = False
        rig.push(300)
        await rig.until(rig.is_settled)

    order = {record_id: place for place, record_id in enumerate(await store.stored_ids())}
    places = [order[record.id] for record in rig.ring]
    assert min(places[-300:]) < max(places[:300])


class SlowReplay(FickleStore):
    """A store that lets frames of the spool wait at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()
        self.frame_records = 0

    async def commit(self, batch: Batch) -> int:
        """Commit, a frame when the gate is open."""
        if SOURCE_SPOOL in batch.positions:
            self.frame_records = len(batch.entries)
            self.waiting.set()
            await self.gate.wait()
        return await super().commit(batch)


async def test_a_frame_takes_its_room_from_the_queue(tmp_path: Path) -> None:
    """While one is replayed less is taken from the ring: together they hold no more than the queue
    alone.
    """
    async with SlowReplay() as store:
        rig = Rig(store, tmp_path)
        async with rig.running() as writer:
            await rig.lose_store(store, writer, records=60, spooled=40)
            store.is_away = False
            await rig.until(store.waiting.is_set)
            rig.push(60)
            rig.drain()
            assert writer.is_full
            assert 0 < store.frame_records <= QUEUE_RECORDS - writer.waiting_records
            store.gate.set()
            await rig.until(rig.is_settled)

        assert len(set(await store.stored_ids())) == 120


async def test_a_full_spool_stops_the_taking(store: FickleStore, rig: Rig) -> None:
    """When the spool is full the writer takes no more and nothing is lost; it goes on when the
    store is back.
    """
    rig.body_bytes = 50_000
    async with rig.running() as writer:
        store.is_away = True
        rig.push(300)
        await rig.until(lambda: rig.spool.size_bytes == SPOOL_BYTES and writer.is_full)
        taken = rig.position.taken
        assert taken < 300
        assert rig.ledger().waiting == 300 - writer.spooled_records
        await rig.until(lambda: rig.writer._spool is not None and rig.writer._spool.is_full)
        store.is_away = False
        await rig.until(rig.is_settled)

    assert len(set(await store.stored_ids())) == 300


async def test_a_refused_record_in_the_spool_costs_itself_only(
    store: FickleStore, rig: Rig
) -> None:
    """A replayed frame is cut like a batch; what cannot be stored counts as poison, and the ledger
    balances.
    """
    async with rig.running() as writer:
        store.is_away = True
        rig.push(100)
        store.refused_ids = {rig.ring[3].id, rig.ring[50].id}
        await rig.until(lambda: writer.spooled_records >= 70)
        store.is_away = False
        await rig.until(rig.is_settled)
        rig.push(10)
        await rig.until(rig.is_settled)
        assert rig.ledger() == Ledger(
            received=110, stored=108, spooled=0, waiting=0, dropped={"poison": 2}
        )

    async with rig.running():
        assert rig.ledger() == Ledger(
            received=110, stored=108, spooled=0, waiting=0, dropped={"poison": 2}
        )


async def test_a_refused_record_is_counted_once_though_its_ring_comes_back_through_the_spool(
    store: FickleStore, rig: Rig
) -> None:
    """The positions in a frame count it already, also where the frame is cut because it has one
    itself.
    """
    limits = BacklogLimits(max_age_s=0.002, max_records=7, queue_max_bytes=7 * ENTRY_BYTES)
    rig.options["limits"] = limits
    async with rig.running() as writer:
        rig.push(7)
        store.refused_ids = {rig.ring[3].id}
        await rig.until(rig.is_settled)
        # All that waits: nothing live corrects it.
        await rig.lose_store(store, writer, records=7, spooled=7)
        store.refused_ids.add(rig.ring[10].id)
        store.is_away = False
        await rig.until(rig.is_settled)
        stored = await store.positions("sidecar-1")
        assert stored[RING] == Position(offset=112, taken=14, stored=13, dropped={"poison": 1})
        assert rig.ledger() == Ledger(
            received=14, stored=12, spooled=0, waiting=0, dropped={"poison": 2}
        )


@pytest.mark.parametrize("which", [0, 3, -1])
async def test_damage_in_the_spool_is_counted_to_the_record(
    store: FickleStore, rig: Rig, which: int
) -> None:
    """Records whose frame was damaged while nothing ran are counted as corrupt, all others stored
    once.
    """
    async with rig.running() as writer:
        await rig.lose_store(store, writer, records=100, spooled=70)
        places = list(rig.spool._pending)
    frame = places[which].frame
    with places[which].path.open("r+b") as file:
        file.seek(places[which].offset)
        file.write(b"damage")
    store.is_away = False
    async with rig.running():
        await rig.until(rig.is_settled)
        stored = 100 - frame.records
        expected = Ledger(
            received=100,
            stored=stored,
            spooled=0,
            waiting=0,
            dropped={"corrupt": frame.records},
        )
        assert rig.ledger() == expected

    ids = await store.stored_ids()
    assert len(ids) == len(set(ids)) == stored


async def test_a_frame_that_there_is_no_descriptor_for_is_not_lost(
    store: FickleStore, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd at the admin port may have all of them: the frame is read when one is free again."""
    async with rig.running() as writer:
        await rig.lose_store(store, writer, records=100, spooled=70)
        read = rig.spool.read
        failures = 3

        def read_or_fail(location: FrameLocation) -> list[Entry]:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise OSError(errno.EMFILE, "too many open files")
            return read(location)

        monkeypatch.setattr(rig.spool, "read", read_or_fail)
        store.is_away = False
        await rig.until(rig.is_settled)
        assert rig.ledger() == Ledger(received=100, stored=100, spooled=0, waiting=0)

    assert failures < 0


@pytest.mark.parametrize("trouble", ["is_away", "hangs"])
async def test_closing_leaves_everything_in_the_spool(
    store: FickleStore, rig: Rig, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """With the store away, or hanging, a writer that closes spools what it has, and the next one
    stores it.
    """
    async with rig.running() as writer:
        setattr(store, trouble, True)
        rig.push(15)
        await rig.until(lambda: rig.position.taken == 15)
        assert await rig.close(monkeypatch) == 0
        assert writer.spooled_records == 15

    setattr(store, trouble, False)
    async with rig.running():
        await rig.until(rig.is_settled)
    assert await store.stored_ids() == [record.id for record in rig.ring]


async def test_closing_asks_a_store_that_hangs_once(
    store: FickleStore, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many batches wait: the rest of the time is the spool's."""
    limits = BacklogLimits(max_age_s=0.002, max_records=7, queue_max_bytes=1 << 20)
    rig.options["limits"] = limits
    async with rig.running() as writer:
        store.hangs = True
        rig.push(300)
        await rig.until(lambda: rig.position.taken == 300)
        assert await rig.close(monkeypatch) == 0
        assert writer.counters.batches["retried"] == 1
        assert writer.spooled_records == 300

    store.hangs = False
    async with rig.running():
        await rig.until(rig.is_settled)
    assert await store.stored_ids() == [record.id for record in rig.ring]


async def test_a_retired_source_does_not_come_back(store: FickleStore, rig: Rig) -> None:
    """A source that is folded away in the spool is gone for the next start too, before and after
    the replay.
    """
    async with rig.running() as writer:
        rig.push(5)
        await rig.until(rig.is_settled)
        store.is_away = True
        writer.advance(RETIRED_TOTALS, Position(0, 5, 5, 5, {}, True))
        writer.drop_source(RING)
        rig.position = Position()
        old = rig.ring
        rig.ring = []
        await rig.until(lambda: not writer.is_storage_up)
        assert await writer.close(60.0) == 0

    store.is_away = False
    async with rig.running():
        assert RING not in rig.effective
        assert rig.ledger().stored == 5
        await rig.until(lambda: not rig.spool.oldest)

    assert set(await store.positions("sidecar-1")) == {RETIRED_TOTALS, SOURCE_SPOOL}
    assert len(old) == 5


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_each_record_is_stored_once(
    store: FickleStore, rig: Rig, seed: int
) -> None:
    """Outages, hangs, lost answers and kills in any order: everything pushed is stored once at the
    end.
    """
    chance = random.Random(seed)
    rig.options["timeout"] = CommitTimeout(0.01)
    for _ in range(6):
        store.is_away = False
        store.hangs = False
        async with rig.running():
            for _ in range(chance.randrange(1, 8)):
                store.is_away = chance.random() < 0.5
                store.hangs = chance.random() < 0.1
                store.loses_answers = chance.random() < 0.3
                rig.push(chance.randrange(40))

                for _ in range(chance.randrange(12)):
                    rig.drain()
                    rig.check()
                    await asyncio.sleep(chance.choice((0, 0, 0.001, 0.004)))

    store.is_away = False
    store.hangs = False
    store.loses_answers = False
    rig.options["timeout"] = CommitTimeout(60.0, 60.0)  # one that answers again may be slow

    async with rig.running() as writer:
        await rig.until(rig.is_settled)
        assert rig.ledger() == Ledger(
            received=len(rig.ring), stored=len(rig.ring), spooled=0, waiting=0
        )
        assert writer.counters.records_quarantined == 0

    ids = await store.stored_ids()
    assert sorted(ids) == sorted(record.id for record in rig.ring)


async def test_sqlite_locked_by_another_process_is_waited_for(tmp_path: Path) -> None:
    """A file that somebody else writes to for long is a store that is away; nothing is lost."""
    path = tmp_path / "records.db"
    async with await SqliteStorage.open(path, durability="fast", busy_timeout_s=0.02) as store:
        rig = Rig(store, tmp_path)
        async with rig.running() as writer:
            rig.push(10)
            await rig.until(rig.is_settled)
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                rig.push(200)
                await rig.until(lambda: writer.spooled_records > 150)
                other.execute("ROLLBACK")

            await rig.until(rig.is_settled)
            assert rig.ledger() == Ledger(received=210, stored=210, spooled=0, waiting=0)

        assert (await store.read(CountQuery(ALL))).exchanges == 210


def test_a_positions_file_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It only grows older; what was there stays."""
    path = tmp_path / "spool"
    path.write_text("no directory")
    replay = SpoolReplay(Spool(path, 1 << 20), {})
    for _ in range(3):
        replay.reconcile({RING: Position()})
    assert len(caplog.records) == 1
    path.unlink()
    replay.reconcile({RING: Position(8, 1, 1)})
    assert positions_file(path).value == {RING: Position(8, 1, 1)}
    assert len(os.listdir(path)) == 1
