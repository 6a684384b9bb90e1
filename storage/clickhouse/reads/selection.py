"""Rows of a filter as conditions on slices of the table of records: of `seq`, or of ids."""

from typing import Final

from storage.clickhouse.wire.literals import literal
from storage.query import Order
from storage.relational.by_id import ID_BYTES
from storage.relational.search.rows import Found
from storage.relational.session import Session
from storage.relational.slices import Range
from storage.relational.sql import Where
from storage.search.index.needs import NOTHING, All

_SLICE_ROWS: Final = 1000
"""Rows of the first slice of a walk that looks into each: with 2 KB each about 50 ms."""


class Selection:
    """Rows in slices of `seq`."""

    def __init__(self, session: Session, found: Found) -> None:
        self._session = session
        self._found = found

    @property
    def first_rows(self) -> int | None:
        rows = self._session.dialect.scan_rows if self._found.first_rows is None else _SLICE_ROWS
        return rows * self._session.numbers_per_row

    @property
    def needs(self) -> tuple[All, ...]:
        return (NOTHING,)  # the server's index answers with the rows of a slice

    def order_by(self, order: Order) -> str:
        return f"ORDER BY seq {order}"

    async def within(self, part: Range) -> Where | None:
        return await self._within(part)

    async def _within(self, seqs: Range, also: str = "") -> Where | None:
        def bound(where: Where, part: Range, first_parameter: int) -> Where:
            return Where(f"{where.text} AND seq BETWEEN {part.first} AND {part.last}{also}", where.parameters)

        return await self._found.within(self._session, seqs, bound)


class SelectionById(Selection):
    """Rows of a range of `seq` in slices of ids."""

    def __init__(self, session: Session, found: Found, whole: Range) -> None:
        super().__init__(session, found)
        self._whole = whole

    def order_by(self, order: Order) -> str:
        return f"ORDER BY id {order}"

    async def within(self, part: Range) -> Where | None:
        first, last = (number.to_bytes(ID_BYTES, "big") for number in (part.first, part.last))
        return await self._within(self._whole, f" AND id BETWEEN {literal(first)} AND {literal(last)}")
