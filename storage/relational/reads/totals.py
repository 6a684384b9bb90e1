"""How many records there are of a filter, and how many entries by dimension: from rollups, where they can tell."""

from dataclasses import replace
from typing import Final

from storage.query import Count, Filter
from storage.relational.reads.aggregate import Sums
from storage.relational.reads.scan import start_range
from storage.relational.rollup_sql import rollup_where, sums, tables_for, usage_rows
from storage.relational.session import Session, State
from storage.relational.time_ranges import Hours, hours_inside, split
from storage.relational.usage import can_count as can_count_calls
from storage.relational.usage import counts_calls, has_events

_COUNTS: Final = ("exchanges", "events")


async def count(session: Session, filter: Filter) -> Count:
    """Count the records of a filter: whole hours from rollups, where they can tell, and the rest row by row."""
    state = await session.state()
    filter = state.visible(filter)
    found = Sums(session, (), _COUNTS)
    tables = tables_for(filter, state.capped_dimensions)
    calls = 0
    if tables is None and _is_of_calls(filter, state):
        cut = split(filter, (await start_range(session))[1])
        calls = await _count_calls(session, filter, cut.hours)
        is_exact = await found.add_rows(cut.edges)
    else:
        is_exact = await found.add(filter, tables)
    counted = _counted(found)
    return Count(calls + counted.exchanges, counted.events, is_exact)


def _is_of_calls(filter: Filter, state: State) -> bool:
    """Whether the rollup of usage has all records of a filter, and can tell them."""
    can_tell = counts_calls(filter) and not has_events(state.capped_dimensions)
    return can_tell and can_count_calls(filter, state.capped_dimensions)


async def count_hours(session: Session, filter: Filter, hours: Hours) -> Count:
    """Count the records of whole hours of a filter that rollups can tell."""
    found = Sums(session, (), _COUNTS)
    tables = tables_for(filter, (await session.state()).capped_dimensions)
    if tables is not None:
        await found.add_hours(filter, hours, tables)
    return _counted(found)


def _counted(found: Sums) -> Count:
    exchanges, events = found.found[()][0].counts if found.found else (0, 0)
    return Count(exchanges, events)


async def _count_calls(session: Session, filter: Filter, hours: Hours) -> int:
    where = await rollup_where(session, replace(filter, kind="all"))
    if where is None or hours.is_empty:
        return 0
    rows, parameters = usage_rows(where, hours, ("calls",), session.dialect)
    [(calls,)] = await session.fetch(f"SELECT {sums(('calls',))} FROM {rows}", parameters)
    return calls or 0


async def rows_total(session: Session) -> int:
    """Count all rows, from rollups: counting them in the table would scan it."""
    filter = (await session.state()).visible(Filter(kind="all"))
    counted = await count_hours(session, filter, _hours(filter))
    return counted.exchanges + counted.events


def _hours(filter: Filter) -> Hours:
    return hours_inside(filter.since_us, None)
