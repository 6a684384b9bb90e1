"""The cap on size in SQL: slices of the oldest rows by `seq`, bodies of the older half before any row.

Strategy: a slice is one transaction of steps, each a range of `seq`, and ends as soon as enough is free. A block goes
with the last row that has something in it, which it knows. Repeated text follows (`unused_texts.py`).

Invariant: after each slice all answers and sums are those of the rows that are left; a block that is left is used.
"""

import sqlite3
from typing import Final

from storage.purge import Trimmed, TrimStep, next_trim
from storage.relational.rollups import Limits
from storage.relational.session import run_sync
from storage.sqlite.codec import Row
from storage.sqlite.connection import ID_AMONG, counter, number_list, transaction
from storage.sqlite.purge import Turn, used_bytes
from storage.sqlite.removal import BODIES_BLOCK, HEADS_BLOCK, SELECT, STARTED, remove_rows
from storage.sqlite.session import SqliteSession
from storage.sqlite.unused_texts import UnusedTexts

_NOTE: Final = "UPDATE meta SET value = max(value, ?) WHERE name = ?"
_EMPTY_CALLS: Final = (
    "UPDATE tool_calls SET detail = x'', search = '' WHERE record_seq BETWEEN ? AND ? AND detail <> x''"
)


def trim(
    session: SqliteSession,
    max_rows: int,
    goal_bytes: int | None,
    turn: Turn,
    limits: Limits,
    usage_limits: Limits,
    unused: UnusedTexts,
) -> Trimmed:
    """Take steps in one transaction: a single one, or with a goal until it is reached or the turn is over.

    Args:
        session: On the write connection, which knows the limits.
        max_rows: Of a step.
        goal_bytes: Of space in use.
        turn: How long it may go on.
        limits: Which values the rollups count apart; the batches' own.
        usage_limits: The same of usage.
        unused: Of the store; forgotten by the caller if this fails.
    """
    connection, rows, bodies, newest_us = session.connection, 0, 0, 0
    with transaction(connection):
        whole, through = run_sync(session.seq_ends()), counter(connection, "bodies_through_seq")
        first = whole.first
        while (step := next_trim(first, whole.last, through, max_rows)) is not None:
            if step.what == "bodies":
                _trim_bodies(connection, step)
                bodies, through = bodies + step.last_seq - step.first_seq + 1, step.last_seq
            else:
                gone = _trim_rows(connection, step)
                unused.take(connection, gone, remove_rows(session, gone, limits, usage_limits))
                rows, first = rows + len(gone), step.last_seq + 1
                newest_us = max([newest_us, *(row[STARTED] for row in gone)])
            if goal_bytes is None or turn.is_over or used_bytes(connection) <= goal_bytes:
                break
        reached = [(through, "bodies_through_seq")]
        if rows:
            reached += [(first - 1, "purged_through_seq"), (newest_us, "trimmed_until_us")]
            connection.execute("DELETE FROM spans WHERE last_seq < ?", (first,))
            connection.execute("UPDATE spans SET first_seq = max(first_seq, ?) WHERE first_seq < ?", (first, first))
            connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'trims'")
        connection.executemany(_NOTE, reached)
    return Trimmed(rows, bodies)


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
