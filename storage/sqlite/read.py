"""Reading: a filter is walked in slices of `seq`, so that a time budget can end it anywhere with a cursor in hand.

Strategy: bounds on time become bounds on `seq` first (table `spans`). The range that is left is searched slice by slice
in the order of the query. A slice that was quick (an index served it) makes the next one wider, a slow one narrower, so
that an indexed list costs one or two statements and a rare combination is scanned in steps that fit the budget.

Invariant: the first slice is searched whatever the budget, so every answer makes progress. Rows that are committed
while a read runs lie above its range and are left to the next one.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Sequence
from typing import Final

from storage.query import Filter, Page, RecordQuery
from storage.record import Payload, Record
from storage.relational.payloads import NOWHERE, Unpacker
from storage.relational.slices import Range, slices
from storage.relational.sql import MAX_INT, SQLITE, Where, conditions, texts
from storage.sqlite.codec import PLACES, Row, decode_rows
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names, find, in_parts, marks
from storage.sqlite.page import SELECT, Listing, read_page
from storage.sqlite.tiers import meta, visible

_SELECT_PLACES: Final = f"SELECT seq, {', '.join(PLACES)}, started_at_us FROM records"


def select(connection: sqlite3.Connection, query: RecordQuery, names: Names, budget: Budget) -> Page:
    """Read one page."""
    filter = visible(connection, query.filter)
    where = _where(connection, filter)
    if where is None or query.limit <= 0:
        return Page([], complete=True, next_after=None)
    parts = slices(seq_range(connection, filter).following(query.after, query.order), query.order)
    listing = Listing("seq", where, lambda part: (part.first, part.last), lambda record: record.seq)
    return read_page(connection, listing, query, parts, names, budget)


def get(connection: sqlite3.Connection, record_id: bytes, names: Names) -> Record | None:
    """Read one record by its id."""
    floor_us = meta(connection, "purge_floor_us")
    sql = f"{SELECT} WHERE id = ? AND started_at_us >= ?"
    rows = connection.execute(sql, (bytearray(record_id), floor_us or -MAX_INT)).fetchall()
    return decode_rows(connection, rows, names)[0] if rows else None


def payloads(connection: sqlite3.Connection, seqs: Sequence[int]) -> dict[int, Payload]:
    """Read the payloads of some records."""
    floor_us = meta(connection, "purge_floor_us")
    places: list[Row] = []
    for part in in_parts(sorted({seq for seq in seqs if 0 < seq <= MAX_INT})):
        sql = f"{_SELECT_PLACES} WHERE seq IN ({marks(part)}) AND started_at_us >= ?"
        places += connection.execute(sql, (*part, floor_us or -MAX_INT)).fetchall()
    numbers = sorted({number for row in places for number in (row[1], row[4])})
    blocks: list[tuple[int, bytes]] = []
    for part in in_parts(numbers):
        blocks += connection.execute(f"SELECT id, data FROM blocks WHERE id IN ({marks(part)})", part).fetchall()
    unpacker = Unpacker(blocks)
    body_floor_us = meta(connection, "body_floor_us")
    found = {row[0]: unpacker.payload(row[1:4], row[4:7] if row[7] >= body_floor_us else NOWHERE) for row in places}
    return {seq: payload for seq, payload in found.items() if payload is not None}


def last_seq(connection: sqlite3.Connection) -> int:
    """Read the newest seq, also when its row was purged."""
    return int(connection.execute("SELECT value FROM meta WHERE name = 'last_seq'").fetchone()[0])


def _where(connection: sqlite3.Connection, filter: Filter) -> Where | None:
    return conditions(filter, find(connection, texts(filter)), SQLITE)


def seq_range(connection: sqlite3.Connection, filter: Filter) -> Range:
    """Find the rows that a filter's bounds on time and `seq` leave to be searched."""
    # Two sub-selects: min and max in one select scan the table.
    least, most = connection.execute("SELECT (SELECT min(seq) FROM records), (SELECT max(seq) FROM records)").fetchone()
    if filter.since_us is not None or filter.until_us is not None:
        since = -MAX_INT if filter.since_us is None else max(min(filter.since_us, MAX_INT), -MAX_INT)
        until = MAX_INT if filter.until_us is None else max(min(filter.until_us, MAX_INT), -MAX_INT)
        first, last = connection.execute(
            "SELECT min(first_seq), max(last_seq) FROM spans WHERE max_started_at_us >= ? AND min_started_at_us < ?",
            (since, until),
        ).fetchone()
        least, most = (None, None) if first is None or least is None else (max(least, first), min(most, last))
    if least is None:
        return Range(1, 0)
    if filter.seq_after is not None:
        least = max(least, filter.seq_after + 1)
    if filter.seq_until is not None:
        most = min(most, filter.seq_until)
    return Range(least, most)
