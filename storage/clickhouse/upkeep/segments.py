"""Segments of the index of words: which rows have one, and which of those that were made count.

Strategy: as with sums (`storage.clickhouse.upkeep.grids`), the parts of a segment are rows of a table of their own,
with the number of the segment, and one row here, inserted when all of them are, makes it count. Who dies before leaves
nothing behind that anybody reads, and of two over the same rows one is read. An erasure that touches a segment makes it
void by the note that it makes for sums; a segment that is void, or of what is gone, is deleted with its parts.

Invariant: a segment counts only if it was begun where the store knew of every erasure in its rows.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.native import Column
from storage.clickhouse.upkeep.grids import Grid, read_grids, void_number
from storage.clickhouse.upkeep.parts import delete
from storage.clickhouse.upkeep.state import Upkeep
from storage.relational.slices import Range

SEGMENTS: Final = """CREATE TABLE IF NOT EXISTS text_segments (
    first_seq Int64,
    last_seq Int64,
    -- Number of the segment, of whoever makes it.
    made UInt64,
    -- Of the store, when it was begun.
    erasures Int64,
    -- begun or done
    what String,
    newest_body_us Int64,
    size_bytes Int64,
    -- Offset of the first row of each cell.
    offsets Array(UInt64),
    noted_s Int64 DEFAULT toInt64(toUnixTimestamp(now()))
) ENGINE = MergeTree ORDER BY (first_seq, last_seq, made)"""
PARTS: Final = """CREATE TABLE IF NOT EXISTS text_parts (
    first_seq Int64,
    made UInt64,
    part UInt16,
    data Array(UInt8)
) ENGINE = MergeTree PARTITION BY intDiv(first_seq, 8388608) ORDER BY (part, made) SETTINGS index_granularity = 32"""
"""A word's part of all segments is read in one piece; what is deleted touches few of the server's parts."""
TABLES: Final = ("text_parts", "text_segments")
BEGUN_S: Final = 60
"""For how long the index is left to whoever has noted something."""
_JOINED: Final = 4
"""Segments that are made one: fewer are not worth it."""
_SWEPT_S: Final = 4 * BEGUN_S
"""For how long nobody must have read what is deleted: what others have read of the table is some seconds old."""
_READ: Final = (
    "SELECT first_seq, last_seq, made, erasures, what, newest_body_us, size_bytes, length(offsets), "
    "toInt64(toUnixTimestamp(now())) - noted_s FROM text_segments"
)
_OFFSETS: Final = "SELECT made, offsets FROM text_segments WHERE what = 'done' AND made IN $1"
_WHOLE: Final = "SELECT made, part, data FROM text_parts WHERE made IN $1"
_SOME: Final = f"{_WHOLE} AND part IN $2"
_AT_ONCE: Final = 1000
"""Segments that are asked for in one statement."""


class Noted(NamedTuple):
    """One row of the table, without what only a search needs."""

    first_seq: int
    last_seq: int
    made: int
    erasures: int
    what: str
    newest_body_us: int = 0
    size_bytes: int = 0
    cells: int = 0
    age_s: int = 0
    """Since it was noted, by the server's clock."""

    @property
    def rows(self) -> Range:
        return Range(self.first_seq, self.last_seq)


async def read_noted(link: Link) -> list[Noted]:
    """Read the whole table."""
    return [Noted(*row) for row in await link.fetch(_READ, limit_s=LIMIT_S)]


async def read_offsets(link: Link, made: Sequence[int]) -> dict[int, Sequence[int]]:
    """Read by the number of each segment where its cells begin; segments that are not done are left out."""
    found: dict[int, Sequence[int]] = {}
    for start in range(0, len(made), _AT_ONCE):
        found.update(await link.fetch(_OFFSETS, (made[start : start + _AT_ONCE],), limit_s=LIMIT_S))
    return found


async def read_parts(
    link: Link, made: Sequence[int], parts: Sequence[int] | None = None
) -> dict[tuple[int, int], bytes]:
    """Read parts of some segments, or all, by the number of each segment and part; what is not there is left out."""
    found: dict[tuple[int, int], bytes] = {}
    for start in range(0, len(made), _AT_ONCE):
        some = made[start : start + _AT_ONCE]
        sql, parameters = (_WHOLE, (some,)) if parts is None else (_SOME, (some, parts))
        rows = await link.fetch(sql, parameters, limit_s=LIMIT_S)
        found.update({(number, part): bytes(data) for number, part, data in rows})
    return found


async def note(link: Link, noted: Noted, offsets: Sequence[int] = ()) -> None:
    """Insert a row."""
    await link.insert(
        "text_segments",
        [
            Column("first_seq", "Int64", [noted.first_seq]),
            Column("last_seq", "Int64", [noted.last_seq]),
            Column("made", "UInt64", [noted.made]),
            Column("erasures", "Int64", [noted.erasures]),
            Column("what", "String", [noted.what]),
            Column("newest_body_us", "Int64", [noted.newest_body_us]),
            Column("size_bytes", "Int64", [noted.size_bytes]),
            Column("offsets", "Array(UInt64)", [list(offsets)]),
        ],
        limit_s=LIMIT_S,
    )


async def keep_parts(link: Link, noted: Noted, parts: Sequence[bytes]) -> None:
    """Insert the parts of a segment, which nobody reads until it is noted as done."""
    count = len(parts)
    columns = (
        Column("first_seq", "Int64", [noted.first_seq] * count),
        Column("made", "UInt64", [noted.made] * count),
        Column("part", "UInt16", range(count)),
        Column("data", "Array(UInt8)", parts),
    )
    await link.insert("text_parts", columns, limit_s=LIMIT_S)


def counting(noted: Sequence[Noted], grids: Sequence[Grid], upkeep: Upkeep) -> list[Noted]:
    """Choose the segments that count, by `seq`, none over another: the longest of those that begin with a row."""
    voids = [grid for grid in grids if grid.what == "void"]
    found: list[Noted] = []
    for one in sorted(noted, key=lambda one: (one.first_seq, -one.last_seq, -one.made)):
        if one.what != "done" or _is_gone(one, upkeep) or void_number(one.rows, voids) > one.erasures:
            continue
        if not found or one.first_seq > found[-1].last_seq:
            found.append(one)
    return found


def joinable(counted: Sequence[Noted], max_cells: int) -> list[Noted]:
    """Choose some segments that follow each other and make one; none where there are too few, or more may come."""
    run: list[Noted] = []
    for one in counted:
        follows = not run or one.first_seq == run[-1].last_seq + 1
        if not follows or sum(each.cells for each in run) + one.cells > max_cells:
            if len(run) >= _JOINED:
                return run
            run = []
        run.append(one)
    return run if len(run) >= _JOINED and sum(one.cells for one in run) > max_cells // 2 else []


async def delete_voided(link: Link) -> None:
    """Have the server take out the segments that an erasure touches."""
    if voided := await read_voided(link):
        await _delete(link, voided)


async def read_voided(link: Link) -> list[int]:
    """List the numbers of segments that tell of words in what is erased."""
    voids = [grid for grid in await read_grids(link) if grid.what == "void"]
    return sorted({one.made for one in await read_noted(link) if void_number(one.rows, voids) > one.erasures})


async def sweep(link: Link, upkeep: Upkeep) -> None:
    """Have the server take out what does not count, and has not for a while, and what tells of nothing any more."""
    noted = await read_noted(link)
    counted = {one.made for one in counting(noted, await read_grids(link), upkeep)}
    fresh = {one.made for one in noted if one.age_s <= _SWEPT_S and not _is_gone(one, upkeep)}
    if spent := {one.made for one in noted} - counted - fresh:
        await _delete(link, sorted(spent))


async def forget_all(link: Link) -> None:
    """Give back the space of all segments."""
    for table in reversed(TABLES):
        await delete(link, table, "1 = 1")


async def _delete(link: Link, made: Sequence[int]) -> None:
    for table in TABLES:
        await delete(link, table, "made IN $1", (made,))


def _is_gone(one: Noted, upkeep: Upkeep) -> bool:
    """Whether all its rows are, or bodies in it that it tells words of."""
    if one.last_seq <= upkeep.purged_through_seq:
        return True
    newest_us = one.newest_body_us
    return newest_us > 0 and (newest_us < upkeep.body_floor_us or one.last_seq <= upkeep.bodies_through_seq)
