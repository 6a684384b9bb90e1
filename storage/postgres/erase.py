"""Erasing the records of a filter, a slice at a time: rows, sums, and what is theirs in the blocks.

Strategy: each slice is a transaction. Its rows are read once more as records, their counts are
taken off the rollups, and every block that holds something of theirs is packed anew without it,
under its own id; the rows that stay get their new places. The server keeps the old versions until
its vacuum comes by, and in its write-ahead log and backups.

Invariant: after each slice all sums, lists and payloads are those of the records that are left.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from storage.postgres.connection import Connection, transaction
from storage.postgres.growing_blocks import rows_near
from storage.postgres.index_keys import by_seq, seq_between
from storage.postgres.purge import LOCK
from storage.postgres.removal import CONVERSATION, SELECT, delete_rows, uncount
from storage.postgres.session import PostgresSession
from storage.purge import Slice
from storage.query import Filter
from storage.relational.blocks.payloads import GROWN, repack
from storage.relational.reads.scan import seq_range
from storage.relational.reads.text_index.tables import drop_holders
from storage.relational.slices import Range
from storage.relational.writes.packing import COLUMNS

SLICE_ROWS: Final = 500
"""Rows of one transaction: with their blocks about 50 ms."""
_SCAN_ROWS: Final = 50_000
"""Rows looked at in one transaction: about 30 ms."""
_NAMES: Final = ("heads", "bodies")


async def erase_slice(session: PostgresSession, begin: str, filter: Filter, from_seq: int) -> Slice:
    """Erase the first records of a filter from a `seq` on, in a transaction that starts with the
    text `begin`.

    The session has a budget that does not end, and no transaction yet.
    """
    async with transaction(session.connection, f"{begin}; SELECT pg_advisory_xact_lock({LOCK})"):
        found = await session.rows_by_seq(filter)
        whole = await seq_range(session, filter)
        first = max(from_seq, whole.first)
        if found is None or first > whole.last:
            return Slice(0, 0, None)

        part = Range(
            first,
            min(first + (_SCAN_ROWS if found.first_rows is None else SLICE_ROWS) - 1, whole.last),
        )
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
    grown = 0

    for place, name in enumerate(_NAMES):
        column = len(COLUMNS) + 3 * place
        touched = {row[column]: row for row in rows if row[column] is not None}
        for block, row in sorted(touched.items()):
            grown += await _repack(connection, block, row, name, seqs)

    # After the last block: a batch locks those it continues before the counter.
    await connection.execute("UPDATE sidelog.counter SET block_bytes = block_bytes + $1", grown)
    await delete_rows(session, seqs)


async def _repack(
    connection: Connection, block: int, erased: Any, name: str, seqs: list[int]
) -> int:
    """Pack a block anew with what the rows that are left have in it; delete it when that is
    nothing.

    Returns how much longer it has become. `erased` is one of the rows, `seqs`, that are not left.
    """
    sql = "SELECT kind, newest_started_at_us, data FROM sidelog.blocks WHERE id = $1 FOR UPDATE"
    found = await connection.fetchrow(sql, block)
    if found is None:
        return 0  # Retention took it.

    kind, newest_us, frame = found
    is_grown = kind == GROWN  # its rows are all of one conversation, and far apart
    conversation = erased[CONVERSATION] if is_grown else None
    part = await (
        rows_near(connection, newest_us)
        if is_grown
        else _rows_of(connection, block, erased[0], name, kind)
    )
    left = await connection.fetch(
        f"SELECT seq, {name}_offset, {name}_length FROM sidelog.records WHERE "
        f"{seq_between('$1', '$2')} "
        f"AND {name}_block = $3 AND seq <> ALL($4::bigint[]) "
        f"{'AND conversation = $5 ' if is_grown else ''}"
        f"{by_seq('asc')}",
        part.first,
        part.last,
        block,
        seqs,
        *((conversation,) if is_grown else ()),
    )
    if not left:
        await connection.execute("DELETE FROM sidelog.blocks WHERE id = $1", block)
        return -len(frame)

    size, packed = repack(frame, ((offset, length) for _, offset, length in left))
    await connection.execute(
        "UPDATE sidelog.blocks SET raw_bytes = $2, data = $3 WHERE id = $1",
        block,
        size,
        bytes(packed),
    )
    await _move(connection, left, name, conversation)
    return len(packed) - len(frame)


async def _rows_of(connection: Connection, block: int, seq: int, name: str, kind: int) -> Range:
    """Find between which rows those of a block are, by one of them.

    They are in one span, as a batch is, and the blocks of a kind rise with the rows of a batch.
    """
    [(first, last)] = await connection.fetch(
        "SELECT first_seq, last_seq FROM sidelog.spans WHERE first_seq <= $1 ORDER BY first_seq "
        "DESC LIMIT 1",
        seq,
    )
    other = f"{name}_block <> $3 AND (SELECT kind FROM sidelog.blocks WHERE id = {name}_block) = $4"
    select = f"SELECT seq FROM sidelog.records WHERE {seq_between('$1', '$2')} AND {other}"
    before = await connection.fetchval(
        f"{select} {by_seq('desc')} LIMIT 1", first, seq - 1, block, kind
    )
    after = await connection.fetchval(
        f"{select} {by_seq('asc')} LIMIT 1", seq + 1, last, block, kind
    )
    return Range(first if before is None else before + 1, last if after is None else after - 1)


async def _move(
    connection: Connection, left: Sequence[Any], name: str, conversation: UUID | None
) -> None:
    offsets = []
    offset = 0
    for _, _, length in left:
        offsets.append(offset)
        offset += length
    await connection.execute(
        f"UPDATE sidelog.records SET {name}_offset = moved.place "
        "FROM unnest($1::bigint[], $2::integer[]) AS moved (number, place) "
        f"WHERE {seq_between('$3', '$4')} AND seq = "
        f"number{'' if conversation is None else ' AND conversation = $5'}",
        [seq for seq, _, _ in left],
        offsets,
        left[0][0],
        left[-1][0],
        *(() if conversation is None else (conversation,)),
    )
