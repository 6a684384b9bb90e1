"""The tables of rollups: sums are merged into them by upserts, a row each, and deleted with their hours."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Iterable
from typing import Final

from storage.periods import DAY_HOURS, Tier
from storage.rollups import DIMENSIONS, LIMITED, MEASURES, TABLES, Limits, Rollups, Sums, by_day


def _upsert(tier: Tier) -> str:
    table, period = TABLES[tier]
    keys = (period, *DIMENSIONS, "status_class")
    return (
        f"INSERT INTO {table} ({', '.join((*keys, *MEASURES))}) "
        f"VALUES ({', '.join('?' * (len(keys) + len(MEASURES)))}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{measure} = {measure} + excluded.{measure}" for measure in MEASURES)
    )


_UPSERTS: Final = {tier: _upsert(tier) for tier in TABLES}
_UPSERT_FAILURE: Final = (
    "INSERT INTO failures (hour, project, route_id, status, error_type, exchanges) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (hour, project, route_id, status, error_type) DO UPDATE SET exchanges = exchanges + excluded.exchanges"
)


def merge(connection: sqlite3.Connection, rollups: Rollups, limits: Limits, *, sign: int = 1) -> None:
    """Add counts to the tables, inside the batch's transaction; take them off with a sign of -1."""
    for hour in limits.unknown(rollups.hours):
        for_hour = f"SELECT DISTINCT {', '.join(LIMITED)} FROM rollups WHERE hour = ?"
        limits.learn(hour, connection.execute(for_hour, (hour,)))
    hours, capped = rollups.admitted(limits)
    if capped:
        connection.execute("UPDATE meta SET value = value | ? WHERE name = 'capped_dimensions'", (capped,))
    _add(connection, "hour", hours, sign)
    _add(connection, "day", by_day(hours), sign)
    connection.executemany(_UPSERT_FAILURE, [(*key, sign * count) for key, count in rollups.failures.items()])


def delete_before(connection: sqlite3.Connection, hour: int) -> None:
    """Delete the sums of all hours before one, and of all days that ended before it."""
    for table in ("rollups", "failures"):
        connection.execute(f"DELETE FROM {table} WHERE hour < ?", (hour,))
    connection.execute("DELETE FROM rollups_daily WHERE day < ?", (hour // DAY_HOURS,))


def drop_empty(connection: sqlite3.Connection, hours: Iterable[int]) -> None:
    """Delete sums that have come down to nothing."""
    for hour in hours:
        connection.execute("DELETE FROM rollups WHERE hour = ? AND exchanges = 0 AND events = 0", (hour,))
        connection.execute("DELETE FROM failures WHERE hour = ? AND exchanges = 0", (hour,))
        day = hour // DAY_HOURS
        connection.execute("DELETE FROM rollups_daily WHERE day = ? AND exchanges = 0 AND events = 0", (day,))


def _add(connection: sqlite3.Connection, tier: Tier, sums: Sums, sign: int) -> None:
    rows = [
        (period, *dimensions, class_, *(sign * count for count in counts))
        for (period, dimensions, class_), counts in sums.items()
    ]
    connection.executemany(_UPSERTS[tier], rows)
