"""One page of a list, gathered slice by slice within a budget: the same walk for lists by `seq` and by id.

Invariant: the first slice is searched whatever the budget, and an answer that was cut carries a cursor to go on.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from storage.query import Order, Page, RecordQuery
from storage.record import Record
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT, Where
from storage.sqlite.codec import COLUMNS, Row, decode_rows
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names

SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM records"
"""Rows as `decode_rows` expects them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What is listed, and by which column."""

    column: str
    where: Where
    bounds: Callable[[Range], Row]
    """A slice as two values of the column, both inclusive."""
    number: Callable[[Record], int]
    """A record's place in the order, as cursors carry it."""

    def rows(self, part: Range, order: Order, limit: int, offset: int) -> tuple[str, Row]:
        """Write the query of some rows of a slice."""
        direction = "ASC" if order == "asc" else "DESC"
        sql = f"{SELECT} WHERE {self._within} ORDER BY {self.column} {direction} LIMIT ? OFFSET ?"
        return sql, (*self.where.parameters, *self.bounds(part), limit, offset)

    def passing(self, part: Range, skip: int) -> tuple[str, Row]:
        """Write the query that counts the rows of a slice, up to those that are to be skipped."""
        sql = f"SELECT count(*) FROM (SELECT 1 FROM records WHERE {self._within} LIMIT ?)"
        return sql, (*self.where.parameters, *self.bounds(part), min(skip, MAX_INT))

    @property
    def _within(self) -> str:
        return f"{self.where.text} AND {self.column} BETWEEN ? AND ?"


def read_page(
    connection: sqlite3.Connection,
    listing: Listing,
    query: RecordQuery,
    parts: Iterable[Range],
    names: Names,
    budget: Budget,
) -> Page:
    """Read one page of at least one record from slices in the order of the query."""
    rows: list[Row] = []
    skip, limit, edge = max(query.offset, 0), min(query.limit, MAX_INT - 1), query.after
    for part in parts:
        if skip:
            passed = budget.execute(connection, *listing.passing(part, skip))
            if passed is None:
                return Page([], complete=False, next_after=None)
            if passed[0][0] < skip:
                skip -= passed[0][0]
                continue
        # One row more than wanted tells whether there is a next page.
        found = budget.execute(connection, *listing.rows(part, query.order, limit + 1 - len(rows), skip))
        if found is None:
            return Page(decode_rows(connection, rows, names), complete=False, next_after=edge)
        rows += found
        skip = 0
        if len(rows) > limit:
            page = decode_rows(connection, rows[:limit], names)
            return Page(page, complete=True, next_after=listing.number(page[-1]))
        edge = part.last if query.order == "asc" else part.first
    return Page(decode_rows(connection, rows, names), complete=True, next_after=None)
