"""The cap on size in SQL: slices of the oldest rows by `seq`, bodies of the older half before any
row.

Strategy: a slice is a range of `seq` and one transaction, of steps of some milliseconds: it ends
when its time is over or a batch waits. A block goes with the last row that has something in it,
which it knows. Repeated text follows (`unused_texts.py`). A slice leaves the journal alone
(`journal.py`).

Invariant: after each slice all answers and sums are those of the rows that are left; a block that
is left is used.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from storage.purge import Trimmed, TrimStep, next_trim
from storage.record import Record
from storage.relational.rollups import Limits
from storage.relational.session import run_sync
from storage.sqlite.codec import Row
from storage.sqlite.connection import ID_AMONG, counter, number_list, transaction
from storage.sqlite.journal import journal_left_alone
from storage.sqlite.purge import Turn
from storage.sqlite.removal import BODIES_BLOCK, HEADS_BLOCK, SELECT, STARTED, remove_rows
from storage.sqlite.session import SqliteSession
from storage.sqlite.unused_texts import UnusedTexts

SLICE_S: Final = 0.05
"""How long a slice works before it commits, where no batch waits: to commit, and to measure, takes
some 15 ms.
"""
STEP_ROWS: Final = 25
"""Rows of one step: 10 ms, most of it to take them off seven sums each. Few rows at a time share
less of that: with 10 each takes half as long again.
"""
_NOTE: Final = "UPDATE meta SET value = max(value, ?) WHERE name = ?"
_EMPTY_CALLS: Final = (
    "UPDATE tool_calls SET detail = x'', search = '' WHERE record_seq BETWEEN ? AND ? AND detail "
    "<> x''"
)


def trim(
    session: SqliteSession,
    max_rows: int,
    limits: Limits,
    usage_limits: Limits,
    unused: UnusedTexts,
    is_wanted: Callable[[], bool] = lambda: False,
) -> Trimmed:
    """Take one slice, in a transaction.

    Args:
        session: On the write connection, which knows the limits.
        max_rows: Of the slice, which has one step at least.
        limits: Which values the rollups count apart; the batches' own.
        usage_limits: The same of usage.
        unused: Of the store; forgotten by the caller if this fails.
        is_wanted: Whether a batch waits for the connection: the slice ends with the step it is at.
    """
    connection = session.connection
    turn = Turn(is_wanted, SLICE_S)
    rows: list[Row] = []
    records: list[Record] = []
    bodies = 0

    with journal_left_alone(connection), transaction(connection):
        whole = run_sync(session.seq_ends())
        through = counter(connection, "bodies_through_seq")
        for step in _steps(next_trim(whole.first, whole.last, through, max_rows)):
            if step.what == "bodies":
                _trim_bodies(connection, step)
                bodies += step.last_seq - step.first_seq + 1
            else:
                some = _trim_rows(connection, step)
                rows += some
                records += remove_rows(session, some, limits, usage_limits)

            if turn.is_over:
                break

        if rows:
            unused.take(connection, rows, records, may_search=not is_wanted())
            connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'trims'")

    return Trimmed(len(rows), bodies)


def _steps(whole: TrimStep | None) -> Iterator[TrimStep]:
    """Cut a slice into steps; nothing of none."""
    if whole is None:
        return
    for first in range(whole.first_seq, whole.last_seq + 1, STEP_ROWS):
        yield TrimStep(whole.what, first, min(first + STEP_ROWS - 1, whole.last_seq))


def _trim_rows(connection: sqlite3.Connection, step: TrimStep) -> list[Row]:
    within = (step.first_seq, step.last_seq)
    rows = connection.execute(f"{SELECT} WHERE seq BETWEEN ? AND ?", within).fetchall()
    _delete_blocks(
        connection,
        {row[column] for row in rows for column in (HEADS_BLOCK, BODIES_BLOCK)},
        step.last_seq,
    )
    first = step.last_seq + 1
    newest_us = max((row[STARTED] for row in rows), default=0)
    connection.executemany(
        _NOTE, [(step.last_seq, "purged_through_seq"), (newest_us, "trimmed_until_us")]
    )
    connection.execute("DELETE FROM spans WHERE last_seq < ?", (first,))
    connection.execute(
        "UPDATE spans SET first_seq = max(first_seq, ?) WHERE first_seq < ?", (first, first)
    )
    return rows


def _trim_bodies(connection: sqlite3.Connection, step: TrimStep) -> None:
    within = (step.first_seq, step.last_seq)
    rows = connection.execute(
        "SELECT bodies_block FROM records WHERE seq BETWEEN ? AND ?", within
    ).fetchall()
    _delete_blocks(connection, {block for (block,) in rows}, step.last_seq)
    connection.execute(_EMPTY_CALLS, within)
    connection.execute(_NOTE, (step.last_seq, "bodies_through_seq"))


def _delete_blocks(connection: sqlite3.Connection, blocks: set[int], last_seq: int) -> None:
    """Delete the blocks of the rows up to one, but for those that rows behind it have something in,
    too.
    """
    sql = f"DELETE FROM blocks WHERE {ID_AMONG} AND last_seq <= ?"
    connection.execute(sql, (number_list(sorted(blocks - {0})), last_seq))
