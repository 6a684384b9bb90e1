"""Rollups as readers see them: the purge floor, the rows of a range of time, and whether they can tell at all.

Strategy: a filter's whole hours become rows of the day table and, at both ends, of the hour table, put together by
UNION ALL. What retention has given up lies below the purge floor and is left out before it is deleted.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from storage.periods import DAY_HOURS, Hours, Part, parts, without_time
from storage.query import Filter
from storage.rollups import LIMITED, TABLES
from storage.sql import SQLITE, Where, rollup_conditions, texts
from storage.sqlite.dictionary import find

Parameters = tuple[int | str, ...]

_LIMITED_TEXTS: Final = frozenset(LIMITED)


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """See one state of the store in several statements."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def meta(connection: sqlite3.Connection, name: str) -> int:
    """Read one of the store's single numbers."""
    return int(connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])


def visible(connection: sqlite3.Connection, filter: Filter) -> Filter:
    """Narrow a filter to what retention has not given up."""
    floor_us = meta(connection, "purge_floor_us")
    if floor_us and (filter.since_us is None or filter.since_us < floor_us):
        return replace(filter, since_us=floor_us)
    return filter


def has_rollups(connection: sqlite3.Connection, filter: Filter) -> bool:
    """Whether rollups can count a filter's records, its time apart."""
    if not without_time(filter).has_only_rollup_dimensions:
        return False
    capped = meta(connection, "capped_dimensions")
    if not capped:
        return True
    restricted = texts(filter).keys() & _LIMITED_TEXTS
    return not any(capped >> LIMITED.index(name) & 1 for name in restricted)


def rollup_where(connection: sqlite3.Connection, filter: Filter) -> Where | None:
    """Build the conditions of a filter on rollups, its time apart; None when nothing can match."""
    return rollup_conditions(filter, find(connection, texts(filter)), SQLITE)


def rollup_rows(
    where: Where, hours: Hours, columns: Sequence[str], *, only_hours: bool = False
) -> tuple[str, Parameters]:
    """Write the sub-query of the rollup rows of some hours; there must be one.

    Args:
        where: From `rollup_where`.
        hours: Which.
        columns: Of the rollups; `hour`, the first of each row, is added.
        only_hours: Read no days: the hours are to be told apart.
    """
    selects: list[str] = []
    parameters: list[int | str] = []
    for part in (Part("hour", *hours),) if only_hours else parts(hours):
        table, period = TABLES[part.tier]
        hour = f"{period} * {DAY_HOURS} AS hour" if part.tier == "day" else period
        bounds = [(f" AND {period} >= ?", part.first), (f" AND {period} < ?", part.until)]
        text = "".join(sql for sql, bound in bounds if bound is not None)
        selects.append(f"SELECT {hour}, {', '.join(columns)} FROM {table} WHERE {where.text}{text}")
        parameters += (*where.parameters, *(bound for _, bound in bounds if bound is not None))
    return f"({' UNION ALL '.join(selects)})", tuple(parameters)


def edges_us(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    """Find about when the oldest and the newest record started; None without records."""
    least, most = connection.execute("SELECT min(min_started_at_us), max(max_started_at_us) FROM spans").fetchone()
    floor_us = meta(connection, "purge_floor_us")
    return (None, None) if least is None else (max(least, floor_us), most)
