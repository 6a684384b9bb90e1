"""Hourly counts per combination of dimensions, added up in memory per batch and merged in the batch's transaction.

Invariant: a rollup row is the exact sum of the committed records of its hour and dimensions. The histograms have the
bounds of the metrics, the upper bound belonging to its bucket, and a last bucket without an end.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from bisect import bisect_left
from typing import Final

from storage.record import DURATION_BUCKETS_S, Record

DIMENSIONS: Final = (
    "project", "container", "client", "service", "route_id", "key_id", "source", "level", "method", "kind",
)  # fmt: skip
"""The columns of a record, in the order of its row, that rollups are keyed by, besides hour and status class."""

_BOUNDS_US: Final = tuple(round(bound * 1_000_000) for bound in DURATION_BUCKETS_S)
_BUCKETS: Final = len(_BOUNDS_US) + 1
_DURATION: Final = 4
_FIRST_BYTE: Final = _DURATION + _BUCKETS
_MEASURES: Final = (
    "exchanges", "events", "request_bytes", "response_bytes",
    *(f"duration_{bucket:02}" for bucket in range(_BUCKETS)),
    *(f"first_byte_{bucket:02}" for bucket in range(_BUCKETS)),
)  # fmt: skip
_KEYS: Final = ("hour", *DIMENSIONS, "status_class")
_UPSERT: Final = (
    f"INSERT INTO rollups ({', '.join((*_KEYS, *_MEASURES))}) "
    f"VALUES ({', '.join('?' * (len(_KEYS) + len(_MEASURES)))}) "
    f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
    + ", ".join(f"{measure} = {measure} + excluded.{measure}" for measure in _MEASURES)
)
HOUR_US: Final = 3_600_000_000

Dimensions = tuple[int, ...]


class Rollups:
    """The counts of one batch."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, Dimensions, int], list[int]] = {}

    def add(self, record: Record, dimensions: Dimensions) -> None:
        """Count one record."""
        status, first_byte_us = record.status, record.first_byte_us
        key = (record.started_at_us // HOUR_US, dimensions, 0 if status is None else status // 100)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * len(_MEASURES)
        sums[2] += record.request_bytes
        sums[3] += record.response_bytes
        if record.kind == "event":
            sums[1] += 1
            return
        sums[0] += 1
        sums[_DURATION + bisect_left(_BOUNDS_US, record.duration_us)] += 1
        if first_byte_us is not None:
            sums[_FIRST_BYTE + bisect_left(_BOUNDS_US, first_byte_us)] += 1

    def store(self, connection: sqlite3.Connection) -> None:
        """Add the counts to the table, inside the batch's transaction."""
        connection.executemany(
            _UPSERT,
            [(hour, *dimensions, class_, *sums) for (hour, dimensions, class_), sums in self._sums.items()],
        )
