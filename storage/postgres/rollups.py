"""The tables of rollups: sums are merged into them by one statement a table over arrays, an array a column.

Rows are merged in the order of their keys, so that two writers cannot wait for each other in a circle. Of what other
sidecars add to a running hour nothing is known: each of them may count `MAX_VALUES` values of a dimension apart.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final

from storage.postgres.connection import Connection
from storage.postgres.dictionary import find
from storage.relational import usage
from storage.relational.rollups import CUBES, LIMITED, LIMITED_BY_STATUS, MEASURES, Limits, Rollups
from storage.relational.time_ranges import DAY_HOURS


def _merging(table: str, keys: Sequence[str], measures: Sequence[str] = MEASURES) -> str:
    columns = (*keys, *measures)
    arrays = ", ".join(f"${place}::bigint[]" for place in range(1, len(columns) + 1))
    return (
        f"INSERT INTO sidelog.{table} AS known ({', '.join(columns)}) "
        f"SELECT * FROM unnest({arrays}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{measure} = known.{measure} + excluded.{measure}" for measure in measures)
    )


def _emptying(table: str, keys: Sequence[str], measures: Sequence[str]) -> str:
    arrays = ", ".join(f"${place}::bigint[]" for place in range(1, len(keys) + 1))
    same = " AND ".join(f"known.{name} = gone.{name}" for name in keys)
    none = " AND ".join(f"known.{name} = 0" for name in measures)
    return (
        f"DELETE FROM sidelog.{table} AS known USING unnest({arrays}) AS gone ({', '.join(keys)}) "
        f"WHERE {same} AND {none}"
    )


_EMPTY: Final = {
    table: _emptying(table, (period, *keys), ("exchanges", "events"))
    for tables, keys in CUBES
    for table, period in tables.values()
}
_MERGE: Final = {table: _merging(table, (period, *keys)) for tables, keys in CUBES for table, period in tables.values()}
_CAP: Final = "UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 WHERE capped_dimensions & $1 <> $1"
_COUNTED_APART: Final = f"SELECT DISTINCT {', '.join(LIMITED)} FROM sidelog.rollups WHERE hour = $1"
_COUNTED_BY_STATUS: Final = (
    f"SELECT DISTINCT {', '.join(LIMITED_BY_STATUS)} FROM sidelog.status_rollups WHERE hour = $1"
)


async def merge(connection: Connection, rollups: Rollups, limits: Limits, *, sign: int = 1) -> None:
    """Add counts to the tables, inside the batch's transaction; take them off with a sign of -1, and what is empty."""
    for hour in limits.unknown(rollups.hours):
        known, by_status = [await connection.fetch(sql, hour) for sql in (_COUNTED_APART, _COUNTED_BY_STATUS)]
        limits.learn(hour, known, by_status)
    admitted = rollups.admitted(limits, (await find(connection, {"host": tuple(rollups.hosts)}))["host"])
    if admitted.capped:
        await connection.execute(_CAP, admitted.capped)
    for table, sums in admitted.by_table():
        rows = [(*key, *(sign * count for count in counts)) for key, counts in sorted(sums.items())]
        await _send(connection, _MERGE[table], rows)
        if sign < 0:
            await _send(connection, _EMPTY[table], sorted(sums))


async def delete_before(connection: Connection, hour: int) -> None:
    """Delete sums of hours before one, and of days that ended before it."""
    until = {"hour": hour, "day": hour // DAY_HOURS}
    for tables, _ in CUBES:
        for tier, (table, period) in tables.items():
            await connection.execute(f"DELETE FROM sidelog.{table} WHERE {period} < $1", until[tier])


async def _send(connection: Connection, sql: str, rows: Sequence[tuple[int, ...]]) -> None:
    if rows:
        await connection.execute(sql, *map(list, zip(*rows, strict=True)))


# The rollup of the use of language models.

_USAGE_MERGE: Final = _merging(usage.TABLE, ("hour", *usage.DIMENSIONS, "instance"), usage.MEASURES)
_USAGE_EMPTY: Final = _emptying(usage.TABLE, ("hour", *usage.DIMENSIONS, "instance"), ("calls",))
_USAGE_COUNTED_APART: Final = (
    f"SELECT DISTINCT {', '.join(usage.DIMENSIONS)} FROM sidelog.{usage.TABLE} WHERE hour = $1"
)


async def merge_usage(
    connection: Connection, sums: usage.UsageSums, limits: Limits, instance: int, *, sign: int = 1
) -> None:
    """Add sums to the table, inside the batch's transaction; take them off with a sign of -1, and what is empty."""
    for hour in limits.unknown(sums.hours):
        limits.learn(hour, await connection.fetch(_USAGE_COUNTED_APART, hour))
    rows, capped = sums.admitted(limits)
    if capped:
        await connection.execute(_CAP, capped)
    written = [(*key, instance, *(sign * measure for measure in measures)) for key, measures in sorted(rows.items())]
    await _send(connection, _USAGE_MERGE, written)
    if sign < 0:
        await _send(connection, _USAGE_EMPTY, [(*key, instance) for key in sorted(rows)])


async def delete_usage_before(connection: Connection, hour: int) -> None:
    await connection.execute(f"DELETE FROM sidelog.{usage.TABLE} WHERE hour < $1", hour)
