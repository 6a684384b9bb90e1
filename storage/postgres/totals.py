"""How many records there are of a filter, and how many entries by dimension: from rollups, where they can tell."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.scan import scan
from storage.postgres.state import State, read_state
from storage.postgres.tiers import edges_us, has_rollups, rollup_where
from storage.query import Count, Filter, Scope, Stats
from storage.record import LEVELS
from storage.relational.rollup_sql import Tables, rollup_rows, tables_for
from storage.relational.rollups import OTHER, STATUS_TABLES, TABLES
from storage.relational.sql import KINDS, POSTGRES, texts
from storage.relational.time_ranges import Hours, hours_inside, split
from storage.relational.usage import TABLE as USAGE
from storage.relational.usage import can_count, conditioned, counts_calls

_EVENT: Final = KINDS.index("event")
_STATS: Final = ("project", "container", "service")
_BY: Final = ", ".join((*_STATS, "level"))
_EACH: Final = f"GROUP BY GROUPING SETS ({', '.join(f'({column})' for column in (*_STATS, 'level'))})"
"""One pass; a row of the answer counts one value of one dimension, and the others are null."""
_UNKNOWN: Final = "unknown"
_OTHERS: Final = "other"
"""Name of the values beyond the limit of the rollups."""

Rows = list[Any]
_Counting = Callable[[Connection, Filter, Hours], Awaitable[Count]]


async def count(connection: Connection, filter: Filter, budget: Budget) -> Count:
    """Count the records of a filter: whole hours from rollups, where they can tell, and the rest row by row."""
    total = Count(0, 0)
    state = await read_state(connection)
    filter = state.visible(filter)
    edges = [filter]
    counting = _counting(state, filter)
    if counting is not None:
        cut = split(filter, (await edges_us(connection, state))[1])
        edges = cut.edges
        total = await counting(connection, filter, cut.hours)
    for edge in edges:
        found = await _count_rows(connection, edge, state, budget)
        is_exact = total.exact and found.exact
        total = Count(total.exchanges + found.exchanges, total.events + found.events, is_exact)
    return total


def _counting(state: State, filter: Filter) -> _Counting | None:
    """Find out what can count whole hours of a filter; None when only rows can tell."""
    tables = tables_for(filter, state.capped_dimensions)
    if tables is not None:
        return partial(count_hours, tables=tables)
    can_tell = counts_calls(filter) and can_count(filter, texts(filter), state.capped_dimensions)
    return _count_calls if can_tell else None


async def count_hours(connection: Connection, filter: Filter, hours: Hours, tables: Tables = TABLES) -> Count:
    """Count the records of whole hours of a filter that rollups can tell."""
    where = await rollup_where(connection, filter)
    if where is None or hours.is_empty:
        return Count(0, 0)
    rows, parameters = rollup_rows(tables, where, hours, ("exchanges", "events"), POSTGRES)
    sql = f"SELECT coalesce(sum(exchanges), 0)::bigint, coalesce(sum(events), 0)::bigint FROM {rows}"
    row = await connection.fetchrow(sql, *parameters)
    return Count(0, 0) if row is None else Count(*row)


async def _count_calls(connection: Connection, filter: Filter, hours: Hours) -> Count:
    where = await rollup_where(connection, conditioned(filter, is_llm=filter.is_llm))
    if where is None or hours.is_empty:
        return Count(0, 0)
    number = len(where.parameters) + 1
    sql = (
        f"SELECT coalesce(sum(calls), 0)::bigint FROM sidelog.{USAGE} "
        f"WHERE {where.text} AND hour >= ${number} AND hour < ${number + 1}"
    )
    return Count(await connection.fetchval(sql, *where.parameters, *hours.bounds), 0)


async def _count_rows(connection: Connection, filter: Filter, state: State, budget: Budget) -> Count:
    exchanges = events = 0
    select = "SELECT kind, count(*) FROM sidelog.records"
    async for found in scan(connection, filter, state, select, " GROUP BY kind", budget):
        if found is None:
            return Count(exchanges, events, exact=False)
        for kind, number in found:
            if kind == _EVENT:
                events += number
            else:
                exchanges += number
    return Count(exchanges, events)


async def stats(connection: Connection, scope: Scope, names: Names, budget: Budget) -> Stats:
    """Count entries by dimension, from rollups; by a scan where they hold `OTHER` for what the scope names."""
    levels = dict.fromkeys(map(str, LEVELS), 0)
    groups: tuple[dict[str, int], ...] = ({}, {}, {})
    state = await read_state(connection)
    filter = state.visible(Filter(scope=scope, kind="all"))
    if has_rollups(state, filter):
        rows = await _summed_stats(connection, filter)
    else:
        rows = await _scanned_stats(connection, filter, state, budget)
    text = await names.load(connection, {number for row in rows for number in row[:3] if number != OTHER})
    for *dimensions, level, entries in rows:
        if level is not None:
            levels[LEVELS[level]] += entries
        for group, number in zip(groups, dimensions, strict=True):
            if number is not None:
                name = _OTHERS if number == OTHER else text[number]
                name = _UNKNOWN if name is None else name
                group[name] = group.get(name, 0) + entries
    return Stats(sum(levels.values()), levels, *groups)


async def _summed_stats(connection: Connection, filter: Filter) -> Rows:
    where = await rollup_where(connection, filter)
    if where is None:
        return []
    table, parameters = rollup_rows(
        STATUS_TABLES, where, hours_inside(filter.since_us, None), (*_STATS, "level", "exchanges", "events"), POSTGRES
    )
    return await connection.fetch(
        f"SELECT {_BY}, sum(2 * exchanges + events)::bigint FROM {table} {_EACH}", *parameters
    )


async def _scanned_stats(connection: Connection, filter: Filter, state: State, budget: Budget) -> Rows:
    found: Rows = []
    # Null is 0 before it is grouped: afterwards null is another dimension's row.
    columns = ", ".join(f"coalesce({name}, 0) AS {name}" for name in _STATS)
    parts = scan(
        connection,
        filter,
        state,
        f"SELECT {_BY}, sum(entries)::bigint FROM (SELECT {columns}, level, 2 - kind AS entries FROM sidelog.records",
        f") AS row {_EACH}",
        budget,
    )
    async with aclosing(parts):
        async for rows in parts:
            found += rows or ()
    return found


async def rows_total(connection: Connection, state: State) -> int:
    """Count all rows, from rollups: counting them in the table would scan it."""
    filter = state.visible(Filter(kind="all"))
    counted = await count_hours(connection, filter, hours_inside(filter.since_us, None))
    return counted.exchanges + counted.events
