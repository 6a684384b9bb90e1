"""Counts and latency over time: whole hours from rollups, the rest from rows.

All statements of one answer see the same state of the store.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from bisect import bisect_right
from typing import Final

from storage.aggregates import Histogram, class_name
from storage.query import Filter
from storage.relational.rollup_sql import Tables, bucket_of, rollup_rows
from storage.relational.rollups import DURATIONS
from storage.relational.sql import KINDS, SQLITE
from storage.relational.tally import Tally, within
from storage.relational.time_ranges import DAY_HOURS, HOUR_US, Hours, split, steps
from storage.sqlite.connection import Budget
from storage.sqlite.read import seq_range
from storage.sqlite.scan import scan
from storage.sqlite.tiers import edges_us, rollup_where, snapshot, tables_of, visible

MAX_SCAN_ROWS: Final = 500_000
"""Rows that are scanned rather than shown by the hour: about half a second."""
_EVENT: Final = KINDS.index("event")
_SCAN: Final = f"SELECT (started_at_us - ?) / ?, kind, status / 100, {bucket_of('duration_us')}, count(*) FROM records"


def histogram(
    connection: sqlite3.Connection, filter: Filter, since_us: int, until_us: int, buckets: int, budget: Budget
) -> Histogram:
    """Count records over time."""
    with snapshot(connection):
        wanted = visible(connection, within(filter, since_us, until_us))
        tables = tables_of(connection, wanted)
        rows = seq_range(connection, wanted)
        is_long = tables is not None and rows.last - rows.first >= MAX_SCAN_ROWS
        step, starts = steps(since_us, until_us, buckets, is_long=is_long)
        tallies = [Tally() for _ in starts]
        edges = [wanted] if starts else []
        if tables is not None and starts and step % HOUR_US == 0 and starts[0] % HOUR_US == 0:
            cut = split(wanted, edges_us(connection)[1])
            edges = cut.edges
            _add_hours(connection, tables, wanted, cut.hours, starts, tallies)
        complete = True
        for edge in edges:
            complete &= _add_rows(connection, edge, starts[0], step, tallies, budget)
    return Histogram([tally.bucket(start) for tally, start in zip(tallies, starts, strict=True)], step, complete)


def _add_hours(
    connection: sqlite3.Connection,
    tables: Tables,
    filter: Filter,
    hours: Hours,
    starts: list[int],
    tallies: list[Tally],
) -> None:
    where = rollup_where(connection, filter)
    if where is None or hours.is_empty:
        return
    has_days = all(start % (DAY_HOURS * HOUR_US) == 0 for start in starts)
    rows, parameters = rollup_rows(
        tables, where, hours, ("status_class", "exchanges", "events", *DURATIONS), SQLITE, only_hours=not has_days
    )
    sums = ", ".join(f"sum({name})" for name in ("exchanges", "events", *DURATIONS))
    sql = f"SELECT hour, status_class, {sums} FROM {rows} GROUP BY hour, status_class"
    for hour, class_, exchanges, events, *durations in connection.execute(sql, parameters):
        tally = tallies[bisect_right(starts, hour * HOUR_US) - 1]
        tally.add_class(class_name(class_), exchanges)
        tally.events += events
        tally.add_buckets(durations)


def _add_rows(
    connection: sqlite3.Connection, filter: Filter, start_us: int, step_us: int, tallies: list[Tally], budget: Budget
) -> bool:
    for rows in scan(connection, filter, _SCAN, " GROUP BY 1, 2, 3, 4", budget, before=(start_us, step_us)):
        if rows is None:
            return False
        for place, kind, class_, bucket, count in rows:
            tally = tallies[place]
            if kind == _EVENT:
                tally.events += count
            else:
                tally.add_class(class_name(class_), count)
                tally.duration[bucket] += count
    return True
