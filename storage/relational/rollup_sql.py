"""Rollups as SQL: the rows of a range of time, and the choice of the tables that answer a filter.

Strategy: the whole hours of a filter are rows of a day table and, at both ends, of an hour table,
joined by UNION ALL. There are six pairs of tables, ordered by their number of rows, and the first
that has all columns is read. A store without these tables writes a query with the same columns
(`Dialect.rollups`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from storage.aggregates import Latencies
from storage.query import ROLLUP_METHODS, Filter
from storage.relational import rollups
from storage.relational.search.condition import (
    EITHER,
    classes_of,
    rollup_conditions,
    scope_parts,
    texts,
)
from storage.relational.session import Session
from storage.relational.sql import Dialect, Where
from storage.relational.time_ranges import (
    DAY_HOURS,
    HOUR_US,
    Hours,
    Part,
    Tier,
    TimeRange,
    hours_around,
    parts,
)
from storage.relational.weights import has_weights, weighed
from storage.search.expression import (
    Between,
    Expression,
    Has,
    Is,
    Not,
    Or,
    asked_values,
    conjuncts,
    joined,
    leaves,
)

USAGE_TABLE: Final = "usage_rollups"
"""The rollups of `storage.relational.usage`."""
Tables = Mapping[Tier, tuple[str, str]]
"""Tier → its table, and the column with the numbers of its periods."""
USAGE_TABLES: Final[Tables] = {"hour": (USAGE_TABLE, "hour")}
_STATUSES: Final = {"status", "status_class"}


def asked_columns(part: Expression) -> frozenset[str] | None:
    """Name the columns of rollups that a condition reads; None if it needs rows.

    Alternatives must all be of one column, or each name an endpoint: others are found faster in
    rows.
    """
    columns: set[str] = set()
    for leaf in leaves(part):
        match leaf:
            case Is("instance" | "kind"):
                return None
            case Is("method", values) if not ROLLUP_METHODS.issuperset(values):
                return None
            case Is(field):
                columns.update(EITHER.get(field, (field,)))
            case Between("status"):
                columns.add("status_class" if classes_of(leaf) else "status")
            case Has("keyed" | "provider" as field):
                columns.add(field)
            case _:
                return None

    is_other = isinstance(part, Or) and not all(
        asked_values(each, "endpoint") for each in part.parts
    )
    if isinstance(part, Not) or (is_other and not columns <= _STATUSES):
        return None

    return frozenset(columns)


def columns_of(filter: Filter) -> frozenset[str] | None:
    """Name the columns of rollups that a filter reads, without its kind and time; None if it needs
    rows.
    """
    if filter.seq_after is not None or filter.seq_until is not None:
        return None
    found = frozenset[str]()
    for part in (*scope_parts(filter.scope), *conjuncts(filter.where)):
        columns = asked_columns(part)
        if columns is None:
            return None
        found |= columns

    return found


def reduced(filter: Filter) -> Filter:
    """Keep the conditions that rollups can check, and widen the time to whole hours: a superset of
    the filter.
    """
    around = hours_around(filter.since_us, filter.until_us)
    known = tuple(
        part for part in conjuncts(filter.where) if is_known(asked_columns(part), rollups.KEYS)
    )
    return Filter(
        scope=filter.scope,
        kind=filter.kind,
        since_us=None if around.first is None else around.first * HOUR_US,
        until_us=None if around.until is None else around.until * HOUR_US,
        where=joined(known),
    )


def is_known(columns: frozenset[str] | None, keys: Collection[str]) -> bool:
    return columns is not None and columns.issubset(keys)


def can_count(filter: Filter, capped_dimensions: int, keys: Collection[str] = rollups.KEYS) -> bool:
    """Return True if the rollups with some keys can count a filter's records, without its time.

    `capped_dimensions` comes from the store's state.
    """
    columns = columns_of(filter)
    return (
        columns is not None
        and columns.issubset(keys)
        and not holds_others(capped_dimensions, columns)
    )


def tables_for(
    filter: Filter, capped_dimensions: int, columns: Collection[str] = ()
) -> Tables | None:
    """Choose the smallest tables that count a filter's records by some columns, without its time;
    None if it needs rows.
    """
    for tables, keys in rollups.CUBES:
        if set(columns) <= set(keys) and can_count(filter, capped_dimensions, keys):
            return tables
    return None


async def rollup_where(session: Session, filter: Filter) -> Where | None:
    """Build the conditions of a filter on rollups, without its time; None if nothing can match."""
    return rollup_conditions(filter, await session.ids_of(texts(filter)), session.dialect)


def weighed_sum(measure: str, capped_dimensions: int, dialect: Dialect) -> str:
    """Write the sum of a measure of rollups, multiplied by their weight if the store has weights."""
    if not has_weights(capped_dimensions):
        return sums((measure,))
    return f"sum({weighed(measure, capped_dimensions, dialect)})"


def sums(measures: Sequence[str]) -> str:
    """Write the sums of measures, cast where the database would return a larger type of number."""
    return ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in measures)


def latency_sums(histogram: str, dialect: Dialect) -> str:
    """Write the three columns that `add_latencies` reads, for one of `HISTOGRAMS`."""
    place = rollups.HISTOGRAMS.index(histogram)
    return (
        f"min({rollups.LEAST[place]}), max({rollups.MOST[place]}), "
        f"{dialect.histograms.format(histogram)}"
    )


def add_latencies(
    latencies: Latencies, columns: Sequence[Any], dialect: Dialect, weight: float
) -> None:
    """Add the latencies in three columns, `weight` times each."""
    least_us, most_us, packed = columns
    counts: Mapping[int, float] = dialect.to_counts(packed)
    if weight != 1:
        counts = {bucket: count * weight for bucket, count in counts.items()}
    latencies.add(counts, least_us, most_us)


def holds_others(capped_dimensions: int, columns: Iterable[str]) -> bool:
    """Return True if rollups have `OTHER` in one of some columns."""
    return any(
        capped_dimensions >> rollups.ALL_LIMITED.index(name) & 1
        for name in columns
        if name in rollups.ALL_LIMITED
    )


async def rollup_rows(
    session: Session,
    tables: Tables,
    where: Where,
    hours: Hours,
    columns: Sequence[str],
    *,
    only_hours: bool = False,
) -> tuple[str, tuple[int | str, ...]]:
    """Write the sub-query of the rollup rows of some hours, at least one.

    The parameters of the conditions are numbered from 1. `columns` may include `hour`; with
    `only_hours` no days are read, so that hours remain separate.
    """
    dialect = session.dialect
    whole = Part("hour", *hours)
    if dialect.rollups is not None:
        return counted_rows(tables["hour"][0], where, whole, columns, dialect)

    selects: list[str] = []
    parameters: list[int | str] = []

    has_days = "day" in tables and not only_hours
    for part in parts(hours, (await session.state()).folded_until) if has_days else (whole,):
        table, period = tables[part.tier]
        if part.tier == "day":
            hour = f"{period} * {DAY_HOURS} AS hour"
        else:
            hour = period
        read = ", ".join(hour if name == "hour" else name for name in columns)
        # Every select names the same parameters.
        if not selects:
            parameters += where.parameters
        select = f"SELECT {read} FROM {dialect.schema}{table} WHERE {where.text}"
        selects.append(select + _within(part, dialect, parameters))

    return f"({' UNION ALL '.join(selects)}) AS rollup", tuple(parameters)


def counted_rows(
    table: str, where: Where, part: Part, columns: Sequence[str], dialect: Dialect
) -> tuple[str, tuple[int | str, ...]]:
    """Write a sub-query that counts the records of a part as the rollups of a table would, for
    stores without days.

    The conditions are those on rollups, numbered from 1.
    """
    assert dialect.rollups is not None, "bug: there are tables of rollups"
    unit = 1 if part.tier == "hour" else DAY_HOURS
    first, until = (None if bound is None else bound * unit for bound in (part.first, part.until))
    return dialect.rollups(table, columns, where.text, (first, until)), where.parameters


async def record_totals(session: Session, hours: Hours) -> dict[TimeRange, int]:
    """Count the records in rollups for each day, or hour, that some hours consist of."""
    dialect = session.dialect
    found = parts(hours, (await session.state()).folded_until)
    if dialect.rollups is not None:
        return await _counted_totals(session, hours, found)

    totals: dict[TimeRange, int] = {}
    for part in found:
        table, period = rollups.STATUS_TABLES[part.tier]
        parameters: list[int | str] = []
        where = f"1 = 1{_within(part, dialect, parameters)}"
        sql = (
            f"SELECT {period}, sum(exchanges + events) FROM {dialect.schema}{table} WHERE {where} "
            f"GROUP BY {period}"
        )
        totals |= {
            (part.tier, number): records for number, records in await session.fetch(sql, parameters)
        }

    return totals


async def _counted_totals(
    session: Session, hours: Hours, found: Iterable[Part]
) -> dict[TimeRange, int]:
    """Count the same in a store whose rollups are a query: the hours of a day cost no more than the
    day.
    """
    days = [part for part in found if part.tier == "day"]
    source = rollups.STATUS_TABLES["hour"][0]
    everything = Where("1 = 1", ())
    rows, _ = counted_rows(
        source, everything, Part("hour", *hours), ("hour", "exchanges", "events"), session.dialect
    )
    totals: dict[TimeRange, int] = {}

    for hour, records in await session.fetch(
        f"SELECT hour, sum(exchanges + events) FROM {rows} GROUP BY hour"
    ):
        day = hour // DAY_HOURS
        range: TimeRange = ("day", day) if any(part.has(day) for part in days) else ("hour", hour)
        totals[range] = totals.get(range, 0) + records

    return totals


def _within(part: Part, dialect: Dialect, parameters: list[int | str]) -> str:
    bounds = ""
    for sign, bound in ((">=", part.first), ("<", part.until)):
        if bound is not None:
            parameters.append(bound)
            bounds += (
                f" AND {rollups.TABLES[part.tier][1]} {sign} {dialect.placeholder(len(parameters))}"
            )

    return bounds


def merging(table: str, keys: Sequence[str], merged: Mapping[str, str], rows: str) -> str:
    """Write the statement that adds rows to a table; `merged` has the new value of each column for
    an existing row.
    """
    return (
        f"INSERT INTO {table} AS known ({', '.join((*keys, *merged))}) {rows} ON CONFLICT "
        f"({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{column} = {then.format(column)}" for column, then in merged.items())
    )


def foldings(schema: str, merged: Mapping[str, str], day: str, hour: str) -> list[str]:
    """Write the statements that add an hour to its day; `day` and `hour` are the marks of their
    numbers.
    """
    return [
        merging(
            f"{schema}{tables['day'][0]}",
            ("day", *keys),
            merged,
            f"SELECT {day}, {', '.join((*keys, *merged))} "
            f"FROM {schema}{tables['hour'][0]} WHERE hour = {hour}",
        )
        for tables, keys in rollups.CUBES
    ]


def counted_apart(schema: str, mark: str) -> list[str]:
    """Write the queries of the values that have separate counts in an hour, in the order of
    `ValueLimits.learn`.
    """
    return [
        f"SELECT DISTINCT {', '.join(columns)} FROM {schema}{tables['hour'][0]} WHERE hour = {mark}"
        for columns, tables in rollups.LEARNED
    ]
