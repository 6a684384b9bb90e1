"""The ClickHouse store: batches behind the journal, one after the other, and reads of what it says is committed.

Strategy: a read asks for the newest commits and then reads only rows of theirs, so every answer sees one state of the
store. Four reads run at a time; what workers wait for does not wait behind them. Rollups and the index of words are
made behind the commits; rows that have none yet are counted, and the server looks into their text by itself.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from storage.base import Kept
from storage.clickhouse.address import Address
from storage.clickhouse.answers import NotThere
from storage.clickhouse.cluster.opening import prepare
from storage.clickhouse.cluster.reading import readable
from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.cluster.watching import look
from storage.clickhouse.dictionary import Names
from storage.clickhouse.features import Features, read_features
from storage.clickhouse.layout import check_layout, migrate
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.reads import jobs
from storage.clickhouse.reads.calls import waiting_calls
from storage.clickhouse.reads.segments import KnownOffsets
from storage.clickhouse.reads.session import READ_LIMIT_S, ClickhouseSession
from storage.clickhouse.reads.visible import Commits
from storage.clickhouse.register import keys as kept_keys
from storage.clickhouse.register import meta as kept_values
from storage.clickhouse.register import views as kept_views
from storage.clickhouse.register.lease import Lease
from storage.clickhouse.register.register import Register
from storage.clickhouse.upkeep import erasures, floors, measure, segments, trim
from storage.clickhouse.upkeep.grids import GRID_ROWS, avoid_all
from storage.clickhouse.upkeep.indexing import Indexing
from storage.clickhouse.upkeep.purge import Purge
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.upkeep.sums import Summing, sweep
from storage.clickhouse.writes.batches import BatchStore
from storage.clickhouse.writes.group import Turn
from storage.errors import StorageUnavailable
from storage.keys import ApiKey
from storage.purge import Erased, Purged, RetentionState, Slice, SumStep, TextIndex, TextStep, Trimmed
from storage.query import Filter, Replica
from storage.record import Batch, Job, Position, ToolCall
from storage.relational.facet_counts import KnownCounts
from storage.relational.slices import Range
from storage.relational.store import RelationalStorage
from storage.relational.writes.keepsake import KEEPSAKE, Keepsake

T = TypeVar("T")
P = ParamSpec("P")

READERS: Final = 4
READ_BUDGET_S: Final = 2.0
"""More than that of other stores: each statement takes some 5 ms before it begins."""
_RELEASE_S: Final = 1.0
_ANY_UP_TO: Final = "SELECT 1 FROM commits WHERE first_seq <= $1 LIMIT 1"
_SIZE: Final = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase()"


def _registered(
    work: Callable[Concatenate[Register, P], Awaitable[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Make the method that does a piece of work with the register."""

    async def method(self: "ClickhouseStorage", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await work(self._register, *args, **kwargs)

    return method


class ClickhouseStorage(RelationalStorage[ClickhouseSession]):
    """`storage.base.Storage` over one ClickHouse database. Made by `open`, which returns it ready."""

    def __init__(
        self,
        link: Link,
        features: Features,
        layout: int,
        *,
        read_budget_s: float,
        grid_rows: int,
        lease: Lease | None = None,
    ) -> None:
        super().__init__("clickhouse", link.address.location, layout)
        self._link = link
        self._read_budget_s = read_budget_s
        self._lease = lease
        self._batches = BatchStore(link, features)
        self._keepsake = Keepsake()
        self._seen_seq = 0
        self._register = Register(link)
        self._writing = asyncio.Lock()
        self._reading = asyncio.Semaphore(READERS)
        self._commits = Commits()
        self._names = Names()
        self._known_counts = KnownCounts()
        self._known_offsets = KnownOffsets()
        self._grid_rows = grid_rows
        self._summing = Summing(link, features, grid_rows)
        self._indexing = Indexing()
        self._text_index: TextIndex | None = None
        """As of the last step."""
        self._purge = Purge(link, self._change)

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        read_budget_s: float = READ_BUDGET_S,
        is_read_only: bool = False,
        grid_rows: int = GRID_ROWS,
        lease: Lease | None = None,
    ) -> Self:
        """Open a database, making or bringing up to date its tables; read-only, they stay as they are.

        The caller closes the store.

        Raises:
            StorageUnavailable: It cannot be opened at present.
            SchemaTooNew: A newer program wrote it.
            SchemaTooOld: An older one did, and it was to be read only.
        """
        link = (ClusterLink if address.cluster else Link)(address, is_read_only=is_read_only)
        try:
            if isinstance(link, ClusterLink):
                layout = await prepare(link, is_read_only=is_read_only)
            else:
                layout = await (check_layout if is_read_only else migrate)(link)
            features = await read_features(link)
            if lease is not None:
                await lease.take(link)
        except BaseException:
            await link.close()
            raise
        return cls(link, features, layout, read_budget_s=read_budget_s, grid_rows=grid_rows, lease=lease)

    async def commit(self, batch: Batch) -> int:
        if self._lease is not None:
            await self._lease.confirm(self.is_in_place)
        async with self._writing:
            last_seq = await self._batches.store(batch)
        self._keepsake.note_commit(batch, last_seq)
        self._indexing.add_stored(batch.entries)
        return last_seq

    async def positions(self, instance: str) -> dict[bytes, Position]:
        async with self._writing:
            found = await self._batches.positions(instance)
        self._keepsake.note_positions(instance, found)
        return found

    async def keys(self) -> list[ApiKey]:
        self._keepsake.keys = await kept_keys.read_keys(self._register)
        return self._keepsake.keys

    key_version = _registered(kept_keys.key_version)
    create_key = _registered(kept_keys.create_key)
    update_key = _registered(kept_keys.update_key)
    delete_key = _registered(kept_keys.delete_key)
    touch_keys = _registered(kept_keys.touch_keys)
    meta = _registered(kept_values.read_meta)
    put_meta = _registered(kept_values.put_meta)
    views = _registered(kept_views.read_views)
    put_view = _registered(kept_views.put_view)
    delete_view = _registered(kept_views.delete_view)

    async def add_sums(self) -> SumStep:
        if not self._summing.is_due:
            return SumStep(0, is_done=True)
        server, known = await readable(self._link, self._commits)
        step = await self._summing.step(known, server)
        if not step.is_done:
            self._commits.forget_made()
        return step

    async def index_text(self) -> TextStep:
        if await self._indexing.prepare():
            return TextStep(0, is_done=False)
        if not self._indexing.is_due:
            return TextStep(0, is_done=True)
        step = await self._indexing.step(await self._session())
        if step.records:
            self._commits.forget_made()
        self._text_index = None
        return step

    async def drop_text_index(self) -> TextStep:
        self._indexing.forget_stored()
        if self._indexing.is_due:
            self._indexing.rest()
            if await segments.read_noted(self._link):
                await segments.forget_all(self._link)
        return TextStep(0, is_done=True)  # the server does it by itself

    async def text_index(self) -> TextIndex:
        # Asked every second, by each sidecar of a fleet.
        if self._text_index is None:
            self._text_index = await self._read_text_index()
        return self._text_index

    async def _read_text_index(self) -> TextIndex:
        _, known = await readable(self._link, self._commits)
        shown = Range(known.upkeep.purged_through_seq + 1, known.last_seq)
        indexed = sum(Range(max(one.first_seq, shown.first), one.last_seq).size for one in known.segments)
        return TextIndex(waiting=max(0, shown.size - indexed), size_bytes=sum(one.size_bytes for one in known.segments))

    async def waiting_calls(self, instance: str) -> list[ToolCall]:
        return await self._read_soon(lambda session: waiting_calls(session, instance))

    async def jobs(self, limit: int) -> list[Job]:
        return await self._read_soon(lambda session: jobs.jobs(session, limit))

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        return await self._read(lambda session: jobs.answers_of(session, record_id))

    async def replicas(self) -> list[Replica]:
        return await look(self._link) if isinstance(self._link, ClusterLink) else []

    async def retention(self) -> RetentionState:
        return await self._read(lambda session: measure.retention(session.link, session))

    async def raise_floors(self, purge_floor_us: int, body_floor_us: int) -> None:
        await self._change(lambda upkeep: floors.raised(upkeep, purge_floor_us, body_floor_us))

    async def lower_floors(self, purge_floor_us: int, body_floor_us: int) -> None:
        # What was deleted below them is in sums, which showed only what is above.
        await self._change(
            lambda upkeep: floors.lowered(upkeep, purge_floor_us, body_floor_us),
            lambda turn: avoid_all(self._link, turn.erasures),
        )

    async def purge(self, max_rows: int) -> Purged:
        purged = await self._read(lambda session: self._purge.purge(session, max_rows))
        if purged.is_done:
            await self._sweep()
        return purged

    async def trim(self, max_rows: int, goal_bytes: int | None = None) -> Trimmed:
        return await self._read(lambda session: trim.trim(session, self._change, max_rows))

    async def erase(self, filter: Filter) -> Erased:
        erased = await super().erase(filter)
        if erased.exchanges or erased.events:
            await erasures.take_out(self._link)
        return replace(erased, is_finished=not await self.erasing())

    async def erasing(self) -> int:
        return await erasures.finish(self._link)

    async def _erase_slice(self, filter: Filter, from_seq: int) -> Slice:
        found, seqs = await self._read(lambda session: erasures.find_slice(session.limited(math.inf), filter, from_seq))
        if seqs:
            await self._change(
                lambda upkeep: upkeep._replace(erasures=upkeep.erasures + 1),
                lambda turn: erasures.hide(self._link, seqs, turn.erasures, self._grid_rows),
            )
        return found

    async def reclaim(self) -> None:
        await self._read(lambda session: trim.give_back(session.link, session))
        await self._sweep()

    async def _sweep(self) -> None:
        server, known = await readable(self._link, self._commits)
        upkeep = known.upkeep
        copies = self._link.copies if isinstance(self._link, ClusterLink) else None
        await sweep(server, upkeep.purge_floor_us, upkeep.purged_through_seq, copies)
        await segments.sweep(server, upkeep)

    async def vacuum(self) -> None:
        pass  # the server merges parts by itself

    async def _change(
        self, change: Callable[[Upkeep], Upkeep], insert: Callable[[Turn], Awaitable[None]] | None = None
    ) -> None:
        async with self._writing:
            await self._batches.journal.change(change, insert)

    async def is_in_place(self) -> bool:
        if self._lease is not None and self._lease.is_due:
            await self._lease.take(self._link)
        # What was committed before the last look is not purged at once; what follows goes on behind it, emptied or not.
        seen_seq, self._seen_seq = self._seen_seq, self._keepsake.last_seq
        try:
            is_there = not seen_seq or bool(await self._link.fetch(_ANY_UP_TO, (seen_seq,), limit_s=LIMIT_S))
        except NotThere:
            is_there = False
        self._keepsake.is_emptied = not is_there
        return is_there

    async def kept(self) -> Kept:
        return {KEEPSAKE: [(self._keepsake,)]}

    async def keep(self, kept: Kept) -> int:
        [(before,)] = kept[KEEPSAKE]
        assert isinstance(before, Keepsake)
        lost = before.lost_records(await self.positions(before.instance))
        if before.is_emptied:
            lost = max(0, before.lost_records({}) - (await self.info()).rows)
        with suppress(StorageUnavailable):  # with its tables truncated and its views left, the register cannot change
            await before.restore_keys(self)
        await self.commit(Batch(before.instance, [], before.positions))
        return lost

    async def close(self) -> None:
        async with self._writing:
            if not self._link.is_closed:
                await self._batches.close()
                if self._lease is not None:
                    with suppress(StorageUnavailable, TimeoutError):
                        async with asyncio.timeout(_RELEASE_S):
                            await self._lease.release(self._link)
            await self._link.close()

    async def _read(self, work: Callable[[ClickhouseSession], Awaitable[T]]) -> T:
        async with self._reading:
            return await work(await self._session())

    async def _read_soon(self, work: Callable[[ClickhouseSession], Awaitable[T]]) -> T:
        return await work(await self._session())

    async def _write(self, work: Callable[[ClickhouseSession], Awaitable[T]]) -> T:
        async with self._writing:
            return await work(await self._session())

    async def _size_bytes(self, session: ClickhouseSession) -> int:
        [(size_bytes,)] = await self._link.fetch(_SIZE, limit_s=READ_LIMIT_S)
        return int(size_bytes)

    async def _session(self) -> ClickhouseSession:
        return await ClickhouseSession.begin(
            self._link, self._commits, self._names, self._known_counts, self._known_offsets, self._read_budget_s
        )
