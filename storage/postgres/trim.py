"""The cap on size in SQL: slices of the oldest rows by `seq`, bodies of the older half before any
row.

Strategy: a slice is a range of `seq` and one transaction. A block goes with the last row that has
something in it: blocks never span batches, and batches never span `spans`, so only the rest of the
slice's last span can still need one. Blocks of a conversation are needed by its next calls, too.

Invariant: after each slice all answers and sums are those of the rows that are left; a block that
is left is used. Of sidecars that share a database one deletes at a time.
"""

from typing import Final
from uuid import UUID

from storage.postgres.connection import Connection, transaction
from storage.postgres.growing_blocks import used_behind
from storage.postgres.index_keys import by_seq, seq_between
from storage.postgres.purge import LOCK
from storage.postgres.removal import (
    BODIES_BLOCK,
    CONVERSATION,
    HEADS_BLOCK,
    SELECT,
    STARTED,
    delete_rows,
    uncount,
)
from storage.postgres.session import PostgresSession, bounds, id_range
from storage.purge import Trimmed, TrimStep, next_trim
from storage.relational.session import State
from storage.relational.slices import Range

_NOTE_ROWS: Final = (
    "UPDATE sidelog.state SET purged_through_seq = greatest(purged_through_seq, $1), trims = "
    "trims + 1, "
    "trimmed_until_us = greatest(trimmed_until_us, $2)"
)
_NOTE_BODIES: Final = (
    "UPDATE sidelog.state SET bodies_through_seq = greatest(bodies_through_seq, $1)"
)
_UNCOUNT_BLOCKS: Final = "UPDATE sidelog.counter SET block_bytes = block_bytes - $1"
"""After the last block, and before calls and jobs: a batch locks the counter between them."""
_EMPTY_CALLS: Final = (
    "UPDATE sidelog.tool_calls SET detail = '', search = '' WHERE record_seq BETWEEN $1 AND $2 "
    "AND detail <> ''"
)


async def trim(session: PostgresSession, begin: str, max_rows: int) -> Trimmed:
    """Take one slice, in a transaction that starts with the text `begin`."""
    connection = session.connection
    async with transaction(connection, f"{begin}; SELECT pg_advisory_xact_lock({LOCK})"):
        state = await session.state()
        first = await _first_seq(connection, state)
        step = (
            None
            if first is None
            else next_trim(first, state.last_seq, state.bodies_through_seq, max_rows)
        )
        if step is None:
            return Trimmed(0, 0)
        if step.what == "bodies":
            return Trimmed(0, await _trim_bodies(connection, step))

        return Trimmed(await _trim_rows(session, step), 0)


async def _first_seq(connection: Connection, state: State) -> int | None:
    """Find the first row; None when there is none."""
    # An erasure moves neither bound. They spare looking at what the index still has of rows that
    # were trimmed.
    least = await connection.fetchval("SELECT min(first_seq) FROM sidelog.spans")
    within = max(least or 0, state.purged_through_seq + 1), state.last_seq
    sql = f"SELECT seq FROM sidelog.records WHERE {seq_between('$1', '$2')} {by_seq('asc')} LIMIT 1"
    first: int | None = await connection.fetchval(sql, *within)
    return first


async def _trim_rows(session: PostgresSession, step: TrimStep) -> int:
    connection = session.connection
    part = Range(step.first_seq, step.last_seq)
    ids = await id_range(connection, part)
    rows = await connection.fetch(
        f"{SELECT} WHERE {bounds(1)} {by_seq('asc')}", part.first, part.last, *ids
    )
    await connection.execute(
        _NOTE_ROWS, step.last_seq, max((row[STARTED] for row in rows), default=0)
    )

    if rows:
        await uncount(session, rows)
        size = await _delete_blocks(
            connection, {row[HEADS_BLOCK] for row in rows}, set(), "heads", step.last_seq
        )
        blocks = {row[BODIES_BLOCK] for row in rows}
        conversations = {row[CONVERSATION] for row in rows}
        size += await _delete_blocks(connection, blocks, conversations, "bodies", step.last_seq)
        await connection.execute(_UNCOUNT_BLOCKS, size)
        await delete_rows(session, [row[0] for row in rows])

    await connection.execute("SELECT FROM sidelog.counter FOR UPDATE")
    await connection.execute("DELETE FROM sidelog.spans WHERE last_seq <= $1", step.last_seq)
    return len(rows)


async def _trim_bodies(connection: Connection, step: TrimStep) -> int:
    part = Range(step.first_seq, step.last_seq)
    rows = await connection.fetch(
        f"SELECT bodies_block, conversation FROM sidelog.records WHERE {bounds(1)}",
        part.first,
        part.last,
        *await id_range(connection, part),
    )
    await connection.execute(_NOTE_BODIES, step.last_seq)
    blocks = {block for block, _ in rows}
    conversations = {conversation for _, conversation in rows}
    size = await _delete_blocks(connection, blocks, conversations, "bodies", step.last_seq)
    await connection.execute(_UNCOUNT_BLOCKS, size)
    await connection.execute(_EMPTY_CALLS, part.first, part.last)
    return step.last_seq - step.first_seq + 1


async def _delete_blocks(
    connection: Connection,
    blocks: set[int | None],
    conversations: set[UUID | None],
    name: str,
    last_seq: int,
) -> int:
    """Delete the blocks of the rows up to one, but for those that rows behind it have something in,
    too.

    Args:
        connection: In the transaction of the slice.
        blocks: Of the rows.
        conversations: The rows' own.
        name: Of their columns.
        last_seq: The last of the rows.

    Returns:
        What the blocks took.
    """
    gone = sorted(block for block in blocks if block is not None)
    if not gone:
        return 0

    named = [conversation for conversation in conversations if conversation is not None]
    used = await used_behind(connection, gone, named, last_seq) if named else set[int]()

    end = await connection.fetchval(
        "SELECT min(last_seq) FROM sidelog.spans WHERE last_seq >= $1", last_seq
    )
    if end is not None and end > last_seq:
        part = Range(last_seq + 1, end)
        # Of one sidecar's blocks in the span few can be shared, but it need not be the only
        # sidecar.
        found = await connection.fetch(
            f"SELECT DISTINCT {name}_block FROM sidelog.records WHERE {seq_between('$1', '$2')} "
            f"AND id BETWEEN $3 AND $4 AND {name}_block = ANY($5::bigint[])",
            part.first,
            part.last,
            *await id_range(connection, part),
            gone,
        )
        used |= {block for (block,) in found}

    sizes = await connection.fetch(
        "DELETE FROM sidelog.blocks WHERE id = ANY($1::bigint[]) RETURNING octet_length(data)",
        [block for block in gone if block not in used],
    )
    return sum(size for (size,) in sizes)
