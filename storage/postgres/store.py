"""The Postgres store: one write connection and a few read connections.

Strategy: batches, positions and changes of keys run one after the other on the write connection.
Each answer is one read-only transaction, with one snapshot of the store, on one of a few read
connections. A broken connection is reopened, and data cached over it is forgotten.

Invariant: every statement has a time limit on the server, and every call except vacuum has one
here. The server ends the session of a sidecar that stops while it holds the counter's lock.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Self, TypeVar

import asyncpg

from storage.base import READERS
from storage.errors import StorageMisconfigured, StorageUnavailable
from storage.postgres.connection import (
    BEGIN,
    Address,
    Budget,
    Connection,
    Link,
    close,
    connect,
    find_statement_cache_size,
    transaction,
    translated,
)
from storage.postgres.lease import Lease
from storage.postgres.purge import drop_day
from storage.postgres.schema import check_layout, migrate, read_version
from storage.postgres.space import reclaim, vacuum
from storage.postgres.upkeep import LOCK, PostgresUpkeep
from storage.postgres.write import BatchStore, read_positions
from storage.purge import Purged, RetentionState, Slice, Trimmed
from storage.query import Durability, Filter
from storage.record import Batch, Position
from storage.relational.facet_counts import KnownCounts
from storage.relational.store import RelationalStorage
from storage.relational.upkeep.erase import erase_slice
from storage.relational.upkeep.purge import purge, retention
from storage.relational.upkeep.trim import trim
from storage.relational.upkeep.turn import WholeTurn
from storage.relational.writes.remembered import Names

T = TypeVar("T")

READ_BUDGET_S: Final = 1.0
READ_LIMIT_S: Final = 15.0
"""Time limit of one answer; after that the server counts as hung."""
WRITE_LIMIT_S: Final = 60.0
"""Time limit of a batch."""
LOCK_LIMIT_S: Final = 10.0
"""Longest wait of a batch for those of other sidecars."""
IDLE_LIMIT_S: Final = 15.0
"""How long the transaction of a stopped or disconnected sidecar can hold its locks before the
server ends its session.
"""
_RELEASE_S: Final = 1.0
"""Longest wait of `close` for the release of the name; without it the name expires."""
_BEGIN_READ: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
    f"SET LOCAL statement_timeout = {int(READ_LIMIT_S * 500)}; "
    f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_LIMIT_S * 1000)}; "
    # Plan for the actual values: only then does the server skip partitions and choose partial
    # indexes.
    "SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_custom_plan"
)
_SIZE: Final = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
    "WHERE relnamespace = 'sidelog'::regnamespace AND relkind IN ('r', 'm', 'S')"
)


class PostgresStorage(RelationalStorage[PostgresUpkeep]):
    """`storage.base.Storage` over one Postgres database, made by `open`."""

    def __init__(
        self,
        address: Address,
        statement_cache_size: int,
        schema_version: int,
        *,
        durability: Durability,
        readers: int,
        read_budget_s: float,
        lease: Lease | None = None,
    ) -> None:
        super().__init__("postgres", address.location, schema_version)
        self._address = address
        self._statement_cache_size = statement_cache_size
        self._read_budget_s = read_budget_s
        self._lease = lease
        self._begin_write = _begin_write(durability)
        self._begin_delete = f"{self._begin_write}; SELECT pg_advisory_xact_lock({LOCK})"
        self._batches = BatchStore(self._begin_write, is_leased=lease is not None)
        self._names = Names()
        self._known_counts = KnownCounts()
        self._writer = Link(address, statement_cache_size, self._batches.forget)
        self._writing = asyncio.Lock()
        self._readers = [
            Link(address, statement_cache_size, self._names.forget) for _ in range(readers + 1)
        ]
        self._idle: asyncio.LifoQueue[Link] = asyncio.LifoQueue(readers)
        self._idle_urgent: asyncio.LifoQueue[Link] = asyncio.LifoQueue(1)
        """One reader is kept for reads that workers wait for, so that slow answers do not delay
        them.
        """
        for number, reader in enumerate(self._readers):
            (self._idle if number else self._idle_urgent).put_nowait(reader)

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        durability: Durability = "safe",
        readers: int = READERS,
        read_budget_s: float = READ_BUDGET_S,
        is_read_only: bool = False,
        lease: Lease | None = None,
    ) -> Self:
        """Open a database, and create or migrate its schema `sidelog` unless `is_read_only`.

        The caller closes the store.

        Raises:
            StorageUnavailable: It cannot be opened at present.
            StorageMisconfigured: The driver cannot read its address.
            SchemaTooNew: A newer program wrote it.
            SchemaTooOld: An older one did, and it is read-only.
        """
        with translated():
            async with asyncio.timeout(WRITE_LIMIT_S):
                try:
                    connection = await connect(address, statement_cache_size=0)
                except asyncpg.ClientConfigurationError as error:
                    raise StorageMisconfigured(
                        f"the address of the store cannot be used: {error}"
                    ) from error

                try:
                    statement_cache_size = await find_statement_cache_size(connection, address)
                    schema_version = await (check_layout if is_read_only else migrate)(connection)
                    if lease is not None:
                        await lease.take(connection)
                finally:
                    await close(connection)

        return cls(
            address,
            statement_cache_size,
            schema_version,
            durability=durability,
            readers=readers,
            read_budget_s=read_budget_s,
            lease=lease,
        )

    async def commit(self, batch: Batch) -> int:
        if self._lease is not None:
            await self._lease.confirm(self.is_in_place)
        async with self._write_connection() as connection:
            return await self._batches.store(connection, batch)

    async def positions(self, instance: str) -> dict[bytes, Position]:
        return await self._write(lambda session: read_positions(session.connection, instance))

    async def retention(self) -> RetentionState:
        return await self._read(retention)

    async def purge(self, max_rows: int) -> Purged:
        async with self._write_connection() as connection:
            dropped = await drop_day(self._session(connection, math.inf), self._begin_delete)
        if dropped is not None:
            return dropped
        return await self._delete(lambda session: purge(session, WholeTurn(max_rows)))

    async def trim(self, max_rows: int) -> Trimmed:
        return await self._delete(lambda session: trim(session, WholeTurn(max_rows)))

    async def reclaim(self) -> None:
        await self._tidy(reclaim)

    async def is_in_place(self) -> bool:
        if self._lease is not None and self._lease.is_due:
            async with self._write_connection() as connection:
                return bool(await read_version(connection)) and await self._lease.take(connection)
        return True

    async def vacuum(self) -> None:
        await self._tidy(vacuum)

    async def _tidy(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        with translated():
            # Without a limit, on a separate connection, so that it blocks no other work.
            link = Link(self._address, self._statement_cache_size, lambda: None)
            if self._writer.is_closed:
                raise StorageUnavailable("the store is closed")
            try:
                await work(await link.open())
            finally:
                await link.close()

    async def close(self) -> None:
        async with self._writing:
            if self._lease is not None and not self._writer.is_closed:
                with suppress(StorageUnavailable), translated():
                    async with asyncio.timeout(_RELEASE_S):
                        await self._lease.release(await self._writer.open())
            for link in (*self._readers, self._writer):
                await link.close()

    @asynccontextmanager
    async def _write_connection(self) -> AsyncIterator[Connection]:
        with translated():
            async with self._writing, _limited(self._writer, WRITE_LIMIT_S) as connection:
                try:
                    yield connection
                except asyncpg.ReadOnlySQLTransactionError:
                    # A failover made this server a replica: it would answer reads but refuse every
                    # write.
                    for link in (*self._readers, self._writer):
                        link.expire()
                    raise

    async def _write(self, work: Callable[[PostgresUpkeep], Awaitable[T]]) -> T:
        return await self._transact(self._begin_write, work)

    async def _delete(self, work: Callable[[PostgresUpkeep], Awaitable[T]]) -> T:
        return await self._transact(self._begin_delete, work)

    async def _transact(self, begin: str, work: Callable[[PostgresUpkeep], Awaitable[T]]) -> T:
        async with self._write_connection() as connection, transaction(connection, begin):
            return await work(self._session(connection, math.inf))

    async def _read(self, work: Callable[[PostgresUpkeep], Awaitable[T]]) -> T:
        return await self._read_among(self._idle, work)

    async def _read_soon(self, work: Callable[[PostgresUpkeep], Awaitable[T]]) -> T:
        return await self._read_among(self._idle_urgent, work)

    async def _read_among(
        self, links: asyncio.LifoQueue[Link], work: Callable[[PostgresUpkeep], Awaitable[T]]
    ) -> T:
        reader = await links.get()
        try:
            with translated():
                async with (
                    _limited(reader, READ_LIMIT_S) as connection,
                    transaction(connection, _BEGIN_READ),
                ):
                    return await work(self._session(connection, self._read_budget_s))
        finally:
            links.put_nowait(reader)

    async def _erase_slice(self, filter: Filter, from_seq: int) -> Slice:
        return await self._delete(lambda session: erase_slice(session, filter, from_seq))

    async def _size_bytes(self, session: PostgresUpkeep) -> int:
        return int(await session.connection.fetchval(_SIZE))

    def _session(self, connection: Connection, budget_s: float) -> PostgresUpkeep:
        return PostgresUpkeep(connection, self._names, self._known_counts, Budget(budget_s))


@asynccontextmanager
async def _limited(link: Link, seconds: float) -> AsyncIterator[Connection]:
    """Use a link for a limited time; if the server does not answer by then, its connection is
    dropped.
    """
    try:
        async with asyncio.timeout(seconds):
            yield await link.open()
    except TimeoutError:
        link.drop()
        raise


def _begin_write(durability: Durability) -> str:
    text = (
        f"{BEGIN}; SET LOCAL statement_timeout = {int(WRITE_LIMIT_S * 500)}; "
        f"SET LOCAL lock_timeout = {int(LOCK_LIMIT_S * 1000)}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_LIMIT_S * 1000)}; SET LOCAL "
        "jit = off"
    )
    # In safe mode the server's own setting applies: it may be stricter than `on`.
    if durability == "safe":
        return text
    return f"{text}; SET LOCAL synchronous_commit = off"
