"""The cap on size in SQL: slices of the oldest rows by `seq`, bodies of the older half before any row.

Strategy: a slice is a range of `seq` and one transaction. A block goes with the last row that has something in it:
blocks never span batches, and batches never span `spans`, so only the rest of the slice's last span can still need one.
Repeated text follows (`unused_texts.py`).

Invariant: after each slice all answers and sums are those of the rows that are left; a block that is left is used.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from storage.purge import Trimmed, TrimStep, next_trim
from storage.relational.blocks.payloads import GROWN
from storage.relational.rollups import Limits
from storage.relational.session import run_sync
from storage.sqlite.connection import ID_AMONG, counter, number_list, transaction
from storage.sqlite.removal import BODIES_BLOCK, HEADS_BLOCK, SELECT, STARTED, remove_rows
from storage.sqlite.session import SqliteSession
from storage.sqlite.unused_texts import UnusedTexts

_NOTE_BODIES: Final = "UPDATE meta SET value = max(value, ?) WHERE name = 'bodies_through_seq'"


def trim(session: SqliteSession, max_rows: int, limits: Limits, usage_limits: Limits, unused: UnusedTexts) -> Trimmed:
    """Take one slice, in a transaction of its own.

    Args:
        session: On the write connection, which knows the limits.
        max_rows: Of the slice.
        limits: Which values the rollups count apart; the batches' own.
        usage_limits: The same of usage.
        unused: Of the store; forgotten by the caller if this fails.
    """
    connection = session.connection
    with transaction(connection):
        whole = run_sync(session.seq_ends())
        through = counter(connection, "bodies_through_seq")
        step = next_trim(whole.first, whole.last, through, max_rows)
        if step is None:
            return Trimmed(0, 0)
        if step.what == "bodies":
            return Trimmed(0, _trim_bodies(connection, step))
        return Trimmed(_trim_rows(session, step, limits, usage_limits, unused), 0)


def _trim_rows(
    session: SqliteSession, step: TrimStep, limits: Limits, usage_limits: Limits, unused: UnusedTexts
) -> int:
    connection = session.connection
    rows = connection.execute(f"{SELECT} WHERE seq BETWEEN ? AND ?", (step.first_seq, step.last_seq)).fetchall()
    unused.take(connection, rows, remove_rows(session, rows, limits, usage_limits))
    for column, name in ((HEADS_BLOCK, "heads"), (BODIES_BLOCK, "bodies")):
        _delete_blocks(connection, {row[column] for row in rows}, name, step.last_seq)
    connection.execute("DELETE FROM spans WHERE last_seq <= ?", (step.last_seq,))
    connection.execute("UPDATE spans SET first_seq = max(first_seq, ?) WHERE first_seq <= ?", (step.last_seq + 1,) * 2)
    newest_us = max((row[STARTED] for row in rows), default=0)
    connection.executemany(
        "UPDATE meta SET value = max(value, ?) WHERE name = ?",
        [(step.last_seq, "purged_through_seq"), (newest_us, "trimmed_until_us")],
    )
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'trims'")
    return len(rows)


def _trim_bodies(connection: sqlite3.Connection, step: TrimStep) -> int:
    within = (step.first_seq, step.last_seq)
    rows = connection.execute("SELECT bodies_block FROM records WHERE seq BETWEEN ? AND ?", within).fetchall()
    _delete_blocks(connection, {block for (block,) in rows}, "bodies", step.last_seq)
    connection.execute(
        "UPDATE tool_calls SET detail = x'', search = '' WHERE record_seq BETWEEN ? AND ? AND detail <> x''", within
    )
    connection.execute(_NOTE_BODIES, (step.last_seq,))
    return step.last_seq - step.first_seq + 1


def _delete_blocks(connection: sqlite3.Connection, blocks: set[int], name: str, last_seq: int) -> None:
    """Delete the blocks of the rows up to one, but for those that rows behind it have something in, too."""
    gone = sorted(blocks - {0})
    if not gone:
        return
    span = connection.execute("SELECT last_seq FROM spans WHERE last_seq >= ? ORDER BY last_seq LIMIT 1", (last_seq,))
    end = (span.fetchone() or (last_seq,))[0]
    # A block of other records may be older than one of a conversation, and still be shared by the rest of its batch.
    sql = f"SELECT DISTINCT {name}_block FROM records WHERE seq > ? AND seq <= ?"  # noqa: S608 - closed names
    used = {block for (block,) in connection.execute(sql, (last_seq, end))}
    ended = _ended(connection, [block for block in gone if block not in used], last_seq)
    connection.execute(f"DELETE FROM blocks WHERE {ID_AMONG}", (number_list(ended),))  # noqa: S608 - one parameter


def _ended(connection: sqlite3.Connection, blocks: Sequence[int], last_seq: int) -> list[int]:
    """Leave out the blocks of conversations that go on behind a row."""
    sql = f"SELECT id FROM blocks WHERE {ID_AMONG} AND NOT (kind = ? AND last_seq > ?) ORDER BY id"  # noqa: S608 - parameters only
    return [block for (block,) in connection.execute(sql, (number_list(blocks), GROWN, last_seq))]
