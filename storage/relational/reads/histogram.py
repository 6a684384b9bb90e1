"""Counts and latency over time, by step: whole hours from rollups, the rest from rows."""

from typing import Final

from storage.aggregates import Histogram
from storage.query import HistogramQuery
from storage.relational import rollup_sql
from storage.relational.reads.aggregate import LATENCIES, Steps, Sums
from storage.relational.reads.scan import seq_range
from storage.relational.session import Session
from storage.relational.tally import Tally, narrowed
from storage.relational.time_ranges import is_in_hours, steps

MAX_SCAN_ROWS: Final = 500_000
"""Most rows that are scanned for steps shorter than an hour: about a second of the database's time.
"""
MAX_SCAN_ROWS_IN_HOURS: Final = 50_000
"""The same of ranges for which steps of an hour are short enough: a tenth of a second."""


async def histogram(session: Session, query: HistogramQuery) -> Histogram:
    state = await session.state()
    since_us = query.since_us
    until_us = query.until_us
    filter = state.visible(narrowed(query.filter, since_us, until_us))
    tables = rollup_sql.tables_for(filter, state.capped_dimensions)
    rows = await seq_range(session, filter)
    if is_in_hours(since_us, until_us):
        max_rows = MAX_SCAN_ROWS_IN_HOURS
    else:
        max_rows = MAX_SCAN_ROWS
    is_long = tables is not None and rows.size > max_rows * session.numbers_per_row
    step, starts = steps(since_us, until_us, query.buckets, is_long=is_long)
    if not starts:
        return Histogram([], step, complete=True)

    sums = Sums(
        session, ("status_class",), ("exchanges", "events"), LATENCIES[:1], Steps(starts[0], step)
    )
    complete = await sums.add(filter)
    tallies = sums.tallies()
    buckets = [tallies.get(place, Tally()).bucket(start) for place, start in enumerate(starts)]
    return Histogram(buckets, step, complete, bool(sums.sampled))
