"""The tables of rollups: sums are merged into them by upserts, a row each, and deleted with their hours."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from storage.periods import DAY_HOURS, Tier
from storage.rollups import (
    BY_STATUS,
    DIMENSIONS,
    LIMITED,
    LIMITED_BY_STATUS,
    MEASURES,
    STATUS_TABLE,
    TABLES,
    Limits,
    Rollups,
    Sums,
    by_day,
)
from storage.sqlite.dictionary import find


def _upsert(table: str, keys: Sequence[str], further: Sequence[str] = ()) -> str:
    columns = (*keys, *further, *MEASURES)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{measure} = {measure} + excluded.{measure}" for measure in MEASURES)
    )


_STATUS_KEYS: Final = ("hour", *BY_STATUS, "keyed", "status")
_UPSERTS: Final = {
    tier: _upsert(table, (period, *DIMENSIONS, "status_class")) for tier, (table, period) in TABLES.items()
}
_UPSERT_STATUS: Final = _upsert(STATUS_TABLE, _STATUS_KEYS, ("status_class",))
_COUNTED_APART: Final = f"SELECT DISTINCT {', '.join(LIMITED)} FROM rollups WHERE hour = ?"
_COUNTED_BY_STATUS: Final = f"SELECT DISTINCT {', '.join(LIMITED_BY_STATUS)} FROM {STATUS_TABLE} WHERE hour = ?"


def deletion(table: str, keys: Sequence[str]) -> str:
    """Write the statement that deletes so many rows of periods before one; the first of the keys numbers them."""
    columns = ", ".join(keys)
    return f"DELETE FROM {table} WHERE ({columns}) IN (SELECT {columns} FROM {table} WHERE {keys[0]} < ? LIMIT ?)"


_DELETE_HOURS: Final = deletion("rollups", ("hour", *DIMENSIONS, "status_class"))
_DELETE_DAYS: Final = deletion("rollups_daily", ("day", *DIMENSIONS, "status_class"))
_DELETE_STATUSES: Final = deletion(STATUS_TABLE, _STATUS_KEYS)


def merge(connection: sqlite3.Connection, rollups: Rollups, limits: Limits, *, sign: int = 1) -> None:
    """Add counts to the tables, inside the batch's transaction; take them off with a sign of -1."""
    for hour in limits.unknown(rollups.hours):
        known, by_status = (connection.execute(sql, (hour,)) for sql in (_COUNTED_APART, _COUNTED_BY_STATUS))
        limits.learn(hour, known, by_status)
    admitted = rollups.admitted(limits, find(connection, {"host": tuple(rollups.hosts)})["host"])
    if admitted.capped:
        connection.execute("UPDATE meta SET value = value | ? WHERE name = 'capped_dimensions'", (admitted.capped,))
    _add(connection, "hour", admitted.hours, sign)
    _add(connection, "day", by_day(admitted.hours), sign)
    connection.executemany(
        _UPSERT_STATUS,
        [(*key, key[-1] // 100, *(sign * count for count in counts)) for key, counts in admitted.statuses.items()],
    )


def delete_before(connection: sqlite3.Connection, hour: int, max_rows: int) -> int:
    """Delete sums of hours before one, and of days that ended before it, so many of each; answers how many went."""
    return (
        connection.execute(_DELETE_HOURS, (hour, max_rows)).rowcount
        + connection.execute(_DELETE_DAYS, (hour // DAY_HOURS, max_rows)).rowcount
        + connection.execute(_DELETE_STATUSES, (hour, max_rows)).rowcount
    )


def drop_empty(connection: sqlite3.Connection, hours: Iterable[int]) -> None:
    """Delete sums that have come down to nothing."""
    for hour in hours:
        for table in ("rollups", STATUS_TABLE):
            connection.execute(f"DELETE FROM {table} WHERE hour = ? AND exchanges = 0 AND events = 0", (hour,))
        day = hour // DAY_HOURS
        connection.execute("DELETE FROM rollups_daily WHERE day = ? AND exchanges = 0 AND events = 0", (day,))


def _add(connection: sqlite3.Connection, tier: Tier, sums: Sums, sign: int) -> None:
    rows = [
        (period, *dimensions, class_, *(sign * count for count in counts))
        for (period, dimensions, class_), counts in sums.items()
    ]
    connection.executemany(_UPSERTS[tier], rows)
