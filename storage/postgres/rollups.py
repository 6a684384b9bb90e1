"""Counts per combination of dimensions, added up in memory per batch and merged in the batch's transaction.

Strategy: the counts of a batch are the SQLite backend's; here they are merged by one statement a table over arrays, an
array a column. Rows are merged in the order of their keys, so that two writers cannot wait for each other in a circle.

Invariant: a rollup row is the exact sum of the committed records of its hour (or day) and dimensions that retention and
erasure have not taken out. An hour counts `MAX_VALUES` values of a dimension apart, and all further ones as `OTHER`; of
what other sidecars add to a running hour nothing is known, so that each of them may count as many.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final

from storage.periods import DAY_HOURS
from storage.postgres.connection import Connection
from storage.sqlite import rollups
from storage.sqlite.rollups import DIMENSIONS, DURATIONS, FIRST_BYTES, LIMITED, MAX_VALUES, OTHER, TABLES

MEASURES: Final = ("exchanges", "events", "request_bytes", "response_bytes", *DURATIONS, *FIRST_BYTES)
_LIMITED_PLACES: Final = tuple(DIMENSIONS.index(dimension) for dimension in LIMITED)
_INSTANCE: Final = DIMENSIONS.index("instance")
_REMEMBERED_HOURS: Final = 4
"""Records come in about the order of their time: the hour that runs, and the one before."""

Dimensions = tuple[int, ...]
Sums = dict[tuple[int, Dimensions, int], list[int]]
"""Hour or day, dimensions and status class → measures."""


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


class Limits:
    """Which values of each dimension an hour counts apart, for the one writer."""

    def __init__(self, max_values: int = MAX_VALUES) -> None:
        self._max_values = max_values
        self._hours: dict[int, list[set[int]]] = {}

    def forget(self) -> None:
        """Remember nothing: a transaction failed, or rows went."""
        self._hours.clear()

    async def load(self, connection: Connection, hour: int) -> None:
        """Read what an hour counts apart, unless it is known."""
        if hour in self._hours:
            return
        while len(self._hours) >= _REMEMBERED_HOURS:
            del self._hours[min(self._hours)]
        seen: list[set[int]] = [set() for _ in LIMITED]
        rows = await connection.fetch(
            f"SELECT DISTINCT {', '.join(LIMITED)} FROM sidelog.rollups WHERE hour = $1", hour
        )
        for row in rows:
            for values, value in zip(seen, row, strict=True):
                values.add(value)
        self._hours[hour] = [values - {0} for values in seen]

    def admit(self, hour: int, dimensions: Dimensions) -> tuple[Dimensions, int]:
        """Put `OTHER` for values beyond the limit; answers the dimensions, and the bits of those it was put in."""
        kept, bits = list(dimensions), 0
        for bit, (place, values) in enumerate(zip(_LIMITED_PLACES, self._hours[hour], strict=True)):
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


class Rollups(rollups.Rollups):
    """The counts of one batch, or of the records that one statement takes out."""

    async def merge(self, connection: Connection, limits: Limits, *, sign: int = 1) -> None:
        """Add the counts to the tables, inside the batch's transaction; take them off with a sign of -1."""
        hours = await self._admitted(connection, limits)
        days: Sums = {}
        for (hour, dimensions, class_), counts in hours.items():
            _add(days, (hour // DAY_HOURS, dimensions, class_), counts)
        # Whose failures they are matters only to keep writers apart: any instance of the batch will do.
        instance = min((dimensions[_INSTANCE] for _, dimensions, _ in hours), default=0)
        await _send(connection, _MERGE["hour"], _rows(hours, sign))
        await _send(connection, _MERGE["day"], _rows(days, sign))
        await _send(
            connection,
            _MERGE_FAILURES,
            [(*key, instance, sign * count) for key, count in sorted(self._failures.items())],
        )

    async def _admitted(self, connection: Connection, limits: Limits) -> Sums:
        admitted: Sums = {}
        capped = 0
        for (hour, dimensions, class_), counts in self._sums.items():
            await limits.load(connection, hour)
            kept, bits = limits.admit(hour, dimensions)
            capped |= bits
            _add(admitted, (hour, kept, class_), counts)
        if capped:
            await connection.execute(
                "UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 "
                "WHERE capped_dimensions & $1 <> $1",
                capped,
            )
        return admitted


def _rows(sums: Sums, sign: int) -> list[tuple[int, ...]]:
    return [
        (period, *dimensions, class_, *(sign * count for count in counts))
        for (period, dimensions, class_), counts in sorted(sums.items())
    ]


async def _send(connection: Connection, sql: str, rows: list[tuple[int, ...]]) -> None:
    if rows:
        await connection.execute(sql, *map(list, zip(*rows, strict=True)))


def _add(sums: Sums, key: tuple[int, Dimensions, int], counts: list[int]) -> None:
    found = sums.get(key)
    if found is None:
        sums[key] = list(counts)
    else:
        for place, count in enumerate(counts):
            found[place] += count
