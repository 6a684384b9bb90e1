"""Retention in SQL: the floors, and slices of deletion below them.

Strategy: `spans` knows where old rows are, a block knows its newest record, so nothing is searched.
Rows go first, then the rollups of hours that are gone, then blocks, then repeated text that nothing
uses, then pages are given back to the file system. A row above the floor keeps its block until it
goes too. Each slice is a transaction of one kind of work, in steps of about a millisecond, that
ends when its time is over or a batch waits: with its commit it holds the write connection for about
8 ms at the median.

A slice leaves the journal alone: to write it back takes some 25 ms, which the next batch would wait
for (`storage/sqlite/journal.py`).

Slices that the cap on size takes are in `trim.py`.

Invariant: only rows that no reader sees any more are deleted, so no reader can tell when.
"""

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from storage.purge import Purged, RetentionState
from storage.record import now_us
from storage.relational.blocks.payloads import BODIES, GROWN, HEADS
from storage.relational.time_ranges import HOUR_US, unused_before
from storage.sqlite import rollups
from storage.sqlite.connection import counter, transaction
from storage.sqlite.dictionary import delete_unused
from storage.sqlite.journal import journal_left_alone
from storage.sqlite.tools import drop_details

T = TypeVar("T")

SLICE_S: Final = 0.004
"""How long a slice works before it commits; to sync what it wrote takes about as long again."""
JOURNAL_SLICES: Final = 4
"""Slices between two times that the journal is written back: about 1 100 pages of slices of 460
rows.
"""
_STEP_ROWS: Final = 100
"""Rows of one step: 1 ms."""
_STEP_BLOCKS: Final = 10
"""Blocks of one step, 200 KB of compressed bodies as a rule."""
_STEP_PAGES: Final = 20
"""Pages of one step of giving back."""
_KEPT_PAGES: Final = 512
"""Free pages that are not given back, 4 MiB: the next batches need them."""
_KEPT_SHARE: Final = 64
"""A 64th of the file is not given back either: the hour that comes needs what the hour that went
has left.
"""
_OLDEST_LEFT: Final = (
    "WITH first AS (SELECT min(last_seq) AS last_seq FROM spans) SELECT min(at_us) FROM ("
    "SELECT min(started_at_us) AS at_us FROM records WHERE seq <= (SELECT last_seq FROM first) "
    "UNION ALL "
    "SELECT min(min_started_at_us) FROM spans WHERE last_seq > (SELECT last_seq FROM first))"
)
_USED: Final = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "
    "pragma_freelist_count, pragma_page_size"
)
_ALL: Final = 1_000_000_000
"""A slice's time is its only limit."""


class Turn:
    """How long a slice may go on: until a batch waits for the connection, or its time is over."""

    def __init__(self, is_wanted: Callable[[], bool], seconds: float = SLICE_S) -> None:
        self._is_wanted = is_wanted
        self._ends_s = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return self._is_wanted() or time.monotonic() >= self._ends_s

    def take(self, step: Callable[[int], int], step_items: int, max_items: int) -> int:
        """Do steps of so many items, one at least, until none is left or the turn is over; returns
        how many.
        """
        items = 0
        while items < max_items:
            taken = step(min(step_items, max_items - items))
            items += taken
            if not taken or self.is_over:
                break

        return items


def retention(connection: sqlite3.Connection) -> RetentionState:
    oldest = connection.execute("SELECT min(min_started_at_us) FROM spans").fetchone()[0]
    first = connection.execute("SELECT started_at_us FROM records ORDER BY seq LIMIT 1").fetchone()
    floor_us = counter(connection, "purge_floor_us")
    return RetentionState(
        purge_floor_us=floor_us,
        body_floor_us=counter(connection, "body_floor_us"),
        purged_through_seq=counter(connection, "purged_through_seq"),
        oldest_us=oldest,
        used_bytes=used_bytes(connection),
        last_seq=counter(connection, "last_seq"),
        reaches_back_us=None if first is None else max(first[0], floor_us),
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Measure the pages in use, those that the running transaction freed not counted."""
    return int(connection.execute(_USED).fetchone()[0])


def move_floors(
    connection: sqlite3.Connection, purge_floor_us: int, body_floor_us: int, down: bool
) -> None:
    """Raise the floors, or lower them; those that are beyond that already stay."""
    connection.executemany(
        f"UPDATE meta SET value = {'min' if down else 'max'}(value, ?) WHERE name = ?",
        [(purge_floor_us, "purge_floor_us"), (max(purge_floor_us, body_floor_us), "body_floor_us")],
    )


def purge(
    connection: sqlite3.Connection, max_rows: int, is_wanted: Callable[[], bool] = lambda: False
) -> Purged:
    """Delete one slice below the floors, of so many rows at most.

    The slice ends with the step it is at once a batch waits for the connection (`is_wanted`).
    """
    return _transaction(connection, lambda: _purge(connection, max_rows, Turn(is_wanted)))


def vacuum(connection: sqlite3.Connection, is_wanted: Callable[[], bool] = lambda: False) -> bool:
    """Give free pages back to the file system, a slice of them; False when there are none."""
    step = partial(_give_back, connection, 0)
    return _transaction(connection, lambda: Turn(is_wanted).take(step, _STEP_PAGES, _ALL) > 0)


def _transaction(connection: sqlite3.Connection, work: Callable[[], T]) -> T:
    with journal_left_alone(connection), transaction(connection):
        return work()


def _purge(connection: sqlite3.Connection, max_rows: int, turn: Turn) -> Purged:
    floor_us = counter(connection, "purge_floor_us")
    body_floor_us = counter(connection, "body_floor_us")
    rows = _purge_rows(connection, floor_us, max_rows, turn)
    if rows:
        return Purged(rows, 0, is_done=False)

    hour = floor_us // HOUR_US
    for delete in (rollups.delete_before, rollups.delete_usage_before):
        if turn.take(partial(delete, connection, hour), _STEP_ROWS, max_rows):
            return Purged(0, 0, is_done=False)
    for kind, floor in ((HEADS, floor_us), (BODIES, body_floor_us), (GROWN, body_floor_us)):
        blocks = turn.take(partial(_delete_blocks, connection, kind, floor), _STEP_BLOCKS, _ALL)
        if blocks:
            return Purged(0, blocks, is_done=False)

    for step, step_items in (
        (partial(drop_details, connection, body_floor_us), _STEP_ROWS),
        (
            partial(
                delete_unused, connection, unused_before(floor_us, _oldest_us(connection), now_us())
            ),
            _STEP_ROWS,
        ),
        (partial(_give_back, connection, _kept_pages(connection)), _STEP_PAGES),
    ):
        if turn.take(step, step_items, _ALL):
            return Purged(0, 0, is_done=False)

    return Purged(0, 0, is_done=True)


def _oldest_us(connection: sqlite3.Connection) -> int | None:
    """Find when the oldest row that is left started: the first span may know of rows that the cap
    on size took.
    """
    oldest: int | None = connection.execute(_OLDEST_LEFT).fetchone()[0]
    return oldest


def _purge_rows(connection: sqlite3.Connection, floor_us: int, max_rows: int, turn: Turn) -> int:
    """Delete rows of the oldest spans below the floor; 0 when there is none left."""
    rows = 0
    while rows < max_rows and not (rows and turn.is_over):
        span = connection.execute(
            "SELECT first_seq, last_seq, max_started_at_us FROM spans WHERE min_started_at_us < ? "
            "ORDER BY last_seq LIMIT 1",
            (floor_us,),
        ).fetchone()
        if span is None:
            break

        first, last, newest_us = span
        limit = min(max_rows - rows, _STEP_ROWS)
        deleted = connection.execute(
            "DELETE FROM records WHERE seq IN "
            "(SELECT seq FROM records WHERE seq BETWEEN ? AND ? AND started_at_us < ? ORDER BY "
            "seq LIMIT ?)",
            (first, last, floor_us, limit),
        ).rowcount
        rows += deleted
        if deleted < limit:
            _finish_span(connection, last, newest_us, floor_us)

    connection.execute(
        "UPDATE meta SET value = coalesce((SELECT min(seq) - 1 FROM records), "
        "(SELECT value FROM meta WHERE name = 'last_seq')) WHERE name = 'purged_through_seq'"
    )
    return rows


def _finish_span(
    connection: sqlite3.Connection, last_seq: int, newest_us: int, floor_us: int
) -> None:
    if newest_us < floor_us:
        connection.execute("DELETE FROM spans WHERE last_seq = ?", (last_seq,))
    else:
        connection.execute(
            "UPDATE spans SET min_started_at_us = ? WHERE last_seq = ?", (floor_us, last_seq)
        )


def _delete_blocks(
    connection: sqlite3.Connection, kind: int, floor_us: int, max_blocks: int
) -> int:
    # Ids first: the rows of the index are small, those of the table are not.
    sql = "SELECT id FROM blocks WHERE kind = ? AND newest_started_at_us < ? LIMIT ?"
    ids = connection.execute(sql, (kind, floor_us, max_blocks)).fetchall()
    connection.executemany("DELETE FROM blocks WHERE id = ?", ids)
    return len(ids)


def _give_back(connection: sqlite3.Connection, kept_pages: int, max_pages: int) -> int:
    free = _pragma(connection, "freelist_count")
    for _ in range(min(max_pages, free - kept_pages)):
        # One at a time: sqlite3 takes a single step of a statement without columns, which moves one
        # page.
        connection.execute("PRAGMA incremental_vacuum(1)")
    return max(0, free - _pragma(connection, "freelist_count"))


def _kept_pages(connection: sqlite3.Connection) -> int:
    return max(_KEPT_PAGES, _pragma(connection, "page_count") // _KEPT_SHARE)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
