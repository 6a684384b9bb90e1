"""Erasing the records of a filter: shown to nobody at once, taken out of the server's parts in its own time.

Strategy: the `seq`s found are kept in a table of their own, which every read leaves out; then mutations take the rows
out of all tables. When the server is done with them, and none is left, the `seq`s are forgotten, slice by slice as they
were found. A mutation that came to nothing is begun again.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import secrets
from collections.abc import Collection, Sequence
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.native import Column
from storage.clickhouse.upkeep.grids import avoid
from storage.clickhouse.upkeep.parts import SEQ, await_quiet, delete, is_busy
from storage.clickhouse.upkeep.segments import delete_voided, read_voided
from storage.clickhouse.writes.calls import PLACE_BITS
from storage.errors import StorageUnavailable
from storage.purge import Slice
from storage.query import Filter
from storage.relational.reads.scan import seq_range
from storage.relational.session import Session
from storage.relational.slices import Range

ERASED: Final = "CREATE TABLE IF NOT EXISTS erased (seq Int64, slice Int64) ENGINE = MergeTree ORDER BY seq"
_SLICE_ROWS: Final = 1_000_000
"""Rows looked at for one slice, unless they have to be looked at here."""
_AMONG: Final = "{} IN (SELECT seq FROM erased)"
_ASKED: Final = (
    f"SELECT id FROM tool_calls WHERE record_id IN (SELECT id FROM records WHERE {_AMONG.format('seq')}) "
    f"AND NOT {_AMONG.format('record_seq')}"
)


async def find_slice(session: Session, filter: Filter, from_seq: int) -> tuple[Slice, list[int]]:
    """Find the first records of a filter from a `seq` on; returns what they are, and their `seq`s.

    Args:
        session: With a budget that does not end.
        filter: What to erase.
        from_seq: Where to begin.
    """
    found = await session.rows_by_seq(filter)
    whole = await seq_range(session, filter)
    first = max(from_seq, whole.first)
    if found is None or first > whole.last:
        return Slice(0, 0, None), []
    part = Range(first, min(first + (found.first_rows or _SLICE_ROWS) - 1, whole.last))
    where = await found.within(part)
    assert where is not None, "bug: a budget without end has ended"
    rows = await session.fetch(f"SELECT seq, kind FROM records WHERE {where.text}", where.parameters)
    events = sum(kind for _, kind in rows)
    next_seq = part.last + 1 if part.last < whole.last else None
    return Slice(len(rows) - events, events, next_seq), [seq for seq, _ in rows]


async def hide(link: Link, seqs: Sequence[int], erasure: int, grid_rows: int) -> None:
    """Show some records to nobody any more, as soon as the erasure with a number is committed."""
    await avoid(link, seqs, erasure, grid_rows)
    numbers = [secrets.randbits(63)] * len(seqs)
    columns = Column("seq", "Int64", seqs), Column("slice", "Int64", numbers)
    await link.insert("erased", columns, limit_s=LIMIT_S)


async def take_out(link: Link) -> None:
    """Have the server take the rows of hidden records out of all tables, and what tells of words in them.

    Calls of tools that they asked for, and others are stored with, are hidden by nothing: they go first, and are waited
    for.
    """
    asked = [number for (number,) in await link.fetch(_ASKED, limit_s=LIMIT_S)]
    if asked:
        await delete(link, "tool_calls", f"record_seq * {1 << PLACE_BITS} + place IN $1", (asked,))
        await await_quiet(link, LIMIT_S)
    await delete_voided(link)
    for table, seq in SEQ.items():
        await delete(link, table, _AMONG.format(seq))


async def finish(link: Link) -> int:
    """Forget the records that were taken out, and begin again what came to nothing; returns how many are left."""
    sql = "SELECT slice, uniqExact(seq) FROM erased GROUP BY slice"
    hidden: dict[int, int] = dict(await link.fetch(sql, limit_s=LIMIT_S))
    if not hidden:
        return 0
    try:
        left = [await _is_left(server, hidden) for server in link.everywhere()]
    except StorageUnavailable:
        if len(link.everywhere()) == 1:
            raise
        # Of a replica that is away nobody knows.
        return sum(hidden.values())
    if None in left:
        return sum(hidden.values())
    if any(left):
        await take_out(link)
        return sum(hidden.values())
    await delete(link, "erased", "slice IN $1", (list(hidden),))
    return 0


async def _is_left(server: Link, slices: Collection[int]) -> bool | None:
    """Whether a server has rows of hidden records; None while it takes them out, or does not know of all."""
    if await is_busy(server):
        return None
    sql = "SELECT uniqExact(slice) FROM erased WHERE slice IN $1"
    if (await server.fetch(sql, (list(slices),), limit_s=LIMIT_S))[0][0] < len(slices):
        return None
    counts = " UNION ALL ".join(f"SELECT count() FROM {table} WHERE {_AMONG.format(seq)}" for table, seq in SEQ.items())
    counted = await server.fetch(counts, limit_s=LIMIT_S)
    return any(count for (count,) in counted) or bool(await read_voided(server))
