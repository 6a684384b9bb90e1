"""Which rows have sums: ranges of `seq`, *grids*, whose records were added up once and need not be read for figures.

Strategy: the sums of a grid are rows of several tables (`storage.clickhouse.upkeep.sums`), all with a number of their
own; one row here, inserted when they are whole, makes them count. So whoever dies before leaves nothing behind that
anybody reads, and two who add up the same grid make it twice, of which one is read. An erasure is noted here, too,
before any of its records is hidden: the sums of grids that it touches are *void* from then on.

Invariant: the sums of a grid that `covered` names are those of exactly the records of it that `Committed` shows. For a
grid is read only where the store had as many erasures, when its sums were begun, as any erasure in it has by its
number; and an erasure's number is higher than that of all states before it.
Of replicas each reads only sums that `summed` says are whole on it, and commits of an erasure wait for its note.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from storage.clickhouse.link import LIMIT_S, Link
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT

GRID_ROWS: Final = 100_000
"""Between two grids; to read so many rows takes some 100 ms."""
GRIDS: Final = """CREATE TABLE IF NOT EXISTS grids (
    first_seq Int64,
    last_seq Int64,
    -- Number of the sums, of whoever makes them; of an erasure one of the note.
    made UInt64,
    -- Of the store, when the sums were begun; the number of the erasure.
    erasures Int64,
    -- begun, done or void
    what String,
    noted_s Int64
) ENGINE = MergeTree ORDER BY (first_seq, last_seq, made)"""
SUMMED: Final = "CREATE TABLE IF NOT EXISTS summed (made UInt64, replica String) ENGINE = MergeTree ORDER BY made"
"""Which replicas of a cluster have all rows of the sums with a number."""
BEGUN_S: Final = 120
"""How long a grid is left to whoever has begun it; sums that took longer do not count."""
_INSERT: Final = "INSERT INTO grids SELECT $1, $2, $3, $4, $5, toInt64(toUnixTimestamp(now())) FROM system.one"
_IN_TIME: Final = (
    " WHERE (SELECT count() FROM grids "
    "WHERE made = $3 AND what = 'begun' AND toInt64(toUnixTimestamp(now())) - noted_s < $6) > 0"
)
_READ: Final = "SELECT first_seq, last_seq, made, erasures, what, toInt64(toUnixTimestamp(now())) - noted_s FROM grids"
_WHOLE: Final = " WHERE what <> 'done' OR made IN (SELECT made FROM summed WHERE replica = $1)"
_MAX_RUNS: Final = 64
"""Ranges without a gap that a condition names; of more, the newest are read from sums."""


class Grid(NamedTuple):
    """One row of the table."""

    first_seq: int
    last_seq: int
    made: int
    erasures: int
    what: str
    age_s: int = 0
    """Since it was noted, by the server's clock."""

    @property
    def rows(self) -> Range:
        return Range(self.first_seq, self.last_seq)


@dataclass(frozen=True, slots=True)
class Covered:
    """Rows that have sums."""

    grids: tuple[Grid, ...] = ()
    """Whose sums count, by `seq`, none over another."""

    @property
    def made(self) -> list[int]:
        """The numbers of the sums that count."""
        return [grid.made for grid in self.grids]

    @property
    def runs(self) -> list[Range]:
        """The rows that have sums."""
        return _runs(grid.rows for grid in self.grids)

    def missing(self, seqs: Range) -> int:
        """Count the rows of a range that have none."""
        return seqs.size - sum(Range(max(run.first, seqs.first), min(run.last, seqs.last)).size for run in self.runs)

    def within(self, seqs: Range) -> "Covered":
        """Keep the grids that lie in a range as a whole, of the newest runs."""
        inside = [grid for grid in self.grids if grid.first_seq >= seqs.first and grid.last_seq <= seqs.last]
        runs = _runs(grid.rows for grid in inside)
        least = runs[-_MAX_RUNS].first if len(runs) > _MAX_RUNS else seqs.first
        return Covered(tuple(grid for grid in inside if grid.first_seq >= least))


NOTHING_COVERED: Final = Covered()


async def read_grids(link: Link, replica: str = "") -> list[Grid]:
    """Read the whole table; of a replica with a name, sums that are done only where it has all of them."""
    sql, parameters = (f"{_READ}{_WHOLE}", (replica,)) if replica else (_READ, ())
    return [Grid(*row) for row in await link.fetch(sql, parameters, limit_s=LIMIT_S)]


async def note(link: Link, seqs: Range, made: int, erasures: int, what: str) -> None:
    """Insert a row."""
    await link.execute(_INSERT, (seqs.first, seqs.last, made, erasures, what), limit_s=LIMIT_S)


async def finish(link: Link, seqs: Range, made: int, erasures: int) -> None:
    """Let sums count, unless they were begun so long ago that they may be taken for those of one who died."""
    parameters = (seqs.first, seqs.last, made, erasures, "done", BEGUN_S)
    await link.execute(_INSERT + _IN_TIME, parameters, limit_s=LIMIT_S)


async def avoid(link: Link, seqs: Iterable[int], erasure: int, grid_rows: int) -> None:
    """Make the sums void that an erasure with a number touches, before its records are hidden."""
    numbers = sorted({(seq - 1) // grid_rows for seq in seqs})
    for touched in _runs(Range(number * grid_rows + 1, (number + 1) * grid_rows) for number in numbers):
        await _avoid(link, touched, erasure)


async def avoid_all(link: Link, erasure: int) -> None:
    """Make all sums void that there are."""
    await _avoid(link, Range(-MAX_INT, MAX_INT), erasure)


async def _avoid(link: Link, rows: Range, erasure: int) -> None:
    number = secrets.randbits(63)
    await note(link, rows, number, erasure, "void")
    link.expect("grids", "made", [number])


def covered(grids: Sequence[Grid]) -> Covered:
    """Choose the grids whose sums count: of two over the same rows always the same one."""
    voids = [grid for grid in grids if grid.what == "void"]
    counting: list[Grid] = []
    for grid in sorted(grids, key=lambda grid: (grid.first_seq, grid.last_seq, -grid.made)):
        if grid.what != "done" or void_number(grid.rows, voids) > grid.erasures:
            continue
        if not counting or grid.first_seq > counting[-1].last_seq:
            counting.append(grid)
    return Covered(tuple(counting))


def void_number(rows: Range, voids: Sequence[Grid]) -> int:
    """Tell the highest number of an erasure in the rows of a grid; 0 where nothing was erased."""
    touching = (void.erasures for void in voids if void.first_seq <= rows.last and void.last_seq >= rows.first)
    return max(touching, default=0)


def _runs(ranges: Iterable[Range]) -> list[Range]:
    """Join ranges, which rise, with those that follow directly."""
    runs: list[Range] = []
    for rows in ranges:
        if runs and runs[-1].last + 1 == rows.first:
            runs[-1] = Range(runs[-1].first, rows.last)
        else:
            runs.append(rows)
    return runs
