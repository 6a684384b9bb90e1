"""Reading tool calls: rows beside the records with indexes of their own, and rollups.

Strategy: a page is one statement in the order of an index, within the time budget; statistics come
from rollups, or from a walk over slices of rows. Rows below the purge floor, and arguments and
results below the body floor, are not shown.
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
    # No sum of whole numbers: of the largest ones it would overflow.
    "1.0 * CASE WHEN latency_us > 0 THEN latency_us ELSE 0 END",
    "cost_usd",
)
_OF_ROLLUPS: Final = ("calls", "timed", "latency_us", "cost_usd")


async def tool_calls(session: Session, query: ToolQuery) -> ToolPage:
    where = await _where(session, query.filter)
    if where is None or query.limit <= 0:
        return ToolPage([], complete=True)

    mark = session.dialect.placeholder
    number = len(where.parameters) + 1
    direction = "ASC" if query.order == "asc" else "DESC"
    order = f" {direction}, ".join((SORTS[query.sort], *session.dialect.call_order))
    then = (
        f"WHERE {where.text} ORDER BY {order} {direction} LIMIT {mark(number)} OFFSET "
        f"{mark(number + 1)}"
    )
    bounds = (min(query.limit, MAX_INT), min(max(query.offset, 0), MAX_INT))
    # The first query of a read is without limit: this is not it.
    session.budget.begin_query(is_part=False)
    rows = await session.fetch_in_budget(
        _select(session.dialect, then), (*where.parameters, *bounds)
    )
    if rows is None:
        return ToolPage([], complete=False)

    return ToolPage(await _calls(session, rows), complete=True)


async def tool_call(session: Session, record_id: bytes, position: int) -> ToolCall | None:
    if len(record_id) != ID_BYTES or not -1 < position <= MAX_INT:
        return None
    dialect = session.dialect
    state = await session.state()
    one = f"record_id = {dialect.placeholder(1)} AND position = {dialect.number_mark(2)}"
    then = f"WHERE {dialect.of_commits(one)}"
    calls = await _visible(
        session, then, (dialect.from_id(record_id), position), state.purge_floor_us
    )
    return calls[0] if calls else None


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

    sql = f"{await _stats_of(session, _OF_ROLLUPS)} FROM {_rollups(session)}"
    return added(
        ToolStats(),
        await session.fetch(f"{sql} WHERE {where.text} GROUP BY status", where.parameters),
    )


async def _stats_of(session: Session, numbers: Sequence[str]) -> str:
    """Write the selection of weighed sums that `added` takes."""
    capped_dimensions = (await session.state()).capped_dimensions
    sums = ", ".join(
        f"sum({weighed(number, capped_dimensions, session.dialect)})" for number in numbers
    )
    return f"SELECT status, {sums}, sum({numbers[0]}), max(weight)"


async def _scanned(session: Session, filter: ToolFilter) -> ToolStats:
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
    select = await _stats_of(session, _OF_ROWS)
    stats = ToolStats()
    number = len(where.parameters) + 1
    within = f"{where.text} AND {key} BETWEEN {mark(number)} AND {mark(number + 1)}"
    whole = Range(1, 0) if least is None else Range(least, most)

    first_rows = max(FIRST_SLICE, session.dialect.scan_rows)
    for part in slices(whole, "desc", Pace(first_rows * session.numbers_per_row)):
        sql = f"{select} FROM {table} WHERE {within} GROUP BY status"
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
        f"SELECT {VALUES} FROM {_rollups(session)} WHERE {where.text} GROUP BY {VALUES} HAVING "
        "sum(calls) > 0 "
        f"ORDER BY {session.dialect.newest_tool}"
    )
    rows = await session.fetch(sql, where.parameters)
    text = await session.text_of({number for row in rows for number in row})
    return values_of([text[number] for number in row] for row in rows)


async def _visible(
    session: Session, then: str, parameters: Parameters, purge_floor_us: int
) -> list[ToolCall]:
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
    def text(value: Any) -> str | None:
        if value is None or value == 0:
            return None
        return dialect.unescape(value)

    return row._replace(
        record_id=dialect.to_id(row.record_id),
        llm_request_id=text(row.llm_request_id),
        rpc_id=text(row.rpc_id),
        session=text(row.session),
        search=dialect.unescape(row.search),
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
    # What the cap on size took need not be gone from the rows.
    return Where(f"{where.text} AND record_seq > {state.bodies_through_seq}", where.parameters)
