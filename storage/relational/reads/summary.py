"""Totals of a filter: whole hours from rollups, the rest from rows."""

from dataclasses import replace
from typing import Final

from storage.aggregates import MAX_TOP_VALUES, TOPS, FacetValue, ModelUsage, Summary
from storage.query import Filter, Order, RecordQuery, SummaryQuery
from storage.relational import usage
from storage.relational.facet_counts import Counts
from storage.relational.reads.aggregate import LATENCIES, Sums
from storage.relational.reads.facets import count_rows, count_values, countable, named
from storage.relational.reads.page import read_page
from storage.relational.reads.scan import examined, start_range
from storage.relational.rollups import OTHER
from storage.relational.session import Session
from storage.relational.tally import Tally, extent
from storage.relational.time_ranges import Split, split
from storage.search.expression import Is, both

_MEASURES: Final = ("exchanges", "events", "request_bytes", "response_bytes")
_FAILURE: Final = "error_type"
"""The top that has only failures."""
_IS_FAILURE: Final = Is("level", ("warn", "error"))


async def summary(session: Session, query: SummaryQuery) -> Summary:
    state = await session.state()
    found = await examined(session, state.visible(query.filter))
    filter = found.filter
    times = await start_range(session)
    cut = split(filter, times[1])

    sums = Sums(session, ("status_class",), _MEASURES, LATENCIES)
    complete = await sums.add(filter, cut) and found.is_whole
    tally = sums.tallies().get(0, Tally())
    tally.sampled = bool(sums.sampled)

    if not filter.scope.is_everything:
        # A scope does not learn when the records of others started.
        own = Filter(scope=filter.scope, kind="all")
        times = await _started_us(session, own, "asc"), await _started_us(session, own, "desc")
    oldest, newest = times
    if oldest is not None and found.since_us is not None:
        oldest = max(oldest, found.since_us)
    start, end = extent(filter, oldest, newest)
    if query.only_totals:
        totals = tally.summary(start, end, {}, None, complete=complete)
        return replace(totals, is_newest=not found.is_whole)

    counts, has_tops = await _tops(session, filter, cut)
    models, has_models = await _usage(session, filter, cut)
    top = {}
    for name in TOPS:
        values = await named(session, name, counts[name], MAX_TOP_VALUES)
        top[name] = [FacetValue(value, count) for value, count in values]
    complete = complete and has_tops and has_models
    summed = tally.summary(start, end, top, models, complete=complete)
    return replace(summed, is_newest=not found.is_whole)


async def _started_us(session: Session, filter: Filter, order: Order) -> int | None:
    """Return when the first record of a filter in an order started."""
    page = await read_page(session, RecordQuery(filter=filter, order=order, limit=1))
    if page.records:
        return page.records[0].started_at_us
    return None


async def _usage(session: Session, filter: Filter, cut: Split) -> tuple[list[ModelUsage], bool]:
    """Add up the calls of a filter by provider and model; also say whether these are all."""
    capped_dimensions = (await session.state()).capped_dimensions
    if filter.kind == "event" and not usage.has_events(capped_dimensions):
        return [], True

    sums = Sums(session, ("provider", "model"), usage.MEASURES)
    is_whole = await sums.add(usage.calls_of(filter), cut.of(usage.calls_of))
    ids = {value for values in sums.found for value in values}
    text = {**await session.text_of(ids - {OTHER}), OTHER: usage.OTHERS}
    found = (
        (text[provider], text[model], by_step[0].counts)
        for (provider, model), by_step in sums.found.items()
    )
    return usage.models_of(found), is_whole


async def _tops(session: Session, filter: Filter, cut: Split) -> tuple[Counts, bool]:
    """Count the values of all tops; also say whether these are all."""
    names = [name for name in TOPS if name != _FAILURE]
    counted = countable(filter, (await session.state()).capped_dimensions, names)
    rest: Counts = {name: {} for name in names if name not in counted}
    counts: Counts = {}
    is_whole = True
    if counted:
        counts = await count_values(session, filter, cut.hours, counted)
        is_whole = await count_rows(session, cut.edges, counts)
    if rest:
        is_whole &= await count_rows(session, [filter], rest)

    failures = Sums(session, (_FAILURE,), _MEASURES[:1])
    if filter.kind != "event":
        is_whole &= await failures.add(_failures_of(filter), cut.of(_failures_of))
    by_error = {value: by_step[0].sums[0] for (value,), by_step in failures.found.items()}
    return {**counts, **rest, _FAILURE: by_error}, is_whole


def _failures_of(filter: Filter) -> Filter:
    return replace(filter, kind="exchange", where=both(filter.where, _IS_FAILURE))
