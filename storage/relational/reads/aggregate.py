"""Sums of a filter's records by columns and steps of time: whole hours from rollups, the rest from
rows.

Strategy: rollups that have both the filter's dimensions and the columns are added up, and only what
sticks out of whole hours is scanned. Without such rollups all is scanned. Both are read slice by
slice, the newest first, within the budget. The latencies of few exchanges are then read one by one,
and are exact.

Where the store has records that stand for several, sums are read apart by weight, and multiplied
here.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from operator import add
from typing import Any, Final

from storage.aggregates import Latencies, class_name
from storage.query import Filter
from storage.relational import rollup_sql
from storage.relational.reads.scan import fetch_exact_if_small, scan, start_range
from storage.relational.rollups import HISTOGRAMS, LEAST, MOST
from storage.relational.search.condition import residual
from storage.relational.session import Session
from storage.relational.slices import Pace, Range, slices
from storage.relational.sql import EVENT, MAX_INT, Rows, Where
from storage.relational.tally import Tally
from storage.relational.time_ranges import DAY_HOURS, DAY_US, HOUR_US, Hours, Split, split
from storage.relational.usage import TOKENS, cost_sum, token_sum
from storage.relational.weights import COLUMN, has_weights, weight_of
from storage.search.expression import Has, Is, Or, both

MAX_CELLS: Final = 100_000
"""Numbers by step that are read of rollups at once, 35 MB; of more the newest rows are counted."""
SLICE_DAYS: Final = 4
"""Days of rollups that are read at once, at least: each slice adds up every group once more, by us.
"""
LATENCIES: Final = ("duration_us", "first_byte_us")
"""What is measured of an exchange, in the order of the rollups' columns."""
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
"""Measure → how it is added up in one group of rows, which are all exchanges or all events."""

_OF_CALLS: Final = frozenset(("input_tokens", "output_tokens", "cost_nano_usd"))
"""What is added up of events, too, where calls are counted."""
_HAS_USAGE: Final = Or(
    (Is("kind", ("exchange",)), *map(Has, ("input_tokens", "output_tokens", "cost_usd")))
)

Values = tuple[Any, ...]
"""As they are stored, 0 for null."""


class Added(Enum):
    """How much of some whole hours was added."""

    ALL = auto()
    NEWEST = auto()
    """The budget ended it."""
    NONE = auto()
    """There are too many groups."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of equal length."""

    start_us: int
    length_us: int

    def is_in(self, unit_us: int) -> bool:
        return self.start_us % unit_us == 0 and self.length_us % unit_us == 0


@dataclass(slots=True)
class GroupSums:
    """The sums of the records that have the same values, and are in the same step."""

    sums: Sequence[Any]
    """Of measures: whole numbers, or weighed ones, not rounded."""
    latencies: Sequence[Latencies]

    @property
    def counts(self) -> Sequence[int]:
        """The same as whole numbers."""
        if isinstance(self.sums[0], float):
            return list(map(round, self.sums))
        return self.sums


@dataclass(slots=True)
class Sums:
    """Running sums of records: of some measures and latencies, by columns and step."""

    session: Session
    by: tuple[str, ...]
    measures: tuple[str, ...]
    """`exchanges` or `calls` first, then `events` where those are counted too."""
    latencies: tuple[str, ...] = ()
    """The first of `LATENCIES`."""
    steps: Steps | None = None
    has_calls: bool = False
    """Whether of events tokens and cost are added, and nothing else; `events` is then among the
    measures.
    """
    max_groups: int = MAX_INT - 1
    """Values that are counted apart before the search ends."""
    is_weighed: bool = True
    """Whether records count as those that they stand for."""
    found: dict[Values, dict[int, GroupSums]] = field(default_factory=dict)
    """Values → step, 0 without steps → sums."""
    exact: list[tuple[Values, int, Sequence[int | None]]] = field(default_factory=list)
    """Values, step and latencies of each exchange, where they are few, and stand for no others."""
    sampled: set[Values] = field(default_factory=set)
    """Values that records have which stand for several."""
    _weight: tuple[str, ...] = ()
    """The column by which they are apart; none where no record of the store stands for several."""

    @property
    def exchanges(self) -> int:
        total: float = sum(cell.sums[0] for cells in self.found.values() for cell in cells.values())
        return round(total)

    async def add(
        self, filter: Filter, tables: rollup_sql.Tables | None, cut: Split | None = None
    ) -> bool:
        """Add the records of a filter that is visible, cut at whole hours; False when there are
        more.
        """
        edges = [filter]
        if tables is not None and (self.steps is None or self.steps.is_in(HOUR_US)):
            cut = cut or split(filter, (await start_range(self.session))[1])
            added = await self.add_hours(filter, cut.hours, tables)
            if added is Added.NEWEST:
                return False
            if added is Added.ALL:
                edges = cut.edges

        is_whole = await self.add_rows(edges)
        if is_whole and self.latencies and not self.sampled:
            await self._measure(filter, is_counted=edges != [filter])
        return is_whole

    async def add_hours(self, filter: Filter, hours: Hours, tables: rollup_sql.Tables) -> Added:
        """Add whole hours, before anything else is added."""
        where = await rollup_sql.rollup_where(self.session, filter)
        if where is None or hours.is_empty:
            return Added.ALL

        await self._learn_weights()
        max_cells = MAX_CELLS if self.steps else self.max_groups
        for some in await self._slices(hours):
            groups = await self._read_hours(where, some, tables, max_cells)
            if groups is None:
                return Added.NEWEST

            self._add_hours(groups)
            if len(groups) > max_cells or sum(map(len, self.found.values())) > max_cells:
                self.found.clear()
                return Added.NONE

        return Added.ALL

    async def _slices(self, hours: Hours) -> Iterator[Hours]:
        """Cut hours into slices of whole days, as far as there are records, newest first."""
        if self.session.dialect.rollups is not None:
            return iter((hours,))
        oldest_us, newest_us = await start_range(self.session)
        if oldest_us is None or newest_us is None:
            return iter(())

        first = oldest_us // HOUR_US if hours.first is None else hours.first
        until = newest_us // HOUR_US + 1 if hours.until is None else hours.until
        if first < until:
            days = Range(first // DAY_HOURS, (until - 1) // DAY_HOURS)
        else:
            days = Range(1, 0)
        return (
            Hours(max(first, some.first * DAY_HOURS), min(until, (some.last + 1) * DAY_HOURS))
            for some in slices(days, "desc", Pace(least=SLICE_DAYS))
        )

    async def _read_hours(
        self, where: Where, hours: Hours, tables: rollup_sql.Tables, max_groups: int
    ) -> Rows | None:
        """Read the sums of some hours, one group more than so many at most; None when the budget
        ended it.
        """
        session = self.session
        steps = self.steps
        keys = [*self.by, *self._weight]
        only_hours = False
        read = [
            *keys,
            *(name for name in self.measures if name not in _ERRORS),
            *(["kind"] * self.has_calls),
        ]

        if steps is not None:
            keys.insert(0, "place")
            read.append("hour")
            only_hours = not steps.is_in(DAY_US)

        if not _ERRORS.keys().isdisjoint(self.measures):
            read.append("status_class")
        histograms = HISTOGRAMS[: len(self.latencies)]
        for columns in (LEAST, MOST, HISTOGRAMS):
            read += columns[: len(histograms)]
        rows, parameters = await rollup_sql.rollup_rows(
            session, tables, where, hours, tuple(dict.fromkeys(read)), only_hours=only_hours
        )
        if keys:
            grouped = f" GROUP BY {', '.join(keys)} LIMIT {max_groups + 1}"
        else:
            grouped = ""
        selected = [
            *([self._hour_place()] if steps else ()),
            *self.by,
            *self._weight,
            rollup_sql.sums([self._of_rollups(name) for name in self.measures]),
            *(rollup_sql.latency_sums(name, session.dialect) for name in histograms),
        ]
        sql = f"SELECT {', '.join(selected)} FROM {rows}{grouped}"
        if session.dialect.rollups is not None:
            return await session.fetch(sql, parameters)

        return await session.fetch_in_budget(sql, parameters)

    def _add_hours(self, groups: Rows) -> None:
        first = int(self.steps is not None)
        counts_from = first + len(self.by) + len(self._weight)
        ends_from = counts_from + len(self.measures)
        has_events = "events" in self.measures

        for row in groups:
            counts = row[counts_from:ends_from]
            if counts[0] is None or (counts[0] <= 0 and not (has_events and counts[1] > 0)):
                continue

            weight, measured = self._add_to_cell(
                row[first:counts_from], row[0] if first else 0, counts
            )
            for place, latencies in enumerate(measured):
                ends = ends_from + 3 * place
                rollup_sql.add_latencies(
                    latencies, row[ends : ends + 3], self.session.dialect, weight
                )

    async def add_rows(self, filters: Sequence[Filter]) -> bool:
        """Add rows; False when they were too many, or have too many values."""
        await self._learn_weights()
        dialect = self.session.dialect
        buckets = {name: f"bucket_of_{name}" for name in self.latencies}
        selected = [
            *self._keys(),
            *(f"{_bucket(name, dialect.bucket)} AS {buckets[name]}" for name in buckets),
        ]
        selected += [self._of_rows(name) for name in self.measures]
        for name in self.latencies:
            selected += [f"min({name})", f"max({name})"]
        keys = [
            *(("place",) if self.steps else ()),
            *(("kind",) if "events" in self.measures else ()),
        ]
        keys += (*self.by, *self._weight)
        grouped = f" GROUP BY {', '.join((*keys, *buckets.values()))}"
        select = f"SELECT {', '.join(selected)}"

        for filter in filters:
            for some in _with_usage(filter) if self.has_calls else (filter,):
                is_whole = await scan(self.session, some, select, grouped, self._add_rows)
                if not is_whole or len(self.found) >= self.max_groups:
                    return False

        return True

    def _add_rows(self, rows: Rows) -> bool:
        """Add groups of rows; True when they have too many values."""
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
                counts[:2] = 0, counts[0]
            if is_event and self.has_calls:
                named = zip(self.measures, counts, strict=True)
                counts[2:] = [count if name in _OF_CALLS else 0 for name, count in named][2:]
            weight, measured = self._add_to_cell(
                row[first:buckets_from], row[0] if has_steps else 0, counts
            )
            if is_event:
                continue

            for place, latencies in enumerate(measured):
                bucket = row[buckets_from + place]
                ends = row[ends_from + 2 * place : ends_from + 2 * place + 2]
                if bucket >= 0:
                    latencies.add({bucket: counts[0] * weight}, *ends)

        return len(self.found) >= self.max_groups

    async def _measure(self, filter: Filter, *, is_counted: bool) -> None:
        select = f"SELECT {', '.join((*self._keys(only_values=True), *self.latencies))}"
        rows = await fetch_exact_if_small(
            self.session, filter, self.exchanges, select, is_counted=is_counted
        )
        first = int(self.steps is not None)
        last = first + len(self.by)
        self.exact = [
            (values_of(row[first:last]), row[0] if first else 0, row[last:]) for row in rows or ()
        ]

    async def _learn_weights(self) -> None:
        if self.is_weighed and has_weights((await self.session.state()).capped_dimensions):
            self._weight = (COLUMN,)

    def _add_to_cell(
        self, key: Sequence[Any], place: int, counts: Sequence[float]
    ) -> tuple[float, Sequence[Latencies]]:
        """Add counts by values and weight, and return the weight, and the latencies beside them."""
        values = values_of(key)
        weight: float = 1
        if self._weight:
            code = values[-1]
            values = values[:-1]
            if code:
                self.sampled.add(values)
                weight = weight_of(code)
                counts = [count * weight for count in counts]

        cells = self.found.get(values)
        if cells is None:
            cells = self.found[values] = {}
        cell = cells.get(place)
        if cell is None:
            cell = cells[place] = GroupSums(
                counts, [Latencies() for _ in self.latencies] if self.latencies else ()
            )
        else:
            cell.sums = list(map(add, cell.sums, counts))

        return weight, cell.latencies

    def _keys(self, *, only_values: bool = False) -> list[str]:
        """Write what rows are grouped by."""
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
        return keys if only_values else [*keys, *self._weight]

    def _hour_place(self) -> str:
        assert self.steps is not None
        start = self.steps.start_us // HOUR_US
        length = self.steps.length_us // HOUR_US
        return f"{self.session.dialect.divided(f'(hour - {start})', str(length))} AS place"

    def _of_rollups(self, measure: str) -> str:
        digit = _ERRORS.get(measure)
        if (
            self.has_calls
            and measure not in ("exchanges", "events")
            and not digit
            and measure not in _OF_CALLS
        ):
            return f"CASE WHEN kind = {EVENT} THEN 0 ELSE {measure} END"
        if digit:
            return f"CASE WHEN status_class = {digit} THEN exchanges ELSE 0 END"

        return measure

    def _of_rows(self, measure: str) -> str:
        digit = _ERRORS.get(measure)
        if digit:
            return f"sum(CASE WHEN {self.session.dialect.status_class} = {digit} THEN 1 ELSE 0 END)"
        return _OF_ROWS.get(measure, f"sum({measure})")

    def tallies(self) -> dict[int, Tally]:
        """Put sums by class of status together, by step."""
        found: dict[int, Tally] = defaultdict(Tally)
        for (class_,), cells in self.found.items():
            for place, cell in cells.items():
                found[place].add_class(class_name(class_), cell.counts[0])
                found[place].add(*cell.counts[1:])
                for known, latencies in zip(found[place].latencies, cell.latencies, strict=False):
                    known.add(latencies.counts, latencies.least_us, latencies.most_us)

        measured: dict[int, list[Sequence[int | None]]] = defaultdict(list)
        for _, place, values in self.exact:
            measured[place].append(values)
        for place, rows in measured.items():
            for known, of_all in zip(found[place].latencies, zip(*rows, strict=True), strict=False):
                known.values = sorted(value for value in of_all if value is not None and value >= 0)
        return found


def _with_usage(filter: Filter) -> Sequence[Filter]:
    """Leave out events of no calls; exchanges that have to be looked into are apart, as others ask
    for them.
    """
    narrowed = replace(filter, where=both(filter.where, _HAS_USAGE))
    if filter.where is None or residual(filter.where) is None:
        return (narrowed,)
    return replace(filter, kind="exchange"), replace(narrowed, kind="event")


def values_of(row: Sequence[Any]) -> Values:
    """Write null as rollups do."""
    return tuple([0 if value is None else value for value in row])


def _bucket(column: str, bucket: Any) -> str:
    if column == LATENCIES[0]:
        return str(bucket(column))
    return f"CASE WHEN coalesce({column}, -1) < 0 THEN -1 ELSE {bucket(column)} END"
