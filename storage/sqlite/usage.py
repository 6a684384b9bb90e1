"""Use of language models in SQLite: whole hours from a small rollup, the rest from the rows of LLM calls."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Iterable
from typing import Final

from storage.aggregates import ModelUsage
from storage.query import Filter
from storage.relational.rollups import OTHER, Limits
from storage.relational.sql import texts
from storage.relational.time_ranges import Hours, hours_around, split
from storage.relational.usage import (
    DIMENSIONS,
    MEASURES,
    OTHERS,
    TABLE,
    UsageSums,
    UsageTally,
    calls_of,
    can_count,
    conditioned,
    is_counted,
    scanned,
)
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names
from storage.sqlite.rollups import deletion
from storage.sqlite.scan import scan
from storage.sqlite.tiers import edges_us, has_rollups, meta, rollup_where

_COLUMNS: Final = ("hour", *DIMENSIONS, *MEASURES)
_UPSERT: Final = (
    f"INSERT INTO {TABLE} ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (hour, {', '.join(DIMENSIONS)}) DO UPDATE SET "
    + ", ".join(f"{measure} = {measure} + excluded.{measure}" for measure in MEASURES)
)
_COUNTED_APART: Final = f"SELECT DISTINCT {', '.join(DIMENSIONS)} FROM {TABLE} WHERE hour = ?"
_SCANNED: Final = scanned("")
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
    """Delete sums that have come down to nothing."""
    connection.executemany(f"DELETE FROM {TABLE} WHERE hour = ? AND calls = 0", [(hour,) for hour in hours])


def delete_before(connection: sqlite3.Connection, hour: int, max_rows: int) -> int:
    """Delete sums of hours before one, so many; answers how many went."""
    return connection.execute(_DELETE, (hour, max_rows)).rowcount


def usage(
    connection: sqlite3.Connection, filter: Filter, names: Names, budget: Budget
) -> tuple[list[ModelUsage] | None, bool]:
    """Tell the usage of a filter that is visible, within a snapshot.

    Returns:
        The models, None when only a scan could tell and other figures need none; and whether that is all.
    """
    if filter.kind == "event":
        return [], True
    tally, edges, complete = UsageTally(), [filter], True
    if can_count(filter, texts(filter), meta(connection, "capped_dimensions")):
        cut = split(filter, edges_us(connection)[1])
        edges = cut.edges
        _add_hours(connection, filter, cut.hours, tally)
    elif has_rollups(connection, filter) or is_counted(filter):
        return None, True
    for edge in edges:
        complete &= _add_rows(connection, edge, tally, budget)
    text = names.load(connection, tally.ids - {OTHER})
    return tally.models({**text, OTHER: OTHERS}), complete


def _add_hours(connection: sqlite3.Connection, filter: Filter, hours: Hours, tally: UsageTally) -> None:
    where = rollup_where(connection, conditioned(filter))
    if where is None or hours.is_empty:
        return
    sums = ", ".join(f"sum({measure})" for measure in MEASURES)
    sql = f"SELECT provider, model, {sums} FROM {TABLE} WHERE {where.text} AND hour >= ? AND hour < ? GROUP BY 1, 2"
    for provider, model, *measures in connection.execute(sql, (*where.parameters, *hours.bounds)):
        tally.add(provider, model, measures)


def _add_rows(connection: sqlite3.Connection, filter: Filter, tally: UsageTally, budget: Budget) -> bool:
    around = hours_around(filter.since_us, filter.until_us)
    sql = f"SELECT 1 FROM {TABLE} WHERE hour >= ? AND hour < ? LIMIT 1"
    if connection.execute(sql, around.bounds).fetchone() is None:
        return True  # nobody called a model in those hours
    for rows in scan(connection, calls_of(filter), _SCANNED, " GROUP BY 1, 2", budget):
        if rows is None:
            return False
        for provider, model, *measures in rows:
            tally.add(provider, model, measures)
    return True
