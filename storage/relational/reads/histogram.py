"""Counts and latency over time, by step: whole hours from rollups, the rest from rows."""

from bisect import bisect_right
from typing import Final

from storage.aggregates import Histogram, class_name
from storage.query import Filter
from storage.relational import rollup_sql
from storage.relational.reads.scan import few_exchanges, scan, seq_range, start_range
from storage.relational.rollups import HISTOGRAMS, LEAST, MOST
from storage.relational.session import Rows, Session
from storage.relational.sql import EVENT, Dialect
from storage.relational.tally import Tally, within
from storage.relational.time_ranges import DAY_HOURS, HOUR_US, Hours, is_in_hours, split, steps

MAX_SCAN_ROWS: Final = 500_000
"""Rows that are scanned rather than shown by the hour: about a second of the database's time."""
MAX_SCAN_ROWS_IN_HOURS: Final = 50_000
"""The same of ranges in which hours are fine enough: a tenth of a second."""
_COUNTS: Final = ("exchanges", "events")
_COLUMNS: Final = ("hour", "status_class", *_COUNTS, LEAST[0], MOST[0], HISTOGRAMS[0])


async def histogram(session: Session, filter: Filter, since_us: int, until_us: int, buckets: int) -> Histogram:
    state = await session.state()
    wanted = state.visible(within(filter, since_us, until_us))
    tables = rollup_sql.tables_for(wanted, state.capped_dimensions)
    rows = await seq_range(session, wanted)
    max_rows = MAX_SCAN_ROWS_IN_HOURS if is_in_hours(since_us, until_us) else MAX_SCAN_ROWS
    is_long = tables is not None and rows.size > max_rows * session.numbers_per_row
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
    if complete and starts:
        await _measure_few(session, wanted, starts[0], step, tallies, is_counted=edges != [wanted])
    shown = [tally.bucket(start) for tally, start in zip(tallies, starts, strict=True)]
    return Histogram(shown, step, complete)


async def _add_hours(
    session: Session, tables: rollup_sql.Tables, filter: Filter, hours: Hours, starts: list[int], tallies: list[Tally]
) -> None:
    where = await rollup_sql.rollup_where(session, filter)
    if where is None or hours.is_empty:
        return
    has_days = all(start % (DAY_HOURS * HOUR_US) == 0 for start in starts)
    rows, parameters = await rollup_sql.rollup_rows(session, tables, where, hours, _COLUMNS, only_hours=not has_days)
    measured = f"{rollup_sql.sums(_COUNTS)}, {rollup_sql.latency_sums(HISTOGRAMS[0], session.dialect)}"
    sql = f"SELECT hour, status_class, {measured} FROM {rows} GROUP BY hour, status_class"
    for hour, class_, exchanges, events, *durations in await session.fetch(sql, parameters):
        tally = tallies[bisect_right(starts, hour * HOUR_US) - 1]
        tally.add_class(class_name(class_), exchanges)
        tally.events += events
        rollup_sql.add_latencies(tally.duration, durations, session.dialect)


async def _add_rows(session: Session, filter: Filter, start_us: int, step_us: int, tallies: list[Tally]) -> bool:
    def add(rows: Rows) -> None:
        for place, kind, class_, bucket, count, least_us, most_us in rows:
            tally = tallies[place]
            if kind == EVENT:
                tally.events += count
            else:
                tally.add_class(class_name(class_), count)
                tally.duration.add({bucket: count}, least_us, most_us)

    dialect = session.dialect
    select = (
        f"SELECT {place_of(dialect)} AS place, kind, coalesce({dialect.status_class}, 0) AS status_class, "
        f"{dialect.bucket('duration_us')} AS duration_bucket, count(*), min(duration_us), max(duration_us)"
    )
    groups = " GROUP BY place, kind, status_class, duration_bucket"
    return await scan(session, filter, select, groups, add, before=(start_us, step_us))


async def _measure_few(
    session: Session, filter: Filter, start_us: int, step_us: int, tallies: list[Tally], *, is_counted: bool
) -> None:
    """Read the latencies of few exchanges, which are then exact."""
    select, before = f"SELECT {place_of(session.dialect)}, duration_us", (start_us, step_us)
    exchanges = sum(tally.exchanges for tally in tallies)
    rows = await few_exchanges(session, filter, exchanges, select, is_counted=is_counted, before=before)
    if rows is None:
        return
    found: list[list[int]] = [[] for _ in tallies]
    for place, duration_us in rows:
        found[place].append(duration_us)
    for tally, values in zip(tallies, found, strict=True):
        tally.duration.values = sorted(values)


def place_of(dialect: Dialect) -> str:
    """Write the step that a row is in; the first two parameters are start and length of the steps."""
    return dialect.divided(f"(started_at_us - {dialect.mark(1)})", dialect.mark(2))
