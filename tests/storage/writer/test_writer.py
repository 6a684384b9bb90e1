"""The writer settles every entry exactly once, whatever the store answers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from storage.errors import StorageRejected, StorageUnavailable
from storage.memory import MemoryStorage
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Position, Record
from storage.writer.attempts import WriterEvents
from storage.writer.backlog import BacklogLimits
from storage.writer.writer import Writer
from tests.storage.samples import make_payload, make_record

RING = b"r" * 16
OTHER = b"o" * 16
POISON = "\udc80"


class TestingStore(MemoryStorage):
    """A store whose commits can be made to fail, to wait, or to be the last of its process."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.unavailable = 0
        """How many commits fail before one succeeds."""
        self.refused_ids: set[bytes] = set()
        """Records it does not take in any form."""
        self.commits: list[Batch] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.dies_after: int | None = None
        """Commits after which the process is gone."""

    async def commit(self, batch: Batch) -> int:
        """Commit, unless told otherwise."""
        await self.gate.wait()
        if self.dies_after is not None and len(self.commits) >= self.dies_after:
            await asyncio.Event().wait()
        if self.unavailable:
            self.unavailable -= 1
            raise StorageUnavailable("down for the test")
        if any(entry.record.id in self.refused_ids for entry in batch.entries):
            raise StorageRejected("refused for the test")
        last_seq = await super().commit(batch)
        self.commits.append(batch)
        return last_seq


class Feed:
    """Plays a collector: counts positions the way it does, each entry 100 bytes."""

    def __init__(self, writer: Writer, start: dict[bytes, Position] | None = None) -> None:
        self._writer = writer
        self._positions = start or {}

    def add(self, record: Record, source: bytes = RING) -> None:
        """Add a record as the next of its source."""
        before = self._positions.get(source, Position())
        position = Position(
            offset=before.offset + 100, taken=before.taken + 1, stored=before.stored + 1, dropped=before.dropped
        )
        self._positions[source] = position
        self._writer.add(Entry(record, make_payload()), 100, source, position)


Run = Callable[..., Awaitable[None]]


LIMITS = {field.name for field in fields(BacklogLimits)}
EVENTS = {field.name for field in fields(WriterEvents)}


@asynccontextmanager
async def running(
    store: MemoryStorage, directory: Path, deadline_s: float = 5.0, **options: object
) -> AsyncIterator[Writer]:
    """Run a writer; at the end it is closed and has settled everything."""
    limits = BacklogLimits(**{"max_age_s": 0.01} | {name: options.pop(name) for name in LIMITS & options.keys()})  # type: ignore[arg-type]
    events = WriterEvents(**{name: options.pop(name) for name in EVENTS & options.keys()})  # type: ignore[arg-type]
    settings: dict[str, object] = {"limits": limits, "events": events, "jitter": lambda: 0.0} | options
    writer = Writer(store, instance="sidecar-1", quarantine_directory=directory / "quarantine", **settings)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run(), name="writer")
        yield writer
        async with asyncio.timeout(deadline_s / 2):
            assert await writer.close(deadline_s) == 0


async def stored(store: MemoryStorage) -> list[Record]:
    """Read everything, in order."""
    return (await store.select(RecordQuery(filter=Filter(kind="all"), order="asc", limit=10_000))).records


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that is about to hold."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- a condition is no event
            await asyncio.sleep(0.001)


async def test_entries_are_stored_in_order_with_their_position(tmp_path: Path) -> None:
    """Everything added is committed in order, in full batches, and the callback hears of each."""
    store, heard = TestingStore(), []
    records = [make_record() for _ in range(25)]
    async with running(
        store, tmp_path, max_records=10, on_commit=lambda batch, last_seq: heard.append((len(batch.entries), last_seq))
    ) as writer:
        feed = Feed(writer)
        for record in records:
            feed.add(record)
    assert await stored(store) == records
    assert heard == [(10, 10), (10, 20), (5, 25)]
    assert await store.positions("sidecar-1") == {RING: Position(offset=2500, taken=25, stored=25)}
    assert writer.counters.batches == {"stored": 3, "retried": 0, "rejected": 0, "spooled": 0}
    assert writer.counters.records_stored == 25
    assert writer.waiting_records == 0
    assert writer.oldest_unstored_s == 0.0


async def test_a_batch_is_committed_for_its_age(tmp_path: Path) -> None:
    """A single entry, and a position alone, are committed without anything coming after them."""
    store = TestingStore()
    async with running(store, tmp_path) as writer:
        Feed(writer).add(make_record())
        await until(lambda: len(store.commits) == 1)
        writer.advance(RING, Position(offset=700))
        await until(lambda: len(store.commits) == 2)
        writer.advance(OTHER, Position(offset=1))
        writer.retire(RING)
        await until(lambda: len(store.commits) == 3)
    assert await store.positions("sidecar-1") == {OTHER: Position(offset=1)}


async def test_an_unavailable_store_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same batch is committed when the store is back, and it is told once that it was gone."""
    store = TestingStore()
    store.unavailable = 3
    records = [make_record() for _ in range(5)]
    with caplog.at_level(logging.WARNING):
        async with running(store, tmp_path) as writer:
            feed = Feed(writer)
            for record in records:
                feed.add(record)
            await until(lambda: not writer.is_storage_up)
            assert writer.oldest_unstored_s > 0
            await until(lambda: bool(store.commits))
            assert writer.is_storage_up
    assert await stored(store) == records
    assert writer.counters.batches == {"stored": 1, "retried": 3, "rejected": 0, "spooled": 0}
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the store is unavailable, nothing is lost yet",
        "the store is available again",
    ]


async def test_the_queue_is_full_by_bytes(tmp_path: Path) -> None:
    """While the store hangs, the writer says when to stop adding, and takes more when bytes are settled."""
    store = TestingStore()
    store.gate.clear()
    async with running(store, tmp_path, max_records=4, queue_max_bytes=1000) as writer:
        feed = Feed(writer)
        added = 0
        while not writer.is_full:
            feed.add(make_record())
            added += 1
        assert added == 10
        assert writer.waiting_records == 10
        store.gate.set()
        await until(lambda: not writer.is_full)
    assert await store.last_seq() == 10


async def test_closing_gives_up_at_the_deadline(tmp_path: Path) -> None:
    """With the store gone for good, closing tells how many entries are not stored, and the task ends."""
    store = TestingStore()
    store.unavailable = 1_000_000
    writer = Writer(store, instance="sidecar-1", quarantine_directory=tmp_path, limits=BacklogLimits(max_records=2))
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run(), name="writer")
        feed = Feed(writer)
        for _ in range(5):
            feed.add(make_record())
        assert await writer.close(0.1) == 5
    assert await store.last_seq() == 0


@pytest.mark.parametrize("bad", [{0}, {9}, {4}, {3, 4}, {0, 5, 9}, set(range(10))])
async def test_a_refused_record_is_stored_escaped(tmp_path: Path, bad: set[int]) -> None:
    """Every good record is stored as it is, each bad one escaped under its id, and nothing is dropped."""
    store = TestingStore()
    records = [make_record(path=POISON if number in bad else f"/{number}") for number in range(10)]
    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        for number, record in enumerate(records):
            feed.add(record, RING if number % 3 else OTHER)
    found = await stored(store)
    assert [record.id for record in found] == [record.id for record in records]
    assert [record.path for record in found] == ["\\udc80" if n in bad else f"/{n}" for n in range(10)]
    assert await store.positions("sidecar-1") == {
        RING: Position(offset=600, taken=6, stored=6),
        OTHER: Position(offset=400, taken=4, stored=4),
    }
    assert writer.counters.records_escaped == len(bad)
    assert not (tmp_path / "quarantine").exists()


async def test_a_record_refused_in_every_form_is_quarantined(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It goes to a file, counts as poison in its source from then on, and the others are stored."""
    store = TestingStore()
    records = [make_record() for _ in range(8)]
    store.refused_ids = {records[3].id, records[6].id}
    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        for record in records[:7]:
            feed.add(record, OTHER if record is records[0] else RING)
        await until(lambda: writer.counters.records_quarantined == 2 and not writer.waiting_records)
        feed.add(records[7])
    kept = [record.id for record in records if record.id not in store.refused_ids]
    assert [record.id for record in await stored(store)] == kept
    assert await store.positions("sidecar-1") == {
        RING: Position(offset=700, taken=7, stored=5, dropped={"poison": 2}),
        OTHER: Position(offset=100, taken=1, stored=1),
    }
    for number in (3, 6):
        path = tmp_path / "quarantine" / f"{records[number].id.hex()}.msgpack"
        assert path.stat().st_mode & 0o777 == 0o600
        assert msgspec.msgpack.decode(path.read_bytes(), type=Entry).record == records[number]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


async def test_a_record_that_cannot_be_quarantined_is_dropped_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where its file cannot be written, the record is counted all the same and the writer goes on."""
    (tmp_path / "quarantine").write_text("in the way")
    store = TestingStore()
    bad, good = make_record(), make_record()
    store.refused_ids = {bad.id}
    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        feed.add(bad)
        feed.add(good)
    assert await stored(store) == [good]
    assert (await store.positions("sidecar-1"))[RING].dropped == {"poison": 1}
    assert "could not be kept" in caplog.text


async def test_an_id_that_is_stored_already_is_quarantined(tmp_path: Path) -> None:
    """A double id is never stored twice: it counts as poison."""
    store = TestingStore()
    record = make_record()
    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        feed.add(record)
        await until(lambda: bool(store.commits))
        feed.add(msgspec.structs.replace(record, path="/again"))
    assert await stored(store) == [record]
    assert (await store.positions("sidecar-1"))[RING] == Position(offset=200, taken=2, stored=1, dropped={"poison": 1})


@pytest.mark.parametrize("commits", range(8))
async def test_a_death_between_the_parts_of_a_batch_doubles_nothing(tmp_path: Path, commits: int) -> None:
    """However many parts of a refused batch were committed, a restart from the positions stores each record once."""
    store = TestingStore()
    records = [make_record(path=POISON if number == 4 else "/") for number in range(12)]
    store.refused_ids = {records[9].id}
    sources = [OTHER if number % 4 == 0 else RING for number in range(12)]

    store.dies_after = commits
    writer = Writer(store, instance="sidecar-1", quarantine_directory=tmp_path, limits=BacklogLimits(max_age_s=0.01))
    task_group = asyncio.TaskGroup()
    async with task_group:
        task = task_group.create_task(writer.run(), name="writer")
        feed = Feed(writer)
        for record, source in zip(records, sources, strict=True):
            feed.add(record, source)
        await until(lambda: len(store.commits) >= commits or not writer.waiting_records)
        task.cancel()

    store.dies_after = None
    positions = await store.positions("sidecar-1")
    passed = {source: position.taken for source, position in positions.items()}
    async with running(store, tmp_path) as again:
        feed = Feed(again, positions)
        for record, source in zip(records, sources, strict=True):
            if passed.get(source, 0):
                passed[source] -= 1
            else:
                feed.add(record, source)
    found = [record.id for record in await stored(store)]
    assert sorted(found) == sorted(record.id for record in records if record is not records[9])
    assert await store.positions("sidecar-1") == {
        RING: Position(offset=900, taken=9, stored=8, dropped={"poison": 1}),
        OTHER: Position(offset=300, taken=3, stored=3),
    }


async def test_a_batch_refused_for_its_positions_is_a_bug(tmp_path: Path) -> None:
    """Positions that no store takes end the writer: nothing could be settled after them."""

    class Refusing(MemoryStorage):
        async def commit(self, batch: Batch) -> int:
            raise StorageRejected("refused for the test")

    writer = Writer(
        Refusing(), instance="sidecar-1", quarantine_directory=tmp_path, limits=BacklogLimits(max_age_s=0.0)
    )
    writer.advance(RING, Position(offset=1))
    with pytest.raises(StorageRejected):
        await writer.run()
