"""The Postgres store: one write connection, and a few read connections beside it.

Strategy: batches, positions and changes of keys run one after the other on the write connection. Everything else is
read on at most four other connections, each answer in one read-only transaction that sees one state of the store. All
connections come back by themselves; what was learned over an old one is forgotten.

Invariant: no statement runs without a time limit on the server, no call without one here, and no session holds the
counter's lock while its sidecar does not answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeVar

import asyncpg

from storage.aggregates import FacetValue, Histogram, Summary
from storage.errors import StorageMisconfigured, StorageUnavailable
from storage.keys import ApiKey, KeyChanges, KeyUpdate
from storage.postgres import by_id, keys, purge, read, tools, totals
from storage.postgres.connection import (
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
from storage.postgres.dictionary import Names
from storage.postgres.erase import erase_slice
from storage.postgres.facets import facets
from storage.postgres.histogram import histogram
from storage.postgres.meta import put_meta, read_meta
from storage.postgres.notices import notify
from storage.postgres.schema import check_layout, migrate
from storage.postgres.state import read_state
from storage.postgres.summary import summary
from storage.postgres.write import BatchStore, read_positions
from storage.purge import Erased, Purged, RetentionState, bounded
from storage.query import Count, Durability, Filter, Page, RecordQuery, Scope, Stats, StorageInfo
from storage.record import Batch, Payload, Position, Record, ToolCall
from storage.relational.facet_counts import KnownCounts
from storage.relational.tally import check_names
from storage.tools import ToolFilter, ToolPage, ToolQuery, ToolStats, ToolValues

T = TypeVar("T")

READERS: Final = 4
READ_BUDGET_S: Final = 1.0
READ_LIMIT_S: Final = 15.0
"""How long one answer may take in all: beyond, the server is taken for hung."""
WRITE_LIMIT_S: Final = 60.0
"""The same for a batch."""
LOCK_LIMIT_S: Final = 10.0
"""How long a batch waits for those of other sidecars."""
IDLE_LIMIT_S: Final = 15.0
"""How long a sidecar that was stopped, or cut off, may keep the others waiting: then the server ends its session."""

_SIZE: Final = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
    "WHERE relnamespace = 'sidelog'::regnamespace AND relkind IN ('r', 'm', 'S')"
)


class PostgresStorage:
    """`storage.base.Storage` over one Postgres database. Made by `open`, which returns it ready."""

    def __init__(
        self,
        address: Address,
        statement_cache_size: int,
        schema_version: int,
        *,
        durability: Durability,
        readers: int,
        read_budget_s: float,
        lock_limit_s: float,
        notify_as: str,
    ) -> None:
        self._address = address
        self._statement_cache_size = statement_cache_size
        self._schema_version = schema_version
        self._read_budget_s = read_budget_s
        self._begin_write = _begin_write(durability, lock_limit_s)
        self._begin_read = _begin_read()

        self._batches = BatchStore(notify(self._begin_write, notify_as) if notify_as else self._begin_write)
        self._names = Names()
        self._known = KnownCounts()
        self._writer = Link(address, statement_cache_size, self._batches.forget)
        self._writing = asyncio.Lock()
        self._readers = [Link(address, statement_cache_size, self._names.forget) for _ in range(readers)]
        self._idle: asyncio.LifoQueue[Link] = asyncio.LifoQueue(readers)
        for reader in self._readers:
            self._idle.put_nowait(reader)
        self._attentive: asyncio.LifoQueue[Link] = asyncio.LifoQueue(1)
        """One more reader, for what workers wait for: never behind a slow answer."""
        self._readers.append(Link(address, statement_cache_size, self._names.forget))
        self._attentive.put_nowait(self._readers[-1])

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        durability: Durability = "safe",
        readers: int = READERS,
        read_budget_s: float = READ_BUDGET_S,
        lock_limit_s: float = LOCK_LIMIT_S,
        is_read_only: bool = False,
        notify_as: str = "",
    ) -> Self:
        """Open a database, making or bringing up to date its schema `sidelog`; read-only, that stays as it is.

        The caller closes the store. With `notify_as` others are told of commits in that name (`notices.py`).

        Raises:
            StorageUnavailable: It cannot be opened at present.
            StorageMisconfigured: The driver cannot read its address.
            SchemaTooNew: A newer program wrote it.
            SchemaTooOld: An older one did, and it was to be read only.
        """
        with translated():
            async with asyncio.timeout(WRITE_LIMIT_S):
                try:
                    connection = await connect(address, statement_cache_size=0)
                except asyncpg.ClientConfigurationError as error:
                    raise StorageMisconfigured(f"the address of the store cannot be used: {error}") from error
                try:
                    statement_cache_size = await find_statement_cache_size(connection, address)
                    schema_version = await (check_layout if is_read_only else migrate)(connection)
                finally:
                    await close(connection)
        return cls(
            address,
            statement_cache_size,
            schema_version,
            durability=durability,
            readers=readers,
            read_budget_s=read_budget_s,
            lock_limit_s=lock_limit_s,
            notify_as=notify_as,
        )

    async def commit(self, batch: Batch) -> int:
        """See `storage.base.Storage.commit`."""
        async with self._write_connection() as connection:
            return await self._batches.store(connection, batch)

    async def positions(self, instance: str) -> dict[bytes, Position]:
        """See `storage.base.Storage.positions`."""
        return await self._write(lambda connection: read_positions(connection, instance))

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
        return await self._read(lambda connection, budget: tools.waiting_calls(connection, instance))

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        """See `storage.tools.ToolStorage.tool_calls_of`."""
        return await self._read(lambda connection, budget: tools.tool_calls_of(connection, record_seq, self._names))

    async def get(self, record_id: bytes) -> Record | None:
        """See `storage.base.Storage.get`."""
        return await self._read(lambda connection, budget: read.get(connection, record_id, self._names))

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """See `storage.base.Storage.payloads`."""
        return await self._read(lambda connection, budget: read.payloads(connection, seqs))

    async def retention(self) -> RetentionState:
        """See `storage.base.Storage.retention`."""
        return await self._read(lambda connection, budget: purge.retention(connection))

    async def raise_floors(self, purge_floor_us: int, body_floor_us: int) -> None:
        """See `storage.base.Storage.raise_floors`."""
        await self._write(lambda connection: purge.raise_floors(connection, purge_floor_us, body_floor_us))

    async def purge(self, max_rows: int) -> Purged:
        """See `storage.base.Storage.purge`."""
        async with self._write_connection() as connection:
            return await purge.purge(connection, self._begin_write, max_rows)

    async def vacuum(self) -> None:
        """See `storage.base.Storage.vacuum`."""
        with translated():
            # On a connection of its own, and without a limit: it takes as long as it takes, in nobody's way.
            link = Link(self._address, self._statement_cache_size, lambda: None)
            if self._writer.is_closed:
                raise StorageUnavailable("the store is closed")
            try:
                await purge.vacuum(await link.open())
            finally:
                await link.close()

    async def erase(self, filter: Filter) -> Erased:
        """See `storage.base.Storage.erase`."""
        through_seq = await self.last_seq()
        filter = bounded(filter, through_seq)
        exchanges = events = 0
        next_seq: int | None = 0
        while next_seq is not None:
            async with self._write_connection() as connection:
                done = await erase_slice(connection, self._begin_write, filter, next_seq, self._names)
            exchanges += done.exchanges
            events += done.events
            next_seq = done.next_seq
        return Erased(exchanges, events, through_seq)

    async def last_seq(self) -> int:
        """See `storage.base.Storage.last_seq`."""
        return await self._read(lambda connection, budget: read.last_seq(connection))

    async def keys(self) -> list[ApiKey]:
        """See `storage.base.Storage.keys`."""
        return await self._read(lambda connection, budget: keys.read_keys(connection), self._attentive)

    async def key_version(self) -> int:
        """See `storage.base.Storage.key_version`."""
        return await self._read(lambda connection, budget: keys.read_version(connection), self._attentive)

    async def create_key(self, key: ApiKey) -> None:
        """See `storage.base.Storage.create_key`."""
        await self._write(lambda connection: keys.create(connection, key))

    async def update_key(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        """See `storage.base.Storage.update_key`."""
        return await self._write(lambda connection: keys.update(connection, key_id, changes))

    async def delete_key(self, key_id: str, at_us: int) -> KeyUpdate | None:
        """See `storage.base.Storage.delete_key`."""
        return await self._write(lambda connection: keys.delete(connection, key_id, at_us))

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        """See `storage.base.Storage.touch_keys`."""
        await self._write(lambda connection: keys.touch(connection, uses))

    async def meta(self, name: str) -> str | None:
        """See `storage.base.Storage.meta`."""
        return await self._read(lambda connection, budget: read_meta(connection, name))

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        """See `storage.base.Storage.put_meta`."""
        return await self._write(lambda connection: put_meta(connection, name, value, replace=replace))

    async def info(self) -> StorageInfo:
        """See `storage.base.Storage.info`."""
        return await self._read(self._info)

    async def close(self) -> None:
        """See `storage.base.Storage.close`."""
        async with self._writing:
            for link in (*self._readers, self._writer):
                await link.close()

    async def __aenter__(self) -> Self:
        """See `storage.base.Storage`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """See `storage.base.Storage`."""
        await self.close()

    @asynccontextmanager
    async def _write_connection(self) -> AsyncIterator[Connection]:
        with translated():
            async with self._writing, _limited(self._writer, WRITE_LIMIT_S) as connection:
                yield connection

    async def _write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._write_connection() as connection, transaction(connection, self._begin_write):
            return await work(connection)

    async def _read(
        self, work: Callable[[Connection, Budget], Awaitable[T]], among: asyncio.LifoQueue[Link] | None = None
    ) -> T:
        links = self._idle if among is None else among
        reader = await links.get()
        try:
            with translated():
                async with (
                    _limited(reader, READ_LIMIT_S) as connection,
                    transaction(connection, self._begin_read),
                ):
                    return await work(connection, Budget(self._read_budget_s))
        finally:
            links.put_nowait(reader)

    async def _info(self, connection: Connection, budget: Budget) -> StorageInfo:
        state = await read_state(connection)
        return StorageInfo(
            backend="postgres",
            location=self._address.location,
            schema_version=self._schema_version,
            rows=await totals.rows_total(connection, state),
            last_seq=state.last_seq,
            size_bytes=int(await connection.fetchval(_SIZE)),
        )


@asynccontextmanager
async def _limited(link: Link, seconds: float) -> AsyncIterator[Connection]:
    """Use a link for so long at most; a server that does not answer by then loses the connection."""
    try:
        async with asyncio.timeout(seconds):
            yield await link.open()
    except TimeoutError:
        link.drop()
        raise


def _begin_write(durability: Durability, lock_limit_s: float) -> str:
    text = (
        f"BEGIN; SET LOCAL statement_timeout = {int(WRITE_LIMIT_S * 500)}; "
        f"SET LOCAL lock_timeout = {int(lock_limit_s * 1000)}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_LIMIT_S * 1000)}; SET LOCAL jit = off"
    )
    # In safe mode the server's own setting holds: it may be stricter than `on`.
    return text if durability == "safe" else f"{text}; SET LOCAL synchronous_commit = off"


def _begin_read() -> str:
    # Plans are made for the values at hand: only then are partitions left out and partial indexes chosen.
    return (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
        f"SET LOCAL statement_timeout = {int(READ_LIMIT_S * 500)}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_LIMIT_S * 1000)}; "
        "SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_custom_plan"
    )
