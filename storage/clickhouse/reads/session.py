"""The session that shared reads run over, in ClickHouse: statements that share nothing but what they are told.

Strategy: there are no transactions, so a session reads the end of the journal first, and everything it asks for
afterwards carries the condition on rows that were committed by then.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cache
from typing import Final, Self, TypeVar

from storage.clickhouse.answers import OutOfTime
from storage.clickhouse.cluster.reading import readable
from storage.clickhouse.codec import decode, numbers_of
from storage.clickhouse.dictionary import Names, text_id
from storage.clickhouse.link import Link
from storage.clickhouse.reads.dialect import dialect
from storage.clickhouse.reads.payloads import read_payloads
from storage.clickhouse.reads.segments import KnownOffsets, read_parts
from storage.clickhouse.reads.selection import Selection, SelectionById, seqs_of_ids
from storage.clickhouse.reads.texts import can_have
from storage.clickhouse.reads.visible import Commits, Committed
from storage.query import Filter
from storage.record import Payload, Record
from storage.relational.by_id import id_ms
from storage.relational.facet_counts import KnownCounts
from storage.relational.reads.scan import seq_range
from storage.relational.search.holders import Cell, Segment
from storage.relational.search.rows import Found, filter_texts
from storage.relational.session import Parameters, ReadBudget, Rows, State
from storage.relational.slices import Range
from storage.relational.sql import Dialect, Texts, Where
from storage.relational.time_ranges import HOUR_US, Hours
from storage.search.clues import Clue

T = TypeVar("T")

MAX_UNSUMMED_ROWS: Final = 2_000_000
"""Rows without sums that are counted in one statement; where figures need more they are counted slice by slice."""
READ_LIMIT_S: Final = 15.0
"""How long one statement without a budget may take."""


class Budget(ReadBudget):
    """The budget of a read, statement by statement."""

    async def fetch(self, link: Link, sql: str, parameters: Parameters, *, is_part: bool = False) -> Rows | None:
        """Run a query and fetch everything; None when the budget ended it."""
        if self.begin_query(is_part=is_part):
            return await link.fetch(sql, parameters, limit_s=READ_LIMIT_S)
        rest_s = min(self.rest_s, READ_LIMIT_S)
        if rest_s <= 0:
            return None
        try:
            # The server ends it by itself a second later at most: it knows whole seconds only.
            async with asyncio.timeout(rest_s):
                return await link.fetch(sql, parameters, limit_s=rest_s)
        except (TimeoutError, OutOfTime):
            return None


class ClickhouseSession:
    """`storage.relational.session.Session` over a link, of one state of the store. Made by `begin`."""

    def __init__(
        self,
        link: Link,
        known: Committed,
        names: Names,
        known_counts: KnownCounts,
        known_offsets: KnownOffsets,
        budget: Budget,
    ) -> None:
        self.link = link
        self.upkeep = known.upkeep
        self._known_segments = known.segments
        self._known_offsets = known_offsets
        self._sums = cache(known.sums)  # chosen once for all statements
        self.dialect: Dialect = dialect(known.condition(), self._sums)
        self.known_counts = known_counts
        self._state = known.state
        self._names = names
        self.budget = budget

    @classmethod
    async def begin(
        cls,
        link: Link,
        commits: Commits,
        names: Names,
        known_counts: KnownCounts,
        known_offsets: KnownOffsets,
        budget_s: float,
    ) -> Self:
        """Begin a read of what is committed now."""
        server, known = await readable(link, commits)
        return cls(server, known, names, known_counts, known_offsets, Budget(budget_s))

    def limited(self, seconds: float) -> Self:
        limited = copy(self)
        limited.budget = Budget(seconds)
        return limited

    async def state(self) -> State:
        return self._state

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        return await self.link.fetch(sql, parameters, limit_s=READ_LIMIT_S)

    async def fetch_in_budget(self, sql: str, parameters: Parameters) -> Rows | None:
        return await self.budget.fetch(self.link, sql, parameters)

    async def fetch_part(self, sql: str, parameters: Parameters) -> Rows | None:
        return await self.budget.fetch(self.link, sql, parameters, is_part=True)

    async def aside(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        raise AssertionError(f"bug: a shared write met ClickHouse: {sql}")

    async def ids_of(self, texts: Texts) -> Mapping[str, Mapping[str, int]]:
        return {column: {text: text_id(column, text) for text in values} for column, values in texts.items()}

    async def text_of(self, ids: Iterable[int | None]) -> Mapping[int | None, str | None]:
        return await self._names.load(self.link, ids)

    async def seq_ends(self) -> Range:
        return Range(self._state.purged_through_seq + 1, self._state.last_seq)

    async def has_sums(self, hours: Hours) -> bool:
        whole = await self.seq_ends()
        if self._sums().missing(whole) <= MAX_UNSUMMED_ROWS:
            return True
        first_us, until_us = (None if bound is None else bound * HOUR_US for bound in hours)
        asked = await seq_range(self, Filter(since_us=first_us, until_us=until_us))
        within = Range(max(asked.first, whole.first), min(asked.last, whole.last))
        return self._sums().missing(within) <= MAX_UNSUMMED_ROWS

    async def where_id(self, record_id: bytes) -> Where:
        milliseconds = id_ms(record_id)
        seqs = await seqs_of_ids(self, Range(milliseconds, milliseconds))
        text = f"id = $1 AND seq BETWEEN {seqs.first} AND {seqs.last} AND {self.dialect.committed}"
        return Where(text, (record_id,))

    async def rows_by_seq(self, filter: Filter, first_parameter: int = 1) -> Selection | None:
        found = await self._found(filter, first_parameter)
        return None if found is None else Selection(self, filter, found)

    async def rows_by_id(self, filter: Filter, whole: Range) -> SelectionById | None:
        found = await self._found(filter, 1)
        return None if found is None else SelectionById(self, filter, found, whole)

    async def records(self, rows: Rows) -> list[Record]:
        texts = await self._names.load(self.link, numbers_of(rows))
        return [decode(row, texts) for row in rows]

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        return await read_payloads(self, seqs)

    async def payloads_of(self, records: Sequence[Record]) -> dict[int, Payload]:
        return await read_payloads(self, [record.seq for record in records])

    async def text_segments(self, within: Range) -> list[Segment]:
        return await self._known_offsets.segments(self.link, self._known_segments, within)

    async def text_cells(self, within: Range) -> list[Cell]:
        return []

    async def text_parts(self, keys: Sequence[int]) -> dict[int, bytes]:
        return await read_parts(self.link, self._known_segments, keys)

    async def can_have(self, where: Where, clues: Sequence[Clue]) -> list[int] | None:
        return await can_have(self, where, clues)

    async def _found(self, filter: Filter, first_parameter: int) -> Found | None:
        return Found.of(filter, await self.ids_of(filter_texts(filter)), self.dialect, first_parameter)
