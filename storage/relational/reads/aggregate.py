"""Sums of a filter's records, grouped by columns and by steps of time.

Strategy: whole hours are added up from the smallest rollups that have both the filter's dimensions
and the columns, and the rows before and behind them are scanned. Without such rollups all rows are
scanned. Calls of language models are added up in the same way from the rollup of usage.
Both are read slice by slice, the newest first, within the budget. If there are few exchanges, their
latencies are read one by one, and are exact.

In a store with records that stand for several (`weights`), the database groups by weight too, and
the sums are multiplied here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from operator import add
from typing import Any, Final

from storage.aggregates import EXACT_ROWS, TOP_FIELDS, Latencies, class_name
from storage.query import Filter
from storage.relational import rollup_sql, usage
from storage.relational.reads.scan import scan, start_range
from storage.relational.rollups import HISTOGRAMS, LEAST, MOST
from storage.relational.search.condition import residual
from storage.relational.session import Session
from storage.relational.slices import Pace, Range, slices
from storage.relational.sql import EVENT, MAX_INT, Dialect, Rows, Where
from storage.relational.tally import Tally
from storage.relational.time_ranges import (
    DAY_HOURS,
    DAY_US,
    HOUR_US,
    Hours,
    Split,
    hours_around,
    split,
)
from storage.relational.usage import TOKENS, cost_sum, token_sum
from storage.relational.weights import COLUMN, has_weights, weight_of
from storage.search.expression import Has, Is, Or, both

MAX_CELLS: Final = 100_000
"""Sums by group and step that are kept of rollups, 35 MB. With more, rows are scanned instead."""
SLICE_DAYS: Final = 4
"""Least days of rollups in a slice: the groups of slices are joined here, not by the database."""
LATENCIES: Final = ("duration_us", "first_byte_us")
"""Columns of latencies, in the order of those of the rollups."""
_FIND_S: Final = 0.05
"""Time to find few exchanges, already counted by rollups, among many other rows."""
_ERRORS: Final = {"client_errors": 4, "server_errors": 5}
"""Measure → the first digit of the status."""
_OF_ROWS: Final = {
    "exchanges": "count(*)",
    "calls": "count(*)",
    "events": "0",
    "counted": f"sum(CASE WHEN {' OR '.join(f'{name} IS NOT NULL' for name in TOKENS)} THEN 1 ELSE 0 END)",
    "priced": "count(cost_usd)",
    **{name: token_sum(name) for name in TOKENS},
    "cost_nano_usd": cost_sum(),
}
"""Measure → its sum over a group of rows, which are all exchanges or all events."""

_OF_CALLS: Final = frozenset(("input_tokens", "output_tokens", "cost_nano_usd"))
"""Measures that events have too, if they are calls."""
HAS_USAGE: Final = Or(
    (Is("kind", ("exchange",)), *map(Has, ("input_tokens", "output_tokens", "cost_usd")))
)

Values = tuple[Any, ...]
"""The stored values of a group's columns, 0 for null."""


class Added(Enum):
    """The part of the whole hours that was added."""

    ALL = auto()
    NEWEST = auto()
    """The budget ended the read."""
    NONE = auto()
    """They have too many groups."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of equal length."""

    start_us: int
    length_us: int

    def is_in(self, unit_us: int) -> bool:
        """Return True if all steps begin and end at whole units, such as hours, so that rollups of
        the unit can answer.
        """
        return self.start_us % unit_us == 0 and self.length_us % unit_us == 0


@dataclass(slots=True)
class GroupSums:
    """The sums of the records of one group in one step."""

    sums: Sequence[Any]
    """One number for each measure: whole, or weighed and not rounded."""
    latencies: Sequence[Latencies]

    @property
    def counts(self) -> Sequence[int]:
        """The sums, rounded."""
        if isinstance(self.sums[0], float):
            return list(map(round, self.sums))
        return self.sums

    def add(self, counts: Iterable[float]) -> None:
        """Add to the sums, one number for each measure."""
        self.sums = list(map(add, self.sums, counts))


@dataclass(slots=True)
class Sums:
    """Running sums of records by group and step."""

    session: Session
    by: tuple[str, ...]
    """The columns that groups differ in."""
    measures: tuple[str, ...]
    """`exchanges` first, then `events` if those are counted; or `calls` first, then others of usage."""
    latencies: tuple[str, ...] = ()
    """The first of `LATENCIES`, or both."""
    steps: Steps | None = None
    has_calls: bool = False
    """Whether events that are calls add their tokens and cost, and no other measure. `events` is
    then among the measures.
    """
    max_groups: int = MAX_INT - 1
    """Groups with which the read ends."""
    is_weighed: bool = True
    """Whether a record counts for all that it stands for."""
    found: dict[Values, dict[int, GroupSums]] = field(default_factory=dict)
    """Group → number of the step, 0 without steps → sums."""
    exact: list[tuple[Values, int, Sequence[int | None]]] = field(default_factory=list)
    """Group, step and latencies of each exchange, if they are few and stand for no others."""
    sampled: set[Values] = field(default_factory=set)
    """Groups with records that stand for several."""
    _weight: tuple[str, ...] = ()
    """The column of weights; none if no record of the store stands for several."""

    @property
    def exchanges(self) -> int:
        total: float = sum(cell.sums[0] for cells in self.found.values() for cell in cells.values())
        return round(total)

    async def add(self, filter: Filter, cut: Split | None = None) -> bool:
        """Add the records of a filter to the sums. Return False if the time budget left some out.

        Args:
            filter: Matches only records that readers may see.
            cut: The filter split into whole hours and the rest; None: it is split here.
        """
        rest = [filter]
        tables = await self._tables(filter)
        if tables is not None and (self.steps is None or self.steps.is_in(HOUR_US)):
            cut = cut or split(filter, (await start_range(self.session))[1])
            added = await self.add_hours(filter, cut.hours, tables)
            if added is Added.NEWEST:
                return False
            if added is Added.ALL:
                rest = cut.edges

        if self._is_of_calls:
            rest = [each for each in rest if await self._has_calls(each)]
        is_whole = await self.add_rows(rest)
        if is_whole and self.latencies and not self.sampled:
            await self._read_exact(filter, is_counted=rest != [filter])
        return is_whole

    @property
    def _is_of_calls(self) -> bool:
        return self.measures[0] == usage.MEASURES[0]

    async def _tables(self, filter: Filter) -> rollup_sql.Tables | None:
        """Choose the rollups that have the sums of a filter's whole hours; None for rows."""
        capped_dimensions = (await self.session.state()).capped_dimensions
        if self._is_of_calls:
            if usage.can_count(filter, capped_dimensions):
                return rollup_sql.USAGE_TABLES
            return None

        # Only rows have the names of values beyond the limits, and of methods that clients invented.
        has_names = "method" not in self.by and not rollup_sql.holds_others(
            capped_dimensions, self.by
        )
        if not has_names and self.by != TOP_FIELDS["endpoint"]:
            return None
        return rollup_sql.tables_for(filter, capped_dimensions, self.by)

    async def _has_calls(self, filter: Filter) -> bool:
        """Whether the rollup of usage has any call in the hours around a filter's time.

        True without a look if the store has no table of it, as the look would be a scan.
        """
        if self.session.dialect.rollups is not None:
            return True
        hours = hours_around(filter.since_us, filter.until_us)
        rows, parameters = await rollup_sql.rollup_rows(
            self.session, rollup_sql.USAGE_TABLES, Where("1 = 1", ()), hours, ("calls",)
        )
        return bool(await self.session.fetch(f"SELECT 1 FROM {rows} LIMIT 1", parameters))

    async def add_hours(self, filter: Filter, hours: Hours, tables: rollup_sql.Tables) -> Added:
        """Add the sums of whole hours, read from rollups. Call this before anything else is added."""
        where = await rollup_sql.rollup_where(self.session, filter)
        if where is None or hours.is_empty:
            return Added.ALL

        await self._learn_weights()
        if self.steps:
            max_cells = MAX_CELLS
        else:
            max_cells = self.max_groups
        for part in await self._slices(hours):
            groups = await self._read_rollups(where, part, tables, max_cells)
            if groups is None:
                return Added.NEWEST

            self._add_rollups(groups)
            if len(groups) > max_cells or sum(map(len, self.found.values())) > max_cells:
                self.found.clear()
                return Added.NONE

        return Added.ALL

    async def _slices(self, hours: Hours) -> Iterator[Hours]:
        """Cut the hours that have records into slices of whole days, newest first."""
        if self.session.dialect.rollups is not None:
            return iter((hours,))
        oldest_us, newest_us = await start_range(self.session)
        if oldest_us is None or newest_us is None:
            return iter(())

        if hours.first is None:
            first = oldest_us // HOUR_US
        else:
            first = hours.first
        if hours.until is None:
            until = newest_us // HOUR_US + 1
        else:
            until = hours.until
        if first >= until:
            return iter(())

        days = Range(first // DAY_HOURS, (until - 1) // DAY_HOURS)
        return (
            Hours(max(first, part.first * DAY_HOURS), min(until, (part.last + 1) * DAY_HOURS))
            for part in slices(days, "desc", Pace(least=SLICE_DAYS))
        )

    async def _read_rollups(
        self, where: Where, hours: Hours, tables: rollup_sql.Tables, max_groups: int
    ) -> Rows | None:
        """Read the sums of some hours, at most one group more than allowed; None when the budget
        ended it.

        A row has the step if there are steps, the group, the weight if there are weights, the
        measures, and three columns for each latency (`rollup_sql.latency_sums`).
        """
        session = self.session
        steps = self.steps
        histograms = HISTOGRAMS[: len(self.latencies)]
        keys = [*self.by, *self._weight]

        columns = [*keys, *(name for name in self.measures if name not in _ERRORS)]
        if self.has_calls:
            columns.append("kind")
        if steps is not None:
            columns.append("hour")
        if not _ERRORS.keys().isdisjoint(self.measures):
            columns.append("status_class")
        for names in (LEAST, MOST, HISTOGRAMS):
            columns += names[: len(histograms)]
        rows, parameters = await rollup_sql.rollup_rows(
            session,
            tables,
            where,
            hours,
            tuple(dict.fromkeys(columns)),
            only_hours=steps is not None and not steps.is_in(DAY_US),
        )

        selected = [
            *keys,
            rollup_sql.sums([self._of_rollups(name) for name in self.measures]),
            *(rollup_sql.latency_sums(name, session.dialect) for name in histograms),
        ]
        if steps is not None:
            selected.insert(0, self._place_of_hour(steps))
            keys.insert(0, "place")
        if keys:
            grouped = f" GROUP BY {', '.join(keys)} LIMIT {max_groups + 1}"
        else:
            grouped = ""
        sql = f"SELECT {', '.join(selected)} FROM {rows}{grouped}"
        if session.dialect.rollups is not None:
            return await session.fetch(sql, parameters)
        return await session.fetch_in_budget(sql, parameters)

    def _add_rollups(self, groups: Rows) -> None:
        first = int(self.steps is not None)
        counts_from = first + len(self.by) + len(self._weight)
        latencies_from = counts_from + len(self.measures)
        has_events = "events" in self.measures

        for row in groups:
            counts = row[counts_from:latencies_from]
            # A sum over no rows is null. Retention and erasure subtract from rollups, which may
            # leave a group without records.
            if counts[0] is None or (counts[0] <= 0 and not (has_events and counts[1] > 0)):
                continue

            place = row[0] if first else 0
            weight, measured = self._add_group(row[first:counts_from], place, counts)
            for number, latencies in enumerate(measured):
                start = latencies_from + 3 * number
                columns = row[start : start + 3]
                rollup_sql.add_latencies(latencies, columns, self.session.dialect, weight)

    async def add_rows(self, filters: Sequence[Filter]) -> bool:
        """Add the rows of filters; False if some are missing, or there are too many groups.

        A row that the database returns has the step if there are steps, the kind if events are
        counted, the group, the weight if there are weights, the bucket of each latency, the
        measures, and least and most of each latency.
        """
        await self._learn_weights()
        dialect = self.session.dialect
        buckets = {name: f"bucket_of_{name}" for name in self.latencies}

        selected = self._keys()
        selected += [f"{_bucket(name, dialect)} AS {buckets[name]}" for name in buckets]
        selected += [self._of_rows(name) for name in self.measures]
        for name in self.latencies:
            selected += [f"min({name})", f"max({name})"]

        keys = [*self.by, *self._weight, *buckets.values()]
        if "events" in self.measures:
            keys.insert(0, "kind")
        if self.steps is not None:
            keys.insert(0, "place")
        select = f"SELECT {', '.join(selected)}"
        grouped = f" GROUP BY {', '.join(keys)}"

        for filter in filters:
            for part in _with_usage(filter) if self.has_calls else (filter,):
                is_whole = await scan(self.session, part, select, grouped, self._add_rows)
                if not is_whole or len(self.found) >= self.max_groups:
                    return False

        return True

    def _add_rows(self, rows: Rows) -> bool:
        """Add groups of rows; True if there are too many."""
        has_events = "events" in self.measures
        has_steps = self.steps is not None
        first = has_steps + has_events
        buckets_from = first + len(self.by) + len(self._weight)
        counts_from = buckets_from + len(self.latencies)
        ends_from = counts_from + len(self.measures)

        for row in rows:
            counts = list(map(int, row[counts_from:ends_from]))
            is_event = has_events and row[first - 1] == EVENT
            if is_event:
                counts = self._counts_of_events(counts)
            place = row[0] if has_steps else 0
            weight, measured = self._add_group(row[first:buckets_from], place, counts)
            if is_event:
                continue

            for number, latencies in enumerate(measured):
                bucket = row[buckets_from + number]
                ends = ends_from + 2 * number
                if bucket >= 0:
                    latencies.add({bucket: counts[0] * weight}, *row[ends : ends + 2])

        return len(self.found) >= self.max_groups

    def _counts_of_events(self, counts: Sequence[int]) -> list[int]:
        """Return the measures of events, which the database counts as the first measure."""
        rest = counts[2:]
        if self.has_calls:
            names = self.measures[2:]
            rest = [
                count if name in _OF_CALLS else 0 for name, count in zip(names, rest, strict=True)
            ]
        return [0, counts[0], *rest]

    async def _read_exact(self, filter: Filter, *, is_counted: bool) -> None:
        """Read the latencies of each exchange if there are few, and they are found quickly.

        `is_counted` says that rollups counted them, so the rows have not been scanned before.
        """
        if not 0 < self.exchanges <= EXACT_ROWS:
            return

        latencies = [_unless_missing(name, name, self.session.dialect) for name in self.latencies]
        select = f"SELECT {', '.join((*self._keys(only_values=True), *latencies))}"
        if is_counted:
            session = self.session.limited(_FIND_S)
        else:
            session = self.session
        rows: list[Any] = []
        if not await scan(session, replace(filter, kind="exchange"), select, "", rows.extend):
            return

        first = int(self.steps is not None)
        last = first + len(self.by)
        self.exact = [
            (values_of(row[first:last]), row[0] if first else 0, row[last:]) for row in rows
        ]

    async def _learn_weights(self) -> None:
        if self.is_weighed and has_weights((await self.session.state()).capped_dimensions):
            self._weight = (COLUMN,)

    def _add_group(
        self, key: Sequence[Any], place: int, counts: Sequence[float]
    ) -> tuple[float, Sequence[Latencies]]:
        """Add the counts of a group, whose key ends with the weight if there are weights.

        Returns:
            The weight, and the latencies of the group, to be added to.
        """
        values = values_of(key)
        weight: float = 1
        if self._weight:
            code = values[-1]
            values = values[:-1]
            if code:
                self.sampled.add(values)
                weight = weight_of(code)
                counts = [count * weight for count in counts]

        by_step = self.found.setdefault(values, {})
        group = by_step.get(place)
        if group is None:
            group = by_step[place] = GroupSums(counts, [Latencies() for _ in self.latencies])
        else:
            group.add(counts)
        return weight, group.latencies

    def _keys(self, *, only_values: bool = False) -> list[str]:
        """Write the columns that rows are grouped by: step, kind, group and weight."""
        dialect = self.session.dialect
        keys = []
        if self.steps is not None:
            start = self.steps.start_us
            length = self.steps.length_us
            keys.append(f"{dialect.divided(f'(started_at_us - {start})', str(length))} AS place")

        if "events" in self.measures and not only_values:
            keys.append("kind")
        class_ = f"coalesce({dialect.status_class}, 0) AS status_class"
        keys += [class_ if name == "status_class" else name for name in self.by]
        if only_values:
            return keys
        return [*keys, *self._weight]

    def _place_of_hour(self, steps: Steps) -> str:
        start = steps.start_us // HOUR_US
        length = steps.length_us // HOUR_US
        return f"{self.session.dialect.divided(f'(hour - {start})', str(length))} AS place"

    def _of_rollups(self, measure: str) -> str:
        """Return the SQL expression of a measure in a row of the rollups."""
        digit = _ERRORS.get(measure)
        if digit:
            return f"CASE WHEN status_class = {digit} THEN exchanges ELSE 0 END"
        if not self.has_calls or measure in ("exchanges", "events") or measure in _OF_CALLS:
            return measure
        return f"CASE WHEN kind = {EVENT} THEN 0 ELSE {measure} END"

    def _of_rows(self, measure: str) -> str:
        """Return the SQL expression that sums a measure over records."""
        digit = _ERRORS.get(measure)
        if digit:
            return f"sum(CASE WHEN {self.session.dialect.status_class} = {digit} THEN 1 ELSE 0 END)"
        return _OF_ROWS.get(measure, f"sum({measure})")

    def tallies(self) -> dict[int, Tally]:
        """Join the sums of status classes, which must be the groups, by step."""
        found: dict[int, Tally] = defaultdict(Tally)
        for (class_,), by_step in self.found.items():
            for place, group in by_step.items():
                tally = found[place]
                tally.add_class(class_name(class_), group.counts[0])
                tally.add(*group.counts[1:])
                for total, latencies in zip(tally.latencies, group.latencies, strict=False):
                    total.add(latencies.counts, latencies.least_us, latencies.most_us)

        measured: dict[int, list[Sequence[int | None]]] = defaultdict(list)
        for _, place, latencies_us in self.exact:
            measured[place].append(latencies_us)
        for place, rows in measured.items():
            columns = zip(*rows, strict=True)
            for total, column in zip(found[place].latencies, columns, strict=False):
                total.values = sorted(value for value in column if value is not None and value >= 0)

        return found


def _with_usage(filter: Filter) -> Sequence[Filter]:
    """Leave out events that are no calls.

    Where rows must be examined, exchanges are a filter of their own: the read asks for them again.
    """
    narrowed = replace(filter, where=both(filter.where, HAS_USAGE))
    if filter.kind == "event" or filter.where is None or residual(filter.where) is None:
        return (narrowed,)
    return replace(filter, kind="exchange"), replace(narrowed, kind="event")


def values_of(row: Sequence[Any]) -> Values:
    """Return the key of a group, with 0 for null as in rollups."""
    return tuple([0 if value is None else value for value in row])


def _bucket(column: str, dialect: Dialect) -> str:
    """Write the bucket of a latency, -1 if there is none."""
    return _unless_missing(column, dialect.bucket(column), dialect)


def _unless_missing(column: str, shown: str, dialect: Dialect) -> str:
    """Write a value of exchanges with a latency, and -1 for the others."""
    if column == LATENCIES[0]:
        missing = dialect.is_connection
    else:
        missing = f"coalesce({column}, -1) < 0"
    return f"CASE WHEN {missing} THEN -1 ELSE {shown} END"
