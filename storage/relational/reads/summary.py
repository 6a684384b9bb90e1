"""Totals of a filter: whole hours from rollups, the rest from rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from storage.aggregates import FACETS, MAX_TOP_VALUES, TOPS, FacetValue, ModelUsage, Summary
from storage.query import Filter, Order, RecordQuery, SummaryQuery
from storage.relational import rollup_sql, usage
from storage.relational.facet_counts import Counts, add_count
from storage.relational.reads.aggregate import LATENCIES, Added, Sums
from storage.relational.reads.facets import count_values, named
from storage.relational.reads.page import read_page
from storage.relational.reads.scan import examined, scan, start_range
from storage.relational.rollups import OTHER, STATUS_KEYS, STATUS_TABLES
from storage.relational.session import Session, State
from storage.relational.sql import Rows, Where
from storage.relational.tally import Tally, extent
from storage.relational.time_ranges import HOUR_US, Hours, Split, hours_around, split
from storage.relational.weights import count_rows
from storage.search.expression import Is, both

_MEASURES: Final = ("exchanges", "events", "request_bytes", "response_bytes")
_FAILURE_LEVELS: Final = ("warn", "error")
_FAILURE: Final = "error_type"
_SCANNED: Final = {name: f"{FACETS[name]} AS top_{name}" for name in TOPS} | {
    _FAILURE: f"CASE WHEN level >= 2 AND kind = 0 THEN error_type ELSE {{none}} END AS top_{_FAILURE}"
}
"""Name of a top → the expression whose values are counted in rows."""


async def summary(session: Session, query: SummaryQuery) -> Summary:
    state = await session.state()
    found = await examined(session, state.visible(query.filter))
    filter = found.filter
    times = await start_range(session)
    cut = split(filter, times[1])

    tops: Counts = {name: {} for name in TOPS}
    counted: Sequence[str] = ()
    scanned: Sequence[str] = ()
    if not query.only_totals:
        counted = _countable_tops(filter, state)
        scanned = [name for name in TOPS if name not in counted]
    complete = found.is_whole
    if counted:
        complete &= await _count_tops(session, filter, cut.hours, counted, tops)

    sums = Sums(session, ("status_class",), _MEASURES, LATENCIES)
    complete &= await sums.add(filter, rollup_sql.tables_for(filter, state.capped_dimensions), cut)
    if counted:
        for edge in cut.edges:
            complete &= await _add_tops(session, edge, counted, tops)
    if scanned:
        complete &= await _add_tops(session, filter, scanned, tops)

    tally = sums.tallies().get(0, Tally())
    tally.sampled = bool(sums.sampled)
    if not filter.scope.is_everything:
        # A scope does not learn when the records of others started.
        own = Filter(scope=filter.scope, kind="all")
        times = await _started_us(session, own, "asc"), await _started_us(session, own, "desc")
    start, end = extent(filter, *times)
    if start is not None and found.since_us is not None:
        start = max(start, found.since_us)
    if query.only_totals:
        totals = tally.summary(start, end, {}, None, complete=complete)
        return replace(totals, is_newest=not found.is_whole)

    models, is_whole = await _usage(session, filter, cut)
    top = {}
    for name in TOPS:
        values = await named(session, name, tops[name], MAX_TOP_VALUES)
        top[name] = [FacetValue(value, count) for value, count in values]
    summed = tally.summary(start, end, top, models, complete=complete and is_whole)
    return replace(summed, is_newest=not found.is_whole)


async def _started_us(session: Session, filter: Filter, order: Order) -> int | None:
    """Return when the first record of a filter in an order started."""
    page = await read_page(session, RecordQuery(filter=filter, order=order, limit=1))
    if page.records:
        return page.records[0].started_at_us
    return None


async def _usage(session: Session, filter: Filter, cut: Split) -> tuple[list[ModelUsage], bool]:
    """Add up the calls of a filter by provider and model; also say whether these are all."""
    if filter.kind == "event":
        return [], True

    has_rollup = usage.can_count(filter, (await session.state()).capped_dimensions)
    sums = Sums(session, ("provider", "model"), usage.MEASURES)
    complete = True
    rest = [filter]
    if has_rollup:
        calls = usage.calls_of(filter)
        added = await sums.add_hours(calls, cut.hours, rollup_sql.USAGE_TABLES)
        complete = added is Added.ALL
        rest = cut.edges
    if complete:
        edges = [usage.calls_of(edge) for edge in rest if await _has_calls(session, edge)]
        complete = await sums.add_rows(edges)

    ids = {value for values in sums.found for value in values}
    text = {**await session.text_of(ids - {OTHER}), OTHER: usage.OTHERS}
    found = (
        (text[provider], text[model], by_step[0].counts)
        for (provider, model), by_step in sums.found.items()
    )
    return usage.models_of(found), complete


async def _has_calls(session: Session, filter: Filter) -> bool:
    """Whether the rollup of usage has any call in the hours around a filter's time.

    True without a look if the store has no table of it, as the look would be a scan.
    """
    if session.dialect.rollups is not None:
        return True
    hours = hours_around(filter.since_us, filter.until_us)
    everything = Where("1 = 1", ())
    rows, parameters = await rollup_sql.rollup_rows(
        session, rollup_sql.USAGE_TABLES, everything, hours, ("calls",)
    )
    return bool(await session.fetch(f"SELECT 1 FROM {rows} LIMIT 1", parameters))


def _countable_tops(filter: Filter, state: State) -> Sequence[str]:
    """List the tops that rollups can count: not those for which they hold `OTHER`."""
    if not rollup_sql.can_count(filter, state.capped_dimensions):
        return ()
    return [
        name
        for name in TOPS
        if not rollup_sql.holds_others(state.capped_dimensions, (FACETS[name],))
    ]


async def _count_tops(
    session: Session, filter: Filter, hours: Hours, names: Sequence[str], tops: Counts
) -> bool:
    """Count tops in whole hours, from rollups; False if some records are missing."""
    tops |= await count_values(session, filter, hours, [name for name in names if name != _FAILURE])
    return _FAILURE not in names or await _add_failures(session, filter, hours, tops[_FAILURE])


async def _add_failures(
    session: Session, filter: Filter, hours: Hours, counts: dict[int, float]
) -> bool:
    """Count the failures of whole hours, from the rollups by status if these have the filter's
    dimensions; False if some are missing.
    """
    if hours.is_empty or filter.kind == "event":
        return True

    first, until = (None if bound is None else bound * HOUR_US for bound in hours)
    failed = both(filter.where, Is("level", _FAILURE_LEVELS))
    failures = replace(filter, kind="exchange", where=failed, since_us=first, until_us=until)
    sums = Sums(session, (_FAILURE,), _MEASURES[:1])
    if rollup_sql.can_count(failures, (await session.state()).capped_dimensions, STATUS_KEYS):
        is_whole = await sums.add_hours(failures, hours, STATUS_TABLES) is Added.ALL
    else:
        is_whole = await sums.add_rows([failures])

    for (value,), by_step in sums.found.items():
        add_count(counts, value, by_step[0].sums[0])
    return is_whole


async def _add_tops(session: Session, filter: Filter, names: Sequence[str], tops: Counts) -> bool:
    """Count tops in rows; False when the budget ended it."""

    def add(rows: Rows) -> None:
        for *values, count in rows:
            for name, value in zip(names, values, strict=True):
                add_count(tops[name], value or 0, count)

    columns = ", ".join(_SCANNED[name] for name in names).format(none=session.dialect.none)
    count = count_rows((await session.state()).capped_dimensions, session.dialect)
    grouped = f" GROUP BY {', '.join(f'top_{name}' for name in names)}"
    return await scan(session, filter, f"SELECT {columns}, {count}", grouped, add)
