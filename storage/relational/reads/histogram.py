"""Counts and latency over time: whole hours from rollups, the rest from rows."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from bisect import bisect_right
from typing import Final

from storage.aggregates import Histogram, class_name
from storage.query import Filter
from storage.relational.reads.scan import scan, seq_range, start_range
from storage.relational.rollup_sql import Tables, bucket_of, rollup_rows, rollup_where, sums, tables_for
from storage.relational.rollups import DURATIONS
from storage.relational.session import Rows, Session
from storage.relational.sql import KINDS
from storage.relational.tally import Tally, within
from storage.relational.time_ranges import DAY_HOURS, HOUR_US, Hours, split, steps

MAX_SCAN_ROWS: Final = 500_000
"""Rows that are scanned rather than shown by the hour: about half a second."""
_EVENT: Final = KINDS.index("event")
_MEASURES: Final = ("exchanges", "events", *DURATIONS)


async def histogram(session: Session, filter: Filter, since_us: int, until_us: int, buckets: int) -> Histogram:
    state = await session.state()
    wanted = state.visible(within(filter, since_us, until_us))
    tables = tables_for(wanted, state.capped_dimensions)
    rows = await seq_range(session, wanted)
    is_long = tables is not None and rows.last - rows.first >= MAX_SCAN_ROWS
    step, starts = steps(since_us, until_us, buckets, is_long=is_long)
    tallies = [Tally() for _ in starts]
    edges = [wanted] if starts else []
    if tables is not None and starts and step % HOUR_US == 0 and starts[0] % HOUR_US == 0:
        cut = split(wanted, (await start_range(session))[1])
        edges = cut.edges
        await _add_hours(session, tables, wanted, cut.hours, starts, tallies)
    complete = True
    for edge in edges:
        complete &= await _add_rows(session, edge, starts[0], step, tallies)
    return Histogram([tally.bucket(start) for tally, start in zip(tallies, starts, strict=True)], step, complete)


async def _add_hours(
    session: Session, tables: Tables, filter: Filter, hours: Hours, starts: list[int], tallies: list[Tally]
) -> None:
    where = await rollup_where(session, filter)
    if where is None or hours.is_empty:
        return
    has_days = all(start % (DAY_HOURS * HOUR_US) == 0 for start in starts)
    columns = ("status_class", *_MEASURES)
    rows, parameters = rollup_rows(tables, where, hours, columns, session.dialect, only_hours=not has_days)
    sql = f"SELECT hour, status_class, {sums(_MEASURES)} FROM {rows} GROUP BY hour, status_class"
    for hour, class_, exchanges, events, *durations in await session.fetch(sql, parameters):
        tally = tallies[bisect_right(starts, hour * HOUR_US) - 1]
        tally.add_class(class_name(class_), exchanges)
        tally.events += events
        tally.add_buckets(durations)


async def _add_rows(session: Session, filter: Filter, start_us: int, step_us: int, tallies: list[Tally]) -> bool:
    def add(rows: Rows) -> None:
        for place, kind, class_, bucket, count in rows:
            tally = tallies[place]
            if kind == _EVENT:
                tally.events += count
            else:
                tally.add_class(class_name(class_), count)
                tally.duration[bucket] += count

    mark = session.dialect.mark
    select = (
        f"SELECT (started_at_us - {mark(1)}) / {mark(2)}, kind, coalesce(status / 100, 0), "
        f"{bucket_of('duration_us')}, count(*)"
    )
    return await scan(session, filter, select, " GROUP BY 1, 2, 3, 4", add, before=(start_us, step_us))
