"""How many records there are of a filter, and how many entries by dimension: from rollups, where they can tell.

All statements of one answer see the same state of the store.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Callable
from typing import Final

from storage.query import Count, Filter, Scope, Stats
from storage.record import LEVELS
from storage.relational.rollup_sql import rollup_rows
from storage.relational.rollups import OTHER, STATUS_TABLES
from storage.relational.sql import KINDS, SQLITE, texts
from storage.relational.time_ranges import Hours, hours_inside, split
from storage.relational.usage import TABLE as USAGE
from storage.relational.usage import can_count, conditioned, counts_calls
from storage.sqlite.codec import Row
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names
from storage.sqlite.scan import scan
from storage.sqlite.tiers import edges_us, has_rollups, meta, rollup_where, snapshot, tables_of, visible

_EVENT: Final = KINDS.index("event")
_STATS: Final = ("project", "container", "service")
_BY: Final = ", ".join((*_STATS, "level"))
_UNKNOWN: Final = "unknown"
_OTHERS: Final = "other"
"""Name of the values beyond the limit of the rollups."""

_Counting = Callable[[sqlite3.Connection, Filter, Hours], Count]


def count(connection: sqlite3.Connection, filter: Filter, budget: Budget) -> Count:
    """Count the records of a filter: whole hours from rollups, where they can tell, and the rest row by row."""
    total = Count(0, 0)
    with snapshot(connection):
        filter = visible(connection, filter)
        edges = [filter]
        counting = _counting(connection, filter)
        if counting is not None:
            cut = split(filter, edges_us(connection)[1])
            edges = cut.edges
            total = counting(connection, filter, cut.hours)
        for edge in edges:
            found = _count_rows(connection, edge, budget)
            is_exact = total.exact and found.exact
            total = Count(total.exchanges + found.exchanges, total.events + found.events, is_exact)
    return total


def _counting(connection: sqlite3.Connection, filter: Filter) -> _Counting | None:
    """Find out what can count whole hours of a filter; None when only rows can tell."""
    if tables_of(connection, filter) is not None:
        return count_hours
    can_tell = counts_calls(filter) and can_count(filter, texts(filter), meta(connection, "capped_dimensions"))
    return _count_calls if can_tell else None


def count_hours(connection: sqlite3.Connection, filter: Filter, hours: Hours) -> Count:
    """Count the records of whole hours of a filter that rollups can tell."""
    tables, where = tables_of(connection, filter), rollup_where(connection, filter)
    if tables is None or where is None or hours.is_empty:
        return Count(0, 0)
    rows, parameters = rollup_rows(tables, where, hours, ("exchanges", "events"), SQLITE)
    sql = f"SELECT coalesce(sum(exchanges), 0), coalesce(sum(events), 0) FROM {rows}"
    return Count(*connection.execute(sql, parameters).fetchone())


def _count_calls(connection: sqlite3.Connection, filter: Filter, hours: Hours) -> Count:
    where = rollup_where(connection, conditioned(filter, is_llm=filter.is_llm))
    if where is None or hours.is_empty:
        return Count(0, 0)
    sql = f"SELECT coalesce(sum(calls), 0) FROM {USAGE} WHERE {where.text} AND hour >= ? AND hour < ?"
    return Count(connection.execute(sql, (*where.parameters, *hours.bounds)).fetchone()[0], 0)


def _count_rows(connection: sqlite3.Connection, filter: Filter, budget: Budget) -> Count:
    exchanges = events = 0
    for found in scan(connection, filter, "SELECT kind, count(*) FROM records", " GROUP BY kind", budget):
        if found is None:
            return Count(exchanges, events, exact=False)
        for kind, number in found:
            if kind == _EVENT:
                events += number
            else:
                exchanges += number
    return Count(exchanges, events)


def stats(connection: sqlite3.Connection, scope: Scope, names: Names, budget: Budget) -> Stats:
    """Count entries by dimension, from rollups; by a scan where they hold `OTHER` for what the scope names."""
    levels = dict.fromkeys(map(str, LEVELS), 0)
    groups: tuple[dict[str, int], ...] = ({}, {}, {})
    with snapshot(connection):
        filter = visible(connection, Filter(scope=scope, kind="all"))
        where = rollup_where(connection, filter)
        if where is None:
            return Stats(0, levels, {}, {}, {})
        if has_rollups(connection, filter):
            columns = (*_STATS, "level", "exchanges", "events")
            table, parameters = rollup_rows(STATUS_TABLES, where, hours_inside(filter.since_us, None), columns, SQLITE)
            sql = f"SELECT {_BY}, sum(2 * exchanges + events) FROM {table} GROUP BY {_BY}"
            rows = connection.execute(sql, parameters).fetchall()
        else:
            rows = _scan_stats(connection, filter, budget)
        text = names.load(connection, {number for row in rows for number in row[:3] if number != OTHER})
    for *dimensions, level, entries in rows:
        levels[LEVELS[level]] += entries
        for group, number in zip(groups, dimensions, strict=True):
            name = _OTHERS if number == OTHER else text[number]
            name = _UNKNOWN if name is None else name
            group[name] = group.get(name, 0) + entries
    return Stats(sum(levels.values()), levels, *groups)


def _scan_stats(connection: sqlite3.Connection, filter: Filter, budget: Budget) -> list[Row]:
    found: list[Row] = []
    for rows in scan(connection, filter, f"SELECT {_BY}, sum(2 - kind) FROM records", f" GROUP BY {_BY}", budget):
        found += rows or ()
    return found


def rows_total(connection: sqlite3.Connection) -> int:
    """Count all rows, from rollups: counting them in the table would scan it."""
    filter = visible(connection, Filter(kind="all"))
    counted = count_hours(connection, filter, hours_inside(filter.since_us, None))
    return counted.exchanges + counted.events
