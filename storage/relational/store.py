"""The storage contract over SQL: every read, and the changes that are the same in all databases.

A backend says how a piece of work gets its session, and how batches, retention and erasure are written.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from storage.aggregates import MAX_FACET_VALUES, FacetValue, HeatMap, Histogram, Summary, Top, TopSeries
from storage.conversations import ConversationPage, ConversationQuery
from storage.keys import ApiKey, KeyChanges, KeyUpdate
from storage.purge import Erased, Slice, SumStep, TextIndex, TextStep, bounded
from storage.query import Count, Filter, Page, RecordQuery, Replica, Scope, Stats, StorageInfo
from storage.record import Job, Payload, Record, ToolCall
from storage.relational.reads import (
    conversations,
    facets,
    groups,
    histogram,
    jobs,
    keys,
    page,
    series,
    summary,
    tools,
    top,
    totals,
    views,
)
from storage.relational.reads.text_index.build import TextIndexer
from storage.relational.reads.text_index.tables import describe, drop_some
from storage.relational.session import Session
from storage.relational.tally import check_names
from storage.search.cell import is_cell_field
from storage.search.view import PutView, View
from storage.tools import ToolFilter, ToolPage, ToolQuery, ToolStats, ToolValues

S = TypeVar("S", bound=Session)
T = TypeVar("T")


class RelationalStorage(ABC, Generic[S]):
    """What `storage.base.Storage` and the protocols beside it ask for, as far as databases do not differ."""

    def __init__(self, backend: str, location: str, schema_version: int) -> None:
        self._backend = backend
        self._location = location
        self._schema_version = schema_version
        self._indexer = TextIndexer(lambda work: self._read(work), lambda work: self._write(work))

    @abstractmethod
    async def _read(self, work: Callable[[S], Awaitable[T]]) -> T:
        """Do work in a transaction that sees one state of the store."""

    @abstractmethod
    async def _read_soon(self, work: Callable[[S], Awaitable[T]]) -> T:
        """Do the same, never behind slow reads: workers wait for it."""

    @abstractmethod
    async def _write(self, work: Callable[[S], Awaitable[T]]) -> T:
        """Do work in a transaction of the one writer."""

    @abstractmethod
    async def _erase_slice(self, filter: Filter, from_seq: int) -> Slice:
        """Erase the first records of a filter from a `seq` on, in a transaction."""

    @abstractmethod
    async def _size_bytes(self, session: S) -> int:
        """Measure the space taken."""

    @abstractmethod
    async def close(self) -> None:
        """Give back connections and threads."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()

    async def select(self, query: RecordQuery) -> Page:
        return await self._read(lambda session: page.read_page(session, query))

    async def get(self, record_id: bytes) -> Record | None:
        return await self._read(lambda session: page.read_record(session, record_id))

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        return await self._read(lambda session: page.read_payloads(session, seqs))

    async def count(self, filter: Filter) -> Count:
        return await self._read(lambda session: totals.count(session, filter))

    async def stats(self, scope: Scope) -> Stats:
        return await self._read(lambda session: totals.stats(session, scope))

    async def facets(
        self, filter: Filter, names: Sequence[str], *, limit: int = MAX_FACET_VALUES
    ) -> dict[str, list[FacetValue]]:
        check_names(names)
        return await self._read(lambda session: facets.facets(session, filter, names, limit))

    async def histogram(self, filter: Filter, since_us: int, until_us: int, buckets: int) -> Histogram:
        return await self._read(lambda session: histogram.histogram(session, filter, since_us, until_us, buckets))

    async def heatmap(self, filter: Filter, since_us: int, until_us: int, columns: int, rows: int) -> HeatMap:
        return await self._read(lambda session: histogram.heatmap(session, filter, since_us, until_us, columns, rows))

    async def summary(self, filter: Filter, *, only_totals: bool = False) -> Summary:
        return await self._read(lambda session: summary.summary(session, filter, only_totals=only_totals))

    async def top(self, filter: Filter, by: str) -> Top:
        if is_cell_field(by):
            return await self._read(lambda session: groups.groups(session, filter, by))
        return await self._read(lambda session: top.top(session, filter, by))

    async def top_series(self, filter: Filter, by: str, since_us: int, until_us: int, buckets: int) -> TopSeries:
        return await self._read(lambda session: series.series(session, filter, by, since_us, until_us, buckets))

    async def tool_calls(self, query: ToolQuery) -> ToolPage:
        return await self._read(lambda session: tools.tool_calls(session, query))

    async def tool_stats(self, filter: ToolFilter) -> ToolStats:
        return await self._read(lambda session: tools.tool_stats(session, filter))

    async def tool_values(self, scope: Scope) -> ToolValues:
        return await self._read(lambda session: tools.tool_values(session, scope))

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        return await self._read(lambda session: tools.tool_call(session, record_id, position))

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        return await self._read(lambda session: tools.tool_calls_of(session, record_seq))

    async def conversations(self, query: ConversationQuery) -> ConversationPage:
        return await self._read(lambda session: conversations.read_conversations(session, query))

    async def waiting_calls(self, instance: str) -> list[ToolCall]:
        return await self._read_soon(lambda session: tools.waiting_calls(session, instance))

    async def jobs(self, limit: int) -> list[Job]:
        return await self._read_soon(lambda session: jobs.jobs(session, limit))

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        return await self._read(lambda session: jobs.answers_of(session, record_id))

    async def last_seq(self) -> int:
        return (await self._read(lambda session: session.state())).last_seq

    async def erase(self, filter: Filter) -> Erased:
        through_seq = await self.last_seq()
        filter = bounded(filter, through_seq)
        exchanges = events = 0
        next_seq: int | None = 0
        while next_seq is not None:
            done = await self._erase_slice(filter, next_seq)
            exchanges += done.exchanges
            events += done.events
            next_seq = done.next_seq
        return Erased(exchanges, events, through_seq)

    async def erasing(self) -> int:
        return 0

    async def add_sums(self) -> SumStep:
        return SumStep(0, is_done=True)  # they are committed with the records

    async def replicas(self) -> list[Replica]:
        return []

    async def index_text(self) -> TextStep:
        return await self._indexer.step()

    async def drop_text_index(self) -> TextStep:
        self._indexer.rest()
        return TextStep(0, is_done=not await self._write(drop_some))

    async def text_index(self) -> TextIndex:
        return await self._read(describe)

    async def keys(self) -> list[ApiKey]:
        return await self._read_soon(keys.read_keys)

    async def key_version(self) -> int:
        return (await self._read_soon(lambda session: session.state())).key_version

    async def create_key(self, key: ApiKey) -> None:
        await self._write(lambda session: keys.create_key(session, key))

    async def update_key(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        return await self._write(lambda session: keys.update_key(session, key_id, changes))

    async def delete_key(self, key_id: str, at_us: int) -> KeyUpdate | None:
        return await self._write(lambda session: keys.delete_key(session, key_id, at_us))

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        await self._write(lambda session: keys.touch_keys(session, uses))

    async def meta(self, name: str) -> str | None:
        return await self._read(lambda session: keys.read_meta(session, name))

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        return await self._write(lambda session: keys.put_meta(session, name, value, replace=replace))

    async def views(self, owner: str) -> list[View]:
        return await self._read(lambda session: views.read_views(session, owner))

    async def put_view(self, owner: str, view: View, replaced: str | None = None) -> PutView:
        return await self._write(lambda session: views.put_view(session, owner, view, replaced))

    async def delete_view(self, owner: str, name: str) -> bool:
        return await self._write(lambda session: views.delete_view(session, owner, name))

    async def info(self) -> StorageInfo:
        return await self._read(self._describe)

    async def _describe(self, session: S) -> StorageInfo:
        return StorageInfo(
            backend=self._backend,
            location=self._location,
            schema_version=self._schema_version,
            rows=await totals.rows_total(session),
            last_seq=(await session.state()).last_seq,
            size_bytes=await self._size_bytes(session),
        )
