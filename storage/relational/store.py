"""The storage contract over SQL: every read, and the changes that are the same in all databases.

A backend decides how work gets its session, and how batches, retention and erasure are written.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar

from storage.base import Prepared
from storage.conversations import ConversationQuery
from storage.purge import Erased, Slice, TextStep, bounded
from storage.query import (
    CountQuery,
    FacetQuery,
    Filter,
    HistogramQuery,
    Query,
    RecordQuery,
    Replica,
    SeriesQuery,
    StatsQuery,
    StorageInfo,
    SummaryQuery,
    TopQuery,
)
from storage.record import Entry
from storage.relational.reads import (
    facets,
    histogram,
    page,
    ranked_conversations,
    small_tables,
    summary,
    tools,
    top,
    totals,
)
from storage.relational.reads.text_index.build import TextIndexer
from storage.relational.reads.text_index.tables import describe
from storage.relational.session import Session
from storage.relational.upkeep import purge
from storage.tools import ToolQuery, ToolStatsQuery, ToolValuesQuery

S = TypeVar("S", bound=Session)
T = TypeVar("T")
P = ParamSpec("P")
Answers = Mapping[type[Query[Any]], Callable[[Any, Any], Awaitable[Any]]]
"""Query → the function with which a session answers it."""


def _passed(
    way: Literal["_read", "_read_soon", "_write"], work: Callable[Concatenate[Any, P], Awaitable[T]]
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Make a method that does some work with the session of one of the ways below."""

    async def method(self: "RelationalStorage[Any]", /, *args: P.args, **kwargs: P.kwargs) -> T:
        found: T = await getattr(self, way)(lambda session: work(session, *args, **kwargs))
        return found

    return method


class RelationalStorage(ABC, Generic[S]):
    """The part of `storage.base.Storage` that is the same for all databases."""

    has_late_prefix = False
    _answers: ClassVar[Answers] = {
        RecordQuery: page.read_page,
        CountQuery: totals.count,
        StatsQuery: facets.stats,
        FacetQuery: facets.facets,
        HistogramQuery: histogram.histogram,
        SummaryQuery: summary.summary,
        TopQuery: top.top,
        SeriesQuery: top.series,
        ConversationQuery: ranked_conversations.read_page,
        ToolQuery: tools.tool_calls,
        ToolStatsQuery: tools.tool_stats,
        ToolValuesQuery: tools.tool_values,
    }

    def __init__(self, backend: str, location: str, schema_version: int) -> None:
        self._backend = backend
        self._location = location
        self._schema_version = schema_version
        self._indexer = TextIndexer(self._read, self._write)

    @property
    def warning(self) -> str:
        return ""

    @abstractmethod
    async def _read(self, work: Callable[[S], Awaitable[T]]) -> T:
        """Do work in a transaction that sees one state of the store."""

    @abstractmethod
    async def _read_soon(self, work: Callable[[S], Awaitable[T]]) -> T:
        """Do the same, never after slow reads: workers wait for it."""

    @abstractmethod
    async def _write(self, work: Callable[[S], Awaitable[T]]) -> T:
        """Do work in a transaction of the one writer."""

    @abstractmethod
    async def _erase_slice(self, filter: Filter, from_seq: int) -> Slice:
        """Erase the first records of a filter from a `seq` on, in a transaction."""

    @abstractmethod
    async def _size_bytes(self, session: S) -> int:
        """Measure the occupied space."""

    @abstractmethod
    async def close(self) -> None:
        """Give back connections and threads."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        await self.close()

    get = _passed("_read", page.read_record)
    payloads = _passed("_read", page.read_payloads)
    tool_call = _passed("_read", tools.tool_call)
    tool_calls_of = _passed("_read", tools.tool_calls_of)
    waiting_calls = _passed("_read_soon", tools.waiting_calls)
    jobs = _passed("_read_soon", small_tables.read_jobs)
    answers_of = _passed("_read", small_tables.read_answers)
    text_index = _passed("_read", describe)
    keys = _passed("_read_soon", small_tables.read_keys)
    create_key = _passed("_write", small_tables.create_key)
    update_key = _passed("_write", small_tables.update_key)
    delete_key = _passed("_write", small_tables.delete_key)
    touch_keys = _passed("_write", small_tables.touch_keys)
    meta = _passed("_read", small_tables.read_meta)
    put_meta = _passed("_write", small_tables.put_meta)
    views = _passed("_read", small_tables.read_views)
    put_view = _passed("_write", small_tables.put_view)
    delete_view = _passed("_write", small_tables.delete_view)
    move_floors = _passed("_write", purge.move_floors)

    async def read(self, query: Query[T]) -> T:
        return await self._read(lambda session: self._answers[type(query)](session, query))

    async def last_seq(self) -> int:
        return (await self._read(lambda session: session.state())).last_seq

    async def erase(self, filter: Filter) -> Erased:
        return await self._erase_through(filter, await self.last_seq())

    async def _erase_through(self, filter: Filter, through_seq: int) -> Erased:
        filter = bounded(filter, through_seq)
        exchanges = 0
        events = 0

        next_seq: int | None = 0
        while next_seq is not None:
            done = await self._erase_slice(filter, next_seq)
            exchanges += done.exchanges
            events += done.events
            next_seq = done.next_seq

        return Erased(exchanges, events, through_seq)

    async def erasing(self) -> int:
        return 0

    async def replicas(self) -> list[Replica]:
        return []

    async def index_text(self) -> TextStep:
        return await self._indexer.step()

    async def prepare(self, entries: Sequence[Entry]) -> Prepared:
        return await self._indexer.prepare(entries)

    async def key_version(self) -> int:
        return (await self._read_soon(lambda session: session.state())).key_version

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
