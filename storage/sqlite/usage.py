"""The rollup of the use of language models: sums are merged into it by upserts, and deleted with their hours."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Iterable
from typing import Final

from storage.relational.rollups import Limits
from storage.relational.usage import DIMENSIONS, MEASURES, TABLE, UsageSums
from storage.sqlite.rollups import deletion

_COLUMNS: Final = ("hour", *DIMENSIONS, *MEASURES)
_UPSERT: Final = (
    f"INSERT INTO {TABLE} ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (hour, {', '.join(DIMENSIONS)}) DO UPDATE SET "
    + ", ".join(f"{measure} = {measure} + excluded.{measure}" for measure in MEASURES)
)
_COUNTED_APART: Final = f"SELECT DISTINCT {', '.join(DIMENSIONS)} FROM {TABLE} WHERE hour = ?"
_DELETE: Final = deletion(TABLE, ("hour", *DIMENSIONS))


def merge(connection: sqlite3.Connection, sums: UsageSums, limits: Limits, *, sign: int = 1) -> None:
    """Add sums to the table, inside the batch's transaction; take them off with a sign of -1."""
    for hour in limits.unknown(sums.hours):
        limits.learn(hour, connection.execute(_COUNTED_APART, (hour,)))
    rows, capped = sums.admitted(limits)
    if capped:
        connection.execute("UPDATE meta SET value = value | ? WHERE name = 'capped_dimensions'", (capped,))
    connection.executemany(
        _UPSERT, [(*key, *(sign * measure for measure in measures)) for key, measures in rows.items()]
    )


def drop_empty(connection: sqlite3.Connection, hours: Iterable[int]) -> None:
    connection.executemany(f"DELETE FROM {TABLE} WHERE hour = ? AND calls = 0", [(hour,) for hour in hours])


def delete_before(connection: sqlite3.Connection, hour: int, max_rows: int) -> int:
    """Delete sums of hours before one, so many; returns how many."""
    return connection.execute(_DELETE, (hour, max_rows)).rowcount
