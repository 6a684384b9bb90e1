"""Pages in the order of receipt, by id: for readers that list what came in, not what was stored.

Strategy: bounds on time become bounds on ids (table `spans`), and the rest is walked in slices of milliseconds
(`storage.received`). The indexes on (project, id) and (route, id) hold only rows that have a project, or a client.

Invariant: a page is read from one state of the store; the first slice is searched whatever the budget.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from typing import Final

from storage.query import Filter, Order, Page, RecordQuery
from storage.received import ID_BYTES, id_number, id_slices
from storage.slices import Range
from storage.sql import MAX_INT, SQLITE, Where, conditions, texts
from storage.sqlite.codec import COLUMNS, Row, decode_rows
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names, find
from storage.sqlite.read import seq_range
from storage.sqlite.tiers import snapshot, visible

_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM records"
_SPANS: Final = (
    "SELECT coalesce(min(min_id_ms), 1), coalesce(max(max_id_ms), 0) FROM spans WHERE last_seq >= ? AND first_seq <= ?"
)


def select(connection: sqlite3.Connection, query: RecordQuery, names: Names, budget: Budget) -> Page:
    """Read one page of a query by id."""
    with snapshot(connection):
        filter = visible(connection, query.filter)
        whole = seq_range(connection, filter)
        where = _where(connection, filter, whole)
        if where is None or query.limit <= 0:
            return Page([], complete=True, next_after=None)
        rows: list[Row] = []
        skip, limit, edge = max(query.offset, 0), min(query.limit, MAX_INT - 1), query.after
        for part in id_slices(_ms_range(connection, whole), query.order, query.after):
            if skip:
                passed = budget.execute(connection, *_passing(where, part, skip))
                if passed is None:
                    return Page([], complete=False, next_after=None)
                if passed[0][0] < skip:
                    skip -= passed[0][0]
                    continue
            # One row more than wanted tells whether there is a next page.
            found = budget.execute(connection, *_listing(where, part, query.order, limit + 1 - len(rows), skip))
            if found is None:
                return Page(decode_rows(connection, rows, names), complete=False, next_after=edge)
            rows += found
            skip = 0
            if len(rows) > limit:
                page = decode_rows(connection, rows[:limit], names)
                return Page(page, complete=True, next_after=id_number(page[-1].id))
            edge = part.last if query.order == "asc" else part.first
        return Page(decode_rows(connection, rows, names), complete=True, next_after=None)


def _where(connection: sqlite3.Connection, filter: Filter, whole: Range) -> Where | None:
    where = conditions(filter, find(connection, texts(filter)), SQLITE)
    if where is None:
        return None
    text = where.text
    if filter.projects or filter.scope.projects:
        text += " AND project <> 0"  # Literal: it is the condition of the partial index.
    if filter.clients or filter.scope.clients:
        text += " AND client <> 0"
    # The plus keeps SQLite from walking by seq and sorting.
    return Where(f"{text} AND +seq BETWEEN ? AND ?", (*where.parameters, _bound(whole.first), _bound(whole.last)))


def _ms_range(connection: sqlite3.Connection, whole: Range) -> Range:
    """Find the milliseconds between which the ids of a range of `seq` are."""
    return Range(*connection.execute(_SPANS, (_bound(whole.first), _bound(whole.last))).fetchone())


def _bound(seq: int) -> int:
    return max(min(seq, MAX_INT), -MAX_INT)


def _listing(where: Where, part: Range, order: Order, limit: int, offset: int) -> tuple[str, Row]:
    direction = "ASC" if order == "asc" else "DESC"
    sql = f"{_SELECT} WHERE {where.text} AND id BETWEEN ? AND ? ORDER BY id {direction} LIMIT ? OFFSET ?"
    return sql, (*where.parameters, *_ids(part), limit, offset)


def _passing(where: Where, part: Range, skip: int) -> tuple[str, Row]:
    sql = f"SELECT count(*) FROM (SELECT 1 FROM records WHERE {where.text} AND id BETWEEN ? AND ? LIMIT ?)"
    return sql, (*where.parameters, *_ids(part), min(skip, MAX_INT))


def _ids(part: Range) -> tuple[bytes, bytes]:
    return part.first.to_bytes(ID_BYTES, "big"), part.last.to_bytes(ID_BYTES, "big")
