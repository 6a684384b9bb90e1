"""The SQLite store: one write connection and a few read connections.

Strategy: the write connection's thread runs batches one after the other. It also reads positions,
so that they include a commit whose caller was cancelled. Everything else is read on up to six other
connections, each answer in one read transaction. Readers never block the writer (WAL), and no
reader holds a snapshot between calls. One more connection measures the file and writes its journal
back. A store in memory has only the write connection, and reads wait for it.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from storage.base import READERS
from storage.errors import StorageDamaged, StorageError, StorageRejected, StorageUnavailable
from storage.purge import Erased, Purged, RetentionState, Slice, Trimmed
from storage.query import (
    CountQuery,
    Durability,
    FacetQuery,
    Filter,
    HistogramQuery,
    Query,
    SeriesQuery,
    StatsQuery,
    StorageInfo,
    SummaryQuery,
    TopQuery,
)
from storage.record import Batch, Position
from storage.relational.facet_counts import KnownCounts
from storage.relational.session import run_sync
from storage.relational.sql import MAX_INT
from storage.relational.store import RelationalStorage
from storage.relational.upkeep.erase import SLICE_ROWS, erase_slice
from storage.relational.upkeep.purge import purge, retention
from storage.relational.upkeep.trim import trim
from storage.relational.upkeep.turn import Turn
from storage.relational.writes.remembered import Names
from storage.sqlite.connection import Budget, Connection, connect, snapshot, transaction
from storage.sqlite.counting import MAX_UNCOUNTED, count_rows, has_uncounted
from storage.sqlite.journal import Journal, journal_left_alone
from storage.sqlite.readers import Readers
from storage.sqlite.reserve import Reserve, is_without_room
from storage.sqlite.salvage import Kept, has_torn_header, write_kept
from storage.sqlite.schema import prepare_reader, prepare_sole_reader, prepare_writer
from storage.sqlite.unused_texts import UnusedTexts
from storage.sqlite.upkeep import JOURNAL_SLICES, PURGE_S, TRIM_S, SqliteUpkeep, empty_journal
from storage.sqlite.write import BatchStore, read_positions

T = TypeVar("T")

READ_STATEMENTS: Final = 64
"""Statements that a reader keeps prepared, 10 to 40 KB each. One question has several, as it
differs with the length of its lists.
"""
READ_BUDGET_S: Final = 1.0
BUSY_TIMEOUT_S: Final = 2.0
"""Longest wait for another process that writes to the file, before the batch is refused as
unavailable.
"""
_FIGURES: Final = (
    CountQuery,
    StatsQuery,
    FacetQuery,
    HistogramQuery,
    SummaryQuery,
    TopQuery,
    SeriesQuery,
)
"""Queries that are answered from rollups."""


class SqliteStorage(RelationalStorage[SqliteUpkeep]):
    """`storage.base.Storage` over one SQLite file, made by `open`."""

    def __init__(
        self,
        path: Path | None,
        writer: Connection,
        readers: list[Connection],
        upkeep: Connection,
        schema_version: int,
        read_budget_s: float,
        max_bytes: int,
        reserve: Reserve,
        batches: BatchStore,
        is_read_only: bool,
    ) -> None:
        super().__init__(
            "memory" if path is None else "sqlite", str(path or "memory:"), schema_version
        )
        self._path = path
        if path is None:
            self._identity = None
        else:
            self._identity = _identity(path)
        self._read_budget_s = read_budget_s

        self._writer = writer
        self._readers = readers
        self._journal = Journal(path, max_bytes)
        self._reserve = reserve
        self._upkeep = upkeep
        self._reads = Readers(readers or [writer], upkeep, writer, self._journal, read_budget_s)
        self._batches = batches
        self._unused = UnusedTexts(self._batches.forget_texts)
        self._names = Names()
        self._known_counts = KnownCounts()
        self._slices = 0
        self._is_read_only = is_read_only
        self._counting_warning = ""

    @classmethod
    async def open(
        cls,
        path: Path | None,
        *,
        durability: Durability = "safe",
        readers: int = READERS,
        read_budget_s: float = READ_BUDGET_S,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        is_read_only: bool = False,
        max_bytes: int = 0,
        has_reserve: bool = False,
    ) -> Self:
        """Open a file, and create or migrate it. If `is_read_only`, it must exist, and nothing is
        changed but its rollups, should a killed process have left rows that they do not count.

        With a size cap (`max_bytes`) the journal is kept short against it; the caller enforces the
        cap with `trim`. With a reserve the store can be opened, and records can be deleted, on a
        full disk. Without a path the store is in memory and gone when it is closed. The caller
        closes the store.

        Raises:
            StorageUnavailable: It cannot be opened.
            SchemaTooNew: A newer program wrote it.
            SchemaTooOld: An older one did, and it is read-only.
            StorageDamaged: It is damaged.
        """
        opened = partial(connect, path, busy_timeout_s=busy_timeout_s, is_read_only=is_read_only)
        if is_read_only:
            prepare = prepare_sole_reader
        else:
            prepare = partial(prepare_writer, durability=durability, max_bytes=max_bytes)
        has_content = path is not None and await asyncio.to_thread(_has_content, path)
        reserve = Reserve(path if has_reserve and not is_read_only else None, max_bytes)

        connected = partial(_connect_all, opened, prepare, readers + 1 if path else 0)
        try:
            schema_version, connections = await reserve.spend(connected)
        except BaseException as error:
            if has_content and (_is_logic(error) or await asyncio.to_thread(has_torn_header, path)):
                raise StorageDamaged(f"sqlite: the file is damaged: {error}") from error
            raise

        await asyncio.to_thread(reserve.take)
        if path is None:
            connections *= 2  # The only connection does the upkeep as well.
        writer, *others, upkeep = connections
        batches = await writer.run(BatchStore)
        store = cls(
            path,
            writer,
            others,
            upkeep,
            schema_version,
            read_budget_s,
            max_bytes,
            reserve,
            batches,
            is_read_only,
        )
        if is_read_only and await writer.run(has_uncounted):
            # Where the file must not be written, figures lack these rows, at most `MAX_UNCOUNTED`
            # and a batch.
            try:
                async with await cls.open(path, busy_timeout_s=busy_timeout_s):
                    pass
            except StorageError as error:
                store._counting_warning = _uncounted_warning(error)
        return store

    async def commit(self, batch: Batch) -> int:
        def store(connection: sqlite3.Connection) -> int:
            self._reserve.check(connection)
            try:
                return self._batches.store(batch)
            except sqlite3.OperationalError as error:
                if is_without_room(error):
                    self._reserve.make_room(connection)
                raise

        last_seq = await self._change(store)
        await self._count_from(MAX_UNCOUNTED)
        return last_seq

    async def read(self, query: Query[T]) -> T:
        if isinstance(query, _FIGURES):
            await self._count_from(1)
        return await super().read(query)

    async def info(self) -> StorageInfo:
        await self._count_from(1)
        return await super().info()

    async def positions(self, instance: str) -> dict[bytes, Position]:
        return await self._writer.run(lambda connection: read_positions(connection, instance))

    async def retention(self) -> RetentionState:
        def look(connection: sqlite3.Connection) -> RetentionState:
            with self._journal.upkeep(connection):
                return run_sync(retention(self._session(connection, self._budget())))

        # Not on a reader, since batches may wait for the result and searches take long.
        return await self._upkeep.run(look)

    async def purge(self, max_rows: int) -> Purged:
        purged = await self._slice(purge, max_rows, PURGE_S)
        await self._note_slice(is_last=purged.is_done)
        return purged

    async def trim(self, max_rows: int) -> Trimmed:
        trimmed = await self._slice(trim, max_rows, TRIM_S)
        await self._note_slice()
        return trimmed

    async def reclaim(self) -> None:
        await self._upkeep.run(self._journal.write_back)

    @property
    def warning(self) -> str:
        return self._journal.warning or self._counting_warning

    async def is_in_place(self) -> bool:
        return (
            self._path is None or await asyncio.to_thread(_identity, self._path) == self._identity
        )

    async def keep(self, kept: Kept) -> None:
        """Write the rows that were salvaged from a damaged file into an empty one."""

        def write(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                write_kept(connection, kept)

        await self._writer.run(write)

    async def vacuum(self) -> None:
        while await self._slice(SqliteUpkeep.give_all_back, MAX_INT, PURGE_S):
            await self._note_slice()
        await self._writer.run(empty_journal)

    async def erase(self, filter: Filter) -> Erased:
        erased = await super().erase(filter)
        await self._writer.run(empty_journal)
        return erased

    async def close(self) -> None:
        await self._count_from(1)
        for connection in (*self._readers, self._upkeep, self._writer):
            await connection.finish()

    async def _read(self, work: Callable[[SqliteUpkeep], Awaitable[T]]) -> T:
        return await self._reads.run(partial(self._answer, work))

    async def _read_soon(self, work: Callable[[SqliteUpkeep], Awaitable[T]]) -> T:
        return await self._writer.run(
            lambda connection: self._answer(work, connection, self._budget())
        )

    async def _write(self, work: Callable[[SqliteUpkeep], Awaitable[T]]) -> T:
        return await self._writer.run(
            lambda connection: self._spend(partial(self._transact, work), connection)
        )

    async def _erase_slice(
        self, filter: Filter, from_seq: int, max_rows: int = SLICE_ROWS
    ) -> Slice:
        def work(session: SqliteUpkeep) -> Awaitable[Slice]:
            return erase_slice(session, filter, from_seq, max_rows)

        try:
            return await self._change(partial(self._remove, work))
        except StorageUnavailable as error:
            if max_rows == 1 or not is_without_room(error):
                raise
        # The reserve of a full disk has room for fewer rows.
        return await self._erase_slice(filter, from_seq, 10 if max_rows > 10 else 1)

    async def _size_bytes(self, session: SqliteUpkeep) -> int:
        if self._path is not None and self._path.exists():
            file_bytes = self._path.stat().st_size
        else:
            file_bytes = 0
        return file_bytes + self._journal.size_bytes

    async def _note_slice(self, *, is_last: bool = False) -> None:
        self._slices += 1
        if is_last or self._slices % JOURNAL_SLICES == 0 or self._journal.is_long:
            await self._upkeep.run(self._journal.write_back)

    async def _slice(
        self, work: Callable[[SqliteUpkeep, Turn], Awaitable[T]], max_items: int, seconds: float
    ) -> T:
        """Run a slice of `work`, limited in items and seconds, that does not write the journal
        back.
        """

        def timed(session: SqliteUpkeep) -> Awaitable[T]:
            return work(session, Turn(max_items, seconds, lambda: self._writer.is_wanted))

        def do(connection: sqlite3.Connection) -> T:
            with journal_left_alone(connection):
                return self._remove(timed, connection)

        return await self._change(do)

    async def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work that may write much, on the write connection, unless another program keeps the
        journal long.

        Raises:
            StorageUnavailable: as `Journal.check`.
        """

        def change(connection: sqlite3.Connection) -> T:
            self._journal.check(connection)
            done = work(connection)
            self._journal.look()
            return done

        await self._reads.make_room()
        return await self._writer.run(change)

    def _spend(self, work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        """Run a transaction that may use the reserve of a full disk."""
        try:
            done = work(connection)
        except sqlite3.OperationalError as error:
            if not (is_without_room(error) and self._reserve.give_up()):
                raise
            done = work(connection)

        if self._reserve.is_given_up:
            self._reserve.make_room(connection)
        return done

    async def _count_from(self, rows: int) -> None:
        """Have the rollups count the newest rows, if there may be at least `rows` of them.

        Where it fails, the store warns that figures are without these rows.
        """
        known = self._batches.uncounted
        if self._is_read_only or (known is not None and known.rows < rows):
            return
        try:
            await self._change(self._count)
            self._counting_warning = ""
        except StorageError as error:
            self._counting_warning = _uncounted_warning(error)

    def _count(self, connection: sqlite3.Connection) -> None:
        """Have the rollups count all rows, in transactions of their own."""
        while self._transact(count_rows, connection):
            pass

    def _remove(
        self, work: Callable[[SqliteUpkeep], Awaitable[T]], connection: sqlite3.Connection
    ) -> T:
        """Run a transaction that removes rows, and may use the reserve of a full disk for it. The
        rollups count all rows before, since those that are removed are subtracted.
        """
        self._spend(self._count, connection)
        return self._spend(partial(self._transact, work), connection)

    def _transact(
        self, work: Callable[[SqliteUpkeep], Awaitable[T]], connection: sqlite3.Connection
    ) -> T:
        try:
            with transaction(connection):
                return run_sync(work(self._session(connection, self._budget())))
        except BaseException:
            # Values cached during the transaction are no longer valid.
            self._batches.forget()
            self._unused.forget()
            raise

    def _answer(
        self,
        work: Callable[[SqliteUpkeep], Awaitable[T]],
        connection: sqlite3.Connection,
        budget: Budget,
    ) -> T:
        with snapshot(connection):
            return run_sync(work(self._session(connection, budget)))

    def _session(self, connection: sqlite3.Connection, budget: Budget) -> SqliteUpkeep:
        return SqliteUpkeep(
            connection, self._names, self._known_counts, budget, self._batches, self._unused
        )

    def _budget(self) -> Budget:
        return Budget(self._read_budget_s)


async def _connect_all(
    opened: Callable[..., Awaitable[Connection]],
    prepare: Callable[[sqlite3.Connection], int],
    readers: int,
) -> tuple[int, list[Connection]]:
    """Open the writer and `readers` others; return the layout of the file, and the connections."""
    connections: list[Connection] = []
    try:
        connections.append(await opened())
        schema_version = await connections[0].run(prepare)
        for _ in range(readers):
            connections.append(await opened(max_statements=READ_STATEMENTS))
            await connections[-1].run(prepare_reader)
    except BaseException:
        for connection in connections:
            await connection.finish()
        raise

    return schema_version, connections


def _uncounted_warning(error: StorageError) -> str:
    return f"figures are without the newest records: {error}"


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _is_logic(error: BaseException) -> bool:
    """True if a statement failed in a way that only a damaged schema or value explains."""
    if isinstance(error, StorageRejected):
        return True
    cause = error.__cause__
    return (
        isinstance(cause, sqlite3.OperationalError)
        and cause.sqlite_errorcode == sqlite3.SQLITE_ERROR
    )
