"""The model of a store: plain lists and dicts, to judge the backends by.

Strategy: a batch is checked completely before anything of it is kept, so nothing has to be undone.
There is no await inside a call, so calls are atomic. Filters are `storage.query.matches`, record by
record.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from storage.aggregates import MAX_FACET_VALUES, FacetValue, Histogram, Summary
from storage.conversations import ConversationQuery
from storage.errors import StorageRejected, StorageUnavailable
from storage.keys import ApiKey, KeyChanges, KeyUpdate
from storage.purge import Erased, Purged, RetentionState, Trimmed, next_trim
from storage.query import (
    Count,
    CountQuery,
    FacetQuery,
    Filter,
    HistogramQuery,
    Page,
    Query,
    RecordQuery,
    Scope,
    SeriesQuery,
    Stats,
    StatsQuery,
    StorageInfo,
    SummaryQuery,
    TopQuery,
    matches,
)
from storage.record import LEVELS, Batch, Entry, Payload, Position, Record, ToolCall, format_id
from storage.relational.by_id import id_number
from storage.search.expression import Is
from storage.search.meaning import fulfils
from storage.search.subject import Subject
from storage.tools import (
    ToolFilter,
    ToolPage,
    ToolQuery,
    ToolStats,
    ToolStatsQuery,
    ToolValues,
    ToolValuesQuery,
)
from tests.support import memory_aggregates
from tests.support.memory_conversations import FindsConversations
from tests.support.memory_entries import add_entries
from tests.support.memory_jobs import MemoryJobs
from tests.support.memory_keys import MemoryKeys
from tests.support.memory_tools import MemoryTools, page_of, stats_of, values_of
from tests.support.memory_upkeep import NoUpkeep
from tests.support.memory_views import KeepsViews

T = TypeVar("T")

_MAX_INT: Final = (1 << 63) - 1


class MemoryStorage(MemoryJobs, FindsConversations, KeepsViews, NoUpkeep):
    """`storage.base.Storage` in memory, without a bound."""

    has_late_prefix = False
    warning = ""

    def __init__(self) -> None:
        super().__init__()
        self._is_closed = False
        self._records: list[Record] = []
        self._by_id: dict[bytes, Record] = {}
        self._payloads: dict[int, tuple[int, bytes]] = {}
        """Start of the record, and its payload encoded."""
        self._positions: dict[tuple[str, bytes], bytes] = {}
        self._last_seq = 0
        self._purge_floor_us = 0
        self._body_floor_us = 0
        self._bodies_through_seq = 0
        self._meta: dict[str, str] = {}
        self._keys = MemoryKeys()
        self._tools = MemoryTools()

    async def commit(self, batch: Batch) -> int:
        self._check_open()
        payloads = self._check(batch)
        for entry, payload in zip(batch.entries, payloads, strict=True):
            record = entry.record
            self._last_seq += 1
            record.seq = self._last_seq
            # A copy: what the caller does to its record later is not stored.
            kept = msgspec.structs.replace(record)
            self._records.append(kept)
            self._by_id[kept.id] = kept
            if payload is not None:
                self._payloads[kept.seq] = kept.started_at_us, payload
            self._tools.add(kept.seq, entry)

        self.keep_jobs(batch.entries)
        for source, position in batch.positions.items():
            self._positions[batch.instance, source] = msgspec.msgpack.encode(position)
        for source in batch.retired:
            self._positions.pop((batch.instance, source), None)
        return self._last_seq

    async def positions(self, instance: str) -> dict[bytes, Position]:
        self._check_open()
        return {
            source: msgspec.msgpack.decode(raw, type=Position)
            for (owner, source), raw in self._positions.items()
            if owner == instance
        }

    async def read(self, query: Query[T]) -> T:
        answers: dict[type[Query[Any]], Callable[[Any], Awaitable[Any]]] = {
            RecordQuery: self.select,
            CountQuery: lambda each: self.count(each.filter),
            StatsQuery: lambda each: self.stats(each.filter.scope),
            FacetQuery: lambda each: self.facets(each.filter, each.names, limit=each.limit),
            HistogramQuery: lambda each: self.histogram(
                each.filter, each.since_us, each.until_us, each.buckets
            ),
            SummaryQuery: lambda each: self.summary(each.filter, only_totals=each.only_totals),
            TopQuery: lambda each: self.top(each.filter, each.by),
            SeriesQuery: lambda each: self.top_series(
                each.filter, each.by, each.since_us, each.until_us, each.buckets
            ),
            ConversationQuery: self.conversations,
            ToolQuery: self.tool_calls,
            ToolStatsQuery: lambda each: self.tool_stats(each.filter),
            ToolValuesQuery: lambda each: self.tool_values(each.filter.scope),
        }
        found: T = await answers[type(query)](query)
        return found

    async def select(self, query: RecordQuery) -> Page:
        self._check_open()
        if query.limit <= 0:
            return Page([], complete=True, next_after=None)

        query = replace(query, filter=self._resolved(query.filter))
        start = max(query.offset, 0)
        found = list(islice(self._search(query), start, start + query.limit + 1))
        records = [msgspec.structs.replace(record) for record in found[: query.limit]]
        return Page(
            records,
            complete=True,
            next_after=_place(query, records[-1]) if len(found) > query.limit else None,
        )

    async def count(self, filter: Filter) -> Count:
        self._check_open()
        filter = self._resolved(filter)
        kinds = [record.kind for record in self._visible() if matches(filter, record)]
        events = kinds.count("event")
        return Count(len(kinds) - events, events)

    async def stats(self, scope: Scope) -> Stats:
        self._check_open()
        levels = dict.fromkeys(map(str, LEVELS), 0)
        projects: dict[str, int] = {}
        containers: dict[str, int] = {}
        services: dict[str, int] = {}
        filter = Filter(scope=scope, kind="all")

        for record in self._visible():
            if matches(filter, record):
                entries = 1 if record.kind == "event" else 2 * round(record.weight)
                levels[record.level] += entries
                add_entries(projects, record.project, entries)
                add_entries(containers, record.container, entries)
                add_entries(services, record.service, entries)

        sampled = memory_aggregates.is_sampled(self._visible(), filter)
        return Stats(sum(levels.values()), levels, projects, containers, services, sampled=sampled)

    async def facets(
        self, filter: Filter, names: Sequence[str], *, limit: int = MAX_FACET_VALUES
    ) -> dict[str, list[FacetValue]]:
        self._check_open()
        return memory_aggregates.facets(self._counted(), self._resolved(filter), names, limit)

    async def histogram(
        self, filter: Filter, since_us: int, until_us: int, buckets: int
    ) -> Histogram:
        self._check_open()
        return memory_aggregates.histogram(
            self._counted(), self._resolved(filter), since_us, until_us, buckets
        )

    async def summary(self, filter: Filter, *, only_totals: bool = False) -> Summary:
        self._check_open()
        return memory_aggregates.summary(
            self._counted(), self._resolved(filter), only_totals=only_totals
        )

    async def get(self, record_id: bytes) -> Record | None:
        self._check_open()
        record = self._by_id.get(record_id)
        is_hidden = record is None or record.started_at_us < self._purge_floor_us
        if record is None or is_hidden:
            return None
        return msgspec.structs.replace(record)

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        self._check_open()
        found = {seq: self._payload(seq) for seq in dict.fromkeys(seqs)}
        return {seq: payload for seq, payload in found.items() if payload is not None}

    async def tool_calls(self, query: ToolQuery) -> ToolPage:
        return page_of(self._visible_calls(query.filter.seq_until), query)

    async def tool_stats(self, filter: ToolFilter) -> ToolStats:
        return stats_of(self._visible_calls(filter.seq_until), filter)

    async def tool_values(self, scope: Scope) -> ToolValues:
        return values_of(self._visible_calls(), scope)

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        found = (
            c for c in self._visible_calls() if c.record_id == record_id and c.position == position
        )
        return next(found, None)

    async def waiting_calls(self, instance: str) -> list[ToolCall]:
        self._check_open()
        return self._tools.waiting(instance)

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        self._check_open()
        calls = self._tools.visible(
            self._purge_floor_us, self._body_floor_us, self._bodies_through_seq
        )
        return sorted(
            (call for seq, call in calls if seq == record_seq), key=lambda call: call.position
        )

    async def retention(self) -> RetentionState:
        self._check_open()
        return RetentionState(
            purge_floor_us=self._purge_floor_us,
            body_floor_us=self._body_floor_us,
            purged_through_seq=self._records[0].seq - 1 if self._records else self._last_seq,
            oldest_us=min((record.started_at_us for record in self._records), default=None),
            used_bytes=0,
            last_seq=self._last_seq,
            reaches_back_us=self._visible()[0].started_at_us if self._visible() else None,
        )

    async def move_floors(
        self, purge_floor_us: int, body_floor_us: int, *, down: bool = False
    ) -> None:
        self._check_open()
        move = min if down else max
        self._purge_floor_us = move(self._purge_floor_us, purge_floor_us)
        self._body_floor_us = move(self._body_floor_us, max(purge_floor_us, body_floor_us))

    async def purge(self, max_rows: int) -> Purged:
        self._check_open()
        gone = [record for record in self._records if record.started_at_us < self._purge_floor_us][
            :max_rows
        ]
        self._remove(gone)
        return Purged(len(gone), 0, is_done=not gone)

    async def trim(self, max_rows: int) -> Trimmed:
        self._check_open()
        first = self._records[0].seq if self._records else 1
        step = next_trim(
            first, self._last_seq if self._records else 0, self._bodies_through_seq, max_rows
        )
        if step is None:
            return Trimmed(0, 0)
        if step.what == "bodies":
            self._bodies_through_seq = step.last_seq
            return Trimmed(0, step.last_seq - step.first_seq + 1)

        gone = [record for record in self._records if record.seq <= step.last_seq]
        self._remove(gone)
        return Trimmed(len(gone), 0)

    async def erase(self, filter: Filter) -> Erased:
        self._check_open()
        filter = self._resolved(filter)
        gone = [record for record in self._visible() if matches(filter, record)]
        self._remove(gone)
        events = sum(record.kind == "event" for record in gone)
        return Erased(len(gone) - events, events, self._last_seq)

    async def last_seq(self) -> int:
        self._check_open()
        return self._last_seq

    async def keys(self) -> list[ApiKey]:
        self._check_open()
        return self._keys.all()

    async def key_version(self) -> int:
        self._check_open()
        return self._keys.version

    async def create_key(self, key: ApiKey) -> None:
        self._check_open()
        self._keys.create(key)

    async def update_key(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        self._check_open()
        return self._keys.update(key_id, changes)

    async def delete_key(self, key_id: str, at_us: int) -> KeyUpdate | None:
        self._check_open()
        return self._keys.delete(key_id, at_us)

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        self._check_open()
        self._keys.touch(uses)

    async def meta(self, name: str) -> str | None:
        self._check_open()
        return self._meta.get(name)

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        self._check_open()
        if replace:
            self._meta[name] = value
        return self._meta.setdefault(name, value)

    async def info(self) -> StorageInfo:
        self._check_open()
        rows = len(self._visible())
        return StorageInfo(
            "model", "model:", schema_version=1, rows=rows, last_seq=self._last_seq, size_bytes=0
        )

    async def close(self) -> None:
        self._is_closed = True

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

    def _resolved(self, filter: Filter) -> Filter:
        """Say by ids what the records themselves do not: tools, heads and bodies."""
        where = filter.where
        if where is None or not filter.needs_more_than_records:
            return filter

        ids = [
            format_id(record.id)
            for record in self._records
            if fulfils(self._subject(record), where)
        ]
        return replace(filter, where=Is("id", tuple(ids)))

    def _subject(self, record: Record) -> Subject:
        calls = self._tools.visible(
            self._purge_floor_us, self._body_floor_us, self._bodies_through_seq
        )
        tools = tuple(call.tool_name for seq, call in calls if seq == record.seq)
        return Subject(record, self._payload(record.seq), tools)

    def _payload(self, seq: int) -> Payload | None:
        started_at_us, raw = self._payloads.get(seq, (-1, b""))
        if not raw or started_at_us < self._purge_floor_us:
            return None

        payload = msgspec.msgpack.decode(raw, type=Payload)
        if started_at_us < self._body_floor_us or seq <= self._bodies_through_seq:
            payload.request_body = None
            payload.response_body = None
        return payload

    def _visible_calls(self, seq_until: int | None = None) -> list[ToolCall]:
        self._check_open()
        return [
            call
            for seq, call in self._tools.visible(
                self._purge_floor_us, self._body_floor_us, self._bodies_through_seq
            )
            if seq_until is None or seq <= seq_until
        ]

    def _check_open(self) -> None:
        if self._is_closed:
            raise StorageUnavailable("the store is closed")

    def _visible(self) -> list[Record]:
        if not self._purge_floor_us:
            return self._records
        return [record for record in self._records if record.started_at_us >= self._purge_floor_us]

    def _counted(self) -> list[Record]:
        return memory_aggregates.each_counted(self._visible())

    def _remove(self, gone: Iterable[Record]) -> None:
        seqs = {record.seq for record in gone}
        for record in gone:
            del self._by_id[record.id]
            self._payloads.pop(record.seq, None)
        self._records = [record for record in self._records if record.seq not in seqs]
        ids = {record.id for record in gone}
        self._tools.remove(seqs, ids)
        self.forget_jobs(ids)

    def _check(self, batch: Batch) -> list[bytes | None]:
        seen: set[bytes] = set()
        payloads = []
        for entry in batch.entries:
            if entry.record.id in self._by_id or entry.record.id in seen:
                raise StorageRejected(f"record id {entry.record.id.hex()} is stored already")
            seen.add(entry.record.id)
            self._tools.check(entry)
            payloads.append(_checked(entry))

        return payloads

    def _search(self, query: RecordQuery) -> Iterator[Record]:
        records = self._visible()
        if query.by == "id":
            records = sorted(records, key=lambda record: record.id)
        for record in records if query.order == "asc" else reversed(records):
            place = _place(query, record)
            if query.after is not None and (
                place <= query.after if query.order == "asc" else place >= query.after
            ):
                continue

            if matches(query.filter, record):
                yield record


def _place(query: RecordQuery, record: Record) -> int:
    if query.by == "id":
        return id_number(record.id)
    return record.seq


def _checked(entry: Entry) -> bytes | None:
    """Refuse what no store can hold; answers the payload, encoded."""
    record = entry.record
    try:
        for value in msgspec.structs.astuple(record):
            if isinstance(value, str):
                value.encode()
            elif isinstance(value, int) and not -_MAX_INT - 1 <= value <= _MAX_INT:
                raise StorageRejected(f"{value} is not a number of 64 bits")

        if record.level not in LEVELS or record.kind not in ("exchange", "event"):
            raise StorageRejected(f"unknown level {record.level!r} or kind {record.kind!r}")
        if entry.payload is None:
            return None

        return msgspec.msgpack.encode(entry.payload)
    except (ValueError, TypeError, OverflowError) as error:
        raise StorageRejected(f"a value cannot be stored: {error!r}") from error
