"""What a store makes of a batch before its commit: in no commit's time, once for all attempts, of
its very entries.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from storage.base import Prepared
from storage.errors import StorageUnavailable
from storage.record import Batch, Entry, Position
from storage.writer.attempts import CommitTimeout
from storage.writer.pending_batch import PendingBatch, SourceRun
from tests.storage.samples import make_payload, make_record
from tests.storage.writer.spool_rig import RING, FickleStore, Rig

PREPARED_BYTES = 5000


class Noted(Prepared, frozen=True, gc=False):
    """Says of which records it is."""

    ids: tuple[bytes, ...] = ()


class PreparingStore(FickleStore):
    """A store that prepares, slowly where a test says so, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[tuple[bytes, ...]] = []
        self.attempts: list[object] = []
        self.committed: list[bytes] = []
        """Ids of records that were committed with what was prepared of them."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_closed = False

    async def prepare(self, entries: Sequence[Entry]) -> Prepared:
        """Prepare, once the gate is open."""
        if self.is_closed:
            raise StorageUnavailable("not open for the test")
        ids = tuple(entry.record.id for entry in entries)
        self.prepared.append(ids)
        await self.gate.wait()
        return Noted(PREPARED_BYTES, ids)

    async def commit(self, batch: Batch) -> int:
        """Commit, unless told otherwise; what is prepared is of these entries."""
        self.attempts.append(batch.prepared)
        ids = [entry.record.id for entry in batch.entries]
        if batch.prepared is not None:
            assert isinstance(batch.prepared, Noted)
            assert list(batch.prepared.ids) == ids
        last_seq = await super().commit(batch)
        if batch.prepared is not None:
            self.committed += ids
        return last_seq


@pytest.fixture
async def store() -> AsyncIterator[PreparingStore]:
    """An empty store."""
    async with PreparingStore() as made:
        yield made


async def test_preparing_has_no_time_limit_of_a_commit(store: PreparingStore, rig: Rig) -> None:
    """However long it takes: the store is up, the batch is stored at the first attempt, and the
    queue has its bound.
    """
    rig.options["timeout"] = CommitTimeout(0.01, 0.01)
    async with rig.running() as writer:
        store.gate.clear()
        rig.push(100)
        await rig.until(lambda: writer.is_full)
        await asyncio.sleep(0.05)
        assert (writer.is_storage_up, writer.counters.batches["retried"]) == (True, 0)
        assert writer.waiting_records <= 20 + 7
        store.gate.set()
        await rig.until(rig.is_settled)
        assert (writer.counters.batches["retried"], writer.spooled_records) == (0, 0)

    assert store.committed == [record.id for record in rig.ring]


async def test_a_batch_is_prepared_once_for_all_attempts(store: PreparingStore, rig: Rig) -> None:
    """The one that is refused and the one that succeeds are given the same; it counts among what
    the queue holds.
    """
    async with rig.running() as writer:
        store.is_away = True
        rig.push(7)
        await rig.until(lambda: writer.counters.batches["retried"] == 3)
        assert len(store.prepared) == 1
        assert writer.held_bytes == 7 * 1000 + PREPARED_BYTES
        store.is_away = False
        await rig.until(rig.is_settled)
        assert len(store.prepared) == 1
        assert writer.held_bytes == 0

    refused, taken = store.attempts
    assert refused is taken is not None
    assert store.committed == [record.id for record in rig.ring]


async def test_parts_of_a_batch_are_prepared_anew(store: PreparingStore, rig: Rig) -> None:
    """A refused record parts its batch; the record itself is tried escaped, then goes: each attempt
    has its own.
    """
    async with rig.running() as writer:
        rig.push(7)
        store.refused_ids = {rig.ring[3].id}
        await rig.until(lambda: writer.counters.records_quarantined == 1)
        await rig.until(rig.is_settled)
        assert writer.held_bytes == 0

    assert store.committed == [
        record.id for record in rig.ring if record.id not in store.refused_ids
    ]
    assert len(store.prepared) == len(store.attempts) - 1  # the last one has positions alone


async def test_nothing_is_prepared_for_the_spool(store: PreparingStore, rig: Rig) -> None:
    """While the store is away batches go to the spool as they are; what comes back from it is
    prepared then.
    """
    async with rig.running() as writer:
        await rig.lose_store(store, writer, records=200, spooled=100)
        assert len(store.prepared) == 1
        store.is_away = False
        await rig.until(rig.is_settled)
        frames = store.prepared[1:]
        assert len(frames) == len(set(frames)) >= 10
        assert writer.held_bytes == 0

    assert len(store.committed) > 100


async def test_a_store_that_is_not_open_prepares_nothing(store: PreparingStore, rig: Rig) -> None:
    """The commit says what is the matter; a batch is stored without what could have been prepared."""
    async with rig.running():
        store.is_closed = True
        rig.push(7)
        await rig.until(rig.is_settled)
    assert store.attempts == [None]


def test_what_is_prepared_is_of_the_entries_that_are_there() -> None:
    """It goes when one of them does, and with the whole when that is parted."""
    entries = [Entry(make_record(), make_payload()) for _ in range(4)]
    run = SourceRun(
        RING, [Position(offset=10 * count, taken=count, stored=count) for count in range(1, 5)]
    )
    pending = PendingBatch(0.0, list(entries), [run], prepared=Prepared(7))
    pending.discard_stored({RING: Position(offset=0)})
    assert pending.batch("sidecar-1", {}).prepared is pending.prepared is not None
    pending.discard_stored({RING: Position(offset=10)})
    assert (pending.entries, pending.prepared_bytes) == (entries[1:], 0)
    pending.prepared = Prepared(7)
    parts = pending.split()
    assert [part.prepared for part in (pending, *parts)] == [None, None, None]
