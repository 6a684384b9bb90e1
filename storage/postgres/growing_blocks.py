"""Growing blocks (`storage/relational/blocks/growing.py`), while other sidecars erase and delete
rows.

Invariant: a transaction that changes or deletes a growing block locks it before it reads the
block's rows, so no row is added or removed meanwhile. Its rows belong to one conversation, and
started within two of its spans.
"""

from collections.abc import Collection, Sequence
from typing import Final

from storage.postgres.connection import Connection
from storage.postgres.index_keys import seq_between
from storage.postgres.session import id_range
from storage.relational.blocks.growing import MAX_SPAN_US, Growth
from storage.relational.blocks.payloads import GROWN
from storage.relational.slices import Range

_LOCK: Final = (
    "SELECT id, raw_bytes FROM sidelog.blocks WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE"
)
_GROW: Final = (
    "UPDATE sidelog.blocks "
    "SET newest_started_at_us = grown.newest_us, raw_bytes = grown.raw, data = grown.frames "
    "FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bytea[]) AS grown (number, "
    "newest_us, raw, frames) "
    "WHERE id = ANY($1::bigint[]) AND id = number"
)
_LOCK_GROWN: Final = (
    "SELECT id, newest_started_at_us FROM sidelog.blocks "
    "WHERE id = ANY($1::bigint[]) AND kind = $2 ORDER BY id FOR UPDATE"
)
_USED: Final = (
    "SELECT DISTINCT bodies_block FROM sidelog.records WHERE conversation = ANY($1::uuid[]) "
    f"AND {seq_between('$2', '$3')} AND id BETWEEN $4 AND $5 AND bodies_block = ANY($6::bigint[])"
)


class BlocksChanged(Exception):
    """A block differs from the one that this sidecar wrote: its rows were erased, or it was
    deleted.
    """


async def grow(connection: Connection, growths: Sequence[Growth]) -> None:
    """Write the new contents of blocks, in the transaction of a batch.

    Raises:
        BlocksChanged: A block is not the one that the growth is based on.
    """
    numbers = [growth.id for growth in growths]
    found = [(number, size) for number, size in await connection.fetch(_LOCK, numbers)]
    if dict(found) != {growth.id: growth.raw_bytes_before for growth in growths}:
        raise BlocksChanged

    await connection.execute(
        _GROW,
        numbers,
        [growth.newest_us for growth in growths],
        [growth.raw_bytes for growth in growths],
        [bytes(growth.frames) for growth in growths],
    )


async def rows_near(connection: Connection, newest_us: int) -> Range:
    """Return the range of `seq` that contains a block's rows, given the start of its newest one."""
    [(first, last)] = await connection.fetch(
        "SELECT min(first_seq), max(last_seq) FROM sidelog.spans "
        "WHERE max_started_at_us >= $1 AND min_started_at_us <= $2",
        newest_us - 2 * MAX_SPAN_US,
        newest_us,
    )
    if first is None:
        return Range(1, 0)
    return Range(first, last)


async def used_behind(
    connection: Connection, blocks: Sequence[int], conversations: Collection[object], last_seq: int
) -> set[int]:
    """Return those of the blocks that the conversations also use after a row; growing ones are
    locked.
    """
    grown = await connection.fetch(_LOCK_GROWN, blocks, GROWN)
    if not grown:
        return set()

    near = await rows_near(connection, max(newest_us for _, newest_us in grown))
    behind = Range(last_seq + 1, near.last)
    if behind.first > behind.last:
        return set()

    ids = await id_range(connection, behind)
    numbers = [number for number, _ in grown]
    used = await connection.fetch(
        _USED, list(conversations), behind.first, behind.last, *ids, numbers
    )
    return {block for (block,) in used}
