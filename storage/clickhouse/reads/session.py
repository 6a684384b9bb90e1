"""The session that shared reads run over, in ClickHouse: statements that share nothing but what they are told.

Strategy: there are no transactions, so a session reads the end of the journal first, and everything it asks for
afterwards carries the condition on rows that were committed by then.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Self, TypeVar

from storage.clickhouse.answers import OutOfTime
from storage.clickhouse.cluster.reading import readable
from storage.clickhouse.codec import decode, numbers_of
from storage.clickhouse.dictionary import Names, text_id
from storage.clickhouse.link import Link
from storage.clickhouse.literals import literal
from storage.clickhouse.reads.dialect import dialect
from storage.clickhouse.reads.payloads import read_payloads
from storage.clickhouse.reads.texts import can_have, text_condition
from storage.clickhouse.reads.visible import Commits
from storage.query import Filter, Order
from storage.record import Payload, Record
from storage.relational.by_id import ID_BYTES, id_ms
from storage.relational.facet_counts import KnownCounts
from storage.relational.search.rows import SLICE_ROWS, Sieve, filter_conditions, filter_texts, passed
from storage.relational.session import Parameters, ReadBudget, Rows, State
from storage.relational.slices import FIRST_SLICE, Range
from storage.relational.sql import Dialect, Texts, Where, is_storable
from storage.search.clues import Clue
from storage.search.patterns import lower_ascii

T = TypeVar("T")

READ_LIMIT_S: Final = 15.0
"""How long one statement without a budget may take."""
_SPANS_OF_IDS: Final = (
    "SELECT min(first_seq), max(last_seq) FROM spans WHERE max_id_ms >= $1 AND min_id_ms <= $2 AND first_seq <= $3"
)


class Budget(ReadBudget):
    """The budget of a read, statement by statement."""

    async def fetch(self, link: Link, sql: str, parameters: Parameters, *, is_part: bool = False) -> Rows | None:
        """Run a query and fetch everything; None when the budget ended it."""
        if self.begin_query(is_part=is_part):
            return await link.fetch(sql, parameters, limit_s=READ_LIMIT_S)
        rest_s = self.rest_s
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
        self, link: Link, dialect: Dialect, state: State, names: Names, known_counts: KnownCounts, budget: Budget
    ) -> None:
        self.link = link
        self.dialect = dialect
        self.known_counts = known_counts
        self._state = state
        self._names = names
        self.budget = budget

    @classmethod
    async def begin(
        cls, link: Link, commits: Commits, names: Names, known_counts: KnownCounts, budget_s: float
    ) -> Self:
        """Begin a read of what is committed now."""
        server, known = await readable(link, commits)
        shown = dialect(known.condition(), cache(known.sums))  # chosen once for all statements
        return cls(server, shown, known.state, names, known_counts, Budget(budget_s))

    def limited(self, seconds: float) -> Self:
        return type(self)(self.link, self.dialect, self._state, self._names, self.known_counts, Budget(seconds))

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

    async def where_id(self, record_id: bytes) -> Where:
        milliseconds = id_ms(record_id)
        seqs = await self.seqs_of_ids(Range(milliseconds, milliseconds))
        text = f"id = $1 AND seq BETWEEN {seqs.first} AND {seqs.last} AND {self.dialect.committed}"
        return Where(text, (record_id,))

    async def rows_by_seq(self, filter: Filter, first_parameter: int = 1) -> "Selection | None":
        where = await self._where(filter, first_parameter)
        plain = await self._where(filter, 1)
        if where is None or plain is None:
            return None
        return Selection(self, Found(where, first_parameter, plain, filter.text, Sieve.of(filter)))

    async def rows_by_id(self, filter: Filter, whole: Range) -> "SelectionById | None":
        where = await self._where(filter, 1)
        if where is None:
            return None
        return SelectionById(self, Found(where, 1, where, filter.text, Sieve.of(filter)), whole)

    async def records(self, rows: Rows) -> list[Record]:
        texts = await self._names.load(self.link, numbers_of(rows))
        return [decode(row, texts) for row in rows]

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        return await read_payloads(self, seqs)

    async def payloads_of(self, records: Sequence[Record]) -> dict[int, Payload]:
        return await read_payloads(self, [record.seq for record in records])

    async def can_have(self, where: Where, clues: Sequence[Clue]) -> list[int] | None:
        return await can_have(self, where, clues)

    async def _where(self, filter: Filter, first_parameter: int) -> Where | None:
        if not is_storable(filter.text or ""):
            return None
        ids = await self.ids_of(filter_texts(filter))
        others = replace(filter, text=None)
        return filter_conditions(others, ids, self.dialect, first_parameter=first_parameter)

    async def seqs_of_ids(self, ms: Range) -> Range:
        """Find between which `seq`s all rows are that were received between two moments."""
        rows = await self.link.fetch(_SPANS_OF_IDS, (ms.first, ms.last, self._state.last_seq), limit_s=READ_LIMIT_S)
        first, last = rows[0] if rows else (None, None)
        return Range(1, 0) if first is None else Range(first, last)


def started_among(seqs: Range) -> str:
    """Write when rows of a range of `seq` started: other partitions need not be looked at.

    Of each part that begins before the range, version 18 would read the last granule.
    """
    among = f"FROM commits WHERE last_seq >= {seqs.first} AND first_seq <= {seqs.last} AND first_seq <= last_seq"
    least, most = f"(SELECT min(min_started_at_us) {among})", f"(SELECT max(max_started_at_us) {among})"
    return f"started_at_us BETWEEN {least} AND {most}"


@dataclass(frozen=True, slots=True)
class Found:
    """A filter as conditions, and what must be looked for beside them."""

    where: Where
    first_parameter: int
    plain: Where
    """The conditions numbered from 1."""
    text: str | None
    """To be found in path, error type or bodies."""
    sieve: Sieve | None


class Selection:
    """Rows in slices of `seq`."""

    def __init__(self, session: ClickhouseSession, found: Found) -> None:
        self._session = session
        self._found = found

    @property
    def first_rows(self) -> int | None:
        if self._found.sieve is not None:
            return SLICE_ROWS
        return FIRST_SLICE if self._found.text else None

    def order_by(self, order: Order) -> str:
        return f"ORDER BY seq {order}"

    async def within(self, part: Range) -> Where | None:
        return await self._sifted(part)

    async def _sifted(self, seqs: Range, also: str = "") -> Where | None:
        found = self._found
        bounds = f"seq BETWEEN {seqs.first} AND {seqs.last}{also} AND {started_among(seqs)}"
        where = await self._bounded(found.where, found.first_parameter, seqs, bounds)
        if found.sieve is None:
            return where
        passing = await found.sieve.pass_through(self._session, await self._bounded(found.plain, 1, seqs, bounds))
        if passing is None:
            return None
        return passed(where, passing, self._session.dialect, first_parameter=found.first_parameter)

    async def _bounded(self, where: Where, first_parameter: int, seqs: Range, bounds: str) -> Where:
        where = Where(f"{where.text} AND {bounds}", where.parameters)
        if not self._found.text:
            return where
        mark = f"${first_parameter + len(where.parameters)}"
        committed, state = self._session.dialect.committed, await self._session.state()
        text = text_condition(mark, seqs, committed, state)
        return Where(f"{where.text} AND {text}", (*where.parameters, lower_ascii(self._found.text)))


class SelectionById(Selection):
    """Rows of a range of `seq` in slices of ids."""

    def __init__(self, session: ClickhouseSession, found: Found, whole: Range) -> None:
        super().__init__(session, found)
        self._whole = whole

    def order_by(self, order: Order) -> str:
        return f"ORDER BY id {order}"

    async def within(self, part: Range) -> Where | None:
        first, last = (number.to_bytes(ID_BYTES, "big") for number in (part.first, part.last))
        seqs = await self._session.seqs_of_ids(Range(id_ms(first), id_ms(last)))
        within = Range(max(seqs.first, self._whole.first), min(seqs.last, self._whole.last))
        return await self._sifted(within, f" AND id BETWEEN {literal(first)} AND {literal(last)}")
