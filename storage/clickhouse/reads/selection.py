"""Rows of a filter as conditions on slices of the table of records: of `seq`, or of ids.

Strategy: each slice names the `seq`s and the starts of its rows, so that the server looks at few marks of few
partitions. What takes long to compare is compared in rows that something smaller has chosen.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter or a number

from typing import Final

from storage.clickhouse.literals import literal
from storage.clickhouse.reads.derived import hash_of
from storage.clickhouse.reads.texts import text_condition
from storage.query import Filter, Order
from storage.relational.by_id import ID_BYTES, id_ms
from storage.relational.search.rows import Found
from storage.relational.session import Session, State
from storage.relational.slices import FIRST_SLICE, Range, Spread
from storage.relational.sql import Where
from storage.search.index.needs import All
from storage.search.patterns import lower_ascii

_SPANS_OF_IDS: Final = (
    "SELECT min(first_seq), max(last_seq) FROM spans WHERE max_id_ms >= $1 AND min_id_ms <= $2 AND first_seq <= $3"
)
_SLICE_ROWS: Final = 1000
"""Rows of the first slice of a walk that looks into each: with 2 KB each about 50 ms."""
_TRACE_ROWS: Final = 10_000_000
"""Rows in which a trace is looked for at a time, some 80 ms."""


async def seqs_of_ids(session: Session, ms: Range) -> Range:
    """Find between which `seq`s all rows are that were received between two moments."""
    rows = await session.fetch(_SPANS_OF_IDS, (ms.first, ms.last, (await session.state()).last_seq))
    return Range(1, 0) if not rows or rows[0][0] is None else Range(*rows[0])


def trace_condition(mark: str, seqs: Range) -> str:
    """Write the condition that all rows of a trace between some `seq`s fulfil, and hardly any other.

    Left to itself, the server would read a column first that is smaller and says less.
    """
    within = f"seq BETWEEN {seqs.first} AND {seqs.last}"
    return f"seq IN (SELECT seq FROM records PREWHERE trace_hash = {hash_of(mark)} WHERE {within})"


def started_among(seqs: Range) -> str:
    """Write when rows of a range of `seq` started: other partitions need not be looked at.

    Of each part that begins before the range, version 18 would read the last granule.
    """
    among = f"FROM commits WHERE last_seq >= {seqs.first} AND first_seq <= {seqs.last} AND first_seq <= last_seq"
    least, most = f"(SELECT min(min_started_at_us) {among})", f"(SELECT max(max_started_at_us) {among})"
    return f"started_at_us BETWEEN {least} AND {most}"


def _among(seqs: Range) -> str:
    parts = seqs.parts if isinstance(seqs, Spread) else (seqs,)
    return f"({' OR '.join(f'seq BETWEEN {part.first} AND {part.last}' for part in parts)})"


class Selection:
    """Rows in slices of `seq`."""

    def __init__(self, session: Session, filter: Filter, found: Found) -> None:
        self._session = session
        self._filter = filter
        self._found = found

    @property
    def first_rows(self) -> int | None:
        if self._found.first_rows is not None:
            return _SLICE_ROWS
        if self._filter.text:
            return FIRST_SLICE
        return None if self._filter.trace_id is None else _TRACE_ROWS

    @property
    def needs(self) -> tuple[All, ...]:
        return self._found.needs

    def order_by(self, order: Order) -> str:
        return f"ORDER BY seq {order}"

    async def within(self, part: Range) -> Where | None:
        return await self._within(part)

    async def _within(self, seqs: Range, also: str = "") -> Where | None:
        state = await self._session.state()

        def bound(where: Where, part: Range, first_parameter: int) -> Where:
            return self._bounded(where, first_parameter, part, also, state)

        return await self._found.within(self._session, seqs, bound)

    def _bounded(self, where: Where, first_parameter: int, seqs: Range, also: str, state: State) -> Where:
        bounds = f"{_among(seqs)}{also} AND {started_among(seqs)}"
        filter, conditions, parameters = self._filter, [where.text, bounds], list(where.parameters)

        def add(value: str) -> str:
            parameters.append(value)
            return f"${first_parameter + len(parameters) - 1}"

        if filter.trace_id is not None:
            conditions.append(trace_condition(add(filter.trace_id), seqs))
        if filter.text:
            committed = self._session.dialect.committed
            conditions.append(text_condition(add(lower_ascii(filter.text)), seqs, committed, state))
        return Where(" AND ".join(conditions), tuple(parameters))


class SelectionById(Selection):
    """Rows of a range of `seq` in slices of ids."""

    def __init__(self, session: Session, filter: Filter, found: Found, whole: Range) -> None:
        super().__init__(session, filter, found)
        self._whole = whole

    def order_by(self, order: Order) -> str:
        return f"ORDER BY id {order}"

    async def within(self, part: Range) -> Where | None:
        first, last = (number.to_bytes(ID_BYTES, "big") for number in (part.first, part.last))
        seqs = await seqs_of_ids(self._session, Range(id_ms(first), id_ms(last)))
        within = Range(max(seqs.first, self._whole.first), min(seqs.last, self._whole.last))
        return await self._within(within, f" AND id BETWEEN {literal(first)} AND {literal(last)}")
