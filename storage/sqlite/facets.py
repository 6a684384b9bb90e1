"""The values of facets: counted by rollups where they know the facet, else looked for in the newest rows."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from storage.figures import FACETS, MAX_FACET_VALUES, ROLLUP_FACETS, FacetValue, class_name, most_frequent
from storage.periods import Hours, has_whole_hours, hours_inside, reduced
from storage.query import Filter
from storage.record import LEVELS
from storage.rollup_sql import rollup_rows
from storage.sql import KINDS, SQLITE
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names
from storage.sqlite.scan import scan
from storage.sqlite.tiers import has_rollups, rollup_where, snapshot, visible

SAMPLE_ROWS: Final = 10_000
_SAMPLE_S: Final = 0.05
"""How long rows are looked for."""

_WORDS: Final[dict[str, tuple[str, ...]]] = {"level": LEVELS, "kind": KINDS}

Counts = dict[str, dict[int, int]]
"""Facet → value as stored → records."""


def facets(
    connection: sqlite3.Connection, filter: Filter, names: Sequence[str], text: Names, budget: Budget
) -> dict[str, list[FacetValue]]:
    """Find the values of facets, whose names are checked."""
    counted = [name for name in names if name in ROLLUP_FACETS]
    sampled = [name for name in names if name not in ROLLUP_FACETS]
    with snapshot(connection):
        filter = visible(connection, filter)
        is_exact = has_rollups(connection, filter) and has_whole_hours(filter)
        wide = reduced(filter)
        counts = count_values(connection, wide, hours_inside(wide.since_us, wide.until_us), counted) if counted else {}
        if sampled:
            counts |= _sample(connection, filter, sampled, budget)
    answer = {}
    for name in names:
        found = named(connection, text, name, counts[name], MAX_FACET_VALUES)
        has_count = is_exact and name in ROLLUP_FACETS
        answer[name] = [FacetValue(value, count if has_count else None) for value, count in found]
    return answer


def count_values(connection: sqlite3.Connection, filter: Filter, hours: Hours, names: Sequence[str]) -> Counts:
    """Count the values of facets in the rollups of some hours."""
    counts: Counts = {name: {} for name in names}
    where = rollup_where(connection, filter)
    if where is None or hours.is_empty:
        return counts
    columns = [FACETS[name] for name in names]
    rows, parameters = rollup_rows(where, hours, (*columns, "exchanges", "events"), SQLITE)
    # One pass: the combinations of the facets asked for are few.
    sql = f"SELECT {', '.join(columns)}, sum(exchanges + events) FROM {rows} GROUP BY {', '.join(columns)}"
    for *values, count in connection.execute(sql, parameters):
        for name, value in zip(names, values, strict=True):
            add(counts[name], value, count)
    return counts


def named(
    connection: sqlite3.Connection, text: Names, name: str, counts: dict[int, int], limit: int
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
        known = text.load(connection, [value for value, _ in frequent if value > 0])
        values = {str(known[value]): count for value, count in frequent if value > 0}
    return most_frequent(values, limit)


def add(counts: dict[int, int], value: int, count: int) -> None:
    """Count a stored value."""
    counts[value] = counts.get(value, 0) + count


def _sample(connection: sqlite3.Connection, filter: Filter, names: Sequence[str], budget: Budget) -> Counts:
    counts: Counts = {name: {} for name in names}
    ends_at_s, found = time.monotonic() + _SAMPLE_S, 0
    select = f"SELECT {', '.join(FACETS[name] for name in names)} FROM records"
    for rows in scan(connection, filter, select, " ORDER BY seq DESC LIMIT ?", budget, after=(SAMPLE_ROWS,)):
        for row in (rows or ())[: SAMPLE_ROWS - found]:
            for name, value in zip(names, row, strict=True):
                add(counts[name], value, 1)
        found += len(rows or ())
        if found >= SAMPLE_ROWS or time.monotonic() > ends_at_s:
            break
    return counts
