"""Counts of stored records by filter, from rollups where they suffice.

A record counts once, even if it stands for several.
"""

from dataclasses import replace
from typing import Final

from storage.query import Count, CountQuery, Filter
from storage.relational.reads.aggregate import Sums
from storage.relational.rollup_sql import tables_for
from storage.relational.session import Session, State
from storage.relational.time_ranges import Hours, hours_inside
from storage.relational.usage import MEASURES, counts_calls, has_events
from storage.relational.usage import can_count as can_count_calls

_COUNTS: Final = ("exchanges", "events")
_WHOLE_S: Final = 30.0
"""Time for a count that another read needs; for a year it takes milliseconds."""


async def count(session: Session, query: CountQuery) -> Count:
    """Count the records of a filter: whole hours from rollups where they suffice, else rows."""
    state = await session.state()
    filter = state.visible(query.filter)
    tables = tables_for(filter, state.capped_dimensions)
    if tables is None and _is_of_calls(filter, state):
        calls = Sums(session, (), MEASURES[:1], is_weighed=False)
        is_exact = await calls.add(replace(filter, kind="all"))
        return Count(calls.exchanges, 0, is_exact)

    found = Sums(session, (), _COUNTS, is_weighed=False)
    is_exact = await found.add(filter)
    return replace(_counted(found), exact=is_exact)


def _is_of_calls(filter: Filter, state: State) -> bool:
    """Whether the rollup of usage can count a filter, as it has all its records and no events."""
    if not counts_calls(filter) or has_events(state.capped_dimensions):
        return False
    return can_count_calls(filter, state.capped_dimensions)


async def count_hours(session: Session, filter: Filter, hours: Hours) -> Count:
    """Count the records of a filter in whole hours, from rollups, with a budget of its own."""
    session = session.limited(_WHOLE_S)
    found = Sums(session, (), _COUNTS, is_weighed=False)
    tables = tables_for(filter, (await session.state()).capped_dimensions)
    if tables is not None:
        await found.add_hours(filter, hours, tables)
    return _counted(found)


def _counted(found: Sums) -> Count:
    if not found.found:
        return Count(0, 0)
    exchanges, events = found.found[()][0].counts
    return Count(exchanges, events)


async def rows_total(session: Session) -> int:
    """Count all rows from rollups: counting them in their table would scan it."""
    filter = (await session.state()).visible(Filter(kind="all"))
    counted = await count_hours(session, filter, hours_inside(filter.since_us, None))
    return counted.exchanges + counted.events
