"""The values of facets: from rollups that have the facet, else from the newest rows.

Where the newest rows are all rows of the filter, they count every facet exactly.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Self

from storage.aggregates import (
    FACETS,
    MAX_FACET_LIMIT,
    ROLLUP_FACETS,
    SAMPLE_ROWS,
    FacetValue,
    class_name,
    most_frequent,
)
from storage.query import ROLLUP_METHODS, FacetQuery, Filter, Stats, StatsQuery
from storage.record import LEVELS
from storage.relational import rollup_sql, time_ranges
from storage.relational.combinations import count_each
from storage.relational.facet_counts import Counts, Stamp, add_count, merged
from storage.relational.reads.aggregate import Sums
from storage.relational.reads.scan import scan
from storage.relational.reads.totals import count_hours
from storage.relational.rollups import LIMITED, OTHER, STATUS_KEYS, STATUS_TABLES, TABLES
from storage.relational.session import Session
from storage.relational.sql import CODED, COMBINATIONS, Dialect, Rows, Where
from storage.relational.usage import OTHERS
from storage.relational.weights import COLUMN, has_weights
from storage.relational.weights import count_rows as weighed_count

_SAMPLE_S: Final = 0.01
"""Time for reading the newest rows."""
_STATS: Final = ("level", "project", "container", "service")
_RECORDS: Final = ("exchanges", "events")
_UNKNOWN: Final = "unknown"
_MAX_COMBINATIONS: Final = 20_000
"""Combinations of values with which facets are counted in one pass; with more, each has its own."""

Table = tuple[str, str]
"""Name of a table, and its column with the number of the hour or day."""


class Pass(NamedTuple):
    """Facets that one query counts."""

    table: Table
    columns: Sequence[str]
    """The columns that the query groups by."""
    names: Sequence[str]
    """Facets; their columns are among those."""

    @classmethod
    def of(cls, table: Table, names: Sequence[str]) -> Self:
        """Count facets by their own columns."""
        return cls(table, [FACETS[name] for name in names], names)


async def facets(session: Session, query: FacetQuery) -> dict[str, list[FacetValue]]:
    state = await session.state()
    capped_dimensions = state.capped_dimensions
    filter = state.visible(query.filter)
    reduced = rollup_sql.reduced(filter)

    # Which facets rollups can list, and which of these they can also count exactly.
    is_countable = rollup_sql.can_count(filter, capped_dimensions)
    listed = [name for name in query.names if name in ROLLUP_FACETS]
    exact: Sequence[str] = ()
    if time_ranges.has_whole_hours(filter):
        exact = countable(filter, capped_dimensions, listed)

    # The newest rows have the values of the others. Among many rows, rollups list more values.
    known = exact
    if is_countable and len(exact) < len(listed) and await _has_many(session, filter):
        known = listed
    sampled = [name for name in query.names if name not in known]
    counts: Counts = {}
    is_whole = False
    is_estimate = False
    if sampled:
        counts, is_whole, is_estimate = await _sample(session, filter, sampled)

    counted = [name for name in listed if name not in sampled or not is_whole]
    if counted:
        hours = time_ranges.hours_inside(reduced.since_us, reduced.until_us)
        counts |= await count_values(session, reduced, hours, counted)
        is_estimate = is_estimate or await _has_sampled(session, reduced)

    answer = {}
    for name in query.names:
        found = await named(session, name, counts[name], query.limit)
        has_count = is_whole or name in exact
        answer[name] = [
            FacetValue(value, count if has_count else None, has_count and is_estimate)
            for value, count in found
        ]
    return answer


async def stats(session: Session, query: StatsQuery) -> Stats:
    """Count log entries by level, project, container and service. An exchange has two entries, an
    event has one.
    """
    state = await session.state()
    filter = state.visible(Filter(scope=query.filter.scope, kind="all"))
    hours = time_ranges.hours_inside(filter.since_us, None)
    is_countable = rollup_sql.can_count(filter, state.capped_dimensions)
    if is_countable:
        exchanges = replace(filter, kind="exchange")
        records = await count_values(session, filter, hours, _STATS)
        counts = merged(_STATS, (records, await count_values(session, exchanges, hours, _STATS)))
    else:
        counts = merged(_STATS, ())
        await count_rows(session, [filter], counts, per_exchange=2)

    ids = {value for name in _STATS[1:] for value in counts[name] if value != OTHER}
    text = await session.text_of(ids)
    levels = [round(counts["level"].get(number, 0)) for number in range(len(LEVELS))]
    groups: list[dict[str, int]] = []
    for name in _STATS[1:]:
        group: dict[str, float] = {}
        for value, count in sorted(counts[name].items()):
            shown = OTHERS if value == OTHER else text[value]
            if shown is None:
                shown = _UNKNOWN
            add_count(group, shown, count)
        groups.append({value: round(count) for value, count in group.items()})

    by_level = dict(zip(map(str, LEVELS), levels, strict=True))
    by_project, by_container, by_service = groups
    sampled = await _has_sampled(session, filter)
    return Stats(sum(levels), by_level, by_project, by_container, by_service, sampled)


async def _has_sampled(session: Session, filter: Filter) -> bool:
    """Return True if the filter matches a sampled record, so that counts are estimates."""
    capped_dimensions = (await session.state()).capped_dimensions
    if not has_weights(capped_dimensions):
        return False
    sums = Sums(session, (), _RECORDS)
    await sums.add(filter)
    return bool(sums.sampled)


def countable(filter: Filter, capped_dimensions: int, names: Sequence[str]) -> Sequence[str]:
    """List the facets that rollups can count among a filter's records: not those for which they
    hold `OTHER`.
    """
    if not rollup_sql.can_count(filter, capped_dimensions):
        return ()
    return [
        name for name in names if not rollup_sql.holds_others(capped_dimensions, (FACETS[name],))
    ]


async def count_rows(
    session: Session, filters: Sequence[Filter], counts: Counts, *, per_exchange: int = 1
) -> bool:
    """Add the values of each facet in `counts` among the rows of filters, where an exchange counts
    `per_exchange` times; return False if the time budget left some out.
    """
    sums = Sums(session, tuple(FACETS[name] for name in counts), _RECORDS)
    is_whole = await sums.add_rows(filters)
    for values, by_step in sums.found.items():
        exchanges, events = by_step[0].sums
        for name, value in zip(counts, values, strict=True):
            add_count(counts[name], value, per_exchange * exchanges + events)
    return is_whole


async def count_values(
    session: Session, filter: Filter, hours: time_ranges.Hours, names: Sequence[str]
) -> Counts:
    """Count the stored values of facets in whole hours, from rollups.

    Counts of an hour or day are remembered until its records change (`Stamp`).
    """
    where = await rollup_sql.rollup_where(session, filter)
    if where is None or hours.is_empty:
        return merged(names, ())

    state = await session.state()
    stamps: dict[time_ranges.TimeRange, Stamp] = {}
    for (tier, number), records in (await rollup_sql.record_totals(session, hours)).items():
        if tier == "day":
            first_hour = number * time_ranges.DAY_HOURS
        else:
            first_hour = number
        was_trimmed = first_hour * time_ranges.HOUR_US <= state.trimmed_until_us
        stamps[tier, number] = (records, state.erasures + (state.trims if was_trimmed else 0))

    question = (where, tuple(names))
    found, missing = session.known_counts.find(question, stamps)
    tables = rollup_sql.tables_for(filter, state.capped_dimensions) or TABLES

    for tier in TABLES:
        numbers = [number for missed, number in missing if missed == tier]
        if not numbers:
            continue

        counted = await _count_periods(session, tables, where, tier, numbers, names)
        for number, counts in counted.items():
            session.known_counts.learn(question, (tier, number), stamps[tier, number], counts)
            found.append(counts)

    return merged(names, found)


async def _count_periods(
    session: Session,
    tables: rollup_sql.Tables,
    where: Where,
    tier: time_ranges.Tier,
    numbers: Sequence[int],
    names: Sequence[str],
) -> dict[int, Counts]:
    """Count the values of facets in some hours, or days, by the number of the period."""
    counted: dict[int, Counts] = {number: {name: {} for name in names} for number in numbers}
    passes = deque(_passes(session.dialect, tables, tier, names))

    while passes:
        table, columns, together = passes.popleft()
        rows = await _count_pass(session, table, where, tier, numbers, columns)
        if rows is None:
            passes += [Pass.of(table, [name]) for name in together]
            continue

        places = [(name, columns.index(FACETS[name])) for name in together]
        for number, *values, count in rows:
            counts = counted.get(number)
            if counts is None:
                continue
            for name, place in places:
                value = values[place]
                if value is not None:
                    values_of = counts[name]
                    values_of[value] = values_of.get(value, 0) + count

    return counted


async def _count_pass(
    session: Session,
    table: Table,
    where: Where,
    tier: time_ranges.Tier,
    numbers: Sequence[int],
    columns: Sequence[str],
) -> Rows | None:
    """Count the records of some periods by columns; None if too many combinations have any."""
    dialect = session.dialect
    name, column = table
    capped_dimensions = (await session.state()).capped_dimensions
    limit = ""

    if dialect.rollups is None:
        first, last = (dialect.placeholder(len(where.parameters) + place) for place in (1, 2))
        source = (
            f"{dialect.schema}{name} WHERE {where.text} AND {column} BETWEEN {first} AND {last}"
        )
        parameters = (*where.parameters, min(numbers), max(numbers))
    else:
        part = time_ranges.Part(tier, min(numbers), max(numbers) + 1)
        weight = (COLUMN,) if has_weights(capped_dimensions) else ()
        read = tuple(dict.fromkeys((column, *columns, *weight, "exchanges", "events")))
        source, parameters = rollup_sql.counted_rows(name, where, part, read, dialect)
        limit = f" LIMIT {_MAX_COMBINATIONS + 1}" if len(columns) > 1 else ""

    count = rollup_sql.weighed_sum("exchanges + events", capped_dimensions, dialect)
    rows = await session.fetch(
        f"SELECT {column}, {', '.join(columns)}, {count} FROM {source} "
        f"{dialect.group_by(columns, column)}{limit}",
        parameters,
    )
    if limit and len(rows) > _MAX_COMBINATIONS:
        return None

    return rows


def _passes(
    dialect: Dialect, tables: rollup_sql.Tables, tier: time_ranges.Tier, names: Sequence[str]
) -> Iterator[Pass]:
    """Distribute facets over passes.

    Facets of the smaller tables are counted there. Of the others, those whose columns begin the key
    are counted together: grouping by a prefix of the key needs no sorting, which takes longer than
    reading. Databases with grouping sets count each column by itself and have no use for that.
    SQLite, 10 million records of ten days, ten facets: 8 ms so, 20 in one pass.

    Where rows stand for rollups, the facets with few combinations are one pass, and each other has
    its own.
    """
    small = [name for name in names if FACETS[name] in STATUS_KEYS]
    if dialect.rollups is not None:
        smaller = STATUS_TABLES if tables is STATUS_TABLES else TABLES
        if small:
            yield Pass.of(smaller[tier], small)
        for name in names:
            if name not in small:
                yield Pass.of(TABLES[tier], [name])
        return

    if tables is not STATUS_TABLES:
        small = []
    large = [name for name in names if name not in small]
    first: list[str] = []
    if not dialect.has_grouping_sets:
        first = [name for name in large if FACETS[name] in LIMITED]
    rest = [name for name in large if name not in first]

    if small:
        yield Pass.of(STATUS_TABLES[tier], small)
    if first:
        prefix = LIMITED[: 1 + max(LIMITED.index(FACETS[name]) for name in first)]
        yield Pass(TABLES[tier], prefix, first)
    if rest:
        yield Pass.of(TABLES[tier], rest)


async def named(
    session: Session, name: str, counts: dict[Any, float], limit: int
) -> list[tuple[str, int]]:
    """Return the most frequent values of a facet as text, with rounded counts.

    Null, `OTHER` and methods that clients invented are left out.
    """
    column = FACETS[name]
    if column == "status_class":
        values = {class_name(value): count for value, count in counts.items() if value}
    elif column in CODED:
        values = {CODED[column][value]: count for value, count in counts.items()}
    else:
        # More than wanted are looked up, as equal counts are sorted by name; but not ten thousands.
        if name in COMBINATIONS:
            most = SAMPLE_ROWS
        else:
            most = min(4 * limit, MAX_FACET_LIMIT)
        frequent = sorted(counts, key=lambda value: -counts[value])[:most]
        ids = [value for value in frequent if value and value != OTHER]
        text = await session.text_of(ids)
        values = {str(text[value]): counts[value] for value in ids}
        if name in COMBINATIONS:
            values = count_each(values)
        if name == "method":
            values = {value: count for value, count in values.items() if value in ROLLUP_METHODS}

    return most_frequent(values, limit)


async def _has_many(session: Session, filter: Filter) -> bool:
    """Whether the whole hours of a filter have more records than a sample."""
    hours = time_ranges.hours_inside(filter.since_us, filter.until_us)
    found = await count_hours(session, filter, hours)
    return found.exchanges + found.events >= SAMPLE_ROWS


async def _sample(
    session: Session, filter: Filter, names: Sequence[str]
) -> tuple[Counts, bool, bool]:
    """Count the values of facets in the newest rows.

    Returns:
        The counts, whether these are all rows of the filter, and whether some stand for several.
    """
    counts: Counts = {name: {} for name in names}
    capped_dimensions = (await session.state()).capped_dimensions
    stored = FACETS | {"status": session.dialect.status_class}
    columns = ", ".join([*(f"{stored[name]} AS facet_{name}" for name in names), COLUMN])
    groups = ", ".join(f"facet_{name}" for name in names)
    weighed = weighed_count(capped_dimensions, session.dialect)
    # Grouped by the database: 3 instead of 20 ms.
    select = f"SELECT {groups}, count(*), {weighed} FROM (SELECT {columns}"
    newest = f"{session.dialect.by_seq('desc')} LIMIT {SAMPLE_ROWS}"
    then = f" {newest}) AS newest GROUP BY {groups}"
    found = 0
    stand_for = 0.0

    def add(rows: Rows) -> bool:
        nonlocal found, stand_for
        for *values, records, count in rows:
            found += records
            stand_for += count
            for name, value in zip(names, values, strict=True):
                add_count(counts[name], value or 0, count)
        return found >= SAMPLE_ROWS

    is_complete = await scan(session.limited(_SAMPLE_S), filter, select, then, add)
    return counts, is_complete and found < SAMPLE_ROWS, stand_for > found
