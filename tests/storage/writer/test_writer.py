"""The writer settles every entry exactly once, whatever the store answers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from storage.errors import StorageRejected, StorageUnavailable
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Position, Record
from storage.writer.attempts import Availability
from storage.writer.backlog import BacklogLimits
from storage.writer.writer import Writer
from tests.storage.samples import make_payload, make_record
from tests.support.listeners import Listener
from tests.support.memory_store import MemoryStorage

RING = b"r" * 16
OTHER = b"o" * 16


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
            offset=before.offset + 100,
            taken=before.taken + 1,
            stored=before.stored + 1,
            dropped=before.dropped,
        )
        self._positions[source] = position
        self._writer.add(Entry(record, make_payload()), 100, source, position)


Run = Callable[..., Awaitable[None]]


LIMITS = {field.name for field in fields(BacklogLimits)}
EVENTS = {field.name for field in fields(Listener)}


@asynccontextmanager
async def running(
    store: MemoryStorage, directory: Path, deadline_s: float = 60.0, **options: Any
) -> AsyncIterator[Writer]:
    """Run a writer; at the end it is closed and has settled everything."""
    given = {name: options.pop(name) for name in LIMITS & options.keys()}
    limits = BacklogLimits(**{"max_age_s": 0.01} | given)
    listener = Listener(**{name: options.pop(name) for name in EVENTS & options.keys()})
    settings: dict[str, Any] = {
        "limits": limits,
        "availability": Availability(jitter=lambda: 0.0),
    } | options
    writer = Writer(
        store, instance="sidecar-1", quarantine_directory=directory / "quarantine", **settings
    )
    writer.subscribe(listener)

    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run(), name="writer")
        yield writer
        async with asyncio.timeout(deadline_s / 2):
            assert await writer.close(deadline_s) == 0


async def stored(store: MemoryStorage) -> list[Record]:
    """Read everything, in order."""
    return (
        await store.read(RecordQuery(filter=Filter(kind="all"), order="asc", limit=10_000))
    ).records


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that is about to hold."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 -- a condition is no event
            await asyncio.sleep(0.001)


async def test_entries_are_stored_in_order_with_their_position(tmp_path: Path) -> None:
    """Everything added is committed in order, in full batches, and the callback hears of each."""
    store = TestingStore()
    heard = []
    records = [make_record() for _ in range(25)]

    async with running(
        store,
        tmp_path,
        max_records=10,
        on_commit=lambda batch: heard.append((len(batch.entries), batch.entries[-1].record.seq)),
    ) as writer:
        feed = Feed(writer)
        for record in records:
            feed.add(record)

    assert await stored(store) == records
    assert heard == [(10, 10), (10, 20), (5, 25)]
    assert await store.positions("sidecar-1") == {RING: Position(offset=2500, taken=25, stored=25)}
    assert writer.counters.batches == {"stored": 3, "retried": 0, "rejected": 0, "spooled": 0}
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
        writer.drop_source(RING)
        await until(lambda: len(store.commits) == 3)

    assert await store.positions("sidecar-1") == {OTHER: Position(offset=1)}


async def test_an_unavailable_store_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
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
    """While the store hangs, the writer says when to stop adding, and takes more when bytes are
    settled.
    """
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
    """With the store gone for good, closing tells how many entries are not stored, and the task
    ends.
    """
    store = TestingStore()
    store.unavailable = 1_000_000
    writer = Writer(
        store,
        instance="sidecar-1",
        quarantine_directory=tmp_path,
        limits=BacklogLimits(max_records=2),
    )

    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run(), name="writer")
        feed = Feed(writer)
        for _ in range(5):
            feed.add(make_record())
        assert await writer.close(0.1) == 5

    assert await store.last_seq() == 0
