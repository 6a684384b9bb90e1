"""The session for shared reads in ClickHouse: independent statements over one state of the store.

Strategy: ClickHouse has no transactions. So a session first reads the marks of upkeep and the range
of numbers that have rows, and adds both to every later statement. Rows that arrive meanwhile may be
seen or not.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from dataclasses import replace
from typing import Any, Final, Self, TypeVar

from storage.clickhouse.codec import decode, stored_text, text_of
from storage.clickhouse.numbers import number_at
from storage.clickhouse.payloads import COLUMNS, HEADS, payload_of
from storage.clickhouse.reads.dialect import dialect
from storage.clickhouse.reads.texts import can_have
from storage.clickhouse.upkeep.state import ENTRY, upkeep_of
from storage.clickhouse.wire.answers import OutOfTime
from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.literals import identifier, literal
from storage.query import Filter
from storage.record import Payload, Record, now_us
from storage.relational.by_id import ID_BYTES, id_ms
from storage.relational.facet_counts import KnownCounts
from storage.relational.search.known_rows import KnownRows
from storage.relational.search.rows import Bound, Found
from storage.relational.session import ReadBudget, State, within_int
from storage.relational.slices import Range
from storage.relational.sql import KINDS, MAX_INT, Dialect, Ids, Parameters, Rows, Texts, Where
from storage.relational.time_ranges import DAY_HOURS, DAY_US
from storage.relational.usage import HAS_EVENTS
from storage.relational.weights import HAS_WEIGHTS
from storage.search.clues import Clue, Part
from storage.search.index.needs import NOTHING

T = TypeVar("T")

_FEW: Final = 1000
_LAST_ID: Final = b"\xff" * ID_BYTES
READ_LIMIT_S: Final = 15.0
"""Time limit of one statement without a budget."""
_BEGIN: Final = (
    "SELECT min(seq), max(seq), count(), (SELECT argMax(value, version) FROM register WHERE name "
    "= $1), {}, "
    "(SELECT count() FROM (SELECT 1 FROM records WHERE weight > 0 LIMIT 1)) FROM records"
)
_SHARDS: Final = "(SELECT count() FROM cluster({}, system, one))"
"""SQL for the number of shards that answer, if others may be left out."""
_PAYLOADS: Final = (
    f"SELECT seq, started_at_us, {', '.join(COLUMNS)} FROM records "
    "WHERE seq IN $1 AND started_at_us >= $2"
)
_WITHOUT_SOME: Final = {"skip_unavailable_shards": "1"}


class Budget(ReadBudget):
    """Time budget of a read, applied to each statement."""

    async def fetch(
        self,
        link: Link,
        sql: str,
        parameters: Parameters,
        settings: dict[str, str],
        *,
        is_part: bool = False,
    ) -> Rows | None:
        """Run a query and fetch all rows; None if the budget ended it."""
        if self.begin_query(is_part=is_part):
            return await link.fetch(sql, parameters, limit_s=READ_LIMIT_S, settings=settings)
        rest_s = min(self.rest_s, READ_LIMIT_S)
        if rest_s <= 0:
            return None

        try:
            # The server ends it itself, at most a second later: its limit is in whole seconds.
            async with asyncio.timeout(rest_s):
                return await link.fetch(sql, parameters, limit_s=rest_s, settings=settings)
        except (TimeoutError, OutOfTime):
            return None


class ClickhouseSession:
    """`storage.relational.session.Session` over a link, for one state of the store. Made by
    `begin`.
    """

    def __init__(
        self, link: Link, state: State, ends: Range, rows: int, known_counts: KnownCounts, budget: Budget,
        *, is_partial: bool,
    ) -> None:  # fmt: skip
        self.link = link
        self.is_partial = is_partial
        """True if a shard is away, so that its rows are missing from all answers."""
        self._settings = _WITHOUT_SOME if is_partial else {}
        self._state = state
        self._ends = ends
        self.numbers_per_row = max(1, ends.size // max(1, rows))
        shown = f"(kind < {len(KINDS)} AND seq > {state.purged_through_seq})"
        self.dialect: Dialect = dialect(shown, state.purged_through_seq)
        if is_partial:
            self.known_counts = KnownCounts()
        else:
            self.known_counts = known_counts
        self.known_rows = KnownRows()
        self.budget = budget

    @classmethod
    async def begin(
        cls, link: Link, known_counts: KnownCounts, budget_s: float, shards: int = 1
    ) -> Self:
        """Begin a read of the present state of the store, consisting of `shards` shards."""
        cluster = link.address.cluster
        sql = _BEGIN.format(_SHARDS.format(identifier(cluster)) if cluster else "1")
        settings = _WITHOUT_SOME if cluster else {}
        [row] = await link.fetch(sql, (ENTRY,), settings=settings)
        first, last, rows, value, there, has_weights = row
        upkeep = upkeep_of(value or "")
        # Counts of ranges are cached, those of today by the hour, so that only the present hour
        # changes.
        today = now_us() // DAY_US * DAY_HOURS
        state = State(
            last_seq=last, capped_dimensions=HAS_EVENTS | (HAS_WEIGHTS if has_weights else 0), key_version=0,
            folded_until=today,
            **{name: getattr(upkeep, name) for name in State._fields if hasattr(upkeep, name)},
        )  # fmt: skip
        ends = Range(max(first, upkeep.purged_through_seq + 1), last)
        return cls(
            link, state, ends, rows, known_counts, Budget(budget_s), is_partial=there < shards
        )

    def limited(self, seconds: float) -> Self:
        limited = copy(self)
        limited.budget = self.budget.another(seconds)
        return limited

    async def state(self) -> State:
        return self._state

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        return await self.link.fetch(sql, parameters, limit_s=READ_LIMIT_S, settings=self._settings)

    async def fetch_in_budget(
        self, sql: str, parameters: Parameters, *, is_part: bool = False
    ) -> Rows | None:
        return await self.budget.fetch(self.link, sql, parameters, self._settings, is_part=is_part)

    async def aside(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        raise AssertionError(f"bug: a shared write met ClickHouse: {sql}")

    async def ids_of(self, texts: Texts) -> Ids:
        return {
            column: {text: stored_text(text) for text in values} for column, values in texts.items()
        }

    async def text_of(self, ids: Iterable[Any]) -> Mapping[Any, str | None]:
        return {None: None, 0: None, "": None} | {
            stored: text_of(stored) for stored in ids if stored
        }

    async def seq_ends(self, since_us: int | None = None, until_us: int | None = None) -> Range:
        first = self._ends.first
        last = self._ends.last
        records = f"FROM records WHERE {self.dialect.committed}"

        # Numbers follow the clock, so estimate the end from them, and look for rows beyond it; the
        # index of starts makes that quick.
        if since_us is not None and (about := number_at(since_us)) > first:
            beyond = (
                f"started_at_us >= {within_int(since_us)} AND seq BETWEEN {first} AND "
                f"{min(about, last)}"
            )
            [(earlier,)] = await self.fetch(f"SELECT min(seq) {records} AND {beyond}")
            first = earlier or about

        if until_us is not None and (about := number_at(until_us)) < last:
            beyond = (
                f"started_at_us < {within_int(until_us)} AND seq BETWEEN {max(about, first)} AND "
                f"{last}"
            )
            [(later,)] = await self.fetch(f"SELECT max(seq) {records} AND {beyond}")
            last = later or about

        return Range(first, last)

    async def id_ends(self, within: Range) -> Range:
        # Only few granules have ids outside of those near the ends.
        few = _FEW * self.numbers_per_row
        all_ids = (
            f"FROM records WHERE seq BETWEEN {within.first} AND {within.last} AND "
            f"{self.dialect.committed}"
        )
        first = (
            f"SELECT if(count() = 0, {literal(_LAST_ID)}, min(id)) {all_ids} AND seq < "
            f"{within.first + few}"
        )
        last = f"SELECT max(id) {all_ids} AND seq > {within.last - few}"
        sql = (
            f"SELECT (SELECT min(id) {all_ids} AND id <= ({first})), (SELECT max(id) {all_ids} "
            f"AND id >= ({last}))"
        )
        [(first_id, last_id)] = await self.fetch(sql)
        return Range(id_ms(first_id), id_ms(last_id))

    async def rows_by_seq(self, filter: Filter) -> Found | None:
        return _unindexed(await Found.of(self, filter, _bind, self.dialect.by_seq))

    async def rows_by_id(self, filter: Filter, whole: Range) -> Found | None:
        async def bind(part: Range) -> Bound:
            first, last = (
                literal(number.to_bytes(ID_BYTES, "big")) for number in (part.first, part.last)
            )
            within = (
                f" AND seq BETWEEN {whole.first} AND {whole.last} AND id BETWEEN {first} AND {last}"
            )
            return lambda where, some: Where(where.text + within, where.parameters)

        return _unindexed(await Found.of(self, filter, bind, lambda order: f"ORDER BY id {order}"))

    async def records(self, rows: Rows) -> list[Record]:
        return list(map(decode, rows))

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        state = self._state
        floor_us = state.purge_floor_us or -MAX_INT - 1
        if seqs:
            rows = await self.fetch(f"{_PAYLOADS} AND {self.dialect.committed}", (seqs, floor_us))
        else:
            rows = ()
        found = {}

        for seq, started_at_us, *values in sorted(rows):
            has_bodies = (
                started_at_us >= (state.body_floor_us or floor_us)
                and seq > state.bodies_through_seq
            )
            payload = payload_of(values[: len(HEADS)], values[len(HEADS) :] if has_bodies else None)
            if payload is not None:
                found[seq] = payload

        return found

    async def can_have(
        self, where: Where, clues: Sequence[Clue], parts: AbstractSet[Part]
    ) -> AsyncIterator[list[int] | None]:
        found = await can_have(self, where, clues)
        if found is None or found:
            yield found


def _in_slice(where: Where, part: Range) -> Where:
    return Where(f"{where.text} AND seq BETWEEN {part.first} AND {part.last}", where.parameters)


async def _bind(part: Range) -> Bound:
    return _in_slice


def _unindexed(found: Found | None) -> Found | None:
    """Remove the look-up of words in cells: the server's own index answers for the rows of a slice."""
    if found is None:
        return None
    return replace(found, ways=tuple(replace(way, need=NOTHING) for way in found.ways))
