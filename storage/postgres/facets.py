"""The values of facets: counted by rollups where they know the facet, else looked for in the newest rows.

Where these are all rows of the filter, they count every facet exactly.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from storage.aggregates import FACETS, MAX_FACET_VALUES, ROLLUP_FACETS, ROW_FACETS, SAMPLE_ROWS, FacetValue
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.index_keys import by_seq
from storage.postgres.scan import scan
from storage.postgres.state import State, read_state
from storage.postgres.tiers import has_rollups, rollup_where
from storage.postgres.totals import count_hours
from storage.query import Filter
from storage.relational.facet_counts import Counts, KnownCounts, Period, Stamp, merged
from storage.relational.facet_values import add, frequent_ids, told_by_status, written
from storage.relational.rollup_sql import Tables, record_totals, tables_for
from storage.relational.rollups import STATUS_TABLES, TABLES
from storage.relational.sql import POSTGRES, Where
from storage.relational.time_ranges import Hours, Tier, has_whole_hours, hours_inside, parts, reduced

_SAMPLE_S: Final = 0.01
"""How long rows are looked for."""


async def facets(
    connection: Connection,
    filter: Filter,
    names: Sequence[str],
    text: Names,
    known: KnownCounts,
) -> dict[str, list[FacetValue]]:
    """Find the values of facets, whose names are checked."""
    state = await read_state(connection)
    filter = state.visible(filter)
    is_known = has_rollups(state, filter)
    is_exact = is_known and has_whole_hours(filter)
    is_long = is_known and not is_exact and await _has_many(connection, filter, state)
    sampled = [name for name in names if name not in ROLLUP_FACETS or not (is_exact or is_long)]
    counts, is_whole = await _sample(connection, filter, state, sampled) if sampled else ({}, False)
    counted = [name for name in names if name in ROLLUP_FACETS and (is_exact or not is_whole)]
    if counted:
        wide = reduced(filter)
        hours = hours_inside(wide.since_us, wide.until_us)
        counts |= await count_values(connection, wide, state, hours, counted, known)
    answer = {}
    for name in names:
        found = await named(connection, text, name, counts[name], MAX_FACET_VALUES)
        has_count = is_whole or (is_exact and name in ROLLUP_FACETS)
        answer[name] = [FacetValue(value, count if has_count else None) for value, count in found]
    return answer


async def count_values(
    connection: Connection, filter: Filter, state: State, hours: Hours, names: Sequence[str], known: KnownCounts
) -> Counts:
    """Count the values of facets in the rollups of some hours."""
    where = await rollup_where(connection, filter)
    if where is None or hours.is_empty:
        return merged(names, ())
    stamps: dict[Period, Stamp] = {}
    for part in parts(hours):
        sql, parameters = record_totals(part, POSTGRES)
        for number, records in await connection.fetch(sql, *parameters):
            stamps[part.tier, number] = (int(records), state.erasures)
    question = (where, tuple(names))
    found, missing = known.find(question, stamps)
    tables = tables_for(filter, state.capped_dimensions) or TABLES
    for tier in TABLES:
        numbers = [number for missed, number in missing if missed == tier]
        counted = await _count_periods(connection, tables, where, tier, numbers, names) if numbers else {}
        for number, counts in counted.items():
            known.learn(question, (tier, number), stamps[tier, number], counts)
            found.append(counts)
    return merged(names, found)


async def _count_periods(
    connection: Connection, tables: Tables, where: Where, tier: Tier, numbers: Sequence[int], names: Sequence[str]
) -> dict[int, Counts]:
    counted: dict[int, Counts] = {number: {name: {} for name in names} for number in numbers}
    # What the smaller tables have is counted there.
    small = told_by_status(tables, names)
    for (table, period), some in (
        (STATUS_TABLES[tier], small),
        (TABLES[tier], [name for name in names if name not in small]),
    ):
        if not some:
            continue
        columns = [FACETS[name] for name in some]
        # One pass for all of them; a row of the answer counts one value of one of them, and the others are null.
        sets = ", ".join(f"({period}, {column})" for column in columns)
        sql = (
            f"SELECT {period}, {', '.join(columns)}, sum(exchanges + events)::bigint FROM sidelog.{table} "
            f"WHERE {where.text} AND {period} = ANY(${len(where.parameters) + 1}::bigint[]) "
            f"GROUP BY GROUPING SETS ({sets})"
        )
        for number, *values, count in await connection.fetch(sql, *where.parameters, list(numbers)):
            for name, value in zip(some, values, strict=True):
                if value is not None:
                    add(counted[number][name], value, count)
    return counted


async def named(
    connection: Connection, text: Names, name: str, counts: dict[int, int], limit: int
) -> list[tuple[str, int]]:
    """Write the most frequent stored values as text; null and `OTHER` are left out."""
    ids = frequent_ids(name, counts, limit)
    return written(name, counts, ids, await text.load(connection, ids), limit)


async def _has_many(connection: Connection, filter: Filter, state: State) -> bool:
    """Whether the whole hours of a filter have more rows than are looked at."""
    tables = tables_for(filter, state.capped_dimensions)
    hours = hours_inside(filter.since_us, filter.until_us)
    found = await count_hours(connection, filter, hours, tables or TABLES)
    return found.exchanges + found.events >= SAMPLE_ROWS


async def _sample(connection: Connection, filter: Filter, state: State, names: Sequence[str]) -> tuple[Counts, bool]:
    """Count values in the newest rows; answers also whether these are all rows there are."""
    counts: Counts = {name: {} for name in names}
    columns = ", ".join(f"{ROW_FACETS[name]} AS facet_{name}" for name in names)
    groups = ", ".join(f"facet_{name}" for name in names)
    select = f"SELECT {groups}, count(*) FROM (SELECT {columns} FROM sidelog.records"
    then = f" {by_seq('desc')} LIMIT {SAMPLE_ROWS}) AS newest GROUP BY {groups}"
    found = 0
    async with aclosing(scan(connection, filter, state, select, then, Budget(_SAMPLE_S))) as parts:
        async for rows in parts:
            if rows is None:
                return counts, False
            for *values, count in rows:
                found += count
                for name, value in zip(names, values, strict=True):
                    add(counts[name], value or 0, count)
            if found >= SAMPLE_ROWS:
                return counts, False
    return counts, True
