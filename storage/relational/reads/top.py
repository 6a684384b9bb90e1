"""The most frequent values among a filter's exchanges, with sums, or with counts over time."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from storage.aggregates import (
    MAX_GROUPS,
    OTHERS,
    TOP_COUNTS,
    TOP_FIELDS,
    Names,
    Top,
    TopRow,
    TopSeries,
    merged,
    top_of,
)
from storage.query import ROLLUP_METHODS, Filter, SeriesQuery, TopQuery
from storage.relational import rollups
from storage.relational.reads.aggregate import LATENCIES, Steps, Sums, Values
from storage.relational.reads.groups import groups
from storage.relational.reads.scan import examined
from storage.relational.session import Session
from storage.relational.sql import DIMENSIONS
from storage.relational.tally import narrowed
from storage.relational.time_ranges import is_in_hours, steps
from storage.relational.usage import with_calls
from storage.relational.writes.packing import unpack_address
from storage.search.cell import is_cell_field


async def top(session: Session, query: TopQuery) -> Top:
    if is_cell_field(query.by):
        return await groups(session, query)

    measures = (TOP_COUNTS[0], "events", *TOP_COUNTS[1:])
    columns = TOP_FIELDS[query.by]
    sums = Sums(session, columns, measures, LATENCIES[:1], has_calls=True, max_groups=MAX_GROUPS)
    is_whole = await _add(sums, query.filter)
    measured = {values for values, _, _ in sums.exact}
    names = await _names_of(session, columns, sums.found.keys() | measured)

    found = []
    for values, by_step in sums.found.items():
        group = by_step[0]
        exchanges, _, *others = group.counts
        row = TopRow.of(
            names[values], [exchanges, *others], group.latencies[0], sampled=values in sums.sampled
        )
        found.append(row)

    exact: dict[Names, list[int]] = {}
    for values, _, (duration_us,) in sums.exact:
        known = exact.setdefault(names[values], [])
        if duration_us is not None and duration_us >= 0:
            known.append(duration_us)
    return top_of(found, sums.exchanges, exact, complete=is_whole)


async def series(session: Session, query: SeriesQuery) -> TopSeries:
    since_us = query.since_us
    until_us = query.until_us
    step, starts = steps(since_us, until_us, query.buckets, is_long=is_in_hours(since_us, until_us))
    if not starts:
        return TopSeries(since_us, step, {}, complete=True)
    if query.filter.kind == "event":
        return TopSeries(starts[0], step, {}, complete=True)

    columns = TOP_FIELDS[query.by]
    every = Steps(starts[0], step)
    sums = Sums(session, columns, TOP_COUNTS[:1], steps=every, max_groups=MAX_GROUPS)
    is_whole = await _add(sums, narrowed(query.filter, since_us, until_us))
    names = await _names_of(session, columns, sums.found.keys())

    counts: dict[Values, list[int]] = {}
    for values, by_step in sums.found.items():
        counts[values] = numbers = [0] * len(starts)
        for place, group in by_step.items():
            numbers[place] = group.counts[0]

    series = merged(counts, names.__getitem__)
    return TopSeries(starts[0], step, series, is_whole, bool(sums.sampled))


async def _add(sums: Sums, filter: Filter) -> bool:
    """Add the records of a filter, events only if they are calls; False if some are missing."""
    state = await sums.session.state()
    wanted = with_calls(filter) if sums.has_calls else replace(filter, kind="exchange")
    filter = state.visible(wanted)
    found = await examined(sums.session, filter)
    return await sums.add(found.filter) and found.is_whole


async def _names_of(
    session: Session, columns: tuple[str, ...], groups: Collection[Values]
) -> Mapping[Values, Names]:
    """Return the names of groups, one for each column."""
    is_by_endpoint = columns == TOP_FIELDS["endpoint"]
    places = [place for place, column in enumerate(columns) if column in DIMENSIONS]
    ids = {values[place] for values in groups for place in places}
    text = await session.text_of(ids - {0, rollups.OTHER})

    def name(column: str, value: Any) -> str | None:
        if value == 0:
            return None
        if value == rollups.OTHER:
            return OTHERS
        if column in DIMENSIONS:
            known = text[value]
            is_invented = column == "method" and known not in ROLLUP_METHODS
            if is_invented and is_by_endpoint:
                return None
            return known

        if column == "client_ip":
            value = unpack_address(session.dialect.to_bytes(value))
        return str(value)

    return {
        values: tuple(name(column, value) for column, value in zip(columns, values, strict=True))
        for values in groups
    }
