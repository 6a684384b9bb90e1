"""The rollup of the use of language models: sums are merged into it by one statement, and deleted with their hours."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final

from storage.postgres.connection import Connection
from storage.relational.rollups import Limits
from storage.relational.usage import DIMENSIONS, MEASURES, TABLE, UsageSums

_KEYS: Final = ("hour", *DIMENSIONS, "instance")
_ARRAYS: Final = ", ".join(f"${place}::bigint[]" for place in range(1, len(_KEYS) + len(MEASURES) + 1))
_MERGE: Final = (
    f"INSERT INTO sidelog.{TABLE} AS known ({', '.join((*_KEYS, *MEASURES))}) SELECT * FROM unnest({_ARRAYS}) "
    f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
    + ", ".join(f"{measure} = known.{measure} + excluded.{measure}" for measure in MEASURES)
)
_CAP: Final = "UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 WHERE capped_dimensions & $1 <> $1"
_COUNTED_APART: Final = f"SELECT DISTINCT {', '.join(DIMENSIONS)} FROM sidelog.{TABLE} WHERE hour = $1"


async def merge(connection: Connection, sums: UsageSums, limits: Limits, instance: int, *, sign: int = 1) -> None:
    """Add sums to the table, inside the batch's transaction; take them off with a sign of -1."""
    for hour in limits.unknown(sums.hours):
        limits.learn(hour, await connection.fetch(_COUNTED_APART, hour))
    rows, capped = sums.admitted(limits)
    if capped:
        await connection.execute(_CAP, capped)
    written = [(*key, instance, *(sign * measure for measure in measures)) for key, measures in sorted(rows.items())]
    if written:
        await connection.execute(_MERGE, *map(list, zip(*written, strict=True)))


async def drop_empty(connection: Connection, hours: Sequence[int]) -> None:
    await connection.execute(f"DELETE FROM sidelog.{TABLE} WHERE hour = ANY($1::bigint[]) AND calls = 0", hours)


async def delete_before(connection: Connection, hour: int) -> None:
    await connection.execute(f"DELETE FROM sidelog.{TABLE} WHERE hour < $1", hour)
