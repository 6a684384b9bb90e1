"""Totals of a filter: whole hours from rollups, the rest from rows.

All statements of one answer see the same state of the store.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from dataclasses import replace
from typing import Final

from storage.aggregates import BUCKETS, FACETS, MAX_TOP_VALUES, TOPS, FacetValue, Summary, class_name
from storage.query import Filter
from storage.record import LEVELS
from storage.relational.facet_counts import Counts, KnownCounts
from storage.relational.facet_values import add
from storage.relational.rollup_sql import bucket_of, can_count_by_status, rollup_rows
from storage.relational.rollups import MEASURES, STATUS_TABLES
from storage.relational.sql import KINDS, SQLITE
from storage.relational.tally import Tally, extent
from storage.relational.time_ranges import HOUR_US, Hours, split
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names
from storage.sqlite.facets import count_values, named
from storage.sqlite.scan import scan
from storage.sqlite.tiers import edges_us, has_rollups, meta, rollup_where, snapshot, tables_of, visible
from storage.sqlite.usage import usage

_EVENT: Final = KINDS.index("event")
_STATUS_TABLE: Final = STATUS_TABLES["hour"][0]
_WARN: Final = LEVELS.index("warn")
_ROLLUP_TOPS: Final = TOPS[:-1]
_SCAN_SUMS: Final = (
    f"SELECT kind, status / 100, {bucket_of('duration_us')}, "
    f"CASE WHEN first_byte_us < 0 THEN -1 ELSE {bucket_of('first_byte_us')} END, "
    "count(*), sum(request_bytes), sum(response_bytes) FROM records"
)
_SCAN_TOPS: Final = (
    f"SELECT {', '.join(FACETS[name] for name in _ROLLUP_TOPS)}, "
    "CASE WHEN level >= 2 AND kind = 0 THEN error_type ELSE 0 END, count(*) FROM records"
)
_SCAN_FAILURES: Final = "SELECT error_type, count(*) FROM records"


def summary(connection: sqlite3.Connection, filter: Filter, text: Names, known: KnownCounts, budget: Budget) -> Summary:
    """Add up all records of a filter."""
    tally = Tally()
    tops: Counts = {name: {} for name in TOPS}
    with snapshot(connection):
        filter = visible(connection, filter)
        edges, complete = [filter], True
        if has_rollups(connection, filter):
            cut = split(filter, edges_us(connection)[1])
            edges = cut.edges
            _add_hours(connection, filter, cut.hours, tally)
            tops |= count_values(connection, filter, cut.hours, _ROLLUP_TOPS, known)
            complete = _add_failures(connection, filter, cut.hours, tops["error_type"], budget)
        for edge in edges:
            complete &= _add_rows(connection, edge, tally, tops, budget)
        start, end = extent(filter, *edges_us(connection))
        models, is_whole = usage(connection, filter, text, budget)
        top = {
            name: [FacetValue(*found) for found in named(connection, text, name, tops[name], MAX_TOP_VALUES)]
            for name in TOPS
        }
    return tally.summary(start, end, top, models, complete=complete and is_whole)


def _add_hours(connection: sqlite3.Connection, filter: Filter, hours: Hours, tally: Tally) -> None:
    tables, where = tables_of(connection, filter), rollup_where(connection, filter)
    if tables is None or where is None or hours.is_empty:
        return
    rows, parameters = rollup_rows(tables, where, hours, ("status_class", *MEASURES), SQLITE)
    sums = ", ".join(f"sum({name})" for name in MEASURES)
    for class_, *row in connection.execute(
        f"SELECT status_class, {sums} FROM {rows} GROUP BY status_class", parameters
    ):
        tally.add_class(class_name(class_), row[0])
        tally.events += row[1]
        tally.request_bytes += row[2]
        tally.response_bytes += row[3]
        tally.add_buckets(row[4 : 4 + BUCKETS], row[4 + BUCKETS :])


def _add_failures(
    connection: sqlite3.Connection, filter: Filter, hours: Hours, counts: dict[int, int], budget: Budget
) -> bool:
    """Count whole hours' failures, from the rollups by status where those have the filter's dimensions."""
    if hours.is_empty or filter.kind == "event":
        return True
    if can_count_by_status(filter, meta(connection, "capped_dimensions")):
        where = rollup_where(connection, filter)
        if where is not None:
            sql = (
                f"SELECT error_type, sum(exchanges) FROM {_STATUS_TABLE} WHERE {where.text} AND level >= {_WARN} "
                "AND hour >= ? AND hour < ? GROUP BY error_type"
            )
            for value, count in connection.execute(sql, (*where.parameters, *hours.bounds)):
                add(counts, value, count)
        return True
    levels = tuple(level for level in ("warn", "error") if not filter.levels or level in filter.levels)
    if not levels:
        return True
    first, until = (None if bound is None else bound * HOUR_US for bound in hours)
    failures = replace(filter, kind="exchange", levels=levels, since_us=first, until_us=until)
    for rows in scan(connection, failures, _SCAN_FAILURES, " GROUP BY 1", budget):
        if rows is None:
            return False
        for value, count in rows:
            add(counts, value, count)
    return True


def _add_rows(connection: sqlite3.Connection, filter: Filter, tally: Tally, tops: Counts, budget: Budget) -> bool:
    for rows in scan(connection, filter, _SCAN_SUMS, " GROUP BY 1, 2, 3, 4", budget):
        if rows is None:
            return False
        for kind, class_, duration, first_byte, count, request_bytes, response_bytes in rows:
            tally.request_bytes += request_bytes
            tally.response_bytes += response_bytes
            if kind == _EVENT:
                tally.events += count
                continue
            tally.add_class(class_name(class_), count)
            tally.duration[duration] += count
            if first_byte >= 0:
                tally.first_byte[first_byte] += count
    for rows in scan(connection, filter, _SCAN_TOPS, " GROUP BY 1, 2, 3, 4, 5", budget):
        if rows is None:
            return False
        for *values, count in rows:
            for name, value in zip(TOPS, values, strict=True):
                add(tops[name], value, count)
    return True
