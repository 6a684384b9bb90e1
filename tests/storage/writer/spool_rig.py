"""A writer with a spool over a store that misbehaves on purpose, played by hand."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from storage.base import Storage
from storage.errors import StorageRejected, StorageUnavailable
from storage.ledger import SOURCE_SPOOL, Ledger, ProducerCounts, balance, merge
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Position, Record
from storage.writer.attempts import Availability
from storage.writer.backlog import BacklogLimits
from storage.writer.spool import Spool
from storage.writer.spool_replay import SpoolReplay
from storage.writer.writer import Writer
from tests.storage.samples import make_body, make_payload, make_record
from tests.support.listeners import Listener
from tests.support.memory_store import MemoryStorage

RING = b"r" * 16
ALL = Filter(kind="all")
ENTRY_BYTES = 1000
QUEUE_RECORDS = 20
SPOOL_BYTES = 4 * 1024 * 1024


class FickleStore(MemoryStorage):
    """A store that is away, or hangs, or commits without answering, when a test says so."""

    is_away = False
    hangs = False
    loses_answers = False

    def __init__(self) -> None:
        super().__init__()
        self.refused_ids: set[bytes] = set()

    async def commit(self, batch: Batch) -> int:
        """Commit, unless told otherwise."""
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise StorageUnavailable("away for the test")
        if any(entry.record.id in self.refused_ids for entry in batch.entries):
            raise StorageRejected("refused for the test")

        last_seq = await super().commit(batch)
        if self.loses_answers:
            raise StorageUnavailable("committed, but nobody will hear of it")

        return last_seq

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """Read, unless away."""
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise StorageUnavailable("away for the test")
        return await super().positions(instance)

    async def stored_ids(self) -> list[bytes]:
        """Read all ids, whatever the state."""
        page = await super().select(RecordQuery(filter=ALL, order="asc", limit=100_000))
        return [record.id for record in page.records]


class Rig:
    """A ring, a writer, a spool and a store; the writer may be killed and made anew."""

    def __init__(self, storage: Storage, directory: Path, **options: object) -> None:
        self.storage = storage
        self.directory = directory
        limits = BacklogLimits(
            max_age_s=0.002, max_records=7, queue_max_bytes=QUEUE_RECORDS * ENTRY_BYTES
        )
        self.options: dict[str, object] = {"limits": limits} | options
        self.ring: list[Record] = []
        self.effective: dict[bytes, Position] = {}
        self.position = Position()
        self.body_bytes = 20
        """Of each record, what cannot be compressed; the queue does not know."""
        self.offline_since: int | None = None
        """Given for a start without the store, of which nothing is known."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Writer]:
        """Start on what is there; at the end the writer is killed."""
        committed = await self.storage.positions("sidecar-1") if self.offline_since is None else {}
        self.spool = Spool(self.directory / "spool", SPOOL_BYTES)
        self.spool.load(committed.get(SOURCE_SPOOL, Position()))
        self.effective = merge(committed, self.spool.positions, self.spool.retired)
        self.position = self.effective.get(RING, Position())
        self.writer = Writer(
            self.storage, instance="sidecar-1", quarantine_directory=self.directory / "quarantine",
            spool=SpoolReplay(self.spool, committed, offline_since=self.offline_since),
            availability=Availability(jitter=lambda: 0.0),
            **self.options,  # type: ignore[arg-type]
        )  # fmt: skip
        self.writer.subscribe(
            Listener(on_commit=lambda batch: self.take_over(batch), on_spooled=self.take_over)
        )
        self.check()

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.writer.run(), name="writer")
            yield self.writer
            running.cancel()

        self.spool.close()

    def take_over(self, batch: Batch) -> None:
        """Play the drain: positions hold, and the ledger balances at once."""
        self.effective.update(batch.positions)
        for source in batch.retired:
            self.effective.pop(source, None)
        asyncio.get_running_loop().call_soon(self.check)

    def push(self, number: int) -> None:
        """Push records into the ring."""
        self.ring += [make_record() for _ in range(number)]

    def drain(self) -> None:
        """Move from the ring what the writer takes."""
        while self.position.taken < len(self.ring) and not self.writer.is_full:
            record = self.ring[self.position.taken]
            old = self.position
            payload = make_payload()
            payload.response_body = make_body(random.Random(old.taken).randbytes(self.body_bytes))
            self.position = Position(old.offset + 8, old.taken + 1, old.stored + 1)
            self.writer.add(Entry(record, payload), ENTRY_BYTES, RING, self.position)

    def ledger(self) -> Ledger:
        """Read the accounting."""
        readings = (
            {RING: ProducerCounts(len(self.ring), 0)} if RING in self.effective or self.ring else {}
        )
        return balance(self.effective, readings, self.spool.pending_records)

    def check(self) -> None:
        """The ledger balances."""
        assert self.ledger().is_balanced, self.ledger()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Drain until something holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.drain()
                await asyncio.sleep(0.001)

    async def close(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """Close the writer: it soon gives up a store that hangs, and the spool has time on a busy
        machine, too.
        """
        limit = self.writer._timeout.limit
        monkeypatch.setattr(self.writer._timeout, "limit", lambda timeout_s: limit(timeout_s / 100))
        return await self.writer.close(60.0)

    async def lose_store(
        self, store: FickleStore, writer: Writer, *, records: int, spooled: int
    ) -> None:
        """Take the store away until so many records are spooled of those that come."""
        store.is_away = True
        self.push(records)
        await self.until(lambda: writer.spooled_records >= spooled)

    def is_settled(self) -> bool:
        """Whether everything is stored."""
        return (
            self.position.taken == len(self.ring)
            and not self.writer.waiting_records
            and not self.writer.spooled_records
        )
