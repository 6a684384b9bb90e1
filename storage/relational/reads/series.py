"""How many exchanges of a filter had each value of a field, step by step in time: the shape behind a top list.

Strategy: as of a histogram. Where steps are whole hours, the smallest rollups that have both the filter's dimensions
and the field tell those inside the range; what sticks out of them, and all of shorter ranges and of other fields, is
scanned, newest first, within the budget.
"""

from dataclasses import dataclass, field, replace
from operator import add as add_numbers
from typing import Final

from storage.aggregates import MAX_GROUPS, TOP_FIELDS, Names, TopSeries
from storage.query import Filter
from storage.relational.reads.histogram import place_of
from storage.relational.reads.scan import scan, start_range
from storage.relational.reads.top import Values, names_of, tables_by, values_of
from storage.relational.rollup_sql import Tables, rollup_rows, rollup_where, sums
from storage.relational.session import Rows, Session
from storage.relational.tally import within
from storage.relational.time_ranges import DAY_US, HOUR_US, Hours, is_in_hours, split, steps

MAX_CELLS: Final = 100_000
"""Numbers that are read of rollups at once, 25 MB; of more steps and values the newest rows are counted."""


@dataclass(frozen=True, slots=True)
class _Cells:
    """Numbers by values and step."""

    columns: tuple[str, ...]
    start_us: int
    step_us: int
    steps: int
    found: dict[Values, list[int]] = field(default_factory=dict)

    @property
    def is_in_hours(self) -> bool:
        return self.start_us % HOUR_US == 0 and self.step_us % HOUR_US == 0

    @property
    def is_in_days(self) -> bool:
        return self.start_us % DAY_US == 0 and self.step_us % DAY_US == 0

    @property
    def has_room(self) -> bool:
        return len(self.found) < MAX_GROUPS

    def add(self, rows: Rows) -> bool:
        """Add rows of a step, values and a count; True when there are too many values."""
        for place, *values, count in rows:
            if count > 0:
                self.found.setdefault(values_of(values), [0] * self.steps)[place] += count
        return not self.has_room


async def series(session: Session, filter: Filter, by: str, since_us: int, until_us: int, buckets: int) -> TopSeries:
    step, starts = steps(since_us, until_us, buckets, is_long=is_in_hours(since_us, until_us))
    if not starts:
        return TopSeries(since_us, step, {}, complete=True)
    cells = _Cells(TOP_FIELDS[by], starts[0], step, len(starts))
    state = await session.state()
    wanted = state.visible(replace(within(filter, since_us, until_us), kind="exchange"))
    edges = [wanted]
    tables = tables_by(cells.columns, wanted, state.capped_dimensions)
    if tables is not None and cells.is_in_hours:
        cut = split(wanted, (await start_range(session))[1])
        if await _add_hours(session, tables, wanted, cut.hours, cells):
            edges = cut.edges
    is_whole = True
    for edge in edges:
        is_whole &= is_whole and await _add_rows(session, edge, cells)
    return TopSeries(starts[0], step, await _named(session, cells), is_whole)


async def _add_hours(session: Session, tables: Tables, filter: Filter, hours: Hours, cells: _Cells) -> bool:
    """Add whole hours; False when there are too many numbers, and nothing was added."""
    where = await rollup_where(session, filter)
    if where is None or hours.is_empty:
        return not hours.is_empty
    dialect, grouped = session.dialect, ", ".join(cells.columns)
    read = ("hour", *cells.columns, "exchanges")
    rows, parameters = await rollup_rows(session, tables, where, hours, read, only_hours=not cells.is_in_days)
    place = dialect.divided(f"(hour - {cells.start_us // HOUR_US})", str(cells.step_us // HOUR_US))
    sql = (
        f"SELECT {place} AS place, {grouped}, {sums(('exchanges',))} FROM {rows} "
        f"GROUP BY place, {grouped} LIMIT {MAX_CELLS + 1}"
    )
    found = await session.fetch(sql, parameters)
    if len(found) > MAX_CELLS:
        return False
    cells.add(found)
    return True


async def _add_rows(session: Session, filter: Filter, cells: _Cells) -> bool:
    """Add rows; False when they were too many, or have too many values."""
    dialect, grouped = session.dialect, ", ".join(cells.columns)
    select, before = f"SELECT {place_of(dialect)} AS place, {grouped}, count(*)", (cells.start_us, cells.step_us)
    is_whole = await scan(session, filter, select, f" GROUP BY place, {grouped}", cells.add, before=before)
    return is_whole and cells.has_room


async def _named(session: Session, cells: _Cells) -> dict[Names, list[int]]:
    names = await names_of(session, cells.columns, cells.found.keys())
    counts: dict[Names, list[int]] = {}
    for values, numbers in cells.found.items():
        known = counts.get(names[values])
        counts[names[values]] = numbers if known is None else list(map(add_numbers, known, numbers))
    return counts
