"""Erasure of the records of a filter: at once from all answers, later from the server's parts.

Strategy: the server marks rows as deleted and hides them (a lightweight delete). Then it is asked
to write the parts with deleted rows anew.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter or a number

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from storage.clickhouse.cluster import Shards
from storage.clickhouse.engine.server import Server
from storage.clickhouse.upkeep.parts import OF_RECORDS, is_mutating, mutate
from storage.clickhouse.wire.answers import Unfinished
from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.literals import literal
from storage.clickhouse.writes.rows import CALL, WAITING
from storage.purge import Slice
from storage.query import Filter
from storage.relational.reads.scan import seq_range
from storage.relational.session import Session
from storage.relational.slices import Range
from storage.relational.sql import EVENT

SLICE_ROWS: Final = 40_000
"""Most rows of one statement: Keeper takes less than a megabyte."""
_DELETE_S: Final = 120.0
_CALLERS: Final = (
    f"SELECT DISTINCT id FROM records WHERE kind IN ({CALL}, {WAITING}) "
    "AND id IN (SELECT id FROM records WHERE seq IN $1) AND seq NOT IN $1"
)
"""Ids of erased records with tool calls that came with other records."""
_MARKED_PARTS: Final = (
    f"SELECT count() FROM system.parts WHERE {OF_RECORDS} AND active AND has_lightweight_delete"
)
_MARKED_RECORDS: Final = "SELECT uniqExact(seq) FROM records WHERE _row_exists = 0"


async def erase_slice(shards: Shards, session: Session, filter: Filter, from_seq: int) -> Slice:
    """Erase the first records of a filter from a `seq` on; see `Storage.erase`.

    Args:
        shards: To erase from.
        session: To read from, without a limit of time.
        filter: What to erase.
        from_seq: Where to begin.
    """
    matching = await session.rows_by_seq(filter)
    whole = await seq_range(session, filter)
    first = max(from_seq, whole.first)
    if matching is None or first > whole.last:
        return Slice(0, 0, None)

    last = min(first + (matching.first_rows or 1) - 1, whole.last)
    where = await matching.within(Range(first, last))
    assert where is not None, "bug: a budget without end has ended"
    sql = f"SELECT seq, kind FROM records WHERE {where.text} ORDER BY seq LIMIT {SLICE_ROWS}"
    rows = await session.fetch(sql, where.parameters)
    if len(rows) == SLICE_ROWS:
        last = rows[-1][0]
    if rows:
        await _delete(shards, session, [seq for seq, _ in rows])

    events = sum(kind == EVENT for _, kind in rows)
    return Slice(len(rows) - events, events, last + 1 if last < whole.last else None)


async def delete_erased(link: Link, server: Server) -> int:
    """Have a shard write the parts with erased rows anew; return how many records they still have."""
    if not server.deletes_at_once:
        return 0
    answers = await link.fetch_each(_MARKED_PARTS)
    if not any(parts for [(parts,)] in filter(None, answers)):
        return 0

    unmasked = {"apply_deleted_mask": "0"}
    [(left,)] = await link.fetch(_MARKED_RECORDS, settings=unmasked)
    if not await is_mutating(link):
        await link.execute(
            "ALTER TABLE records APPLY DELETED MASK",
            settings={"mutations_sync": "0"},
        )

    return int(left)


async def _delete(shards: Shards, session: Session, seqs: Sequence[int]) -> None:
    """Delete records with all rows that came with them, and their tool calls that came with others.

    Positions stay: their row has a `writer`.
    """
    where = "seq IN $1"
    callers = [literal(id) for (id,) in await session.fetch(_CALLERS, (seqs,))]
    if callers:
        where += f" OR (kind IN ({CALL}, {WAITING}) AND id IN ({', '.join(callers)}))"
    where = f"writer = '' AND ({where})"

    async def delete(link: Link) -> None:
        if not shards.server.deletes_at_once:
            await mutate(link, f"DELETE WHERE {where}", (seqs,), limit_s=_DELETE_S)
            return

        # A replica that is away marks the rows when it is back.
        settings = {"lightweight_deletes_sync": "2"}
        with suppress(Unfinished):
            await link.execute(
                f"DELETE FROM records WHERE {where}", (seqs,), limit_s=_DELETE_S, settings=settings
            )

    await shards.on_each(delete)
