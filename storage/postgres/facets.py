"""The values of facets: counted by rollups where they know the facet, else looked for in the newest rows."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from storage.figures import FACETS, MAX_FACET_VALUES, ROLLUP_FACETS, FacetValue, class_name, most_frequent
from storage.periods import Hours, has_whole_hours, hours_inside, reduced
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.scan import scan
from storage.postgres.state import State, read_state
from storage.postgres.tiers import has_rollups, rollup_where
from storage.query import Filter
from storage.record import LEVELS
from storage.rollup_sql import rollup_rows
from storage.sql import KINDS, POSTGRES

SAMPLE_ROWS: Final = 10_000
_SAMPLE_S: Final = 0.05
"""How long rows are looked for."""

_WORDS: Final[dict[str, tuple[str, ...]]] = {"level": LEVELS, "kind": KINDS}

Counts = dict[str, dict[int, int]]
"""Facet → value as stored, 0 for null → records."""


async def facets(
    connection: Connection, filter: Filter, names: Sequence[str], text: Names, budget: Budget
) -> dict[str, list[FacetValue]]:
    """Find the values of facets, whose names are checked."""
    counted = [name for name in names if name in ROLLUP_FACETS]
    sampled = [name for name in names if name not in ROLLUP_FACETS]
    state = await read_state(connection)
    filter = state.visible(filter)
    is_exact = has_rollups(state, filter) and has_whole_hours(filter)
    wide = reduced(filter)
    hours = hours_inside(wide.since_us, wide.until_us)
    counts = await count_values(connection, wide, hours, counted) if counted else {}
    if sampled:
        counts |= await _sample(connection, filter, state, sampled, budget)
    answer = {}
    for name in names:
        found = await named(connection, text, name, counts[name], MAX_FACET_VALUES)
        has_count = is_exact and name in ROLLUP_FACETS
        answer[name] = [FacetValue(value, count if has_count else None) for value, count in found]
    return answer


async def count_values(connection: Connection, filter: Filter, hours: Hours, names: Sequence[str]) -> Counts:
    """Count the values of facets in the rollups of some hours."""
    counts: Counts = {name: {} for name in names}
    where = await rollup_where(connection, filter)
    if where is None or hours.is_empty:
        return counts
    columns = [FACETS[name] for name in names]
    rows, parameters = rollup_rows(where, hours, (*columns, "exchanges", "events"), POSTGRES)
    # One pass for all facets; a row of the answer counts one value of one of them, and the others are null.
    sets = ", ".join(f"({column})" for column in columns)
    sql = f"SELECT {', '.join(columns)}, sum(exchanges + events)::bigint FROM {rows} GROUP BY GROUPING SETS ({sets})"
    for *values, count in await connection.fetch(sql, *parameters):
        for name, value in zip(names, values, strict=True):
            if value is not None:
                add(counts[name], value, count)
    return counts


async def named(
    connection: Connection, text: Names, name: str, counts: dict[int, int], limit: int
) -> list[tuple[str, int]]:
    """Write the most frequent stored values as text; null and `OTHER` are left out."""
    column = FACETS[name]
    if column == "status_class":
        values = {class_name(value): count for value, count in counts.items() if value}
    elif column in _WORDS:
        values = {_WORDS[column][value]: count for value, count in counts.items()}
    else:
        # More than wanted are looked up, so that equal counts are sorted by name; but not ten thousands.
        frequent = sorted(counts.items(), key=lambda item: -item[1])[: 4 * limit]
        known = await text.load(connection, [value for value, _ in frequent if value > 0])
        values = {str(known[value]): count for value, count in frequent if value > 0}
    return most_frequent(values, limit)


def add(counts: dict[int, int], value: int, count: int) -> None:
    """Count a stored value."""
    counts[value] = counts.get(value, 0) + count


async def _sample(connection: Connection, filter: Filter, state: State, names: Sequence[str], budget: Budget) -> Counts:
    counts: Counts = {name: {} for name in names}
    ends_at_s, found = time.monotonic() + _SAMPLE_S, 0
    select = f"SELECT {', '.join(FACETS[name] for name in names)} FROM sidelog.records"
    then = f" ORDER BY seq DESC LIMIT {SAMPLE_ROWS}"
    async with aclosing(scan(connection, filter, state, select, then, budget)) as parts:
        async for rows in parts:
            for row in (rows or ())[: SAMPLE_ROWS - found]:
                for name, value in zip(names, row, strict=True):
                    add(counts[name], value or 0, 1)
            found += len(rows or ())
            if found >= SAMPLE_ROWS or time.monotonic() > ends_at_s:
                break
    return counts
