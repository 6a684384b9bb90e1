"""The tables of rollups: sums are merged into them, folded into days, and deleted with their hours.

Strategy: rows are merged in the order of their keys, so that two writers cannot wait for each other
in a circle; SQLite also writes a tenth faster. A sidecar does not know what others add to a running
hour: each of them may give separate counts to `MAX_VALUES` values of a dimension.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage.relational import usage
from storage.relational.rollup_sql import USAGE_TABLE, counted_apart, foldings, merging
from storage.relational.rollups import (
    CUBES,
    HISTOGRAMS,
    LEAST,
    MAX_FOLDED_HOURS,
    MEASURES,
    MOST,
    Rollups,
    ValueLimits,
)
from storage.relational.sql import Dialect, Statements
from storage.relational.time_ranges import DAY_HOURS

ADDED: Final = "known.{0} + excluded.{0}"


def merged_columns(least: str, most: str, histogram: str) -> dict[str, str]:
    """Map each column to its new value for an existing key, given the forms of `{}` in which
    databases differ.
    """
    return {
        **dict.fromkeys(MEASURES, ADDED),
        **dict.fromkeys(LEAST, least),
        **dict.fromkeys(MOST, most),
        **dict.fromkeys(HISTOGRAMS, histogram),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupSql:
    """The differences of databases in keeping rollups."""

    merged: Mapping[str, str]
    """The result of `merged_columns`."""
    pack: Callable[[Mapping[int, int], int], Any]
    """Makes a histogram from counts by bucket and a sign."""
    cap: str
    """The statement that notes the dimensions with `OTHER`; it has one parameter."""
    folded_until: str
    """The query of the hour before which all hours are folded; the value is stable until the
    transaction ends.
    """
    take_folded: str
    """The same query, before a change of that hour; it returns no row while others add to rollups.
    """
    set_folded: str
    """The statement that changes that hour."""
    usage_owner: Sequence[str] = ()
    """The column of the sidecar, if usage is kept by sidecar."""


class RollupTables:
    """The tables of a database."""

    def __init__(self, sql: RollupSql, dialect: Dialect) -> None:
        self._sql = sql
        mark = dialect.number_mark
        schema = dialect.schema
        tables = [
            (tier, f"{schema}{table}", table, (period, *keys))
            for by_tier, keys in CUBES
            for tier, (table, period) in by_tier.items()
        ]
        self._merge = {
            name: _merging(table, keys, sql.merged, dialect) for _, table, name, keys in tables
        }
        self._empty = {
            name: _emptying(table, keys, ("exchanges", "events"), dialect)
            for _, table, name, keys in tables
        }
        self._deletions = [
            (tier, _deletion(table, keys, dialect)) for tier, table, _, keys in tables
        ]
        self._folds = foldings(schema, sql.merged, mark(1), mark(2))
        self._counted = counted_apart(schema, mark(1))
        # Every record is in these rollups.
        self._next_to_fold = (
            f"SELECT min(hour) FROM {schema}rollups WHERE hour >= {mark(1)} AND hour < {mark(2)}"
        )

        usage_table = f"{schema}{USAGE_TABLE}"
        usage_keys = ("hour", *usage.KEYS, *sql.usage_owner)
        self._usage_merge = _merging(
            usage_table, usage_keys, dict.fromkeys(usage.MEASURES, ADDED), dialect
        )
        self._usage_empty = _emptying(usage_table, usage_keys, ("calls",), dialect)
        self._usage_counted = f"SELECT DISTINCT {', '.join(usage.DIMENSIONS)} FROM {usage_table} WHERE hour = {mark(1)}"
        self._deletions.append(("hour", _deletion(usage_table, usage_keys, dialect)))

    async def merge(
        self, statements: Statements, rollups: Rollups, limits: ValueLimits, *, sign: int = 1
    ) -> None:
        """Add counts to the tables, inside the batch's transaction; with a sign of -1 subtract
        them, and delete empty rows.
        """
        await _learn(statements, limits, rollups.hours, self._counted)
        admitted = rollups.admitted(limits, await statements.ids_of(rollups.texts))
        await self._cap(statements, admitted.capped)

        [(folded_until,)] = await statements.fetch(self._sql.folded_until)
        for table, sums in admitted.by_table(folded_until):
            keys = sorted(sums)
            rows = [(*key, *sums[key].row(sign, self._sql.pack)) for key in keys]
            await statements.write_rows(self._merge[table], rows)
            if sign < 0:
                await statements.write_rows(self._empty[table], keys)

    async def merge_usage(
        self,
        statements: Statements,
        sums: usage.UsageSums,
        limits: ValueLimits,
        instance: int,
        *,
        sign: int = 1,
    ) -> None:
        """Add the sums of a sidecar to the table of usage, as `merge` does."""
        await _learn(statements, limits, sums.hours, [self._usage_counted])
        admitted, capped = sums.admitted(limits)
        await self._cap(statements, capped)

        owner = (instance,) if self._sql.usage_owner else ()
        rows = [
            (*key, *owner, *(sign * measure for measure in measures))
            for key, measures in sorted(admitted.items())
        ]
        await statements.write_rows(self._usage_merge, rows)
        if sign < 0:
            await statements.write_rows(
                self._usage_empty, [(*key, *owner) for key in sorted(admitted)]
            )

    async def fold(self, statements: Statements, until: int) -> int:
        """Add the oldest hours before `until` to their days, inside a separate transaction.

        Returns:
            The hour before which all hours are in their days; 0 if unknown, because others add to
            rollups.
        """
        found = await statements.fetch(self._sql.take_folded)
        if not found:
            return 0

        [(folded_until,)] = found
        for _ in range(MAX_FOLDED_HOURS):
            [(hour,)] = await statements.fetch(self._next_to_fold, (folded_until, until))
            if hour is None:
                folded_until = max(folded_until, until)
                break

            for sql in self._folds:
                await statements.fetch(sql, (hour // DAY_HOURS, hour))
            folded_until = hour + 1

        await statements.fetch(self._sql.set_folded, (folded_until,))
        return int(folded_until)

    async def delete_before(self, statements: Statements, hour: int, max_rows: int) -> int:
        """Delete up to `max_rows` sums of hours before one, and as many of days that ended before
        it; return how many were deleted.
        """
        until = {"hour": hour, "day": hour // DAY_HOURS}
        gone = [
            await statements.fetch(sql, (until[tier], max_rows)) for tier, sql in self._deletions
        ]
        return sum(map(len, gone))

    async def _cap(self, statements: Statements, capped: int) -> None:
        if capped:
            await statements.fetch(self._sql.cap, (capped,))


async def _learn(
    statements: Statements, limits: ValueLimits, hours: Iterable[int], counted: Sequence[str]
) -> None:
    """Read the values with separate counts in hours that the limits do not know."""
    for hour in limits.unknown(hours):
        limits.learn(hour, *[await statements.fetch(sql, (hour,)) for sql in counted])


def _types(columns: Iterable[str]) -> dict[str, str]:
    return {name: "numeric" if name in HISTOGRAMS else "bigint" for name in columns}


def _merging(table: str, keys: Sequence[str], merged: Mapping[str, str], dialect: Dialect) -> str:
    """Write the statement that adds rows."""
    return merging(table, keys, merged, dialect.given(_types((*keys, *merged))))


def _emptying(table: str, keys: Sequence[str], measures: Sequence[str], dialect: Dialect) -> str:
    """Write the statement that deletes rows of keys whose measures are 0."""
    none = " AND ".join(f"{name} = 0" for name in measures)
    given = dialect.given(_types(keys))
    return f"DELETE FROM {table} WHERE ({', '.join(keys)}) IN ({given}) AND {none}"


def _deletion(table: str, keys: Sequence[str], dialect: Dialect) -> str:
    """Write the statement that deletes some rows of periods before one, and returns each; the first
    of the keys is the period.
    """
    columns = ", ".join(keys)
    mark = dialect.placeholder
    old = f"SELECT {columns} FROM {table} WHERE {keys[0]} < {mark(1)} LIMIT {mark(2)}"
    return f"DELETE FROM {table} WHERE ({columns}) IN ({old}) RETURNING 1"
