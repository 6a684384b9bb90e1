"""Commits that got no answer: what they stored is stored once, and counted once, whatever hides it
meanwhile.
"""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.ledger import Ledger
from storage.record import Batch
from storage.relational.time_ranges import HOUR_US
from storage.writer.writer import Writer
from tests.storage.samples import START_US
from tests.storage.writer.spool_rig import FickleStore, Rig
from tests.support.listeners import Listener


async def lose_answer(rig: Rig, store: FickleStore, writer: Writer) -> None:
    """Have the next batch committed without an answer, and tried again once."""
    store.loses_answers = True
    await rig.until(lambda: writer.counters.batches["retried"] == 1)


async def outlast(
    rig: Rig, store: FickleStore, writer: Writer, *, records: int, spooled: int
) -> None:
    """Take the store away until so many records are spooled of those that come, then bring it back."""
    await rig.lose_store(store, writer, records=records, spooled=spooled)
    store.is_away = False
    store.loses_answers = False
    await rig.until(rig.is_settled)


async def test_a_commit_nobody_heard_of_is_not_doubled(store: FickleStore, rig: Rig) -> None:
    """A batch that was committed without an answer is found in the store, live or after it was
    spooled.
    """
    async with rig.running() as writer:
        rig.push(7)
        await lose_answer(rig, store, writer)
        await outlast(rig, store, writer, records=100, spooled=70)
        assert rig.ledger().stored == 107

    ids = await store.stored_ids()
    assert len(ids) == len(set(ids)) == 107
    assert writer.counters.records_quarantined == 0


@pytest.mark.parametrize("hidden", [1, 7])
async def test_a_commit_nobody_heard_of_is_not_doubled_where_retention_hides_it(
    store: FickleStore, rig: Rig, hidden: int
) -> None:
    """As the record of an exchange that took longer than records are kept: it is stored, and nobody
    finds it.
    """
    told: list[list[int]] = []
    async with rig.running() as writer:
        note = Listener(
            on_commit=lambda batch: told.append([entry.record.seq for entry in batch.entries])
        )
        writer.subscribe(note)
        rig.push(7)
        for record in rig.ring[:hidden]:
            record.started_at_us -= 2 * HOUR_US
        await store.move_floors(START_US // HOUR_US * HOUR_US, 0)
        await lose_answer(rig, store, writer)
        store.loses_answers = False
        rig.push(2)
        await rig.until(rig.is_settled)
        assert rig.ledger() == Ledger(received=9, stored=9, spooled=0, waiting=0)

    assert writer.counters.records_quarantined == 0
    assert await store.last_seq() == 9
    assert told == [[7] if hidden < 7 else [], [8, 9]]


async def test_a_frame_nobody_heard_of_is_not_doubled_where_retention_hides_its_first_record(
    store: FickleStore, rig: Rig
) -> None:
    """The other end of it tells that it is stored."""
    async with rig.running() as writer:
        rig.push(7)
        rig.ring[0].started_at_us -= 2 * HOUR_US
        await store.move_floors(START_US // HOUR_US * HOUR_US, 0)
        await lose_answer(rig, store, writer)
        await outlast(rig, store, writer, records=60, spooled=40)
        assert rig.ledger() == Ledger(received=67, stored=67, spooled=0, waiting=0)

    assert writer.counters.records_quarantined == 0


async def test_a_commit_nobody_heard_of_is_not_doubled_where_no_frame_takes_all_of_it(
    store: FickleStore, rig: Rig
) -> None:
    """A batch that is cut to fit into the spool is in doubt in all of its parts."""
    rig.body_bytes = 200_000
    async with rig.running() as writer:
        rig.push(7)
        await lose_answer(rig, store, writer)
        await outlast(rig, store, writer, records=30, spooled=7)
        assert rig.ledger() == Ledger(received=37, stored=37, spooled=0, waiting=0)

    assert len(set(await store.stored_ids())) == 37
    assert writer.counters.records_quarantined == 0


class FalteringStore(FickleStore):
    """A store that is away for a moment whenever a record was refused, before or after it stores
    what counts it.
    """

    falters = 3
    has_stored_it = False

    async def commit(self, batch: Batch) -> int:
        """Commit, or be away for positions alone."""
        is_faltering = not batch.entries and self.falters > 0
        if is_faltering:
            self.falters -= 1
            if not self.has_stored_it:
                raise StorageUnavailable("away for the test")

        last_seq = await super().commit(batch)
        if is_faltering:
            raise StorageUnavailable("committed, but nobody will hear of it")

        return last_seq


@pytest.mark.parametrize("has_stored_it", [False, True])
async def test_a_record_in_the_spool_that_is_refused_again_is_dropped_once(
    tmp_path: Path, has_stored_it: bool
) -> None:
    """The store goes away before it is counted: the frame is read again, and what is refused is
    counted as one.
    """
    async with FalteringStore() as store:
        store.has_stored_it = has_stored_it
        rig = Rig(store, tmp_path)
        told: Counter[str] = Counter()

        async with rig.running() as writer:
            writer.subscribe(
                Listener(on_dropped=lambda reason, records: told.update({reason: records}))
            )
            store.is_away = True
            rig.push(100)
            store.refused_ids = {rig.ring[3].id, rig.ring[50].id}
            await rig.until(lambda: writer.spooled_records >= 70)
            store.is_away = False
            await rig.until(rig.is_settled)
            expected = Ledger(received=100, stored=98, spooled=0, waiting=0, dropped={"poison": 2})
            assert rig.ledger() == expected
            assert told == expected.dropped

        async with rig.running():
            assert rig.ledger() == expected


async def test_a_replay_nobody_heard_of_is_not_doubled(tmp_path: Path) -> None:
    """A frame that was stored without an answer is found by the spool's position, also one never
    tried before.
    """
    store = FickleStore()
    rig = Rig(store, tmp_path)
    async with rig.running() as writer:
        store.is_away = True
        rig.push(60)
        await rig.until(lambda: rig.spool.pending_records > 20)
        store.is_away = False
        await rig.until(
            lambda: rig.spool.oldest is not None and not rig.spool.oldest.frame.is_doubtful
        )
        store.loses_answers = True
        await rig.until(lambda: not writer.is_storage_up)
        await asyncio.sleep(0.1)
        store.loses_answers = False
        await rig.until(rig.is_settled)
        assert writer.counters.records_quarantined == 0

    assert sorted(await store.stored_ids()) == sorted(record.id for record in rig.ring)
