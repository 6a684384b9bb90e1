"""Pages in the order of receipt, by id: for readers that list what came in, not what was stored.

Strategy: as in SQLite's: bounds on time become bounds on ids (table `spans`), which are also bounds on partitions, and
the rest is walked in slices of milliseconds (`storage.received`).

Invariant: the first slice is searched whatever the budget, so every answer makes progress.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from typing import Any, Final
from uuid import UUID

from storage.postgres.codec import COLUMNS, decode_rows
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.ranges import seq_range
from storage.postgres.scan import bounds, row_where
from storage.postgres.state import read_state
from storage.query import Order, Page, RecordQuery
from storage.received import id_number, id_slices
from storage.slices import Range
from storage.sql import MAX_INT

_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM sidelog.records"
_SPANS: Final = (
    "SELECT coalesce(min(min_id_ms), 1), coalesce(max(max_id_ms), 0) FROM sidelog.spans "
    "WHERE last_seq >= $1 AND first_seq <= $2"
)

Statement = tuple[str, tuple[Any, ...]]


async def select(connection: Connection, query: RecordQuery, names: Names, budget: Budget) -> Page:
    """Read one page of a query by id."""
    state = await read_state(connection)
    filter = state.visible(query.filter)
    where = await row_where(connection, filter, state)
    if where is None or query.limit <= 0:
        return Page([], complete=True, next_after=None)
    whole = await seq_range(connection, filter, state)
    rows: list[Any] = []
    skip, limit, edge = min(max(query.offset, 0), MAX_INT), min(query.limit, MAX_INT - 1), query.after
    for part in id_slices(await _ms_range(connection, whole), query.order, query.after):
        ids = UUID(int=part.first), UUID(int=part.last)
        matching = await where.at(connection, whole, ids, budget)
        if matching is None:
            return Page(await decode_rows(connection, rows, names), complete=False, next_after=None if skip else edge)
        condition = f"{where.text} AND {bounds(len(matching) + 1)}"
        parameters = (*matching, _bound(whole.first), _bound(whole.last), *ids)
        if skip:
            passed = await budget.fetch(connection, *_passing(condition, parameters, skip))
            if passed is None:
                return Page([], complete=False, next_after=None)
            if passed[0][0] < skip:
                skip -= passed[0][0]
                continue
        # One row more than wanted tells whether there is a next page.
        limits = limit + 1 - len(rows), skip
        found = await budget.fetch(connection, *_listing(condition, parameters, query.order, *limits))
        if found is None:
            return Page(await decode_rows(connection, rows, names), complete=False, next_after=edge)
        rows += found
        skip = 0
        if len(rows) > limit:
            page = await decode_rows(connection, rows[:limit], names)
            return Page(page, complete=True, next_after=id_number(page[-1].id))
        edge = part.last if query.order == "asc" else part.first
    return Page(await decode_rows(connection, rows, names), complete=True, next_after=None)


async def _ms_range(connection: Connection, whole: Range) -> Range:
    """Find the milliseconds between which the ids of a range of `seq` are."""
    row = await connection.fetchrow(_SPANS, _bound(whole.first), _bound(whole.last))
    return Range(1, 0) if row is None else Range(*row)


def _bound(seq: int) -> int:
    return max(min(seq, MAX_INT), -MAX_INT)


def _listing(condition: str, parameters: tuple[Any, ...], order: Order, limit: int, offset: int) -> Statement:
    number, direction = len(parameters) + 1, "ASC" if order == "asc" else "DESC"
    sql = f"{_SELECT} WHERE {condition} ORDER BY id {direction} LIMIT ${number} OFFSET ${number + 1}"
    return sql, (*parameters, limit, offset)


def _passing(condition: str, parameters: tuple[Any, ...], skip: int) -> Statement:
    rows = f"SELECT FROM sidelog.records WHERE {condition} LIMIT ${len(parameters) + 1}"
    return f"SELECT count(*) FROM ({rows}) AS passed", (*parameters, skip)
