"""The common part of sessions over tables of records, blocks and spans. A backend decides how a
statement is run, and which rows are in a slice.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import ClassVar, Final, Generic, Self, TypeVar

from storage.record import Record
from storage.relational.blocks.payloads import RecentBlocks
from storage.relational.blocks.read import unpacked
from storage.relational.facet_counts import KnownCounts
from storage.relational.reads.text_index.narrow import can_have as words_can_have
from storage.relational.search.known_rows import KnownRows
from storage.relational.session import ReadBudget, State, within_int
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT, Dialect, Parameters, Rows
from storage.relational.writes.codec import decode_rows
from storage.relational.writes.remembered import Names

B = TypeVar("B", bound=ReadBudget)

_Ends = tuple[str, str]
"""Columns of the table `spans` with the least and the greatest of some numbers of its rows."""
_SEQS: Final = ("first_seq", "last_seq")
_STARTS: Final = ("min_started_at_us", "max_started_at_us")
_ID_TIMES: Final = ("min_id_ms", "max_id_ms")


class TableSession(ABC, Generic[B]):
    """Most of `storage.relational.session.BlockSession`, for one transaction."""

    numbers_per_row = 1
    dialect: ClassVar[Dialect]

    def __init__(self, names: Names, known_counts: KnownCounts, budget: B) -> None:
        self.known_counts = known_counts
        self.budget = budget
        self.known_rows = KnownRows()
        self.recent_blocks = RecentBlocks()
        self._names = names
        self._state: State | None = None

    @abstractmethod
    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        """Run a statement and fetch its rows, in the store's own time."""

    def limited(self, seconds: float) -> Self:
        limited = copy(self)
        limited.budget = self.budget.another(seconds)
        return limited

    async def state(self) -> State:
        if self._state is None:
            [row] = await self.fetch(self.dialect.state)
            self._state = State(*row)
        return self._state

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        for row in rows:
            await self.fetch(sql, row)

    async def text_of(self, ids: Iterable[int | None]) -> Mapping[int | None, str | None]:
        return await self._names.load(self, ids)

    async def seq_ends(self, since_us: int | None = None, until_us: int | None = None) -> Range:
        if since_us is not None or until_us is not None:
            if since_us is None:
                first_us = -MAX_INT
            else:
                first_us = within_int(since_us)
            if until_us is None:
                last_us = MAX_INT
            else:
                last_us = within_int(until_us) - 1
            return await self._spanned(_SEQS, _STARTS, Range(first_us, last_us))
        spans = f"{self.dialect.schema}spans ORDER BY {self.dialect.span_key} LIMIT 1"
        found = await self.fetch(f"SELECT first_seq FROM {spans}")
        if not found:
            return Range(1, 0)
        return Range(found[0][0], (await self.state()).last_seq)

    async def id_ends(self, within: Range) -> Range:
        return await self._spanned(_ID_TIMES, _SEQS, within)

    async def _spanned(self, wanted: _Ends, known: _Ends, within: Range) -> Range:
        """Return the ends of some numbers in the spans that overlap a range of others."""
        mark = self.dialect.placeholder
        sql = (
            f"SELECT coalesce(min({wanted[0]}), 1), coalesce(max({wanted[1]}), 0) "
            f"FROM {self.dialect.schema}spans "
            f"WHERE {known[1]} >= {mark(1)} AND {known[0]} <= {mark(2)}"
        )
        [(first, last)] = await self.fetch(sql, (within.first, within.last))
        return Range(first, last)

    async def records(self, rows: Rows) -> list[Record]:
        return await decode_rows(self, rows, self._names)

    payloads = unpacked
    can_have = words_can_have

    async def blocks(self, ids: Sequence[int]) -> Rows:
        dialect = self.dialect
        among = dialect.among.format("id", dialect.placeholder(1))
        sql = f"SELECT id, data FROM {dialect.schema}blocks WHERE {among}"
        return await self.fetch(sql, (dialect.number_list(list(ids)),))
