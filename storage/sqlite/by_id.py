"""Pages in the order of receipt, by id: for readers that list what came in, not what was stored.

Strategy: bounds on time become bounds on ids (table `spans`), and the rest is walked in slices of milliseconds
(`storage.relational.by_id`). The indexes on (project, id) and (route, id) hold only rows that have a project, or a
client.

Invariant: a page is read from one state of the store; the first slice is searched whatever the budget.
"""

import sqlite3
from typing import Final

from storage.query import Filter, Page, RecordQuery
from storage.relational.by_id import ID_BYTES, id_number, id_slices
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT, SQLITE, Where, conditions, texts
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names, find
from storage.sqlite.page import Listing, read_page
from storage.sqlite.read import seq_range
from storage.sqlite.tiers import snapshot, visible

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
        parts = id_slices(_ms_range(connection, whole), query.order, query.after)
        listing = Listing("id", where, _ids, lambda record: id_number(record.id))
        return read_page(connection, listing, query, parts, names, budget)


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


def _ids(part: Range) -> tuple[bytes, bytes]:
    return part.first.to_bytes(ID_BYTES, "big"), part.last.to_bytes(ID_BYTES, "big")
