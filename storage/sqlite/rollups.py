"""Counts per combination of dimensions, added up in memory per batch and merged in the batch's transaction.

Strategy: one row per combination and hour, and one per combination and day, so that long ranges read few rows; and a
small table of failures by error type.

Invariant: a rollup row is the exact sum of the committed records of its hour (or day) and dimensions that retention and
erasure have not taken out. The histograms have the bounds of the metrics, the upper bound belonging to its bucket, and
a last bucket without an end. An hour counts `MAX_VALUES` values of a dimension apart, and all further ones as `OTHER`.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from storage.figures import BOUNDS_US, BUCKETS
from storage.periods import DAY_HOURS, HOUR_US, Tier
from storage.record import Record

DIMENSIONS: Final = (
    "project", "container", "client", "service", "route_id", "key_id", "source", "level", "method", "kind", "instance",
)  # fmt: skip
"""The columns of a record, in the order of its row, that rollups are keyed by, besides time and status class."""
TABLES: Final[dict[Tier, tuple[str, str]]] = {"hour": ("rollups", "hour"), "day": ("rollups_daily", "day")}
"""Tier → its table, and the column that numbers its hours or days since the epoch."""
OTHER: Final = -1
"""The dictionary id that stands for all values beyond the limit."""
MAX_VALUES: Final = 10_000
LIMITED: Final = ("project", "container", "client", "service", "route_id", "key_id")
"""Dimensions that traffic may fill without end; a bit each in the store's `capped_dimensions`."""

DURATIONS: Final = tuple(f"duration_{bucket:02}" for bucket in range(BUCKETS))
FIRST_BYTES: Final = tuple(f"first_byte_{bucket:02}" for bucket in range(BUCKETS))
_MEASURES: Final = ("exchanges", "events", "request_bytes", "response_bytes", *DURATIONS, *FIRST_BYTES)
_DURATION: Final = 4
_FIRST_BYTE: Final = _DURATION + BUCKETS
_LIMITED_PLACES: Final = tuple(DIMENSIONS.index(dimension) for dimension in LIMITED)
_ERROR_LEVELS: Final = ("warn", "error")
_REMEMBERED_HOURS: Final = 4
"""Records come in about the order of their time: the hour that runs, and the one before."""

Dimensions = tuple[int, ...]
Key = tuple[int, Dimensions, int]
"""Hour or day, dimensions, status class."""
Failure = tuple[int, int, int, int, int]


def _upsert(tier: Tier) -> str:
    table, period = TABLES[tier]
    keys = (period, *DIMENSIONS, "status_class")
    return (
        f"INSERT INTO {table} ({', '.join((*keys, *_MEASURES))}) "
        f"VALUES ({', '.join('?' * (len(keys) + len(_MEASURES)))}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{measure} = {measure} + excluded.{measure}" for measure in _MEASURES)
    )


_UPSERTS: Final = {tier: _upsert(tier) for tier in TABLES}
_UPSERT_FAILURE: Final = (
    "INSERT INTO failures (hour, project, route_id, status, error_type, exchanges) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (hour, project, route_id, status, error_type) DO UPDATE SET exchanges = exchanges + excluded.exchanges"
)


class Limits:
    """Which values of each dimension an hour counts apart, for the one writer."""

    def __init__(self, max_values: int = MAX_VALUES) -> None:
        self._max_values = max_values
        self._hours: dict[int, list[set[int]]] = {}

    def forget(self) -> None:
        """Remember nothing: a transaction failed, or rows went."""
        self._hours.clear()

    def admit(self, connection: sqlite3.Connection, hour: int, dimensions: Dimensions) -> tuple[Dimensions, int]:
        """Put `OTHER` for values beyond the limit; answers the dimensions, and the bits of those it was put in."""
        seen = self._hours.get(hour)
        if seen is None:
            seen = self._load(connection, hour)
        kept, bits = list(dimensions), 0
        for bit, (place, values) in enumerate(zip(_LIMITED_PLACES, seen, strict=True)):
            value = dimensions[place]
            if value and value not in values:
                # Once there are others, no further value is counted apart, even if some are erased.
                if len(values) < self._max_values and OTHER not in values:
                    values.add(value)
                else:
                    values.add(OTHER)
                    kept[place] = OTHER
                    bits |= 1 << bit
        return tuple(kept), bits

    def _load(self, connection: sqlite3.Connection, hour: int) -> list[set[int]]:
        if len(self._hours) >= _REMEMBERED_HOURS:
            del self._hours[min(self._hours)]
        seen = self._hours[hour] = [
            {row[0] for row in connection.execute(f"SELECT DISTINCT {name} FROM rollups WHERE hour = ?", (hour,))} - {0}
            for name in LIMITED
        ]
        return seen


class Rollups:
    """The counts of one batch, or of the records that one statement takes out."""

    def __init__(self) -> None:
        self._sums: dict[Key, list[int]] = {}
        self._failures: dict[Failure, int] = {}

    def add(self, record: Record, dimensions: Dimensions, error_type: int = 0) -> None:
        """Count one record."""
        status, first_byte_us = record.status or 0, record.first_byte_us
        hour = record.started_at_us // HOUR_US
        key = (hour, dimensions, status // 100)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * len(_MEASURES)
        sums[2] += record.request_bytes
        sums[3] += record.response_bytes
        if record.kind == "event":
            sums[1] += 1
            return
        sums[0] += 1
        sums[_DURATION + bisect_left(BOUNDS_US, record.duration_us)] += 1
        if first_byte_us is not None:
            sums[_FIRST_BYTE + bisect_left(BOUNDS_US, first_byte_us)] += 1
        if record.level in _ERROR_LEVELS:
            failure = (hour, dimensions[0], dimensions[4], status, error_type)
            self._failures[failure] = self._failures.get(failure, 0) + 1

    def store(self, connection: sqlite3.Connection, limits: Limits | None = None, *, sign: int = 1) -> None:
        """Add the counts to the tables, inside the batch's transaction; take them off with a sign of -1."""
        sums = self._limited(connection, Limits() if limits is None else limits)
        days: dict[Key, list[int]] = {}
        for (hour, dimensions, class_), counts in sums.items():
            _merge(days, (hour // DAY_HOURS, dimensions, class_), counts)
        for tier, rows in (("hour", sums), ("day", days)):
            connection.executemany(
                _UPSERTS[tier],  # type: ignore[index]
                [
                    (period, *dimensions, class_, *(sign * count for count in counts))
                    for (period, dimensions, class_), counts in rows.items()
                ],
            )
        connection.executemany(_UPSERT_FAILURE, [(*key, sign * count) for key, count in self._failures.items()])

    def _limited(self, connection: sqlite3.Connection, limits: Limits) -> dict[Key, list[int]]:
        admitted: dict[Key, list[int]] = {}
        capped = 0
        for (hour, dimensions, class_), counts in self._sums.items():
            kept, bits = limits.admit(connection, hour, dimensions)
            capped |= bits
            _merge(admitted, (hour, kept, class_), counts)
        if capped:
            connection.execute("UPDATE meta SET value = value | ? WHERE name = 'capped_dimensions'", (capped,))
        return admitted


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


def _merge(sums: dict[Key, list[int]], key: Key, counts: list[int]) -> None:
    found = sums.get(key)
    if found is None:
        sums[key] = list(counts)
    else:
        for place, count in enumerate(counts):
            found[place] += count
