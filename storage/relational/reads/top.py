"""The values that most exchanges of a filter have, and what came of them: whole hours from rollups, the rest from rows.

Strategy: the smallest rollups that have both the filter's dimensions and the fields asked for are added up, and only
what sticks out of whole hours is scanned. Where no rollups can tell, the newest rows are added up by the database slice
by slice, in its budget.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from storage.aggregates import MAX_GROUPS, OTHERS, TOP_FIELDS, Names, Top, TopRow, most
from storage.query import ROLLUP_METHODS, Filter
from storage.relational import rollup_sql, rollups
from storage.relational.reads.scan import few_exchanges, scan, start_range
from storage.relational.session import Rows, Session
from storage.relational.sql import DIMENSIONS
from storage.relational.time_ranges import Hours, split
from storage.relational.usage import cost_sum, token_sum
from storage.relational.writes.packing import unpack_address

_ROW_SUMS: Final = (
    f"sum(request_bytes), sum(response_bytes), {token_sum('input_tokens')}, {token_sum('output_tokens')}, "
    f"{cost_sum()}, min(duration_us), max(duration_us)"
)
_ROLLUP_SUMS: Final = rollup_sql.sums(
    (
        "exchanges", "CASE WHEN status_class = 4 THEN exchanges ELSE 0 END",
        "CASE WHEN status_class = 5 THEN exchanges ELSE 0 END",
        "request_bytes", "response_bytes", "input_tokens", "output_tokens", "cost_nano_usd",
    )
)  # fmt: skip
_ROLLUP_COLUMNS: Final = (
    "exchanges", "request_bytes", "response_bytes", "input_tokens", "output_tokens", "cost_nano_usd",
    rollups.LEAST[0], rollups.MOST[0], rollups.HISTOGRAMS[0],
)  # fmt: skip

Values = tuple[Any, ...]
"""As they are stored, 0 for null."""
Groups = defaultdict[Values, TopRow]


async def top(session: Session, filter: Filter, by: str) -> Top:
    columns = TOP_FIELDS[by]
    state = await session.state()
    filter = state.visible(replace(filter, kind="exchange"))
    found: Groups = defaultdict(partial(TopRow, ()))
    edges = [filter]
    tables = tables_by(columns, filter, state.capped_dimensions)
    if tables is not None:
        cut = split(filter, (await start_range(session))[1])
        if await _add_hours(session, tables, filter, cut.hours, columns, found):
            edges = cut.edges
    is_whole = True
    for edge in edges:
        is_whole &= is_whole and await _add_rows(session, edge, columns, found)
    seen = sum(row.exchanges for row in found.values())
    few: Rows = []
    if is_whole:
        select = f"SELECT {', '.join(columns)}, duration_us"
        few = await few_exchanges(session, filter, seen, select, is_counted=edges != [filter]) or []
    names = await names_of(session, columns, {*found, *(values_of(row[:-1]) for row in few)})
    for values, row in found.items():
        row.names = names[values]
    rows = most(found.values())
    _measure(rows, ((names[values_of(row[:-1])], row[-1]) for row in few))
    return Top(rows, seen, is_whole)


def tables_by(columns: Sequence[str], filter: Filter, capped_dimensions: int) -> rollup_sql.Tables | None:
    """Choose the rollups that have both some columns and the dimensions of a filter; None when only rows can tell."""
    if not _is_by_endpoint(columns) and (rollup_sql.holds_others(capped_dimensions, columns) or "method" in columns):
        return None  # of the others, and of methods that clients invented, only rows know the names
    return rollup_sql.tables_for(filter, capped_dimensions, columns)


def _is_by_endpoint(columns: Sequence[str]) -> bool:
    return columns == TOP_FIELDS["endpoint"]


async def _add_hours(
    session: Session, tables: rollup_sql.Tables, filter: Filter, hours: Hours, columns: tuple[str, ...], found: Groups
) -> bool:
    """Add whole hours; False when there are too many groups, and nothing was added."""
    where = await rollup_sql.rollup_where(session, filter)
    if where is None or hours.is_empty:
        return not hours.is_empty
    dialect, grouped = session.dialect, ", ".join(columns)
    read = dict.fromkeys((*columns, "status_class", *_ROLLUP_COLUMNS))
    rows, parameters = await rollup_sql.rollup_rows(session, tables, where, hours, tuple(read))
    sql = (
        f"SELECT {grouped}, {_ROLLUP_SUMS}, {rollup_sql.latency_sums(rollups.HISTOGRAMS[0], dialect)} FROM {rows} "
        f"GROUP BY {grouped} LIMIT {MAX_GROUPS + 1}"
    )
    groups = await session.fetch(sql, parameters)
    if len(groups) > MAX_GROUPS:
        return False
    for row in groups:
        values, counts, latencies = values_of(row[: len(columns)]), row[len(columns) : -3], row[-3:]
        if counts[0] > 0:
            known = found[values]
            known.add(counts)
            rollup_sql.add_latencies(known.durations, latencies, dialect)
    return True


async def _add_rows(session: Session, filter: Filter, columns: tuple[str, ...], found: Groups) -> bool:
    """Add rows; False when they were too many, or have too many groups."""
    width = len(columns)

    def add(rows: Rows) -> bool:
        for row in rows:
            known = found[values_of(row[:width])]
            bucket, *counts, least_us, most_us = row[width:]
            known.add(counts)
            known.durations.add({bucket: counts[0]}, least_us, most_us)
        return len(found) >= MAX_GROUPS

    dialect, grouped = session.dialect, ", ".join(columns)
    failures = ", ".join(f"sum(CASE WHEN {dialect.status_class} = {number} THEN 1 ELSE 0 END)" for number in (4, 5))
    select = f"SELECT {grouped}, {dialect.bucket('duration_us')} AS duration_bucket, count(*), {failures}, {_ROW_SUMS}"
    is_whole = await scan(session, filter, select, f" GROUP BY {grouped}, duration_bucket", add)
    return is_whole and len(found) < MAX_GROUPS


def _measure(rows: list[TopRow], exchanges: Iterable[tuple[Names, int]]) -> None:
    """Give rows the durations of their exchanges, if those are all that they have."""
    durations: dict[Names, list[int]] = {}
    for names, duration_us in exchanges:
        durations.setdefault(names, []).append(duration_us)
    if durations.keys() == {row.names for row in rows}:
        for row in rows:
            row.durations.values = sorted(durations[row.names])


async def names_of(session: Session, columns: tuple[str, ...], groups: Collection[Values]) -> Mapping[Values, Names]:
    """Return what groups are called."""
    coded = [place for place, column in enumerate(columns) if column in DIMENSIONS]
    is_by_endpoint = _is_by_endpoint(columns)
    text = await session.text_of({values[place] for values in groups for place in coded} - {0, rollups.OTHER})

    def name(column: str, value: Any) -> str | None:
        if value == 0 or value == rollups.OTHER:
            return OTHERS if value else None
        if column in DIMENSIONS:
            named = text[value]
            return None if column == "method" and is_by_endpoint and named not in ROLLUP_METHODS else named
        if column == "client_ip":
            value = unpack_address(session.dialect.to_bytes(value))
        return session.dialect.unescape(str(value))

    return {
        values: tuple(name(column, value) for column, value in zip(columns, values, strict=True)) for values in groups
    }


def values_of(row: Sequence[Any]) -> Values:
    """Write null as rollups do."""
    return tuple([0 if value is None else value for value in row])
