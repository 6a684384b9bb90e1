"""The SQLite store: one write connection, and a few read connections behind it.

Strategy: the write connection's thread runs batches one after the other, and reads positions, so that what it answers
includes a commit nobody waited for. Everything else is read on at most four other connections, each statement its own
read transaction: readers never block the writer (WAL), and no reader holds a snapshot between calls.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from storage.aggregates import FacetValue, Histogram, Summary
from storage.keys import ApiKey, KeyChanges, KeyUpdate
from storage.purge import Erased, Purged, RetentionState, bounded
from storage.query import Count, Durability, Filter, Page, RecordQuery, Scope, Stats, StorageInfo
from storage.record import Batch, Payload, Position, Record, ToolCall
from storage.relational.facet_counts import KnownCounts
from storage.relational.tally import check_names
from storage.sqlite import by_id, keys, purge, read, tools, totals
from storage.sqlite.connection import Budget, Connection, connect
from storage.sqlite.dictionary import Names
from storage.sqlite.erase import empty_journal, erase_slice
from storage.sqlite.facets import facets
from storage.sqlite.histogram import histogram
from storage.sqlite.journal import write_back
from storage.sqlite.meta import put_meta, read_meta
from storage.sqlite.schema import prepare_reader, prepare_sole_reader, prepare_writer
from storage.sqlite.summary import summary
from storage.sqlite.write import BatchStore, read_positions
from storage.tools import ToolFilter, ToolPage, ToolQuery, ToolStats, ToolValues

T = TypeVar("T")

READERS: Final = 4
READ_BUDGET_S: Final = 1.0
BUSY_TIMEOUT_S: Final = 2.0
"""How long to wait for another process that writes to the file, before the batch is refused as unavailable."""


class SqliteStorage:
    """`storage.base.Storage` over one SQLite file. Made by `open`, which returns it ready."""

    def __init__(
        self, path: Path, writer: Connection, readers: list[Connection], schema_version: int, read_budget_s: float
    ) -> None:
        self._path = path
        self._schema_version = schema_version
        self._read_budget_s = read_budget_s

        self._writer = writer
        self._readers = readers
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue(len(readers))
        for reader in readers:
            self._idle.put_nowait(reader)
        self._batches = BatchStore()
        self._names = Names()
        self._known = KnownCounts()
        self._slices = 0

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        durability: Durability = "safe",
        readers: int = READERS,
        read_budget_s: float = READ_BUDGET_S,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        is_read_only: bool = False,
    ) -> Self:
        """Open a file, making it or bringing its layout up to date; read-only, it must be there and stays as it is.

        The caller closes the store.

        Raises:
            StorageUnavailable: It cannot be opened.
            SchemaTooNew: A newer program wrote it.
            SchemaTooOld: An older one did, and it was to be read only.
        """
        opened = partial(connect, path, busy_timeout_s=busy_timeout_s, is_read_only=is_read_only)
        prepare = prepare_sole_reader if is_read_only else partial(prepare_writer, durability=durability)
        connections: list[Connection] = []
        try:
            connections.append(await opened())
            schema_version = await connections[0].run(prepare)
            for _ in range(readers):
                connections.append(await opened())
                await connections[-1].run(prepare_reader)
        except BaseException:
            for connection in connections:
                await connection.finish()
            raise
        return cls(path, connections[0], connections[1:], schema_version, read_budget_s)

    async def commit(self, batch: Batch) -> int:
        """See `storage.base.Storage.commit`."""
        return await self._writer.run(lambda connection: self._batches.store(connection, batch))

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """See `storage.base.Storage.positions`."""
        return await self._writer.run(lambda connection: read_positions(connection, instance))

    async def select(self, query: RecordQuery) -> Page:
        """See `storage.base.Storage.select`."""
        select = by_id.select if query.by == "id" else read.select
        return await self._read(lambda connection, budget: select(connection, query, self._names, budget))

    async def count(self, filter: Filter) -> Count:
        """See `storage.base.Storage.count`."""
        return await self._read(lambda connection, budget: totals.count(connection, filter, budget))

    async def stats(self, scope: Scope) -> Stats:
        """See `storage.base.Storage.stats`."""
        return await self._read(lambda connection, budget: totals.stats(connection, scope, self._names, budget))

    async def facets(self, filter: Filter, names: Sequence[str]) -> dict[str, list[FacetValue]]:
        """See `storage.base.Storage.facets`."""
        check_names(names)
        return await self._read(lambda connection, budget: facets(connection, filter, names, self._names, self._known))

    async def histogram(self, filter: Filter, since_us: int, until_us: int, buckets: int) -> Histogram:
        """See `storage.base.Storage.histogram`."""
        return await self._read(
            lambda connection, budget: histogram(connection, filter, since_us, until_us, buckets, budget)
        )

    async def summary(self, filter: Filter) -> Summary:
        """See `storage.base.Storage.summary`."""
        return await self._read(
            lambda connection, budget: summary(connection, filter, self._names, self._known, budget)
        )

    async def get(self, record_id: bytes) -> Record | None:
        """See `storage.base.Storage.get`."""
        return await self._read(lambda connection, budget: read.get(connection, record_id, self._names))

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """See `storage.base.Storage.payloads`."""
        return await self._read(lambda connection, budget: read.payloads(connection, seqs))

    async def tool_calls(self, query: ToolQuery) -> ToolPage:
        """See `storage.tools.ToolStorage.tool_calls`."""
        return await self._read(lambda connection, budget: tools.tool_calls(connection, query, self._names, budget))

    async def tool_stats(self, filter: ToolFilter) -> ToolStats:
        """See `storage.tools.ToolStorage.tool_stats`."""
        return await self._read(lambda connection, budget: tools.tool_stats(connection, filter, budget))

    async def tool_values(self, scope: Scope) -> ToolValues:
        """See `storage.tools.ToolStorage.tool_values`."""
        return await self._read(lambda connection, budget: tools.tool_values(connection, scope, self._names))

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        """See `storage.tools.ToolStorage.tool_call`."""
        return await self._read(
            lambda connection, budget: tools.tool_call(connection, record_id, position, self._names)
        )

    async def waiting_calls(self, instance: str) -> list[ToolCall]:
        """See `storage.tools.ToolStorage.waiting_calls`."""
        return await self._writer.run(lambda connection: tools.waiting_calls(connection, instance))

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        """See `storage.tools.ToolStorage.tool_calls_of`."""
        return await self._read(lambda connection, budget: tools.tool_calls_of(connection, record_seq, self._names))

    async def retention(self) -> RetentionState:
        """See `storage.base.Storage.retention`."""
        return await self._read(lambda connection, budget: purge.retention(connection))

    async def raise_floors(self, purge_floor_us: int, body_floor_us: int) -> None:
        """See `storage.base.Storage.raise_floors`."""
        await self._writer.run(lambda connection: purge.raise_floors(connection, purge_floor_us, body_floor_us))

    async def purge(self, max_rows: int) -> Purged:
        """See `storage.base.Storage.purge`."""
        purged = await self._writer.run(
            lambda connection: purge.purge(connection, max_rows, lambda: self._writer.is_wanted)
        )
        await self._note_slice(is_last=purged.is_done)
        return purged

    async def vacuum(self) -> None:
        """See `storage.base.Storage.vacuum`."""
        while await self._writer.run(lambda connection: purge.vacuum(connection, lambda: self._writer.is_wanted)):
            await self._note_slice()
        await self._writer.run(empty_journal)

    async def erase(self, filter: Filter) -> Erased:
        """See `storage.base.Storage.erase`."""
        through_seq = await self.last_seq()
        filter = bounded(filter, through_seq)
        exchanges = events = 0
        next_seq: int | None = 0
        while next_seq is not None:
            work = partial(erase_slice, filter=filter, from_seq=next_seq, names=self._names)
            done = await self._writer.run(work)
            exchanges += done.exchanges
            events += done.events
            next_seq = done.next_seq
        await self._writer.run(empty_journal)
        return Erased(exchanges, events, through_seq)

    async def last_seq(self) -> int:
        """See `storage.base.Storage.last_seq`."""
        return await self._read(lambda connection, budget: read.last_seq(connection))

    async def keys(self) -> list[ApiKey]:
        """See `storage.base.Storage.keys`."""
        return await self._writer.run(keys.read_keys)  # not behind slow readers: workers wait for changes

    async def key_version(self) -> int:
        """See `storage.base.Storage.key_version`."""
        return await self._writer.run(keys.read_version)

    async def create_key(self, key: ApiKey) -> None:
        """See `storage.base.Storage.create_key`."""
        await self._writer.run(lambda connection: keys.create(connection, key))

    async def update_key(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        """See `storage.base.Storage.update_key`."""
        return await self._writer.run(lambda connection: keys.update(connection, key_id, changes))

    async def delete_key(self, key_id: str, at_us: int) -> KeyUpdate | None:
        """See `storage.base.Storage.delete_key`."""
        return await self._writer.run(lambda connection: keys.delete(connection, key_id, at_us))

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        """See `storage.base.Storage.touch_keys`."""
        await self._writer.run(lambda connection: keys.touch(connection, uses))

    async def meta(self, name: str) -> str | None:
        """See `storage.base.Storage.meta`."""
        return await self._read(lambda connection, budget: read_meta(connection, name))

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        """See `storage.base.Storage.put_meta`."""
        return await self._writer.run(lambda connection: put_meta(connection, name, value, replace=replace))

    async def info(self) -> StorageInfo:
        """See `storage.base.Storage.info`."""
        return await self._read(self._info)

    async def close(self) -> None:
        """See `storage.base.Storage.close`."""
        for connection in (*self._readers, self._writer):
            await connection.finish()

    async def __aenter__(self) -> Self:
        """See `storage.base.Storage`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """See `storage.base.Storage`."""
        await self.close()

    async def _note_slice(self, *, is_last: bool = False) -> None:
        self._slices += 1
        if is_last or self._slices % purge.JOURNAL_SLICES == 0:
            await self._read(lambda connection, budget: write_back(connection))

    async def _read(self, work: Callable[[sqlite3.Connection, Budget], T]) -> T:
        reader = await self._idle.get()
        budget = Budget(self._read_budget_s)
        try:
            return await reader.run(lambda connection: work(connection, budget))
        finally:
            # After a cancellation the thread may still be busy: it is told to stop, and the next read queues behind it.
            budget.cancel()
            self._idle.put_nowait(reader)

    def _info(self, connection: sqlite3.Connection, budget: Budget) -> StorageInfo:
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return StorageInfo(
            backend="sqlite",
            location=str(self._path),
            schema_version=self._schema_version,
            rows=totals.rows_total(connection),
            last_seq=read.last_seq(connection),
            size_bytes=sum(os.stat(file).st_size for file in files if file.exists()),
        )
