"""The tables of rollups: sums are merged into them by one statement a table over arrays, an array a column.

Rows are merged in the order of their keys, so that two writers cannot wait for each other in a circle. Of what other
sidecars add to a running hour nothing is known: each of them may count `MAX_VALUES` values of a dimension apart.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final

from storage.postgres.connection import Connection
from storage.rollups import DIMENSIONS, LIMITED, MEASURES, TABLES, Limits, Rollups, Sums, by_day

_INSTANCE: Final = DIMENSIONS.index("instance")


def _merging(table: str, keys: Sequence[str], measures: Sequence[str]) -> str:
    arrays = ", ".join(f"${place}::bigint[]" for place in range(1, len(keys) + len(measures) + 1))
    return (
        f"INSERT INTO sidelog.{table} AS known ({', '.join((*keys, *measures))}) "
        f"SELECT * FROM unnest({arrays}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{measure} = known.{measure} + excluded.{measure}" for measure in measures)
    )


_MERGE: Final = {
    tier: _merging(table, (period, *DIMENSIONS, "status_class"), MEASURES) for tier, (table, period) in TABLES.items()
}
_MERGE_FAILURES: Final = _merging(
    "failures", ("hour", "project", "route_id", "status", "error_type", "instance"), ("exchanges",)
)
_CAP: Final = "UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 WHERE capped_dimensions & $1 <> $1"
_COUNTED_APART: Final = f"SELECT DISTINCT {', '.join(LIMITED)} FROM sidelog.rollups WHERE hour = $1"


async def merge(connection: Connection, rollups: Rollups, limits: Limits, *, sign: int = 1) -> None:
    """Add counts to the tables, inside the batch's transaction; take them off with a sign of -1."""
    for hour in limits.unknown(rollups.hours):
        limits.learn(hour, await connection.fetch(_COUNTED_APART, hour))
    hours, capped = rollups.admitted(limits)
    if capped:
        await connection.execute(_CAP, capped)
    # Whose failures they are matters only to keep writers apart: any instance of the batch will do.
    instance = min((dimensions[_INSTANCE] for _, dimensions, _ in hours), default=0)
    await _send(connection, _MERGE["hour"], _rows(hours, sign))
    await _send(connection, _MERGE["day"], _rows(by_day(hours), sign))
    failures = [(*key, instance, sign * count) for key, count in sorted(rollups.failures.items())]
    await _send(connection, _MERGE_FAILURES, failures)


def _rows(sums: Sums, sign: int) -> list[tuple[int, ...]]:
    return [
        (period, *dimensions, class_, *(sign * count for count in counts))
        for (period, dimensions, class_), counts in sorted(sums.items())
    ]


async def _send(connection: Connection, sql: str, rows: Sequence[tuple[int, ...]]) -> None:
    if rows:
        await connection.execute(sql, *map(list, zip(*rows, strict=True)))
