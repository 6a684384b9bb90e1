"""Frames of a start without the store: what a commit without an answer had stored of them is not
stored again.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.ledger import SOURCE_INTERNAL, SOURCE_SPOOL, Ledger
from storage.query import CountQuery
from storage.record import Batch, Entry, Position, Record
from storage.writer.attempts import CommitTimeout
from storage.writer.spool import Spool
from storage.writer.spool_frames import Origins
from tests.storage.samples import make_payload, make_record
from tests.storage.writer.spool_rig import ALL, ENTRY_BYTES, RING, SPOOL_BYTES, FickleStore, Rig
from tests.support.long import long

RECORDS = 300
OTHER = b"o" * 16


class SlowStore(FickleStore):
    """A store that looks up so many records in the time of one attempt."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.answers = answers
        self.left = answers
        self.lookups = 0

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """Read, as every attempt begins."""
        self.left = self.answers
        return await super().positions(instance)

    async def get(self, record_id: bytes) -> Record | None:
        """Look up, or take longer than anybody waits."""
        self.lookups += 1
        if not self.left:
            await asyncio.Event().wait()
        self.left -= 1
        return await super().get(record_id)


@pytest.fixture
async def store() -> AsyncIterator[SlowStore]:
    """A store that looks up three records in each attempt."""
    async with SlowStore(answers=3) as made:
        yield made


def position(count: int) -> Position:
    """Return the position of a ring after so many records."""
    return Position(8 * count, count, count)


async def spool_again(rig: Rig, store: FickleStore, *, stored: int) -> None:
    """Store the first of some records, and write them all to the spool as a start without the store
    does.
    """
    rig.push(RECORDS)
    entries = [Entry(record, make_payload()) for record in rig.ring]
    await store.commit(
        Batch("sidecar-1", entries[:stored], {RING: position(stored)} if stored else {})
    )
    origins = Origins.of(5, [RING] * RECORDS, [8 * (place + 1) for place in range(RECORDS)])
    spool = Spool(rig.directory / "spool", SPOOL_BYTES)
    spool.load(Position())
    batch = Batch("sidecar-1", entries, {RING: position(RECORDS)})
    spool.append(spool.write(batch, opened_at_us=1, is_doubtful=False, origins=origins))
    spool.close()


async def erase(store: FickleStore, records: list[Record]) -> None:
    """Erase some of what is stored."""
    gone = {record.id for record in records}
    store._remove([record for record in store._records if record.id in gone])


@pytest.mark.parametrize("stored", [0, long(1), 200, long(RECORDS)])
@pytest.mark.parametrize("is_overtaken", [False, True])
async def test_a_slow_store_is_asked_on_where_it_was_given_up(
    store: SlowStore, rig: Rig, stored: int, is_overtaken: bool
) -> None:
    """Each attempt goes on with what those before have found."""
    rig.options["timeout"] = CommitTimeout(0.5)
    await spool_again(rig, store, stored=stored)
    if is_overtaken:  # by a live batch of a process that ended before it replayed anything
        rig.push(7)
        live = [Entry(record, make_payload()) for record in rig.ring[RECORDS:]]
        await store.commit(Batch("sidecar-1", live, {RING: position(len(rig.ring))}))

    async with rig.running() as writer:
        await rig.until(rig.is_settled)
        total = len(rig.ring)
        assert rig.ledger() == Ledger(received=total, stored=total, spooled=0, waiting=0)
        assert writer.counters.records_quarantined == 0

    assert sorted(await store.stored_ids()) == sorted(record.id for record in rig.ring)


async def test_a_ring_that_the_store_does_not_know_costs_one_lookup(
    store: SlowStore, rig: Rig
) -> None:
    """There is one of each worker that was started while it was away."""
    await spool_again(rig, store, stored=0)
    async with rig.running():
        await rig.until(rig.is_settled)
    assert store.lookups == 1


async def test_what_was_erased_meanwhile_does_not_come_back(store: SlowStore, rig: Rig) -> None:
    """The first of the stored records tell nothing where the last one is found."""
    rig.options["timeout"] = CommitTimeout(0.5)
    await spool_again(rig, store, stored=RECORDS)
    await erase(store, rig.ring[:5])

    async with rig.running() as writer:
        await rig.until(rig.is_settled)
        assert rig.ledger() == Ledger(received=RECORDS, stored=RECORDS, spooled=0, waiting=0)
        assert writer.counters.records_quarantined == 0

    assert await store.stored_ids() == [record.id for record in rig.ring[5:]]


class AwayOnce(FickleStore):
    """A store that goes away when the first frame is committed."""

    has_been_away = False

    async def commit(self, batch: Batch) -> int:
        """Commit, but not at first what comes from the spool."""
        if SOURCE_SPOOL in batch.positions and not self.has_been_away:
            self.has_been_away = True
            raise StorageUnavailable("away for the test")
        return await super().commit(batch)


async def test_what_was_found_is_known_when_the_frame_is_read_again(tmp_path: Path) -> None:
    """The store goes away between the search and the commit."""
    async with AwayOnce() as store:
        rig = Rig(store, tmp_path)
        await spool_again(rig, store, stored=200)
        async with rig.running() as writer:
            await rig.until(rig.is_settled)
            assert store.has_been_away
            assert writer.counters.records_quarantined == 0

        assert await store.stored_ids() == [record.id for record in rig.ring]


async def test_positions_tell_what_was_stored_before_an_offline_start(tmp_path: Path) -> None:
    """Nothing is looked up, so nothing that is erased is missed: of several rings, whatever the
    batches were.
    """
    first, second = ([make_record() for _ in range(100)] for _ in range(2))
    async with SlowStore(answers=0) as store:
        for source, records, stored in ((OTHER, second, 15), (RING, first, 33), (RING, first, 40)):
            known = (await store.positions("sidecar-1")).get(source, Position()).taken
            entries = [Entry(record, make_payload()) for record in records[known:stored]]
            await store.commit(Batch("sidecar-1", entries, {source: position(stored)}))

        await erase(store, first[:30] + first[35:40] + second[:15])
        store.is_away = True
        rig = Rig(store, tmp_path)
        rig.offline_since = 5

        async with rig.running() as writer:
            for place in range(100):
                for source, record in ((RING, first[place]), (OTHER, second[place])):
                    await rig.until(lambda: not writer.is_full)
                    writer.add(
                        Entry(record, make_payload()), ENTRY_BYTES, source, position(place + 1)
                    )

            await rig.until(lambda: writer.spooled_records > 150)
            store.is_away = False
            writer.reconcile(await store.positions("sidecar-1"))
            await rig.until(lambda: not writer.spooled_records and not writer.waiting_records)
            assert writer.counters.records_quarantined == 0

        left = first[30:35] + first[40:] + second[15:]
        assert sorted(await store.stored_ids()) == sorted(record.id for record in left)
        stored_positions = await store.positions("sidecar-1")
        assert (stored_positions[RING], stored_positions[OTHER]) == (position(100), position(100))
        assert store.lookups == 0


async def test_events_have_no_offset_and_are_looked_up(store: SlowStore, rig: Rig) -> None:
    """What the collector tells of a start is new, though its position is not ahead of the store's
    by any byte.
    """
    old = Entry(make_record(kind="event"))
    await store.commit(Batch("sidecar-1", [old], {SOURCE_INTERNAL: Position(0, 1, 1, 1, {}, True)}))
    store.is_away = True
    rig.options["timeout"] = CommitTimeout(0.5)
    rig.offline_since = 5
    events = [Entry(make_record(kind="event")) for _ in range(20)]

    async with rig.running() as writer:
        for count, event in enumerate(events, 2):
            writer.add(
                event, ENTRY_BYTES, SOURCE_INTERNAL, Position(0, count, count, count, {}, True)
            )

        await rig.until(lambda: writer.spooled_records > 0)
        store.is_away = False
        writer.reconcile(await store.positions("sidecar-1"))
        await rig.until(lambda: not writer.spooled_records and not writer.waiting_records)

    assert (await store.read(CountQuery(ALL))).events == 21
