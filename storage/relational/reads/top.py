"""The values that most exchanges of a filter have, and what came of them, together or step by step
in time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from storage.aggregates import (
    FIELDS_OF_CALLS,
    MAX_GROUPS,
    OTHERS,
    TOP_COUNTS,
    TOP_FIELDS,
    Names,
    Top,
    TopRow,
    TopSeries,
    merged,
    most,
)
from storage.query import ROLLUP_METHODS, Filter, SeriesQuery, TopQuery
from storage.relational import rollup_sql, rollups
from storage.relational.reads.aggregate import LATENCIES, Steps, Sums, Values
from storage.relational.reads.groups import groups
from storage.relational.session import Session
from storage.relational.sql import DIMENSIONS
from storage.relational.tally import narrowed
from storage.relational.time_ranges import is_in_hours, steps
from storage.relational.writes.packing import unpack_address
from storage.search.cell import is_cell_field


async def top(session: Session, query: TopQuery) -> Top:
    if is_cell_field(query.by):
        return await groups(session, query)
    has_calls = query.by in FIELDS_OF_CALLS
    measures = (TOP_COUNTS[0], "events", *TOP_COUNTS[1:]) if has_calls else TOP_COUNTS
    sums = Sums(
        session, TOP_FIELDS[query.by], measures, LATENCIES[:1], has_calls=has_calls, max_groups=MAX_GROUPS
    )  # fmt: skip
    is_whole = await _add(sums, query.filter)
    names = await _names_of(
        session, sums.by, {*sums.found, *(values for values, _, _ in sums.exact)}
    )
    found = []

    for values, cells in sums.found.items():
        found.append(
            TopRow(names[values], durations=cells[0].latencies[0], sampled=values in sums.sampled)
        )
        counts = cells[0].counts
        found[-1].add([counts[0], *counts[2:]] if has_calls else counts)

    rows = [row for row in most(found) if not row.is_empty]
    durations: dict[Names, list[int]] = {}
    for values, _, (duration_us,) in sums.exact:
        durations.setdefault(names[values], []).append(duration_us or 0)
    if durations.keys() == {row.names for row in rows if row.exchanges}:
        for row in rows:
            row.durations.values = sorted(durations[row.names]) if row.exchanges else None
    return Top(rows, sums.exchanges, is_whole)


async def series(session: Session, query: SeriesQuery) -> TopSeries:
    since_us = query.since_us
    until_us = query.until_us
    step, starts = steps(since_us, until_us, query.buckets, is_long=is_in_hours(since_us, until_us))
    if not starts:
        return TopSeries(since_us, step, {}, complete=True)

    sums = Sums(
        session,
        TOP_FIELDS[query.by],
        TOP_COUNTS[:1],
        steps=Steps(starts[0], step),
        max_groups=MAX_GROUPS,
    )
    is_whole = await _add(sums, narrowed(query.filter, since_us, until_us))
    names = await _names_of(session, sums.by, sums.found.keys())
    counts: dict[Values, list[int]] = {}

    for values, cells in sums.found.items():
        counts[values] = numbers = [0] * len(starts)
        for place, cell in cells.items():
            numbers[place] = cell.counts[0]

    return TopSeries(
        starts[0], step, merged(counts, names.__getitem__), is_whole, bool(sums.sampled)
    )


async def _add(sums: Sums, filter: Filter) -> bool:
    state = await sums.session.state()
    filter = state.visible(replace(filter, kind="all" if sums.has_calls else "exchange"))
    return await sums.add(filter, _tables_by(sums.by, filter, state.capped_dimensions))


def _tables_by(
    columns: Sequence[str], filter: Filter, capped_dimensions: int
) -> rollup_sql.Tables | None:
    """Choose the rollups that have both some columns and the dimensions of a filter; None: they
    need rows.
    """
    if not _is_by_endpoint(columns) and (
        rollup_sql.holds_others(capped_dimensions, columns) or "method" in columns
    ):
        return None  # of the others, and of methods that clients invented, only rows know the names
    return rollup_sql.tables_for(filter, capped_dimensions, columns)


def _is_by_endpoint(columns: Sequence[str]) -> bool:
    return columns == TOP_FIELDS["endpoint"]


async def _names_of(
    session: Session, columns: tuple[str, ...], groups: Collection[Values]
) -> Mapping[Values, Names]:
    """Return what groups are called."""
    coded = [place for place, column in enumerate(columns) if column in DIMENSIONS]
    is_by_endpoint = _is_by_endpoint(columns)
    text = await session.text_of(
        {values[place] for values in groups for place in coded} - {0, rollups.OTHER}
    )

    def name(column: str, value: Any) -> str | None:
        if value == 0 or value == rollups.OTHER:
            return OTHERS if value else None
        if column in DIMENSIONS:
            named = text[value]
            if column == "method" and is_by_endpoint and named not in ROLLUP_METHODS:
                return None
            return named

        if column == "client_ip":
            value = unpack_address(session.dialect.to_bytes(value))
        return session.dialect.unescape(str(value))

    return {
        values: tuple(name(column, value) for column, value in zip(columns, values, strict=True))
        for values in groups
    }
