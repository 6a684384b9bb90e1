"""Tool calls in SQLite: rows beside the records with their own indexes; arguments and results in one zstd frame each.

Strategy: a page is one statement in the order of an index, within the time budget; figures come from rollups, or from
a walk over slices of rows. Rows below the purge floor, and arguments and results below the body floor, are not shown.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from storage.query import Scope
from storage.record import Entry, ToolCall
from storage.relational.slices import Range, slices
from storage.relational.sql import MAX_INT, Where
from storage.relational.sql import SQLITE as MARKS
from storage.relational.tool_rows import (
    COLUMNS,
    FIRST_REPEATED,
    REPEATED,
    SORTS,
    VALUES,
    added,
    make_call,
    row_of,
    values_of,
)
from storage.relational.tool_rows import Row as ToolRow
from storage.relational.tool_sql import Dialect, conditions, rollup_conditions, texts
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names, find
from storage.sqlite.tiers import meta
from storage.tools import ToolFilter, ToolPage, ToolQuery, ToolStats, ToolValues, awaited_calls, ended_calls

_DIALECT: Final = Dialect(
    marks=MARKS,
    content="instr(search, {}) > 0",
    linked="(llm_request_id <> 0 AND llm_request_id = {0})",
)
_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM tool_calls"
_INSERT: Final = f"INSERT INTO tool_calls ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_FORGET: Final = "DELETE FROM waiting_calls WHERE record_id = ? AND position = ?"
_AWAIT: Final = (
    "INSERT OR REPLACE INTO waiting_calls SELECT ?, ?, ?, ?, ? "
    # The batch with the answer may have overtaken this one, when it was in the spool.
    "WHERE NOT EXISTS (SELECT 1 FROM tool_calls WHERE record_id = ? AND position = ?)"
)

IdOf = Callable[[sqlite3.Connection, str, str | None], int]


def insert_calls(connection: sqlite3.Connection, entries: Iterable[Entry], first_seq: int, id_of: IdOf) -> None:
    """Insert the calls of a batch's entries, inside its transaction."""
    called = [(seq, entry) for seq, entry in enumerate(entries, first_seq) if entry.tool_calls]
    if not called:
        return
    ended = [(seq, call) for seq, entry in called for call in ended_calls(entry)]
    connection.executemany(_INSERT, [_row(connection, call, seq, id_of) for seq, call in ended])
    connection.executemany(_FORGET, [(call.record_id, call.position) for _, call in ended])
    awaited = [(entry.record.instance, call) for _, entry in called for call in awaited_calls(entry)]
    connection.executemany(_AWAIT, [_waiting_row(instance, call) for instance, call in awaited])


def waiting_calls(connection: sqlite3.Connection, instance: str) -> list[ToolCall]:
    """List the calls whose answer a sidecar awaits, oldest first."""
    sql = "SELECT data FROM waiting_calls WHERE instance = ? ORDER BY started_at_us"
    return [msgspec.msgpack.decode(data, type=ToolCall) for (data,) in connection.execute(sql, (instance,))]


def _waiting_row(instance: str, call: ToolCall) -> tuple[Any, ...]:
    key = (call.record_id, call.position)
    return (*key, instance, call.started_at_us, msgspec.msgpack.encode(call), *key)


def _row(connection: sqlite3.Connection, call: ToolCall, seq: int, id_of: IdOf) -> tuple[Any, ...]:
    stored = (0 if value is None else value for value in row_of(call))
    return seq, *stored, *(id_of(connection, column, getattr(call, column)) for column in REPEATED)


def tool_calls(connection: sqlite3.Connection, query: ToolQuery, names: Names, budget: Budget) -> ToolPage:
    """Read one page."""
    where = _where(connection, query.filter)
    if where is None or query.limit <= 0:
        return ToolPage([], complete=True)
    direction = "ASC" if query.order == "asc" else "DESC"
    sql = f"{_SELECT} WHERE {where.text} ORDER BY {SORTS[query.sort]} {direction}, id {direction} LIMIT ? OFFSET ?"
    bounds = (min(query.limit, MAX_INT), min(max(query.offset, 0), MAX_INT))
    budget.execute(connection, "SELECT 1", ())  # the first statement of a read is without limit: this is not it
    rows = budget.execute(connection, sql, (*where.parameters, *bounds))
    return ToolPage([], complete=False) if rows is None else ToolPage(_decode(connection, rows, names), complete=True)


def tool_call(connection: sqlite3.Connection, record_id: bytes, position: int, names: Names) -> ToolCall | None:
    """Read one call."""
    if not -1 < position <= MAX_INT:
        return None
    sql = f"{_SELECT} WHERE record_id = ? AND position = ? AND started_at_us >= ?"
    rows = connection.execute(sql, (record_id, position, meta(connection, "purge_floor_us"))).fetchall()
    return _decode(connection, rows, names)[0] if rows else None


def tool_calls_of(connection: sqlite3.Connection, record_seq: int, names: Names) -> list[ToolCall]:
    """Read the calls stored with one record."""
    sql = f"{_SELECT} WHERE record_seq = ? AND started_at_us >= ? ORDER BY position"
    rows = connection.execute(sql, (record_seq, meta(connection, "purge_floor_us"))).fetchall()
    return _decode(connection, rows, names)


def tool_stats(connection: sqlite3.Connection, filter: ToolFilter, budget: Budget) -> ToolStats:
    """Count the calls of a filter."""
    if filter.has_only_rollup_dimensions:
        where = _rollup_where(connection, filter)
        if where is None:
            return ToolStats()
        sql = "SELECT status, sum(calls), sum(timed), sum(latency_us), sum(cost_usd) FROM tool_rollups"
        return added(
            ToolStats(), connection.execute(f"{sql} WHERE {where.text} GROUP BY status", where.parameters).fetchall()
        )
    where = _where(connection, filter)
    if where is None:
        return ToolStats()
    least, most = connection.execute(
        "SELECT (SELECT min(id) FROM tool_calls), (SELECT max(id) FROM tool_calls)"
    ).fetchone()
    stats = ToolStats()
    for part in slices(Range(1, 0) if least is None else Range(least, most), "desc"):
        sql = (
            "SELECT status, count(*), total(latency_us >= 0), total(max(latency_us, 0)), total(cost_usd) "
            f"FROM tool_calls WHERE {where.text} AND id BETWEEN ? AND ? GROUP BY status"
        )
        rows = budget.execute(connection, sql, (*where.parameters, part.first, part.last))
        if rows is None:
            return ToolStats(
                stats.executions, stats.successes, stats.timed, stats.latency_us, stats.cost_usd, exact=False
            )
        stats = added(stats, rows)
    return stats


def tool_values(connection: sqlite3.Connection, scope: Scope, names: Names) -> ToolValues:
    """List what a filter may name."""
    where = _rollup_where(connection, ToolFilter(scope=scope))
    if where is None:
        return ToolValues([], [], [])
    rows = connection.execute(f"SELECT DISTINCT {VALUES} FROM tool_rollups WHERE {where.text}", where.parameters)
    found = rows.fetchall()
    text = names.load(connection, {number for row in found for number in row})
    return values_of([text[number] for number in row] for row in found)


def drop_details(connection: sqlite3.Connection, body_floor_us: int, max_calls: int) -> int:
    """Forget arguments and results of calls below the floor of bodies, of so many; answers of how many."""
    sql = "SELECT id FROM tool_calls WHERE started_at_us < ? AND detail <> x'' LIMIT ?"
    ids = connection.execute(sql, (body_floor_us, max_calls)).fetchall()
    connection.execute("DELETE FROM waiting_calls WHERE started_at_us < ?", (body_floor_us,))
    connection.executemany("UPDATE tool_calls SET detail = x'', search = '' WHERE id = ?", ids)
    return len(ids)


def _decode(connection: sqlite3.Connection, rows: list[tuple[Any, ...]], names: Names) -> list[ToolCall]:
    text = names.load(connection, {number for row in rows for number in row[FIRST_REPEATED:]})
    body_floor_us = meta(connection, "body_floor_us")
    return [
        make_call(_plain(row[1:FIRST_REPEATED]), [text[number] for number in row[FIRST_REPEATED:]], body_floor_us)
        for row in rows
    ]


def _plain(values: tuple[Any, ...]) -> ToolRow:
    row = ToolRow(*values)
    return row._replace(
        llm_request_id=row.llm_request_id or None, rpc_id=row.rpc_id or None, session=row.session or None
    )


def _rollup_where(connection: sqlite3.Connection, filter: ToolFilter) -> Where | None:
    ids = find(connection, texts(filter))
    return rollup_conditions(filter, ids, _DIALECT, meta(connection, "purge_floor_us"))


def _where(connection: sqlite3.Connection, filter: ToolFilter) -> Where | None:
    floors = meta(connection, "purge_floor_us"), meta(connection, "body_floor_us")
    return conditions(filter, find(connection, texts(filter)), _DIALECT, *floors)
