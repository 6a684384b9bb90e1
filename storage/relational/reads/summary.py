"""Totals of a filter: whole hours from rollups, the rest from rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from storage.aggregates import FACETS, MAX_TOP_VALUES, TOPS, FacetValue, ModelUsage, Summary
from storage.query import Filter, SummaryQuery
from storage.relational import rollup_sql, usage
from storage.relational.facet_counts import Counts, add_count
from storage.relational.reads.aggregate import LATENCIES, Added, Sums
from storage.relational.reads.facets import count_values, named
from storage.relational.reads.scan import scan, scope_range, start_range
from storage.relational.rollups import OTHER, STATUS_KEYS, STATUS_TABLES
from storage.relational.session import Session, State
from storage.relational.sql import Rows, Where
from storage.relational.tally import Tally, extent
from storage.relational.time_ranges import HOUR_US, Hours, Split, hours_around, split
from storage.relational.weights import count_rows
from storage.search.expression import Is, both

_MEASURES: Final = ("exchanges", "events", "request_bytes", "response_bytes")
_FAILED: Final = ("warn", "error")
_FAILURE: Final = "error_type"
_SCANNED: Final = {name: f"{FACETS[name]} AS top_{name}" for name in TOPS} | {
    _FAILURE: f"CASE WHEN level >= 2 AND kind = 0 THEN error_type ELSE {{none}} END AS top_{_FAILURE}"
}
"""Name of each of `TOPS` → what is counted of rows."""


async def summary(session: Session, query: SummaryQuery) -> Summary:
    tops: Counts = {name: {} for name in TOPS}
    state = await session.state()
    filter = state.visible(query.filter)
    whole = await start_range(session)
    newest_us = whole[1]
    cut = split(filter, newest_us)
    counted = () if query.only_totals else _countable_tops(filter, state)
    complete = not counted or await _count_tops(session, filter, cut.hours, counted, tops)
    sums = Sums(session, ("status_class",), _MEASURES, LATENCIES)
    complete &= await sums.add(filter, rollup_sql.tables_for(filter, state.capped_dimensions), cut)
    scanned = () if query.only_totals else [name for name in TOPS if name not in counted]
    for names, parts in ((counted, cut.edges), (scanned, [filter])):
        for edge in parts if names else ():
            complete = complete and await _add_tops(session, edge, names, tops)
    tally = sums.tallies().get(0, Tally())
    tally.sampled = bool(sums.sampled)
    start, end = extent(
        filter, *(whole if filter.scope.is_everything else await scope_range(session, filter.scope))
    )
    if query.only_totals:
        return tally.summary(start, end, {}, None, complete=complete)

    models, is_whole = await _usage(session, filter, cut)
    top = {
        name: [
            FacetValue(*found) for found in await named(session, name, tops[name], MAX_TOP_VALUES)
        ]
        for name in TOPS
    }
    return tally.summary(start, end, top, models, complete=complete and is_whole)


async def _usage(
    session: Session, filter: Filter, cut: Split
) -> tuple[list[ModelUsage] | None, bool]:
    """Add up the calls of a filter by provider and model, None when only a scan could; and whether
    that is all.
    """
    capped_dimensions = (await session.state()).capped_dimensions
    is_known = usage.can_count(filter, capped_dimensions)
    if filter.kind == "event":
        return [], True
    if not is_known and (
        rollup_sql.can_count(filter, capped_dimensions) or usage.is_counted(filter)
    ):
        return None, True

    sums = Sums(session, ("provider", "model"), usage.MEASURES)
    is_counted = not is_known or (
        await sums.add_hours(usage.calls_of(filter), cut.hours, rollup_sql.USAGE_TABLES)
        is Added.ALL
    )
    edges = cut.edges if is_known else [filter]
    complete = is_counted and await sums.add_rows(
        [usage.calls_of(edge) for edge in edges if await _has_calls(session, edge)]
    )
    ids = {value for values in sums.found for value in values}
    text = {**await session.text_of(ids - {OTHER}), OTHER: usage.OTHERS}
    found = (
        (text[provider], text[model], cells[0].counts)
        for (provider, model), cells in sums.found.items()
    )
    return usage.models_of(found), complete


async def _has_calls(session: Session, filter: Filter) -> bool:
    """Whether any model was called in the hours about a filter's time, where that can be said
    without a scan.
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
    """Choose the tops that rollups count for whole hours: not those in which they hold `OTHER`,
    which rows count.
    """
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
    tops |= await count_values(session, filter, hours, [name for name in names if name != _FAILURE])
    return _FAILURE not in names or await _add_failures(session, filter, hours, tops[_FAILURE])


async def _add_failures(
    session: Session, filter: Filter, hours: Hours, counts: dict[int, float]
) -> bool:
    """Count whole hours' failures, from the rollups by status where those have the filter's
    dimensions.
    """
    if hours.is_empty or filter.kind == "event":
        return True

    first, until = (None if bound is None else bound * HOUR_US for bound in hours)
    failed = both(filter.where, Is("level", _FAILED))
    failures = replace(filter, kind="exchange", where=failed, since_us=first, until_us=until)
    sums = Sums(session, (_FAILURE,), _MEASURES[:1])

    if rollup_sql.can_count(failures, (await session.state()).capped_dimensions, STATUS_KEYS):
        is_whole = await sums.add_hours(failures, hours, STATUS_TABLES) is Added.ALL
    else:
        is_whole = await sums.add_rows([failures])

    for (value,), cells in sums.found.items():
        add_count(counts, value, cells[0].sums[0])
    return is_whole


async def _add_tops(session: Session, filter: Filter, names: Sequence[str], tops: Counts) -> bool:
    def add(rows: Rows) -> None:
        for *values, count in rows:
            for name, value in zip(names, values, strict=True):
                add_count(tops[name], value or 0, count)

    columns = ", ".join(_SCANNED[name] for name in names).format(none=session.dialect.none)
    count = count_rows((await session.state()).capped_dimensions, session.dialect)
    select = f"SELECT {columns}, {count}"
    return await scan(
        session, filter, select, f" GROUP BY {', '.join(f'top_{name}' for name in names)}", add
    )
