"""The values of facets: counted by rollups where they know the facet, else looked for in the newest
rows.

Where these are all rows of the filter, they count every facet exactly.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from storage import aggregates
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
from storage.relational.weights import COLUMN, count_rows, has_weights

_SAMPLE_S: Final = 0.01
"""How long rows are looked for."""
_STATS: Final = ("level", "project", "container", "service")
_UNKNOWN: Final = "unknown"
_MAX_COMBINATIONS: Final = 20_000
"""Of values of several facets, counted in one pass over rows; where there are more, each is counted
by itself.
"""

Table = tuple[str, str]
"""Its name, and the column that numbers its periods."""
Pass = tuple[Table, Sequence[str], Sequence[str]]
"""Over which table, by which columns, and the facets counted in it."""


async def facets(session: Session, query: FacetQuery) -> dict[str, list[aggregates.FacetValue]]:
    state = await session.state()
    names = query.names
    filter = state.visible(query.filter)
    wide = rollup_sql.reduced(filter)
    hours = time_ranges.hours_inside(wide.since_us, wide.until_us)
    is_known = rollup_sql.can_count(filter, state.capped_dimensions)
    countable = [name for name in names if name in aggregates.ROLLUP_FACETS]
    is_exact = is_known and time_ranges.has_whole_hours(filter)
    exact = [
        name
        for name in countable
        if is_exact
        and not rollup_sql.holds_others(state.capped_dimensions, (aggregates.FACETS[name],))
    ]
    is_long = is_known and len(exact) < len(countable) and await _has_many(session, filter)
    sampled = [name for name in names if name not in (countable if is_long else exact)]
    counts, is_whole, is_estimate = (
        await _sample(session, filter, sampled) if sampled else ({}, False, False)
    )
    counted = [name for name in countable if name not in sampled or not is_whole]
    if counted:
        counts |= await count_values(session, wide, hours, counted)
        is_estimate = is_estimate or await _has_sampled(session, wide)
    answer = {}
    for name in names:
        found = await named(session, name, counts[name], query.limit)
        has_count = is_whole or name in exact
        answer[name] = [
            aggregates.FacetValue(value, count if has_count else None, has_count and is_estimate)
            for value, count in found
        ]

    return answer


async def stats(session: Session, query: StatsQuery) -> Stats:
    """Count entries by dimension: two of an exchange, one of an event."""
    state = await session.state()
    filter = state.visible(Filter(scope=query.filter.scope, kind="all"))
    counts = merged(_STATS, ())

    if rollup_sql.can_count(filter, state.capped_dimensions):
        hours = time_ranges.hours_inside(filter.since_us, None)
        every = await count_values(session, filter, hours, _STATS)
        counts = merged(
            _STATS,
            (every, await count_values(session, replace(filter, kind="exchange"), hours, _STATS)),
        )
    else:
        sums = Sums(
            session, tuple(aggregates.FACETS[name] for name in _STATS), ("exchanges", "events")
        )
        await sums.add_rows([filter])
        for values, cells in sums.found.items():
            exchanges, events = cells[0].sums
            for name, value in zip(_STATS, values, strict=True):
                add_count(counts[name], value, 2 * exchanges + events)

    text = await session.text_of(
        {value for name in _STATS[1:] for value in counts[name] if value != OTHER}
    )
    levels = [round(counts["level"].get(number, 0)) for number in range(len(LEVELS))]
    groups: list[dict[str, int]] = []

    for name in _STATS[1:]:
        group: dict[str, float] = {}
        for value, count in sorted(counts[name].items()):
            shown = OTHERS if value == OTHER else text[value]
            add_count(group, _UNKNOWN if shown is None else shown, count)
        groups.append({value: round(count) for value, count in group.items()})

    by_level = dict(zip(map(str, LEVELS), levels, strict=True))
    by_project, by_container, by_service = groups
    sampled = await _has_sampled(session, filter)
    return Stats(sum(levels), by_level, by_project, by_container, by_service, sampled)


async def _has_sampled(session: Session, filter: Filter) -> bool:
    """Whether some records of a filter stand for several."""
    capped_dimensions = (await session.state()).capped_dimensions
    if not has_weights(capped_dimensions):
        return False
    sums = Sums(session, (), ("exchanges", "events"))
    await sums.add(filter, rollup_sql.tables_for(filter, capped_dimensions))
    return bool(sums.sampled)


async def count_values(
    session: Session, filter: Filter, hours: time_ranges.Hours, names: Sequence[str]
) -> Counts:
    where = await rollup_sql.rollup_where(session, filter)
    if where is None or hours.is_empty:
        return merged(names, ())

    state = await session.state()
    stamps: dict[time_ranges.TimeRange, Stamp] = {}
    for (tier, number), records in (await rollup_sql.record_totals(session, hours)).items():
        first_hour = number * time_ranges.DAY_HOURS if tier == "day" else number
        was_trimmed = first_hour * time_ranges.HOUR_US <= state.trimmed_until_us
        stamps[tier, number] = (records, state.erasures + (state.trims if was_trimmed else 0))

    question = (where, tuple(names))
    found, missing = session.known_counts.find(question, stamps)
    tables = rollup_sql.tables_for(filter, state.capped_dimensions) or TABLES

    for tier in TABLES:
        numbers = [number for missed, number in missing if missed == tier]
        if numbers:
            counted = await _count_ranges(session, tables, where, tier, numbers, names)
        else:
            counted = {}
        for number, counts in counted.items():
            session.known_counts.learn(question, (tier, number), stamps[tier, number], counts)
            found.append(counts)

    return merged(names, found)


async def _count_ranges(
    session: Session,
    tables: rollup_sql.Tables,
    where: Where,
    tier: time_ranges.Tier,
    numbers: Sequence[int],
    names: Sequence[str],
) -> dict[int, Counts]:
    counted: dict[int, Counts] = {number: {name: {} for name in names} for number in numbers}
    passes = deque(_passes(session.dialect, tables, tier, names))
    while passes:
        table, columns, some = passes.popleft()
        rows = await _count_pass(session, table, where, tier, numbers, columns)
        if rows is None:
            passes += [(table, [aggregates.FACETS[name]], [name]) for name in some]
            continue

        wanted = [(name, columns.index(aggregates.FACETS[name])) for name in some]
        for number, *values, count in rows:
            counts = counted.get(number)
            if counts is None:
                continue
            for name, place in wanted:
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
    """Count the records of some periods by columns; None when they have too many combinations of
    values.
    """
    dialect, (name, column) = session.dialect, table
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

    rows = await session.fetch(
        f"SELECT {column}, {', '.join(columns)}, "
        f"{rollup_sql.weighed_sum('exchanges + events', capped_dimensions, dialect)} FROM {source} "
        f"{dialect.group_by(columns, column)}{limit}",
        parameters,
    )
    if limit and len(rows) > _MAX_COMBINATIONS:
        return None

    return rows


def _passes(
    dialect: Dialect, tables: rollup_sql.Tables, tier: time_ranges.Tier, names: Sequence[str]
) -> Iterator[Pass]:
    """Part facets into passes.

    What the smaller tables have is counted there. Of the others, the columns that begin the key
    need no sorting, which takes longer than reading, unless the database counts each column by
    itself. SQLite, 10 million records of ten days, ten facets: 8 ms so, 20 in one pass. Where rows
    are counted, what has few combinations is counted in one pass, too.
    """
    if dialect.rollups is not None:
        together = [name for name in names if aggregates.FACETS[name] in STATUS_KEYS]
        if together:
            smaller = STATUS_TABLES if tables is STATUS_TABLES else TABLES
            yield smaller[tier], [aggregates.FACETS[name] for name in together], together
        for name in names:
            if name not in together:
                yield TABLES[tier], [aggregates.FACETS[name]], [name]
        return

    if tables is STATUS_TABLES:
        small = [name for name in names if aggregates.FACETS[name] in STATUS_KEYS]
    else:
        small = []
    large = [name for name in names if name not in small]
    if dialect.has_grouping_sets:
        first = []
    else:
        first = [name for name in large if aggregates.FACETS[name] in LIMITED]
    rest = [name for name in large if name not in first]
    if small:
        yield STATUS_TABLES[tier], [aggregates.FACETS[name] for name in small], small
    if first:
        yield (
            TABLES[tier],
            LIMITED[: 1 + max(LIMITED.index(aggregates.FACETS[name]) for name in first)],
            first,
        )

    if rest:
        yield TABLES[tier], [aggregates.FACETS[name] for name in rest], rest


async def named(
    session: Session, name: str, counts: dict[Any, float], limit: int
) -> list[tuple[str, int]]:
    """Return the most frequent stored values as text, with whole counts.

    Null, `OTHER` and methods that clients invented are left out.
    """
    column = aggregates.FACETS[name]
    if column == "status_class":
        values = {aggregates.class_name(value): count for value, count in counts.items() if value}
    elif column in CODED:
        values = {CODED[column][value]: count for value, count in counts.items()}
    else:
        # More than wanted are looked up, so that equal counts are sorted by name; but not ten
        # thousands.
        if name in COMBINATIONS:
            most = aggregates.SAMPLE_ROWS
        else:
            most = min(4 * limit, aggregates.MAX_FACET_LIMIT)
        frequent = sorted(counts, key=lambda value: -counts[value])[:most]
        ids = [value for value in frequent if value and value != OTHER]
        text = await session.text_of(ids)
        values = {str(text[value]): counts[value] for value in ids}
        if name in COMBINATIONS:
            values = count_each(values)
        if name == "method":
            values = {value: count for value, count in values.items() if value in ROLLUP_METHODS}

    return aggregates.most_frequent(values, limit)


async def _has_many(session: Session, filter: Filter) -> bool:
    """Whether the whole hours of a filter have more rows than are looked at."""
    found = await count_hours(
        session, filter, time_ranges.hours_inside(filter.since_us, filter.until_us)
    )
    return found.exchanges + found.events >= aggregates.SAMPLE_ROWS


async def _sample(
    session: Session, filter: Filter, names: Sequence[str]
) -> tuple[Counts, bool, bool]:
    """Count values in the newest rows; returns also whether these are all rows there are, and are
    weighed.
    """
    counts: Counts = {name: {} for name in names}
    capped_dimensions = (await session.state()).capped_dimensions
    stored = aggregates.FACETS | {"status": session.dialect.status_class}
    columns = ", ".join([*(f"{stored[name]} AS facet_{name}" for name in names), COLUMN])
    groups = ", ".join(f"facet_{name}" for name in names)
    # Grouped by the database: 3 instead of 20 ms.
    select = (
        f"SELECT {groups}, count(*), {count_rows(capped_dimensions, session.dialect)} FROM "
        f"(SELECT {columns}"
    )
    then = (
        f" {session.dialect.by_seq('desc')} LIMIT {aggregates.SAMPLE_ROWS}) AS newest GROUP BY "
        f"{groups}"
    )
    found = 0
    stand_for = 0.0

    def add(rows: Rows) -> bool:
        nonlocal found, stand_for
        for *values, records, count in rows:
            found += records
            stand_for += count
            for name, value in zip(names, values, strict=True):
                add_count(counts[name], value or 0, count)
        return found >= aggregates.SAMPLE_ROWS

    is_complete = await scan(session.limited(_SAMPLE_S), filter, select, then, add)
    return counts, is_complete and found < aggregates.SAMPLE_ROWS, stand_for > found
