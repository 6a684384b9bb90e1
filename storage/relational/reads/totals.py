"""How many records there are of a filter, and how many entries by dimension: from rollups, where they can tell."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from storage.query import Count, Filter, Scope, Stats
from storage.record import LEVELS
from storage.relational.reads.scan import scan, start_range
from storage.relational.rollup_sql import can_count, rollup_rows, rollup_where, sums, tables_for, usage_rows
from storage.relational.rollups import OTHER, STATUS_TABLES
from storage.relational.session import Rows, Session, State
from storage.relational.sql import EVENT
from storage.relational.time_ranges import Hours, hours_inside, split
from storage.relational.usage import OTHERS, counts_calls, has_events
from storage.relational.usage import can_count as can_count_calls

_STATS: Final = ("project", "container", "service")
_BY: Final = (*_STATS, "level")
_UNKNOWN: Final = "unknown"


async def count(session: Session, filter: Filter) -> Count:
    """Count the records of a filter: whole hours from rollups, where they can tell, and the rest row by row."""
    total = Count(0, 0)
    state = await session.state()
    filter = state.visible(filter)
    edges = [filter]
    counting = _counting(state, filter)
    if counting is not None:
        cut = split(filter, (await start_range(session))[1])
        edges = cut.edges
        total = await counting(session, filter, cut.hours)
    for edge in edges:
        found = await _count_rows(session, edge)
        is_exact = total.exact and found.exact
        total = Count(total.exchanges + found.exchanges, total.events + found.events, is_exact)
    return total


def _counting(state: State, filter: Filter) -> Callable[[Session, Filter, Hours], Awaitable[Count]] | None:
    """Choose what counts whole hours of a filter; None when only rows can tell."""
    if tables_for(filter, state.capped_dimensions) is not None:
        return count_hours
    can_tell = counts_calls(filter) and not has_events(state.capped_dimensions)
    can_tell = can_tell and can_count_calls(filter, state.capped_dimensions)
    return _count_calls if can_tell else None


async def count_hours(session: Session, filter: Filter, hours: Hours) -> Count:
    """Count the records of whole hours of a filter that rollups can tell."""
    tables = tables_for(filter, (await session.state()).capped_dimensions)
    where = await rollup_where(session, filter)
    if tables is None or where is None or hours.is_empty:
        return Count(0, 0)
    rows, parameters = await rollup_rows(session, tables, where, hours, ("exchanges", "events"))
    [(exchanges, events)] = await session.fetch(f"SELECT {sums(('exchanges', 'events'))} FROM {rows}", parameters)
    return Count(exchanges or 0, events or 0)


async def _count_calls(session: Session, filter: Filter, hours: Hours) -> Count:
    where = await rollup_where(session, replace(filter, kind="all"))
    if where is None or hours.is_empty:
        return Count(0, 0)
    rows, parameters = usage_rows(where, hours, ("calls",), session.dialect)
    [(calls,)] = await session.fetch(f"SELECT {sums(('calls',))} FROM {rows}", parameters)
    return Count(calls or 0, 0)


async def _count_rows(session: Session, filter: Filter) -> Count:
    exchanges = events = 0

    def add(rows: Rows) -> None:
        nonlocal exchanges, events
        for kind, number in rows:
            if kind == EVENT:
                events += number
            else:
                exchanges += number

    is_exact = await scan(session, filter, "SELECT kind, count(*)", " GROUP BY kind", add)
    return Count(exchanges, events, is_exact)


async def stats(session: Session, scope: Scope) -> Stats:
    """Count entries by dimension, from rollups; by a scan where they hold `OTHER` for what the scope names."""
    levels = dict.fromkeys(map(str, LEVELS), 0)
    groups: tuple[dict[str, int], ...] = ({}, {}, {})
    state = await session.state()
    filter = state.visible(Filter(scope=scope, kind="all"))
    is_known = can_count(filter, state.capped_dimensions)
    rows = await (_summed_stats if is_known else _scanned_stats)(session, filter)
    text = await session.text_of({number for row in rows for number in row[:3] if number != OTHER})
    for *dimensions, level, entries in rows:
        if level is not None:
            levels[LEVELS[level]] += entries
        for group, number in zip(groups, dimensions, strict=True):
            if number is not None:
                name = OTHERS if number == OTHER else text[number]
                name = _UNKNOWN if name is None else name
                group[name] = group.get(name, 0) + entries
    return Stats(sum(levels.values()), levels, *groups)


async def _summed_stats(session: Session, filter: Filter) -> Rows:
    where = await rollup_where(session, filter)
    if where is None:
        return []
    columns = (*_STATS, "level", "exchanges", "events")
    table, parameters = await rollup_rows(session, STATUS_TABLES, where, _hours(filter), columns)
    sql = f"SELECT {', '.join(_BY)}, {sums(('2 * exchanges + events',))} FROM {table} {session.dialect.group_by(_BY)}"
    return await session.fetch(sql, parameters)


async def _scanned_stats(session: Session, filter: Filter) -> Rows:
    found: list[tuple[int | None, ...]] = []
    # Null is 0 before it is grouped: with grouping sets, null is another dimension's row.
    columns = ", ".join(f"coalesce({name}, {session.dialect.none}) AS {name}" for name in _STATS)
    select = f"SELECT {', '.join(_BY)}, {sums(('entries',))} FROM (SELECT {columns}, level, 2 - kind AS entries"
    then = f") AS entry {session.dialect.group_by(_BY)}"

    def add(rows: Rows) -> None:
        found.extend(tuple(row) for row in rows)

    await scan(session, filter, select, then, add)
    return found


async def rows_total(session: Session) -> int:
    """Count all rows, from rollups: counting them in the table would scan it."""
    filter = (await session.state()).visible(Filter(kind="all"))
    counted = await count_hours(session, filter, _hours(filter))
    return counted.exchanges + counted.events


def _hours(filter: Filter) -> Hours:
    return hours_inside(filter.since_us, None)
