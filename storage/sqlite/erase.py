"""Erasing the records of a filter, a slice at a time: rows, sums, and what is theirs in the blocks.

Strategy: each slice is a transaction between two batches. Its rows are read once more as records,
their counts are taken off the rollups, and every block that holds something of theirs is packed
anew without it, under its own id; the rows that stay get their new places. What is freed is
overwritten, here and by whatever came before (`secure_delete` of the write connection), and the
journal is emptied at the end, so that nothing of its heads, bodies and rows is left in the files.
Values that records share, such as endpoints, models and hosts, stay in the table `dictionary` until
retention has passed their day; no answer shows them.

Invariant: after each slice all sums, lists and payloads are those of the records that are left.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from storage.purge import Slice
from storage.query import Filter
from storage.relational.blocks.payloads import BODIES, GROWN, HEADS, repack
from storage.relational.reads.scan import seq_range
from storage.relational.reads.text_index.tables import drop_holders
from storage.relational.rollups import Limits
from storage.relational.session import run_sync
from storage.relational.slices import Range
from storage.relational.usage import limits
from storage.relational.writes.packing import COLUMNS
from storage.sqlite.codec import Row
from storage.sqlite.connection import transaction
from storage.sqlite.removal import SELECT, remove_rows
from storage.sqlite.session import SqliteSession

SLICE_ROWS: Final = 500
"""Rows of one transaction: with their blocks about 50 ms."""
_SCAN_ROWS: Final = 50_000
"""Rows looked at in one transaction: about 10 ms."""
_CONVERSATION: Final = COLUMNS.index("conversation")
_KINDS: Final = ((HEADS, "heads"), (BODIES, "bodies"))


def erase_slice(session: SqliteSession, filter: Filter, from_seq: int) -> Slice:
    """Erase the first records of a filter from a `seq` on, in one transaction."""
    with transaction(session.connection):
        return _erase(session, filter, from_seq)


def empty_journal(connection: sqlite3.Connection) -> None:
    """Write the journal into the file and cut it, as far as readers let us: it holds pages as they
    were.
    """
    connection.execute("PRAGMA wal_checkpoint(truncate)").fetchall()


def _erase(session: SqliteSession, filter: Filter, from_seq: int) -> Slice:
    found = run_sync(session.rows_by_seq(filter))
    whole = run_sync(seq_range(session, filter))
    first = max(from_seq, whole.first)
    if found is None or first > whole.last:
        return Slice(0, 0, None)

    most = _SCAN_ROWS if found.first_rows is None else SLICE_ROWS
    last = min(first + most - 1, whole.last)
    where = run_sync(found.within(Range(first, last)))
    assert where is not None, "bug: the budget has ended the first query"
    sql = f"{SELECT} WHERE {where.text} {found.order_by('asc')} LIMIT ?"
    rows = session.connection.execute(sql, (*where.parameters, SLICE_ROWS)).fetchall()
    if len(rows) == SLICE_ROWS:
        last = rows[-1][0]
    if rows:
        _remove(session, rows)
    events = sum(row[COLUMNS.index("kind")] for row in rows)
    return Slice(len(rows) - events, events, last + 1 if last < whole.last else None)


def _remove(session: SqliteSession, rows: list[Row]) -> None:
    connection = session.connection
    remove_rows(session, rows, Limits(), limits())
    run_sync(drop_holders(session, [row[0] for row in rows]))
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'erasures'")

    for place, (_, name) in enumerate(_KINDS):
        column = len(COLUMNS) + 3 * place
        conversations = {row[column]: row[_CONVERSATION] for row in rows}
        for block in sorted(conversations.keys() - {0}):
            _repack(connection, block, name, conversations[block])


def _repack(
    connection: sqlite3.Connection, block: int, name: str, conversation: bytes | None
) -> None:
    """Pack a block anew with what the rows that are left have in it; delete it when that is
    nothing.

    The conversation is that of one of the rows that are erased.
    """
    found = connection.execute(
        "SELECT kind, first_seq, last_seq, data FROM blocks WHERE id = ?", (block,)
    ).fetchone()
    if found is None:
        return  # Retention took it.

    kind, first, last, frame = found
    is_grown = kind == GROWN  # its rows are all of one conversation, and far apart
    left = connection.execute(
        f"SELECT seq, {name}_offset, {name}_length FROM records "
        f"WHERE seq BETWEEN ? AND ? AND {name}_block = "
        f"?{' AND conversation = ?' if is_grown else ''} ORDER BY seq",
        (first, last, block, *((conversation,) if is_grown else ())),
    ).fetchall()
    if not left:
        connection.execute("DELETE FROM blocks WHERE id = ?", (block,))
        return

    size, packed = repack(frame, ((offset, length) for _, offset, length in left))
    # The last row takes the block with it when the cap on size does: it has to be one that is left.
    changes = (left[-1][0], size, packed, block)
    connection.execute(
        "UPDATE blocks SET last_seq = ?, raw_bytes = ?, data = ? WHERE id = ?", changes
    )
    connection.executemany(f"UPDATE records SET {name}_offset = ? WHERE seq = ?", _offsets(left))


def _offsets(left: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    offset = 0
    for seq, _, length in left:
        yield offset, seq
        offset += length
