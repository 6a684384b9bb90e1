"""The tables of rollups: sums are merged into them by upserts, a row each, and deleted with their
hours.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

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
from storage.sqlite.connection import counter, transaction
from storage.sqlite.dictionary import find
from storage.sqlite.histograms import APPENDED_BYTES, MERGE, pack_histogram

_ADDED: Final = "known.{0} + excluded.{0}"
_END: Final = "coalesce({1}(known.{0}, excluded.{0}), known.{0}, excluded.{0})"
"""SQLite's function of two values is null where one of them is."""
_MERGED: Final[dict[str, str]] = {
    **dict.fromkeys(MEASURES, _ADDED),
    **dict.fromkeys(LEAST, _END.format("{0}", "min")),
    **dict.fromkeys(MOST, _END.format("{0}", "max")),
    **dict.fromkeys(
        HISTOGRAMS,
        f"CASE WHEN length(known.{{0}}) < {APPENDED_BYTES} THEN CAST(known.{{0}} || "
        f"excluded.{{0}} AS BLOB) "
        f"ELSE {MERGE}(known.{{0}}, excluded.{{0}}) END",
    ),
}
"""Column → what it becomes where there is a row of its key."""


def _upsert(table: str, keys: Sequence[str], merged: Mapping[str, str] = _MERGED) -> str:
    return merging(table, keys, merged, f"VALUES ({', '.join('?' * (len(keys) + len(merged)))})")


def _emptied(table: str, keys: Sequence[str], measures: Sequence[str]) -> str:
    return f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in (*keys, *measures))}"


def deletion(table: str, keys: Sequence[str]) -> str:
    """Write the statement that deletes so many rows of periods before one; the first of the keys
    numbers them.
    """
    columns = ", ".join(keys)
    return (
        f"DELETE FROM {table} WHERE ({columns}) IN (SELECT {columns} FROM {table} WHERE {keys[0]} "
        "< ? LIMIT ?)"
    )


_UPSERTS: Final = {
    table: _upsert(table, (period, *keys))
    for tables, keys in CUBES
    for table, period in tables.values()
}
_COUNTS: Final = ("exchanges", "events")
_EMPTIED: Final = {
    table: _emptied(table, (period, *keys), _COUNTS)
    for tables, keys in CUBES
    for table, period in tables.values()
}
_DELETIONS: Final = [
    (tier, deletion(table, (period, *keys)))
    for tables, keys in CUBES
    for tier, (table, period) in tables.items()
]
_FOLDS: Final = foldings("", _MERGED, "?", "?")
_COUNTED: Final = counted_apart("", "?")
_NEXT_TO_FOLD: Final = "SELECT min(hour) FROM rollups WHERE hour >= ? AND hour < ?"
"""The oldest hour that is not folded: every record is in these rollups."""


def merge(
    connection: sqlite3.Connection, rollups: Rollups, limits: Limits, *, sign: int = 1
) -> None:
    """Add counts to the tables, inside the batch's transaction; take them off with a sign of -1,
    and what is empty.
    """
    for hour in limits.unknown(rollups.hours):
        limits.learn(hour, *[connection.execute(sql, (hour,)) for sql in _COUNTED])
    ids = find(connection, rollups.texts)
    admitted = rollups.admitted(limits, ids)
    if admitted.capped:
        connection.execute(
            "UPDATE meta SET value = value | ? WHERE name = 'capped_dimensions'", (admitted.capped,)
        )

    for table, sums in admitted.by_table(counter(connection, "folded_until")):
        # In the order of the table: a tenth less for rows that vary.
        rows = [(*key, *sums[key].row(sign, pack_histogram)) for key in sorted(sums)]
        connection.executemany(_UPSERTS[table], rows)
        if sign < 0:
            connection.executemany(_EMPTIED[table], [(*key, 0, 0) for key in sums])


def fold(connection: sqlite3.Connection, until: int) -> int:
    """Add hours before one to their days, the oldest, in a transaction of its own; returns before
    which all are.
    """
    with transaction(connection):
        folded_until = counter(connection, "folded_until")
        for _ in range(MAX_FOLDED_HOURS):
            [(hour,)] = connection.execute(_NEXT_TO_FOLD, (folded_until, until)).fetchall()
            if hour is None:
                folded_until = max(folded_until, until)
                break

            for sql in _FOLDS:
                connection.execute(sql, (hour // DAY_HOURS, hour))
            folded_until = hour + 1

        connection.execute("UPDATE meta SET value = ? WHERE name = 'folded_until'", (folded_until,))

    return folded_until


def delete_before(connection: sqlite3.Connection, hour: int, max_rows: int) -> int:
    """Delete sums of hours before one, and of days that ended before it, so many of each; returns
    how many went.
    """
    until = {"hour": hour, "day": hour // DAY_HOURS}
    return sum(
        connection.execute(sql, (until[tier], max_rows)).rowcount for tier, sql in _DELETIONS
    )


# The rollup of the use of language models.

_USAGE_UPSERT: Final = _upsert(
    USAGE_TABLE, ("hour", *usage.KEYS), dict.fromkeys(usage.MEASURES, _ADDED)
)
_USAGE_EMPTIED: Final = _emptied(USAGE_TABLE, ("hour", *usage.KEYS), ("calls",))
_USAGE_COUNTED_APART: Final = (
    f"SELECT DISTINCT {', '.join(usage.DIMENSIONS)} FROM {USAGE_TABLE} WHERE hour = ?"
)
_USAGE_DELETE: Final = deletion(USAGE_TABLE, ("hour", *usage.KEYS))


def merge_usage(
    connection: sqlite3.Connection, sums: usage.UsageSums, limits: Limits, *, sign: int = 1
) -> None:
    """Add sums to the table, inside the batch's transaction; take them off with a sign of -1, and
    what is empty.
    """
    for hour in limits.unknown(sums.hours):
        limits.learn(hour, connection.execute(_USAGE_COUNTED_APART, (hour,)))
    rows, capped = sums.admitted(limits)
    if capped:
        connection.execute(
            "UPDATE meta SET value = value | ? WHERE name = 'capped_dimensions'", (capped,)
        )

    connection.executemany(
        _USAGE_UPSERT,
        [(*key, *(sign * measure for measure in measures)) for key, measures in rows.items()],
    )
    if sign < 0:
        connection.executemany(_USAGE_EMPTIED, [(*key, 0) for key in rows])


def delete_usage_before(connection: sqlite3.Connection, hour: int, max_rows: int) -> int:
    """Delete sums of hours before one, so many; returns how many."""
    return connection.execute(_USAGE_DELETE, (hour, max_rows)).rowcount
