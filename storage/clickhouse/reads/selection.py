"""Rows of a filter as conditions on slices of the table of records: of `seq`, or of ids."""

from typing import Final

from storage.clickhouse.reads.texts import text_condition
from storage.clickhouse.wire.literals import literal
from storage.query import Filter, Order
from storage.relational.by_id import ID_BYTES
from storage.relational.search.rows import Found
from storage.relational.session import Session
from storage.relational.slices import FIRST_SLICE, Range
from storage.relational.sql import Where
from storage.search.index.needs import NOTHING, All

_SLICE_ROWS: Final = 1000
"""Rows of the first slice of a walk that looks into each: with 2 KB each about 50 ms."""


class Selection:
    """Rows in slices of `seq`."""

    def __init__(self, session: Session, filter: Filter, found: Found) -> None:
        self._session = session
        self._filter = filter
        self._found = found

    @property
    def first_rows(self) -> int | None:
        rows = _SLICE_ROWS if self._found.first_rows is not None else FIRST_SLICE if self._filter.text else None
        return (self._session.dialect.scan_rows if rows is None else rows) * self._session.numbers_per_row

    @property
    def needs(self) -> tuple[All, ...]:
        return (NOTHING,)  # the server's index answers with the rows of a slice

    def order_by(self, order: Order) -> str:
        return f"ORDER BY seq {order}"

    async def within(self, part: Range) -> Where | None:
        return await self._within(part)

    async def _within(self, seqs: Range, also: str = "") -> Where | None:
        state = await self._session.state()

        def bound(where: Where, part: Range, first_parameter: int) -> Where:
            bounds = f"seq BETWEEN {part.first} AND {part.last}{also}"
            conditions, parameters = [where.text, bounds], list(where.parameters)

            def add(value: str) -> str:
                parameters.append(value)
                return f"${first_parameter + len(parameters) - 1}"

            if self._filter.text:
                conditions.append(text_condition(self._filter.text, state, add))
            return Where(" AND ".join(conditions), tuple(parameters))

        return await self._found.within(self._session, seqs, bound)


class SelectionById(Selection):
    """Rows of a range of `seq` in slices of ids."""

    def __init__(self, session: Session, filter: Filter, found: Found, whole: Range) -> None:
        super().__init__(session, filter, found)
        self._whole = whole

    def order_by(self, order: Order) -> str:
        return f"ORDER BY id {order}"

    async def within(self, part: Range) -> Where | None:
        first, last = (number.to_bytes(ID_BYTES, "big") for number in (part.first, part.last))
        return await self._within(self._whole, f" AND id BETWEEN {literal(first)} AND {literal(last)}")
