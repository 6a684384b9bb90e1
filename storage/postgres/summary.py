"""Totals of a filter: whole hours from rollups, the rest from rows."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from contextlib import aclosing
from dataclasses import replace
from typing import Final

from storage.aggregates import BUCKETS, FACETS, MAX_TOP_VALUES, TOPS, FacetValue, Summary, class_name
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.facets import count_values, named
from storage.postgres.scan import scan
from storage.postgres.state import State, read_state
from storage.postgres.tiers import edges_us, has_rollups, rollup_where
from storage.postgres.usage import usage
from storage.query import Filter
from storage.record import LEVELS
from storage.relational.facet_counts import Counts, KnownCounts
from storage.relational.facet_values import add
from storage.relational.rollup_sql import bucket_of, can_count_by_status, rollup_rows, tables_for
from storage.relational.rollups import MEASURES, STATUS_TABLES
from storage.relational.sql import KINDS, POSTGRES
from storage.relational.tally import Tally, extent
from storage.relational.time_ranges import HOUR_US, Hours, split

_EVENT: Final = KINDS.index("event")
_STATUS_TABLE: Final = STATUS_TABLES["hour"][0]
_WARN: Final = LEVELS.index("warn")
_ROLLUP_TOPS: Final = TOPS[:-1]
_SCAN_SUMS: Final = (
    f"SELECT kind, coalesce(status / 100, 0), {bucket_of('duration_us')}, "
    f"CASE WHEN first_byte_us IS NULL THEN -1 ELSE {bucket_of('first_byte_us')} END, "
    "count(*), sum(request_bytes), sum(response_bytes) FROM sidelog.records"
)
_SCAN_TOPS: Final = (
    f"SELECT {', '.join(FACETS[name] for name in _ROLLUP_TOPS)}, "
    "CASE WHEN level >= 2 AND kind = 0 THEN error_type END, count(*) FROM sidelog.records"
)
_SCAN_FAILURES: Final = "SELECT error_type, count(*) FROM sidelog.records"


async def summary(connection: Connection, filter: Filter, text: Names, known: KnownCounts, budget: Budget) -> Summary:
    """Add up all records of a filter."""
    tally = Tally()
    tops: Counts = {name: {} for name in TOPS}
    state = await read_state(connection)
    filter = state.visible(filter)
    edges, complete = [filter], True
    oldest_us, newest_us = await edges_us(connection, state)
    if has_rollups(state, filter):
        cut = split(filter, newest_us)
        edges = cut.edges
        await _add_hours(connection, filter, state, cut.hours, tally)
        tops |= await count_values(connection, filter, state, cut.hours, _ROLLUP_TOPS, known)
        complete = await _add_failures(connection, filter, state, cut.hours, tops["error_type"], budget)
    for edge in edges:
        complete &= await _add_sums(connection, edge, state, tally, budget)
        complete &= complete and await _add_tops(connection, edge, state, tops, budget)
    models, is_whole = await usage(connection, filter, state, newest_us, text, budget)
    start, end = extent(filter, oldest_us, newest_us)
    top = {
        name: [FacetValue(*found) for found in await named(connection, text, name, tops[name], MAX_TOP_VALUES)]
        for name in TOPS
    }
    return tally.summary(start, end, top, models, complete=complete and is_whole)


async def _add_hours(connection: Connection, filter: Filter, state: State, hours: Hours, tally: Tally) -> None:
    tables, where = tables_for(filter, state.capped_dimensions), await rollup_where(connection, filter)
    if tables is None or where is None or hours.is_empty:
        return
    rows, parameters = rollup_rows(tables, where, hours, ("status_class", *MEASURES), POSTGRES)
    sums = ", ".join(f"sum({name})::bigint" for name in MEASURES)
    sql = f"SELECT status_class, {sums} FROM {rows} GROUP BY status_class"
    for class_, *row in await connection.fetch(sql, *parameters):
        tally.add_class(class_name(class_), row[0])
        tally.events += row[1]
        tally.request_bytes += row[2]
        tally.response_bytes += row[3]
        tally.add_buckets(row[4 : 4 + BUCKETS], row[4 + BUCKETS :])


async def _add_failures(
    connection: Connection, filter: Filter, state: State, hours: Hours, counts: dict[int, int], budget: Budget
) -> bool:
    """Count whole hours' failures, from the rollups by status where those have the filter's dimensions."""
    if hours.is_empty or filter.kind == "event":
        return True
    if can_count_by_status(filter, state.capped_dimensions):
        await _add_known_failures(connection, filter, hours, counts)
        return True
    levels = tuple(level for level in ("warn", "error") if not filter.levels or level in filter.levels)
    if not levels:
        return True
    first, until = (None if bound is None else bound * HOUR_US for bound in hours)
    failures = replace(filter, kind="exchange", levels=levels, since_us=first, until_us=until)
    parts = scan(connection, failures, state, _SCAN_FAILURES, " GROUP BY 1", budget)
    async with aclosing(parts):
        async for rows in parts:
            if rows is None:
                return False
            for value, count in rows:
                add(counts, value or 0, count)
    return True


async def _add_known_failures(connection: Connection, filter: Filter, hours: Hours, counts: dict[int, int]) -> None:
    where = await rollup_where(connection, filter)
    if where is None:
        return
    number = len(where.parameters) + 1
    sql = (
        f"SELECT error_type, sum(exchanges)::bigint FROM sidelog.{_STATUS_TABLE} WHERE {where.text} "
        f"AND level >= {_WARN} AND hour >= ${number} AND hour < ${number + 1} GROUP BY error_type"
    )
    for value, count in await connection.fetch(sql, *where.parameters, *hours.bounds):
        add(counts, value, count)


async def _add_sums(connection: Connection, filter: Filter, state: State, tally: Tally, budget: Budget) -> bool:
    parts = scan(connection, filter, state, _SCAN_SUMS, " GROUP BY 1, 2, 3, 4", budget)
    async with aclosing(parts):
        async for rows in parts:
            if rows is None:
                return False
            for kind, class_, duration, first_byte, count, request_bytes, response_bytes in rows:
                tally.request_bytes += int(request_bytes)
                tally.response_bytes += int(response_bytes)
                if kind == _EVENT:
                    tally.events += count
                    continue
                tally.add_class(class_name(class_), count)
                tally.duration[duration] += count
                if first_byte >= 0:
                    tally.first_byte[first_byte] += count
    return True


async def _add_tops(connection: Connection, filter: Filter, state: State, tops: Counts, budget: Budget) -> bool:
    parts = scan(connection, filter, state, _SCAN_TOPS, " GROUP BY 1, 2, 3, 4, 5", budget)
    async with aclosing(parts):
        async for rows in parts:
            if rows is None:
                return False
            for *values, count in rows:
                for name, value in zip(TOPS, values, strict=True):
                    add(tops[name], value or 0, count)
    return True
