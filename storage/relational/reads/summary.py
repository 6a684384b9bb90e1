"""Totals of a filter: whole hours from rollups, the rest from rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from storage.aggregates import FACETS, MAX_TOP_VALUES, TOPS, FacetValue, Summary, class_name
from storage.query import Filter
from storage.relational import rollup_sql
from storage.relational.facet_counts import Counts, add_count
from storage.relational.reads.facets import count_values, named
from storage.relational.reads.scan import few_exchanges, scan, scope_range, start_range
from storage.relational.rollups import HISTOGRAMS, LEAST, MOST, STATUS_KEYS, STATUS_TABLES
from storage.relational.session import Rows, Session, State
from storage.relational.sql import EVENT, Dialect
from storage.relational.tally import Tally, extent
from storage.relational.time_ranges import HOUR_US, Hours, split
from storage.relational.usage import usage
from storage.search.expression import Is, both

_COUNTS: Final = ("exchanges", "events", "request_bytes", "response_bytes")
_FAILED: Final = ("warn", "error")
_FAILURE: Final = "error_type"
_SCANNED: Final = {name: f"{FACETS[name]} AS top_{name}" for name in TOPS} | {
    _FAILURE: f"CASE WHEN level >= 2 AND kind = 0 THEN error_type ELSE {{none}} END AS top_{_FAILURE}"
}
"""Name of each of `TOPS` → what is counted of rows."""


async def summary(session: Session, filter: Filter, *, only_totals: bool = False) -> Summary:
    tally = Tally()
    tops: Counts = {name: {} for name in TOPS}
    state = await session.state()
    filter = state.visible(filter)
    whole = await start_range(session)
    newest_us = whole[1]
    cut = split(filter, newest_us)
    edges = [filter]
    complete = True
    is_counted = rollup_sql.tables_for(filter, state.capped_dimensions) is not None
    if is_counted:
        edges = cut.edges
        await _add_hours(session, filter, cut.hours, tally)
    counted = _counted_tops(filter, state) if not only_totals else ()
    if counted:
        complete = await _count_tops(session, filter, cut.hours, counted, tops)
    for edge in edges:
        complete &= await _add_sums(session, edge, tally)
    scanned = () if only_totals else [name for name in TOPS if name not in counted]
    for names, parts in ((counted, cut.edges), (scanned, [filter])):
        for edge in parts if names else ():
            complete &= complete and await _add_tops(session, edge, names, tops)
    if complete:
        await _measure_few(session, filter, tally, is_counted=is_counted)
    start, end = extent(filter, *(whole if filter.scope.is_everything else await scope_range(session, filter.scope)))
    if only_totals:
        return tally.summary(start, end, {}, None, complete=complete)
    models, is_whole = await usage(session, filter, newest_us)
    top = {
        name: [FacetValue(*found) for found in await named(session, name, tops[name], MAX_TOP_VALUES)] for name in TOPS
    }
    return tally.summary(start, end, top, models, complete=complete and is_whole)


def _counted_tops(filter: Filter, state: State) -> Sequence[str]:
    """Choose the tops that whole hours are counted of; of a dimension in which they hold `OTHER`, rows are."""
    if not rollup_sql.can_count(filter, state.capped_dimensions):
        return ()
    return [name for name in TOPS if not rollup_sql.holds_others(state.capped_dimensions, (FACETS[name],))]


async def _count_tops(session: Session, filter: Filter, hours: Hours, names: Sequence[str], tops: Counts) -> bool:
    tops |= await count_values(session, filter, hours, [name for name in names if name != _FAILURE])
    return _FAILURE not in names or await _add_failures(session, filter, hours, tops[_FAILURE])


async def _add_hours(session: Session, filter: Filter, hours: Hours, tally: Tally) -> None:
    tables = rollup_sql.tables_for(filter, (await session.state()).capped_dimensions)
    where = await rollup_sql.rollup_where(session, filter)
    if tables is None or where is None or hours.is_empty:
        return
    rows, parameters = await rollup_sql.rollup_rows(
        session, tables, where, hours, ("status_class", *_COUNTS, *LEAST, *MOST, *HISTOGRAMS)
    )
    latencies = ", ".join(rollup_sql.latency_sums(histogram, session.dialect) for histogram in HISTOGRAMS)
    sql = f"SELECT status_class, {rollup_sql.sums(_COUNTS)}, {latencies} FROM {rows} GROUP BY status_class"
    for class_, exchanges, events, request_bytes, response_bytes, *measured in await session.fetch(sql, parameters):
        tally.add_class(class_name(class_), exchanges)
        tally.events += events
        tally.request_bytes += request_bytes
        tally.response_bytes += response_bytes
        rollup_sql.add_latencies(tally.duration, measured[:3], session.dialect)
        rollup_sql.add_latencies(tally.first_byte, measured[3:], session.dialect)


async def _measure_few(session: Session, filter: Filter, tally: Tally, *, is_counted: bool) -> None:
    """Read the latencies of few exchanges, which are then exact."""
    select = "SELECT duration_us, first_byte_us"
    rows = await few_exchanges(session, filter, tally.exchanges, select, is_counted=is_counted)
    if rows is not None:
        tally.duration.values = sorted(duration_us for duration_us, _ in rows)
        tally.first_byte.values = sorted(value for _, value in rows if value is not None and value >= 0)


async def _add_failures(session: Session, filter: Filter, hours: Hours, counts: dict[int, int]) -> bool:
    """Count whole hours' failures, from the rollups by status where those have the filter's dimensions."""
    if hours.is_empty or filter.kind == "event":
        return True

    def add(rows: Rows) -> None:
        for value, count in rows:
            add_count(counts, value or 0, count)

    first, until = (None if bound is None else bound * HOUR_US for bound in hours)
    failed = both(filter.where, Is("level", _FAILED))
    failures = replace(filter, kind="exchange", where=failed, since_us=first, until_us=until)
    if rollup_sql.can_count(failures, (await session.state()).capped_dimensions, STATUS_KEYS):
        where = await rollup_sql.rollup_where(session, failures)
        if where is not None:
            read = ("error_type", "exchanges")
            rows, parameters = await rollup_sql.rollup_rows(session, STATUS_TABLES, where, hours, read, only_hours=True)
            sql = f"SELECT error_type, {rollup_sql.sums(('exchanges',))} FROM {rows} GROUP BY error_type"
            add(await session.fetch(sql, parameters))
        return True
    return await scan(session, failures, "SELECT error_type, count(*)", " GROUP BY error_type", add)


async def _add_sums(session: Session, filter: Filter, tally: Tally) -> bool:
    def add(rows: Rows) -> None:
        for kind, class_, count, request_bytes, response_bytes, duration, *ends, first_byte, least, most in rows:
            tally.request_bytes += int(request_bytes)
            tally.response_bytes += int(response_bytes)
            if kind == EVENT:
                tally.events += count
                continue
            tally.add_class(class_name(class_), count)
            tally.duration.add({duration: count}, *ends)
            if first_byte >= 0:
                tally.first_byte.add({first_byte: count}, least, most)

    return await scan(
        session,
        filter,
        _scan_sums(session.dialect),
        " GROUP BY kind, status_class, duration_bucket, first_byte_bucket",
        add,
    )


def _scan_sums(dialect: Dialect) -> str:
    first_byte = f"CASE WHEN coalesce(first_byte_us, -1) < 0 THEN -1 ELSE {dialect.bucket('first_byte_us')} END"
    return (
        f"SELECT kind, coalesce({dialect.status_class}, 0) AS status_class, count(*), sum(request_bytes), "
        f"sum(response_bytes), {dialect.bucket('duration_us')} AS duration_bucket, min(duration_us), max(duration_us), "
        f"{first_byte} AS first_byte_bucket, min(first_byte_us), max(first_byte_us)"
    )


async def _add_tops(session: Session, filter: Filter, names: Sequence[str], tops: Counts) -> bool:
    def add(rows: Rows) -> None:
        for *values, count in rows:
            for name, value in zip(names, values, strict=True):
                add_count(tops[name], value or 0, count)

    select = f"SELECT {', '.join(_SCANNED[name] for name in names)}, count(*)".format(none=session.dialect.none)
    return await scan(session, filter, select, f" GROUP BY {', '.join(f'top_{name}' for name in names)}", add)
