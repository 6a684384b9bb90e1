"""The tables of sums, which figures are read from instead of rows, and how the sums of a grid are made.

Strategy: the rollups of other stores are made with each batch; here the server adds up some 100 000 rows at once,
behind the commits, when all of them are there. Columns are called as those of records, so that one condition fits both.
Who begins says so (`begun`), and others leave the grid to it for a while: that decides nothing, and saves work. Newest
rows come first. What became void is made anew.

Invariant: see `storage.clickhouse.upkeep.grids`: sums count when all of a grid are there, and never change.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from storage.clickhouse.cluster.replicas import Copy
from storage.clickhouse.cluster.summed import is_avoided, note_made, note_whole, read_by_replicas, replica_of
from storage.clickhouse.codec import ROW_TYPES
from storage.clickhouse.features import Features
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.reads.derived import DERIVED
from storage.clickhouse.reads.rollups import HISTOGRAM_COLUMNS, column_of, sums_of
from storage.clickhouse.reads.visible import Committed
from storage.clickhouse.upkeep.grids import BEGUN_S, Grid, covered, finish, note, read_grids, void_number
from storage.clickhouse.upkeep.parts import delete
from storage.purge import SumStep
from storage.relational import usage
from storage.relational.rollup_sql import USAGE_TABLE
from storage.relational.rollups import (
    ENDPOINT_KEYS,
    ENDPOINT_TABLES,
    KEYS,
    LEAST,
    MEASURES,
    MOST,
    STATUS_KEYS,
    STATUS_TABLES,
    TABLES,
)
from storage.relational.slices import Range
from storage.relational.time_ranges import DAY_HOURS, DAY_US

_ROLLUP_MEASURES: Final = (*MEASURES, *LEAST, *MOST)
CUBES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]]] = {
    TABLES["hour"][0]: (KEYS, _ROLLUP_MEASURES, True),
    STATUS_TABLES["hour"][0]: (STATUS_KEYS, _ROLLUP_MEASURES, True),
    ENDPOINT_TABLES["hour"][0]: (ENDPOINT_KEYS, _ROLLUP_MEASURES, True),
    USAGE_TABLE: (usage.DIMENSIONS, usage.MEASURES, False),
}
"""Table → the columns of its key beside the hour, its measures, and whether it has histograms."""
_LIMIT_S: Final = 60.0
_SWEPT_S: Final = 2 * BEGUN_S
"""For how long nobody must have read sums that are deleted: what others have read of the grids is some seconds old."""
_SWEPT_REPLICAS_S: Final = 86_400
"""The same of replicas, whose clocks may differ."""
_MARKS: Final = 1024
"""Rows between two marks of the index."""
LOOK_S: Final = 5.0
"""How often it is looked whether there is something to add up."""
_SWEPT_GRIDS: Final = 64
"""Sums that nobody reads any more are deleted, of so many grids at once at least."""
_DAYS: Final = (
    f"SELECT DISTINCT table, partition_id, toInt64(partition) FROM system.parts WHERE database = currentDatabase() "
    f"AND active AND table IN ({', '.join(repr(table) for table in CUBES)})"
)


def tables_of_sums() -> list[str]:
    """Write the statements that make the tables."""
    return [_table(name, *cube) for name, cube in CUBES.items()]


class Summing:
    """Makes the sums of one store, grid by grid."""

    def __init__(
        self,
        link: Link,
        features: Features,
        grid_rows: int,
        look_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        # Beside traffic, one core of the server's is enough.
        self._settings = features.insert_settings | {"max_threads": "1"}
        self._grid_rows = grid_rows
        self._look_s = look_s
        self._clock = clock
        self._next_look = 0.0

    @property
    def is_due(self) -> bool:
        """Whether to look for a grid."""
        return self._clock() >= self._next_look

    async def step(self, known: Committed, server: Link | None = None) -> SumStep:
        """Make the sums of one grid on a server of the link; see `storage.base.Storage.add_sums`."""
        server = server or self._link
        await note_whole(self._link, server, tuple(CUBES))
        grids = await read_grids(server, await replica_of(self._link, server))
        seqs = self._next(known, grids)
        if seqs is None:
            self._next_look = self._clock() + self._look_s
            return SumStep(0, is_done=True)
        made, erasures = secrets.randbits(63), known.upkeep.erasures
        await note(server, seqs, made, erasures, "begun")
        for name, cube in CUBES.items():
            await server.execute(
                _insert(name, *cube, where=f"{known.condition()} AND seq BETWEEN {seqs.first} AND {seqs.last}"),
                (made,), limit_s=_LIMIT_S, settings=self._settings,
            )  # fmt: skip
        if not await is_avoided(self._link, seqs, erasures):
            await note_made(self._link, server, made)
            await finish(server, seqs, made, erasures)
        return SumStep(seqs.last - seqs.first + 1, is_done=False)

    def _next(self, known: Committed, grids: Sequence[Grid]) -> Range | None:
        """Choose the newest grid that has no sums and nobody works on; None when there is none."""
        voids = [grid for grid in grids if grid.what == "void"]
        done = {grid.made for grid in grids if grid.what == "done"}
        begun = [grid for grid in grids if grid.what == "begun" and grid.age_s < BEGUN_S and grid.made not in done]
        have = {grid.rows for grid in (*covered(grids).grids, *begun)}
        for number in range(known.last_seq // self._grid_rows - 1, -1, -1):
            rows = Range(number * self._grid_rows + 1, (number + 1) * self._grid_rows)
            if rows.first <= known.upkeep.purged_through_seq:
                break
            # An erasure that came to nothing has a number that no state has: its grid waits for the next one.
            is_kept = void_number(rows, voids) > known.upkeep.erasures
            if rows not in have and not is_kept:
                return rows
        return None


async def sweep(link: Link, purge_floor_us: int, purged_through_seq: int, copies: Sequence[Copy] | None = None) -> None:
    """Delete sums that nobody reads any more: those of days below the floor at once, others in the server's time.

    Args:
        link: To the server that is asked.
        purge_floor_us: Below it nothing is shown.
        purged_through_seq: The same, by `seq`.
        copies: All replicas; others are deleted where each of them tells that it does not read them.
    """
    for table, partition, day in await link.fetch(_DAYS, limit_s=LIMIT_S):
        if (day + 1) * DAY_US <= purge_floor_us:
            await link.execute(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'", limit_s=LIMIT_S)
    swept_s = _SWEPT_S if copies is None else _SWEPT_REPLICAS_S
    grids = [grid for grid in await read_grids(link) if grid.age_s > swept_s]
    read = covered(grids).grids if copies is None else await read_by_replicas(copies)
    if read is None:
        return
    counting = {grid.made for grid in read if grid.last_seq > purged_through_seq}
    spent = {grid.made for grid in grids if grid.what != "void"} - counting
    if len(spent) >= _SWEPT_GRIDS:
        for table in (*CUBES, "grids", *(() if copies is None else ("summed",))):
            await delete(link, table, "made IN $1", (sorted(spent),))


def _table(name: str, keys: Sequence[str], measures: Sequence[str], has_histograms: bool) -> str:
    types = {"made": "UInt64", "started_hour": "Int64"}
    types |= {column_of(key): _type(column_of(key)) for key in keys}
    types |= {measure: "Nullable(Int64)" if measure in (*LEAST, *MOST) else "Int64" for measure in measures}
    if has_histograms:
        types |= {column: f"Array({type})" for column, type in HISTOGRAM_COLUMNS.items()}
    columns = ", ".join(f"{column} {type}" for column, type in types.items())
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) ENGINE = MergeTree PARTITION BY "
        f"intDiv(started_hour, {DAY_HOURS}) ORDER BY (started_hour, made) SETTINGS index_granularity = {_MARKS}"
    )


def _type(column: str) -> str:
    if column == "status":
        return "Int64"
    return DERIVED[column][0] if column in DERIVED else ROW_TYPES[column]


def _insert(name: str, keys: Sequence[str], measures: Sequence[str], has_histograms: bool, *, where: str) -> str:
    columns = ["made", "started_hour", *map(column_of, keys), *measures, *(HISTOGRAM_COLUMNS if has_histograms else ())]
    summed = sums_of(name, keys, measures, where, has_histograms=has_histograms)
    return f"INSERT INTO {name} ({', '.join(columns)}) SELECT toUInt64($1), * FROM ({summed}) AS summed"
