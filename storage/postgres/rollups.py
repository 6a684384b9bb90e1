"""The tables of rollups: sums are merged into them by one statement a table over arrays, an array a
column.

Rows are merged in the order of their keys, so that two writers cannot wait for each other in a
circle. Of what other sidecars add to a running hour nothing is known: each of them may count
`MAX_VALUES` values of a dimension apart.

A histogram is one `numeric`, which has as many digits as are wanted: the count of bucket n is in
the `LANE` decimal digits from n * `LANE` on, counted from the right. So the server adds histograms
up by itself, and zeros at both ends take no space. No count, and no sum of counts, reaches 10 **
`LANE`; all counts of a histogram have the same sign.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from storage.aggregates import BOUNDS_US
from storage.postgres.connection import Connection
from storage.postgres.dictionary import find
from storage.relational import usage
from storage.relational.rollup_sql import USAGE_TABLE, counted_apart, foldings, merging
from storage.relational.rollups import (
    CUBES,
    HISTOGRAMS,
    LEAST,
    MAX_FOLDED_HOURS,
    MEASURES,
    MOST,
    Limits,
    Rollups,
)
from storage.relational.time_ranges import DAY_HOURS

LANE: Final = 10
"""Ten billion exchanges of one bucket; five bytes of each bucket between the first and the last
that are not empty.
"""
_ZEROS: Final = "0" * LANE
_BOUNDS: Final = f"'{{{','.join(map(str, BOUNDS_US))}}}'::bigint[]"

_ADDED: Final = "known.{0} + excluded.{0}"
_MERGED: Final[dict[str, str]] = {
    **dict.fromkeys(MEASURES, _ADDED),
    **dict.fromkeys(LEAST, "least(known.{0}, excluded.{0})"),
    **dict.fromkeys(MOST, "greatest(known.{0}, excluded.{0})"),
    **dict.fromkeys(HISTOGRAMS, _ADDED),
}
"""Column → what it becomes where there is a row of its key."""


def _merging(table: str, keys: Sequence[str], merged: Mapping[str, str] = _MERGED) -> str:
    columns = (*keys, *merged)
    # A histogram is sent as text, which takes less than the driver's own form of such a number.
    values = ", ".join(
        f"{column}::numeric" if column in HISTOGRAMS else column for column in columns
    )
    types = ("text" if column in HISTOGRAMS else "bigint" for column in columns)
    arrays = ", ".join(f"${place}::{type}[]" for place, type in enumerate(types, 1))
    rows = f"SELECT {values} FROM unnest({arrays}) AS given ({', '.join(columns)})"
    return merging(f"sidelog.{table}", keys, merged, rows)


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
_MERGE: Final = {
    table: _merging(table, (period, *keys))
    for tables, keys in CUBES
    for table, period in tables.values()
}
_FOLDS: Final = foldings("sidelog.", _MERGED, "$1::bigint", "$2")
_FOLDED_UNTIL: Final = "SELECT until_hour FROM sidelog.folded FOR SHARE"
_TAKE_FOLDED: Final = "SELECT until_hour FROM sidelog.folded FOR UPDATE SKIP LOCKED"
"""It waits for no other transaction, so that none can wait in a circle."""
_NEXT_TO_FOLD: Final = "SELECT min(hour) FROM sidelog.rollups WHERE hour >= $1 AND hour < $2"
"""The oldest hour that is not folded: every record is in these rollups."""
_CAP: Final = (
    "UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 WHERE capped_dimensions "
    "& $1 <> $1"
)
_COUNTED: Final = counted_apart("sidelog.", "$1")


async def merge(connection: Connection, rollups: Rollups, limits: Limits, *, sign: int = 1) -> None:
    """Add counts to the tables, inside the batch's transaction; take them off with a sign of -1,
    and what is empty.
    """
    for hour in limits.unknown(rollups.hours):
        limits.learn(hour, *[await connection.fetch(sql, hour) for sql in _COUNTED])
    ids = await find(connection, rollups.texts)
    admitted = rollups.admitted(limits, ids)
    if admitted.capped:
        await connection.execute(_CAP, admitted.capped)
    folded_until = await connection.fetchval(_FOLDED_UNTIL)
    for table, sums in admitted.by_table(folded_until):
        rows = [(*key, *sums[key].row(sign, pack_histogram)) for key in sorted(sums)]
        await _send(connection, _MERGE[table], rows)
        if sign < 0:
            await _send(connection, _EMPTY[table], sorted(sums))


async def fold(connection: Connection, until: int) -> int:
    """Add hours before one to their days, the oldest, inside a transaction of their own.

    Returns:
        Before which hour all are in their days; 0 when that is not known, for others add to rollups.
    """
    folded_until = await connection.fetchval(_TAKE_FOLDED)
    if folded_until is None:
        return 0

    for _ in range(MAX_FOLDED_HOURS):
        hour = await connection.fetchval(_NEXT_TO_FOLD, folded_until, until)
        if hour is None:
            folded_until = max(folded_until, until)
            break

        for sql in _FOLDS:
            await connection.execute(sql, hour // DAY_HOURS, hour)
        folded_until = hour + 1

    await connection.execute("UPDATE sidelog.folded SET until_hour = $1", folded_until)
    return int(folded_until)


async def delete_before(connection: Connection, hour: int) -> None:
    """Delete sums of hours before one, and of days that ended before it."""
    until = {"hour": hour, "day": hour // DAY_HOURS}
    for tables, _ in CUBES:
        for tier, (table, period) in tables.items():
            await connection.execute(
                f"DELETE FROM sidelog.{table} WHERE {period} < $1", until[tier]
            )

    await connection.execute(f"DELETE FROM sidelog.{USAGE_TABLE} WHERE hour < $1", hour)


async def _send(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await connection.execute(sql, *map(list, zip(*rows, strict=True)))


# The rollup of the use of language models.

_USAGE_MERGE: Final = _merging(
    USAGE_TABLE, ("hour", *usage.KEYS, "instance"), dict.fromkeys(usage.MEASURES, _ADDED)
)
_USAGE_EMPTY: Final = _emptying(USAGE_TABLE, ("hour", *usage.KEYS, "instance"), ("calls",))
_USAGE_COUNTED_APART: Final = (
    f"SELECT DISTINCT {', '.join(usage.DIMENSIONS)} FROM sidelog.{USAGE_TABLE} WHERE hour = $1"
)


async def merge_usage(
    connection: Connection, sums: usage.UsageSums, limits: Limits, instance: int, *, sign: int = 1
) -> None:
    """Add sums to the table, inside the batch's transaction; take them off with a sign of -1, and
    what is empty.
    """
    for hour in limits.unknown(sums.hours):
        limits.learn(hour, await connection.fetch(_USAGE_COUNTED_APART, hour))
    rows, capped = sums.admitted(limits)
    if capped:
        await connection.execute(_CAP, capped)
    written = [
        (*key, instance, *(sign * measure for measure in measures))
        for key, measures in sorted(rows.items())
    ]
    await _send(connection, _USAGE_MERGE, written)
    if sign < 0:
        await _send(connection, _USAGE_EMPTY, [(*key, instance) for key in sorted(rows)])


# Histograms.


def pack_histogram(counts: Mapping[int, int], sign: int = 1) -> str:
    """Write counts by bucket, times 1 or -1, as the text of a number."""
    buckets = [bucket for bucket, count in counts.items() if count]
    if not buckets:
        return "0"

    least = min(buckets)
    digits = "".join(
        f"{counts.get(bucket, 0):0{LANE}}" for bucket in range(max(buckets), least - 1, -1)
    )
    return f"{'-' if sign < 0 else ''}{digits}e{least * LANE}"


def unpack_histogram(number: str | None) -> dict[int, int]:
    """Read counts of the digits of a number that is not negative; nothing of null."""
    if number is None:
        return {}
    empty = (len(number) - len(number.rstrip("0"))) // LANE
    digits = number[: len(number) - empty * LANE]
    digits = digits.zfill(-(-len(digits) // LANE) * LANE)
    lanes = [digits[start : start + LANE] for start in range(0, len(digits), LANE)]
    return {
        bucket: int(lane) for bucket, lane in enumerate(reversed(lanes), empty) if lane != _ZEROS
    }


def bucket_of(column: str) -> str:
    """Write the bucket of a column of µs. The function counts the bounds that are not above a
    number.
    """
    return f"width_bucket({column} - 1, {_BOUNDS})"
