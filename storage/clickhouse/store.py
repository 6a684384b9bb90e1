"""The ClickHouse store: a commit is one insert of one block, and reads are plain statements over
one table.

Strategy: writers do not wait for each other; each has numbers of its own (`numbers`, `writes`), and
`last_seq` is the number up to which all of them have stored (`reads.prefix`). `READERS` reads run
at a time; reads that workers wait for are not queued behind them.
"""

import asyncio
import math
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Concatenate, Final, ParamSpec, Self, TypeVar

from msgspec import structs

from storage.base import READERS, Prepared
from storage.clickhouse.cluster import Shards, open_shards
from storage.clickhouse.reads.prefix import Prefix
from storage.clickhouse.reads.session import ClickhouseSession
from storage.clickhouse.register import keys as kept_keys
from storage.clickhouse.register import values as kept_values
from storage.clickhouse.register.register import Register
from storage.clickhouse.replicas import all_whole, look
from storage.clickhouse.upkeep.erase import delete_erased, erase_slice
from storage.clickhouse.upkeep.purge import Purge, size_bytes
from storage.clickhouse.upkeep.purge import retention as read_retention
from storage.clickhouse.upkeep.state import Upkeep, change_upkeep, read_upkeep
from storage.clickhouse.upkeep.trim import reclaim, trim
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.answers import Away, NotThere
from storage.clickhouse.wire.link import RECORDS
from storage.clickhouse.writes.batches import BatchStore
from storage.clickhouse.writes.lanes import Lanes
from storage.clickhouse.writes.slots import Slots
from storage.errors import StorageUnavailable
from storage.purge import Erased, Purged, RetentionState, Slice, TextIndex, TextStep, Trimmed
from storage.query import Filter, Page, RecordQuery, Replica
from storage.record import Batch, Entry, Position
from storage.relational.facet_counts import KnownCounts
from storage.relational.reads.page import read_page
from storage.relational.store import Answers, RelationalStorage

T = TypeVar("T")
P = ParamSpec("P")

READ_BUDGET_S: Final = 2.0
"""Longer than for other stores: each statement takes about 5 ms before it begins."""
_ANY_UP_TO: Final = "SELECT seq FROM records WHERE seq <= $1 LIMIT 1"


def _registered(
    work: Callable[Concatenate[Register, P], Awaitable[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Make a method of a function on the register."""

    async def method(self: "ClickhouseStorage", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await work(self._register, *args, **kwargs)

    return method


async def followed_page(session: ClickhouseSession, query: RecordQuery) -> Page:
    """Read a page. Reading in the order of numbers waits for a shard that is away, so as to miss
    nothing.

    Raises:
        StorageUnavailable: A shard is away, and the page is in that order.
    """
    if session.is_partial and query.order == "asc" and query.by == "seq":
        raise StorageUnavailable(
            "clickhouse: a shard is away; reading on from a cursor waits until it is back"
        )
    return await read_page(session, query)


class ClickhouseStorage(RelationalStorage[ClickhouseSession]):
    """`storage.base.Storage` over one ClickHouse database, made by `open`."""

    has_late_prefix = True
    _answers: ClassVar[Answers] = {**RelationalStorage._answers, RecordQuery: followed_page}

    def __init__(self, shards: Shards, *, read_budget_s: float, holder: str) -> None:
        super().__init__("clickhouse", shards.reads.address.location, shards.layout.number)
        self._shards = shards
        self._link = shards.reads
        self._read_budget_s = read_budget_s
        links = shards.links
        server = shards.server
        delay_ms = shards.layout.order_delay_ms
        self._register = Register(links[0], server)
        lanes = Lanes(self._link, server, self._register, len(links))
        if holder:
            number = zlib.crc32(holder.encode()) >> 1
        else:
            number = 0
        self._batches = BatchStore(
            lambda instance: Slots(links, server, lanes, delay_ms, instance, number)
        )
        self._purge = Purge(shards, self._register)
        self._prefix = Prefix(links, server, delay_ms)
        self._known_counts = KnownCounts()
        self._seen_seq = 0
        self._writing = asyncio.Lock()
        self._reading = asyncio.Semaphore(READERS)

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        read_budget_s: float = READ_BUDGET_S,
        is_read_only: bool = False,
        order_delay_ms: int | None = None,
        holder: str = "",
        instance: str = "",
    ) -> Self:
        """Open a database, and create its tables unless read-only.

        The caller closes the store.

        Args:
            address: Address of the servers.
            read_budget_s: Time limit of a read.
            is_read_only: Whether nothing is changed.
            order_delay_ms: How late an insert may be, for tables that are created now; None: as in the address.
            holder: Identifies this sidecar among others of its name, kept over restarts; empty: not checked.
            instance: Name of this sidecar; it is claimed at once if `holder` is given.

        Raises:
            StorageUnavailable: It cannot be opened at present.
            StorageMisconfigured: The address does not match its cluster.
            SchemaTooNew: A newer program wrote it.
            SchemaTooOld: An older one did, and it is read-only.
        """
        if order_delay_ms is None:
            delay_ms = address.order_delay_ms
        else:
            delay_ms = order_delay_ms
        shards = await open_shards(address, is_read_only=is_read_only, order_delay_ms=delay_ms)

        store = cls(shards, read_budget_s=read_budget_s, holder=holder)
        try:
            if not is_read_only:
                await store._register.check_tokens()
            if holder:
                with suppress(
                    Away
                ):  # only its shard is away: the name is checked before the first write
                    await store.positions(instance)
        except BaseException:
            await shards.close()
            raise

        return store

    async def prepare(self, entries: Sequence[Entry]) -> Prepared:
        return Prepared()  # the server builds its index itself

    async def commit(self, batch: Batch) -> int:
        async with self._writing:
            last_seq = await self._batches.store(batch)
        # Also note the first commit, which a store may lose before the next check.
        self._seen_seq = self._seen_seq or self._batches.newest_seq
        return last_seq

    async def positions(self, instance: str) -> dict[bytes, Position]:
        async with self._writing:
            return await self._batches.positions(instance)

    async def last_seq(self) -> int:
        return await self._prefix.end()

    async def replicas(self) -> list[Replica]:
        if self._link.address.cluster:
            each = await self._shards.on_each(look)
        else:
            each = []
        return [replica for shard in each for replica in shard]

    async def index_text(self) -> TextStep:
        return TextStep(0, is_done=True)  # the server does it by itself

    async def text_index(self) -> TextIndex:
        return TextIndex(0, 0)

    async def retention(self) -> RetentionState:
        return await read_retention(
            self._shards, await read_upkeep(self._register), await self.last_seq()
        )

    async def move_floors(
        self, purge_floor_us: int, body_floor_us: int, *, down: bool = False
    ) -> None:
        move = Upkeep.lowered if down else Upkeep.raised
        await change_upkeep(
            self._register, lambda upkeep: move(upkeep, purge_floor_us, body_floor_us)
        )

    async def purge(self, max_rows: int) -> Purged:
        return await self._purge.purge(await self.last_seq(), max_rows)

    async def trim(self, max_rows: int) -> Trimmed:
        return await trim(self._shards, self._register, max_rows)

    async def reclaim(self) -> None:
        await reclaim(self._shards, self._register)

    async def vacuum(self) -> None:
        await self.reclaim()  # the server merges parts by itself

    async def erase(self, filter: Filter) -> Erased:
        through_seq = await self.last_seq()
        # A replica that lags would miss records to erase, and their calls that came with others.
        await self._shards.on_each(lambda link: all_whole(link, RECORDS))
        # Rows above the stable prefix are visible, so they are erased as well.
        newest = (await (await self._session(math.inf)).state()).last_seq
        erased = await self._erase_through(filter, newest)
        return replace(erased, through_seq=through_seq, is_finished=not await self.erasing())

    async def erasing(self) -> int:
        server = self._shards.server
        return sum(await self._shards.on_each(lambda link: delete_erased(link, server)))

    async def _erase_slice(self, filter: Filter, from_seq: int) -> Slice:
        session = await self._session(math.inf)
        if session.is_partial:
            raise StorageUnavailable(
                "clickhouse: a shard is away; nothing is erased until it is back"
            )
        try:
            return await erase_slice(self._shards, session, filter, from_seq)
        finally:
            # This invalidates remembered counts, also those of reads that ran during the erasure.
            await change_upkeep(
                self._register,
                lambda upkeep: structs.replace(upkeep, erasures=upkeep.erasures + 1),
            )

    keys = _registered(kept_keys.read_keys)
    key_version = _registered(kept_keys.key_version)
    create_key = _registered(kept_keys.create_key)
    update_key = _registered(kept_keys.update_key)
    delete_key = _registered(kept_keys.delete_key)
    touch_keys = _registered(kept_keys.touch_keys)
    meta = _registered(kept_values.read_meta)
    put_meta = _registered(kept_values.put_meta)
    views = _registered(kept_values.read_views)
    put_view = _registered(kept_values.put_view)
    delete_view = _registered(kept_values.delete_view)

    async def is_in_place(self) -> bool:
        await self._shards.make_missing()
        if not self._writing.locked():  # else it is not idle
            async with self._writing:
                await self._batches.keep()
        # Days with the newest positions of a sidecar are never dropped, so if no row up to there is
        # left, the table was emptied. Later rows would not show it.
        seen_seq = self._seen_seq
        self._seen_seq = self._batches.newest_seq
        try:
            return not seen_seq or bool(await self._link.fetch(_ANY_UP_TO, (seen_seq,)))
        except NotThere:
            return False

    async def close(self) -> None:
        async with self._writing:
            await self._shards.close()

    async def _read(self, work: Callable[[ClickhouseSession], Awaitable[T]]) -> T:
        async with self._reading:
            return await self._read_soon(work)

    async def _read_soon(self, work: Callable[[ClickhouseSession], Awaitable[T]]) -> T:
        session = await self._session(self._read_budget_s)
        answer = await work(session)
        if session.is_partial:
            return without_a_shard(answer)
        return answer

    async def _write(self, work: Callable[[ClickhouseSession], Awaitable[T]]) -> T:
        raise AssertionError("bug: a shared write met ClickHouse")

    async def _size_bytes(self, session: ClickhouseSession) -> int:
        return await size_bytes(self._shards)

    async def _session(self, budget_s: float) -> ClickhouseSession:
        return await ClickhouseSession.begin(
            self._link, self._known_counts, budget_s, len(self._shards.links)
        )


def without_a_shard(answer: T) -> T:
    """Return an answer marked as incomplete.

    Raises:
        StorageUnavailable: The answer is None, but the missing shard may have another one.
    """
    if answer is None:
        raise StorageUnavailable("clickhouse: a shard is away that may have the record")
    lacking: dict[str, Any] = {
        name: False for name in ("complete", "exact") if hasattr(answer, name)
    }
    return replace(answer, **lacking) if lacking else answer  # type: ignore[type-var]
