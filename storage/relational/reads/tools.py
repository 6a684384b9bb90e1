"""Reads tool calls, which have a table and rollups of their own.

Strategy: a page is one statement in the order of an index, within the time budget. Statistics come
from rollups, or from a walk over slices of rows. Rows below the purge floor are not shown, nor are
arguments and results below the body floor.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from storage.record import ToolCall
from storage.relational.by_id import ID_BYTES
from storage.relational.session import Session
from storage.relational.slices import FIRST_SLICE, Pace, Range, slices
from storage.relational.sql import MAX_INT, Dialect, Parameters, Rows, Where
from storage.relational.tools.rows import (
    COLUMNS,
    FIRST_REPEATED,
    SORTS,
    VALUES,
    Row,
    added,
    make_call,
    values_of,
)
from storage.relational.tools.sql import conditions, rollup_conditions, texts
from storage.relational.weights import weighed
from storage.tools import (
    ToolFilter,
    ToolPage,
    ToolQuery,
    ToolStats,
    ToolStatsQuery,
    ToolValues,
    ToolValuesQuery,
)

_OF_ROWS: Final = (
    "1",
    "CASE WHEN latency_us >= 0 THEN 1 ELSE 0 END",
    # Floating point: a sum of the largest whole numbers would overflow.
    "1.0 * CASE WHEN latency_us > 0 THEN latency_us ELSE 0 END",
    "cost_usd",
)
"""Measures of a row of calls, in the order of `_OF_ROLLUPS`."""
_OF_ROLLUPS: Final = ("calls", "timed", "latency_us", "cost_usd")


async def tool_calls(session: Session, query: ToolQuery) -> ToolPage:
    where = await _where(session, query.filter)
    if where is None or query.limit <= 0:
        return ToolPage([], complete=True)

    mark = session.dialect.placeholder
    number = len(where.parameters) + 1
    columns = (SORTS[query.sort], *session.dialect.call_order)
    direction = "ASC" if query.order == "asc" else "DESC"
    order = ", ".join(f"{column} {direction}" for column in columns)
    limits = f"LIMIT {mark(number)} OFFSET {mark(number + 1)}"
    sql = _select(session.dialect, f"WHERE {where.text} ORDER BY {order} {limits}")
    bounds = (min(query.limit, MAX_INT), min(max(query.offset, 0), MAX_INT))
    # The first query of a read has no time limit. This one has: it cannot be cut into slices.
    session.budget.begin_query(is_part=False)
    rows = await session.fetch_in_budget(sql, (*where.parameters, *bounds))
    if rows is None:
        return ToolPage([], complete=False)
    return ToolPage(await _calls(session, rows), complete=True)


async def tool_call(session: Session, record_id: bytes, position: int) -> ToolCall | None:
    if len(record_id) != ID_BYTES or not 0 <= position <= MAX_INT:
        return None

    dialect = session.dialect
    state = await session.state()
    one = f"record_id = {dialect.placeholder(1)} AND position = {dialect.number_mark(2)}"
    then = f"WHERE {dialect.of_commits(one)}"
    parameters = (record_id, position)
    calls = await _visible(session, then, parameters, state.purge_floor_us)
    if calls:
        return calls[0]
    return None


async def tool_calls_of(session: Session, record_seq: int) -> list[ToolCall]:
    then = f"WHERE {session.dialect.of_commits(f'record_seq = {session.dialect.placeholder(1)}')}"
    seq = max(min(record_seq, MAX_INT), 0)
    return await _visible(session, then, (seq,), (await session.state()).purge_floor_us)


async def waiting_calls(session: Session, instance: str) -> list[ToolCall]:
    dialect = session.dialect
    floor_us = (await session.state()).body_floor_us
    mine = dialect.of_commits(
        f"instance = {dialect.placeholder(1)} AND started_at_us >= {dialect.number_mark(2)}"
    )
    sql = f"SELECT data FROM {dialect.schema}waiting_calls WHERE {mine} ORDER BY started_at_us"
    rows = await session.fetch(sql, (instance, floor_us))
    return [msgspec.msgpack.decode(dialect.to_bytes(data), type=ToolCall) for (data,) in rows]


async def tool_stats(session: Session, query: ToolStatsQuery) -> ToolStats:
    filter = query.filter
    if not filter.has_only_rollup_dimensions:
        return await _scanned(session, filter)

    where = await _rollup_where(session, filter)
    if where is None:
        return ToolStats()

    select = await _select_sums(session, _OF_ROLLUPS)
    sql = f"{select} FROM {_rollups(session)} WHERE {where.text} GROUP BY status"
    return added(ToolStats(), await session.fetch(sql, where.parameters))


async def _select_sums(session: Session, measures: Sequence[str]) -> str:
    """Write the selection of weighed sums by status that `added` takes."""
    capped_dimensions = (await session.state()).capped_dimensions
    weighed_measures = [weighed(name, capped_dimensions, session.dialect) for name in measures]
    sums = ", ".join(f"sum({measure})" for measure in weighed_measures)
    return f"SELECT status, {sums}, sum({measures[0]}), max(weight)"


async def _scanned(session: Session, filter: ToolFilter) -> ToolStats:
    """Add up rows, slice by slice, until the budget ends."""
    where = await _where(session, filter)
    if where is None:
        return ToolStats()

    table = f"{session.dialect.schema}tool_calls"
    mark = session.dialect.placeholder
    key = session.dialect.call_order[0]
    # Two sub-selects: min and max in one select scan the table.
    [(least, most)] = await session.fetch(
        f"SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})"
    )
    if least is None:
        return ToolStats()

    number = len(where.parameters) + 1
    within = f"{where.text} AND {key} BETWEEN {mark(number)} AND {mark(number + 1)}"
    select = await _select_sums(session, _OF_ROWS)
    sql = f"{select} FROM {table} WHERE {within} GROUP BY status"
    stats = ToolStats()
    first_rows = max(FIRST_SLICE, session.dialect.scan_rows)
    for part in slices(Range(least, most), "desc", Pace(first_rows * session.numbers_per_row)):
        rows = await session.fetch_in_budget(sql, (*where.parameters, part.first, part.last))
        if rows is None:
            return replace(stats, exact=False)
        stats = added(stats, rows)

    return stats


async def tool_values(session: Session, query: ToolValuesQuery) -> ToolValues:
    where = await _rollup_where(session, ToolFilter(scope=query.filter.scope))
    if where is None:
        return ToolValues([], [], [])

    sql = (
        f"SELECT {VALUES} FROM {_rollups(session)} WHERE {where.text} GROUP BY {VALUES} "
        f"HAVING sum(calls) > 0 ORDER BY {session.dialect.newest_tool}"
    )
    rows = await session.fetch(sql, where.parameters)
    text = await session.text_of({number for row in rows for number in row})
    return values_of([text[number] for number in row] for row in rows)


async def _visible(
    session: Session, then: str, parameters: Parameters, purge_floor_us: int
) -> list[ToolCall]:
    """Read the calls of one record that are not purged."""
    floor = session.dialect.placeholder(len(parameters) + 1)
    sql = _select(session.dialect, f"{then} AND started_at_us >= {floor} ORDER BY position")
    return await _calls(session, await session.fetch(sql, (*parameters, purge_floor_us)))


async def _calls(session: Session, rows: Rows) -> list[ToolCall]:
    text = await session.text_of({number for row in rows for number in row[FIRST_REPEATED:]})
    state = await session.state()
    return [
        make_call(
            _plain(Row(*row[1:FIRST_REPEATED]), session.dialect),
            [text[number] for number in row[FIRST_REPEATED:]],
            state.body_floor_us if row[0] > state.bodies_through_seq else MAX_INT,
        )
        for row in rows
    ]


def _plain(row: Row, dialect: Dialect) -> Row:
    """Decode the dialect's forms of ids, texts and bytes."""

    def text(value: Any) -> str | None:
        if value is None or value == 0:
            return None
        return str(value)

    return row._replace(
        record_id=dialect.to_bytes(row.record_id),
        llm_request_id=text(row.llm_request_id),
        rpc_id=text(row.rpc_id),
        session=text(row.session),
        detail=dialect.to_bytes(row.detail),
    )


def _select(dialect: Dialect, then: str) -> str:
    return f"SELECT {', '.join(COLUMNS)} FROM {dialect.schema}tool_calls {then}"


def _rollups(session: Session) -> str:
    return f"{session.dialect.schema}{session.dialect.tool_rollups}"


async def _rollup_where(session: Session, filter: ToolFilter) -> Where | None:
    ids = await session.ids_of(texts(filter))
    return rollup_conditions(filter, ids, session.dialect, (await session.state()).purge_floor_us)


async def _where(session: Session, filter: ToolFilter) -> Where | None:
    state = await session.state()
    ids = await session.ids_of(texts(filter))
    where = conditions(filter, ids, session.dialect, state.purge_floor_us, state.body_floor_us)
    if where is None or not filter.content or not state.bodies_through_seq:
        return where
    # The cap on size may leave arguments and results in the rows for a while.
    return Where(f"{where.text} AND record_seq > {state.bodies_through_seq}", where.parameters)
