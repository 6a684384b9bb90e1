"""Retention in SQL: the floors, and slices of deletion below them.

Strategy: `spans` knows where old rows are, a block knows its newest record, so nothing is searched. Rows go first, a
slice at a time, each a transaction of its own that ends early when a batch waits; then the rollups of hours that are
gone, then blocks, then repeated text that nothing uses, then pages are given back to the file system. A row above the
floor keeps its block until it goes too.

Invariant: only rows that no reader sees any more are deleted, so no reader can tell when.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from storage.payloads import BODIES, HEADS
from storage.periods import DAY_US, HOUR_US
from storage.purge import Purged, RetentionState
from storage.sqlite import usage
from storage.sqlite.dictionary import delete_unused
from storage.sqlite.rollups import delete_before
from storage.sqlite.tiers import meta
from storage.sqlite.tools import drop_details

_MAX_BLOCKS: Final = 200
"""Blocks of one slice, 4 MB of compressed bodies at most as a rule."""
_STEP_ROWS: Final = 250
"""Rows deleted before it is looked whether a batch waits: about 3 ms."""
_KEPT_PAGES: Final = 512
"""Free pages that are not given back, 4 MiB: the next batches need them."""
_VACUUM_PAGES: Final = 512
"""Pages given back in one slice."""


def retention(connection: sqlite3.Connection) -> RetentionState:
    """Tell how far retention has come."""
    oldest = connection.execute("SELECT min(min_started_at_us) FROM spans").fetchone()[0]
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return RetentionState(
        purge_floor_us=meta(connection, "purge_floor_us"),
        body_floor_us=meta(connection, "body_floor_us"),
        purged_through_seq=meta(connection, "purged_through_seq"),
        oldest_us=oldest,
        used_bytes=(pages - free) * size,
    )


def raise_floors(connection: sqlite3.Connection, purge_floor_us: int, body_floor_us: int) -> None:
    """Raise the floors; a lower one than before changes nothing."""
    connection.executemany(
        "UPDATE meta SET value = max(value, ?) WHERE name = ?",
        [(purge_floor_us, "purge_floor_us"), (max(purge_floor_us, body_floor_us), "body_floor_us")],
    )


def purge(connection: sqlite3.Connection, max_rows: int, is_wanted: Callable[[], bool] = lambda: False) -> Purged:
    """Delete one slice below the floors.

    Args:
        connection: That batches are committed over.
        max_rows: Of the slice.
        is_wanted: Whether a batch waits for the connection: the slice then ends with the step it is at.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        purged = _purge(connection, max_rows, is_wanted)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if purged.rows or purged.blocks:
        return purged
    if delete_unused(connection, meta(connection, "purge_floor_us") // DAY_US, max_rows):
        return Purged(0, 0, is_done=False)
    return Purged(0, 0, is_done=give_back(connection))


def _purge(connection: sqlite3.Connection, max_rows: int, is_wanted: Callable[[], bool]) -> Purged:
    floor_us = meta(connection, "purge_floor_us")
    rows = _purge_rows(connection, floor_us, max_rows, is_wanted)
    if rows:
        return Purged(rows, 0, is_done=False)
    delete_before(connection, floor_us // HOUR_US)
    usage.delete_before(connection, floor_us // HOUR_US)
    blocks = 0
    for kind, floor in ((HEADS, floor_us), (BODIES, meta(connection, "body_floor_us"))):
        # Ids first: the rows of the index are small, those of the table are not.
        sql = "SELECT id FROM blocks WHERE kind = ? AND newest_started_at_us < ? LIMIT ?"
        ids = connection.execute(sql, (kind, floor, _MAX_BLOCKS - blocks)).fetchall()
        connection.executemany("DELETE FROM blocks WHERE id = ?", ids)
        blocks += len(ids)
    blocks += drop_details(connection, meta(connection, "body_floor_us"))
    return Purged(0, blocks, is_done=False)


def _purge_rows(connection: sqlite3.Connection, floor_us: int, max_rows: int, is_wanted: Callable[[], bool]) -> int:
    """Delete rows of the oldest spans below the floor; 0 when there is none left."""
    rows = 0
    while rows < max_rows and not (rows and is_wanted()):
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
            "(SELECT seq FROM records WHERE seq BETWEEN ? AND ? AND started_at_us < ? ORDER BY seq LIMIT ?)",
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


def _finish_span(connection: sqlite3.Connection, last_seq: int, newest_us: int, floor_us: int) -> None:
    if newest_us < floor_us:
        connection.execute("DELETE FROM spans WHERE last_seq = ?", (last_seq,))
    else:
        connection.execute("UPDATE spans SET min_started_at_us = ? WHERE last_seq = ?", (floor_us, last_seq))


def give_back(connection: sqlite3.Connection, kept_pages: int = _KEPT_PAGES) -> bool:
    """Give free pages back to the file system, a slice of them; True when there are no more to give."""
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    pages = min(_VACUUM_PAGES, free - kept_pages)
    if pages <= 0:
        return True
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    return bool(connection.execute("PRAGMA freelist_count").fetchone()[0] >= free)
