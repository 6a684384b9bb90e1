"""Erasing the records of a filter: out of all answers when the statement ends, out of the server's
parts soon after.

Strategy: the server marks rows as deleted, and shows them no more; then it is asked to write the
parts that have some anew. What a record's batch says of positions stays.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter or a number

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from storage.clickhouse.cluster import Shards
from storage.clickhouse.engine.server import Server
from storage.clickhouse.upkeep.parts import is_busy, mutate
from storage.clickhouse.wire.answers import Unfinished
from storage.clickhouse.wire.link import LIMIT_S, Link
from storage.clickhouse.wire.literals import literal
from storage.clickhouse.writes.rows import CALL, WAITING
from storage.purge import Slice
from storage.query import Filter
from storage.relational.reads.scan import seq_range
from storage.relational.session import Session
from storage.relational.slices import Range

SLICE_ROWS: Final = 40_000
"""Of one statement: Keeper takes less than a megabyte."""
_DELETE_S: Final = 120.0
_ASKED: Final = (
    f"SELECT DISTINCT id FROM records WHERE kind IN ({CALL}, {WAITING}) "
    "AND id IN (SELECT id FROM records WHERE seq IN $1) AND seq NOT IN $1"
)
_MASKED: Final = (
    "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'records' "
    "AND active "
    "AND has_lightweight_delete"
)
_ON_DISK: Final = "SELECT uniqExact(seq) FROM records WHERE _row_exists = 0"


async def erase_slice(shards: Shards, session: Session, filter: Filter, from_seq: int) -> Slice:
    """Erase the first records of a filter from a `seq` on; see `Storage.erase`.

    Args:
        shards: To erase from.
        session: To read from, with a budget that does not end.
        filter: What to erase.
        from_seq: Where to begin.
    """
    found = await session.rows_by_seq(filter)
    whole = await seq_range(session, filter)
    first = max(from_seq, whole.first)
    if found is None or first > whole.last:
        return Slice(0, 0, None)

    last = min(first + (found.first_rows or 1) - 1, whole.last)
    where = await found.within(Range(first, last))
    assert where is not None, "bug: a budget without end has ended"
    sql = f"SELECT seq, kind FROM records WHERE {where.text} ORDER BY seq LIMIT {SLICE_ROWS}"
    rows = await session.fetch(sql, where.parameters)
    if len(rows) == SLICE_ROWS:
        last = rows[-1][0]
    if rows:
        await _delete(shards, session, [seq for seq, _ in rows])
    events = sum(kind for _, kind in rows)
    return Slice(len(rows) - events, events, last + 1 if last < whole.last else None)


async def left_on_disk(link: Link, server: Server) -> int:
    """Have what was erased written out of the parts of a shard; returns of how many records
    something is left there.
    """
    if not server.deletes_at_once or not any(
        rows and rows[0][0] for rows in await link.fetch_each(_MASKED, limit_s=LIMIT_S)
    ):
        return 0

    [(left,)] = await link.fetch(_ON_DISK, limit_s=LIMIT_S, settings={"apply_deleted_mask": "0"})
    if not await is_busy(link):
        await link.execute(
            "ALTER TABLE records APPLY DELETED MASK",
            limit_s=LIMIT_S,
            settings={"mutations_sync": "0"},
        )

    return int(left)


async def _delete(shards: Shards, session: Session, seqs: Sequence[int]) -> None:
    """Delete all rows that came with records, but for positions, and calls they asked for that came
    with others.
    """
    asked = [literal(id) for (id,) in await session.fetch(_ASKED, (seqs,))]
    if asked:
        also = f" OR (kind IN ({CALL}, {WAITING}) AND id IN ({', '.join(asked)}))"
    else:
        also = ""
    where = f"writer = '' AND (seq IN $1{also})"

    async def delete(link: Link) -> None:
        if not shards.server.deletes_at_once:
            await mutate(link, f"DELETE WHERE {where}", (seqs,), limit_s=_DELETE_S)
            return
        settings = {"lightweight_deletes_sync": "2"}
        with suppress(Unfinished):
            await link.execute(
                f"DELETE FROM records WHERE {where}", (seqs,), limit_s=_DELETE_S, settings=settings
            )

    await shards.on_each(delete)
