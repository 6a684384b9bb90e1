"""The cap on size in SQL: slices of the oldest rows by `seq`, bodies of the older half before any row.

Strategy: a slice is a range of `seq` and one transaction. A block goes with the last row that has something in it,
which it knows. Repeated text follows (`unused_texts.py`).

Invariant: after each slice all answers and sums are those of the rows that are left; a block that is left is used.
"""

import sqlite3
from typing import Final

from storage.purge import Trimmed, TrimStep, next_trim
from storage.relational.rollups import Limits
from storage.relational.session import run_sync
from storage.sqlite.codec import Row
from storage.sqlite.connection import ID_AMONG, counter, number_list, transaction
from storage.sqlite.removal import BODIES_BLOCK, HEADS_BLOCK, SELECT, STARTED, remove_rows
from storage.sqlite.session import SqliteSession
from storage.sqlite.unused_texts import UnusedTexts

_NOTE: Final = "UPDATE meta SET value = max(value, ?) WHERE name = ?"
_EMPTY_CALLS: Final = (
    "UPDATE tool_calls SET detail = x'', search = '' WHERE record_seq BETWEEN ? AND ? AND detail <> x''"
)


def trim(session: SqliteSession, max_rows: int, limits: Limits, usage_limits: Limits, unused: UnusedTexts) -> Trimmed:
    """Take one slice, in a transaction.

    Args:
        session: On the write connection, which knows the limits.
        max_rows: Of the slice.
        limits: Which values the rollups count apart; the batches' own.
        usage_limits: The same of usage.
        unused: Of the store; forgotten by the caller if this fails.
    """
    connection = session.connection
    with transaction(connection):
        whole, through = run_sync(session.seq_ends()), counter(connection, "bodies_through_seq")
        step = next_trim(whole.first, whole.last, through, max_rows)
        if step is None:
            return Trimmed(0, 0)
        if step.what == "bodies":
            _trim_bodies(connection, step)
            connection.execute(_NOTE, (step.last_seq, "bodies_through_seq"))
            return Trimmed(0, step.last_seq - step.first_seq + 1)
        rows, first = _trim_rows(connection, step), step.last_seq + 1
        unused.take(connection, rows, remove_rows(session, rows, limits, usage_limits))
        newest_us = max((row[STARTED] for row in rows), default=0)
        connection.executemany(_NOTE, [(step.last_seq, "purged_through_seq"), (newest_us, "trimmed_until_us")])
        connection.execute("DELETE FROM spans WHERE last_seq < ?", (first,))
        connection.execute("UPDATE spans SET first_seq = max(first_seq, ?) WHERE first_seq < ?", (first, first))
        connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'trims'")
    return Trimmed(len(rows), 0)


def _trim_rows(connection: sqlite3.Connection, step: TrimStep) -> list[Row]:
    within = (step.first_seq, step.last_seq)
    rows = connection.execute(f"{SELECT} WHERE seq BETWEEN ? AND ?", within).fetchall()
    _delete_blocks(connection, {row[column] for row in rows for column in (HEADS_BLOCK, BODIES_BLOCK)}, step.last_seq)
    return rows


def _trim_bodies(connection: sqlite3.Connection, step: TrimStep) -> None:
    within = (step.first_seq, step.last_seq)
    rows = connection.execute("SELECT bodies_block FROM records WHERE seq BETWEEN ? AND ?", within).fetchall()
    _delete_blocks(connection, {block for (block,) in rows}, step.last_seq)
    connection.execute(_EMPTY_CALLS, within)


def _delete_blocks(connection: sqlite3.Connection, blocks: set[int], last_seq: int) -> None:
    """Delete the blocks of the rows up to one, but for those that rows behind it have something in, too."""
    sql = f"DELETE FROM blocks WHERE {ID_AMONG} AND last_seq <= ?"
    connection.execute(sql, (number_list(sorted(blocks - {0})), last_seq))
