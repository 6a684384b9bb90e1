"""Counts and latency over time: whole hours from rollups, the rest from rows."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from bisect import bisect_right
from contextlib import aclosing
from typing import Final

from storage.aggregates import Histogram, class_name
from storage.postgres.connection import Budget, Connection
from storage.postgres.ranges import seq_range
from storage.postgres.scan import scan
from storage.postgres.state import State, read_state
from storage.postgres.tiers import edges_us, rollup_where
from storage.query import Filter
from storage.relational.rollup_sql import Tables, bucket_of, rollup_rows, tables_for
from storage.relational.rollups import DURATIONS
from storage.relational.sql import KINDS, POSTGRES
from storage.relational.tally import Tally, within
from storage.relational.time_ranges import DAY_HOURS, HOUR_US, Hours, split, steps

MAX_SCAN_ROWS: Final = 500_000
"""Rows that are scanned rather than shown by the hour: about half a second."""
_EVENT: Final = KINDS.index("event")
_SCAN: Final = (
    "SELECT (started_at_us - $1::bigint) / $2::bigint, kind, coalesce(status / 100, 0), "
    f"{bucket_of('duration_us')}, count(*) FROM sidelog.records"
)


async def histogram(
    connection: Connection, filter: Filter, since_us: int, until_us: int, buckets: int, budget: Budget
) -> Histogram:
    """Count records over time."""
    state = await read_state(connection)
    wanted = state.visible(within(filter, since_us, until_us))
    tables = tables_for(wanted, state.capped_dimensions)
    rows = await seq_range(connection, wanted, state)
    is_long = tables is not None and rows.last - rows.first >= MAX_SCAN_ROWS
    step, starts = steps(since_us, until_us, buckets, is_long=is_long)
    tallies = [Tally() for _ in starts]
    edges = [wanted] if starts else []
    if tables is not None and starts and step % HOUR_US == 0 and starts[0] % HOUR_US == 0:
        cut = split(wanted, (await edges_us(connection, state))[1])
        edges = cut.edges
        await _add_hours(connection, tables, wanted, cut.hours, starts, tallies)
    complete = True
    for edge in edges:
        complete &= await _add_rows(connection, edge, state, (starts[0], step), tallies, budget)
    return Histogram([tally.bucket(start) for tally, start in zip(tallies, starts, strict=True)], step, complete)


async def _add_hours(
    connection: Connection, tables: Tables, filter: Filter, hours: Hours, starts: list[int], tallies: list[Tally]
) -> None:
    where = await rollup_where(connection, filter)
    if where is None or hours.is_empty:
        return
    has_days = all(start % (DAY_HOURS * HOUR_US) == 0 for start in starts)
    rows, parameters = rollup_rows(
        tables, where, hours, ("status_class", "exchanges", "events", *DURATIONS), POSTGRES, only_hours=not has_days
    )
    sums = ", ".join(f"sum({name})::bigint" for name in ("exchanges", "events", *DURATIONS))
    sql = f"SELECT hour, status_class, {sums} FROM {rows} GROUP BY hour, status_class"
    for hour, class_, exchanges, events, *durations in await connection.fetch(sql, *parameters):
        tally = tallies[bisect_right(starts, hour * HOUR_US) - 1]
        tally.add_class(class_name(class_), exchanges)
        tally.events += events
        tally.add_buckets(durations)


async def _add_rows(
    connection: Connection,
    filter: Filter,
    state: State,
    steps_us: tuple[int, int],
    tallies: list[Tally],
    budget: Budget,
) -> bool:
    parts = scan(connection, filter, state, _SCAN, " GROUP BY 1, 2, 3, 4", budget, before=steps_us)
    async with aclosing(parts):
        async for rows in parts:
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
