"""Erasing the records of a filter, a slice at a time: rows, sums, and what is theirs in the blocks.

Strategy: each slice is a transaction. Its rows are read once more as records, their counts are taken off the rollups,
and every block that holds something of theirs is packed anew without it, under its own id; the rows that stay get their
new places. The server keeps the old versions until its vacuum comes by, and in its write-ahead log and backups.

Invariant: after each slice all sums, lists and payloads are those of the records that are left.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Any, Final

from storage.postgres.connection import Connection, transaction
from storage.postgres.index_keys import by_seq, seq_between, seq_beyond
from storage.postgres.purge import LOCK
from storage.postgres.removal import SELECT, delete_rows, uncount
from storage.postgres.session import PostgresSession
from storage.purge import Slice
from storage.query import Filter
from storage.relational.packing import COLUMNS
from storage.relational.payloads import repack
from storage.relational.reads.scan import seq_range
from storage.relational.reads.text_index.tables import drop_holders
from storage.relational.slices import Range

SLICE_ROWS: Final = 500
"""Rows of one transaction: with their blocks about 50 ms."""
_SCAN_ROWS: Final = 50_000
"""Rows looked at in one transaction: about 30 ms."""
_NAMES: Final = ("heads", "bodies")


async def erase_slice(session: PostgresSession, begin: str, filter: Filter, from_seq: int) -> Slice:
    """Erase the first records of a filter from a `seq` on, in a transaction that starts with the text `begin`.

    Args:
        session: With a budget that does not end, before its transaction.
        begin: Text that begins it.
        filter: What to erase.
        from_seq: Where to begin.
    """
    async with transaction(session.connection, f"{begin}; SELECT pg_advisory_xact_lock({LOCK})"):
        found = await session.rows_by_seq(filter)
        whole = await seq_range(session, filter)
        first = max(from_seq, whole.first)
        if found is None or first > whole.last:
            return Slice(0, 0, None)
        part = Range(first, min(first + (found.first_rows or _SCAN_ROWS) - 1, whole.last))
        where = await found.within(part)
        assert where is not None, "bug: a budget without end has ended"
        sql = f"{SELECT} WHERE {where.text} {found.order_by('asc')} LIMIT {SLICE_ROWS}"
        rows = await session.fetch(sql, where.parameters)
        last = rows[-1][0] if len(rows) == SLICE_ROWS else part.last
        if rows:
            await _remove(session, rows)
    events = sum(row[COLUMNS.index("kind")] for row in rows)
    return Slice(len(rows) - events, events, last + 1 if last < whole.last else None)


async def _remove(session: PostgresSession, rows: Sequence[Any]) -> None:
    connection = session.connection
    # First, as a batch does that has to note something in this row.
    await connection.execute("UPDATE sidelog.state SET erasures = erasures + 1")
    await uncount(session, rows)
    seqs = [row[0] for row in rows]
    await drop_holders(session, seqs)
    for place, name in enumerate(_NAMES):
        column = len(COLUMNS) + 3 * place
        touched: dict[int, int] = {row[column]: row[0] for row in rows if row[column] is not None}
        for block, seq in sorted(touched.items()):
            await _repack(connection, block, seq, name, seqs)
    await delete_rows(session, seqs)


async def _repack(connection: Connection, block: int, seq: int, name: str, erased: list[int]) -> None:
    """Pack a block anew with what the rows that are left have in it; delete it when that is nothing.

    Args:
        connection: In the transaction of the slice.
        block: Its id.
        seq: Of a row that has something in it.
        name: Of its columns.
        erased: Rows that are not left.
    """
    frame = await connection.fetchval("SELECT data FROM sidelog.blocks WHERE id = $1 FOR UPDATE", block)
    if frame is None:
        return  # Retention took it.
    part = await _rows_of(connection, block, seq, name)
    left = await connection.fetch(
        f"SELECT seq, {name}_offset, {name}_length FROM sidelog.records WHERE {seq_between('$1', '$2')} "
        f"AND {name}_block = $3 AND seq <> ALL($4::bigint[]) ORDER BY seq",
        part.first,
        part.last,
        block,
        erased,
    )
    grown = -len(frame)
    if left:
        size, packed = repack(frame, ((offset, length) for _, offset, length in left))
        grown += len(packed)
        await connection.execute(
            "UPDATE sidelog.blocks SET raw_bytes = $2, data = $3 WHERE id = $1", block, size, bytes(packed)
        )
        await _move(connection, left, name)
    else:
        await connection.execute("DELETE FROM sidelog.blocks WHERE id = $1", block)
    await connection.execute("UPDATE sidelog.counter SET block_bytes = block_bytes + $1", grown)


async def _rows_of(connection: Connection, block: int, seq: int, name: str) -> Range:
    """Find between which rows those of a block are: a batch's rows follow each other, and its blocks rise with them."""
    other = f"{name}_block IS NOT NULL AND {name}_block <> $2"
    select = "SELECT seq FROM sidelog.records WHERE"
    before = await connection.fetchval(
        f"{select} {seq_beyond('$1', '<')} AND {other} {by_seq('desc')} LIMIT 1", seq, block
    )
    after = await connection.fetchval(
        f"{select} {seq_beyond('$1', '>')} AND {other} {by_seq('asc')} LIMIT 1", seq, block
    )
    last = await connection.fetchval("SELECT last_seq FROM sidelog.counter")
    return Range(0 if before is None else before + 1, last if after is None else after - 1)


async def _move(connection: Connection, left: Sequence[Any], name: str) -> None:
    offsets, offset = [], 0
    for _, _, length in left:
        offsets.append(offset)
        offset += length
    await connection.execute(
        f"UPDATE sidelog.records SET {name}_offset = moved.place "
        "FROM unnest($1::bigint[], $2::integer[]) AS moved (number, place) "
        f"WHERE {seq_between('$3', '$4')} AND seq = number",
        [seq for seq, _, _ in left],
        offsets,
        left[0][0],
        left[-1][0],
    )
