"""Tool calls in SQLite: rows beside the records with their own indexes; arguments and results in one zstd frame each.

Strategy: a page is one statement in the order of an index, within the time budget; figures come from rollups, or from
a walk over slices of rows. Rows below the purge floor, and arguments and results below the body floor, are not shown.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import sqlite3
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from storage.periods import HOUR_US
from storage.query import Scope
from storage.record import Entry, ToolCall, ToolStatus
from storage.slices import Range, slices
from storage.sql import MAX_INT, Texts, is_storable
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import Names, find, marks
from storage.sqlite.tiers import meta
from storage.tools import ToolFilter, ToolKey, ToolPage, ToolQuery, ToolStats, ToolValues

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STATUSES: Final[tuple[ToolStatus, ...]] = ("success", "error")
_REPEATED: Final = (
    "tool_name", "server_label", "project", "container", "client", "key_id", "key_name", "key_last4",
)  # fmt: skip
_COLUMNS: Final = (
    "record_seq", "record_id", "position", "started_at_us", "created_at_us", "status", "latency_us", "cost_usd",
    "llm_request_id", "rpc_id", "session", "search", "detail", *_REPEATED,
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM tool_calls"
_INSERT: Final = f"INSERT INTO tool_calls ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_SORTS: Final = {"timestamp": "started_at_us", "latency": "latency_us", "cost": "cost_usd"}
_SCOPED: Final = (("project", "projects"), ("container", "containers"), ("client", "clients"))
_DROPPED_ROWS: Final = 1000
"""Rows of one slice of body retention."""

IdOf = Callable[[sqlite3.Connection, str, str | None], int]


class Detail(msgspec.Struct, array_like=True, gc=False):
    """The stored form of what lists need not look at."""

    arguments: bytes | None
    result: bytes | None
    error_details: bytes | None
    metadata: bytes


def insert_calls(connection: sqlite3.Connection, entries: Iterable[Entry], first_seq: int, id_of: IdOf) -> None:
    """Insert the calls of a batch's entries, inside its transaction."""
    rows = [
        _row(connection, call, seq, id_of) for seq, entry in enumerate(entries, first_seq) for call in entry.tool_calls
    ]
    if rows:
        connection.executemany(_INSERT, rows)


def _row(connection: sqlite3.Connection, call: ToolCall, seq: int, id_of: IdOf) -> tuple[Any, ...]:
    detail = Detail(call.arguments, call.result, call.error_details, call.metadata)
    return (
        seq, call.record_id, call.position, call.started_at_us, call.created_at_us,
        _STATUSES.index(call.status), -1 if call.latency_us is None else call.latency_us, call.cost_usd,
        call.llm_request_id or 0, call.rpc_id or 0, call.session or 0, call.search,
        zstd.compress(msgspec.msgpack.encode(detail)),
        *(id_of(connection, column, getattr(call, column)) for column in _REPEATED),
    )  # fmt: skip


def tool_calls(connection: sqlite3.Connection, query: ToolQuery, names: Names, budget: Budget) -> ToolPage:
    """Read one page."""
    where = _where(connection, query.filter)
    if where is None or query.limit <= 0:
        return ToolPage([], complete=True)
    text, parameters = where
    direction = "ASC" if query.order == "asc" else "DESC"
    sql = f"{_SELECT} WHERE {text} ORDER BY {_SORTS[query.sort]} {direction}, id {direction} LIMIT ? OFFSET ?"
    bounds = (min(query.limit, MAX_INT), min(max(query.offset, 0), MAX_INT))
    budget.execute(connection, "SELECT 1", ())  # the first statement of a read is without limit: this is not it
    rows = budget.execute(connection, sql, (*parameters, *bounds))
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
        sql = (
            f"SELECT status, sum(calls), sum(timed), sum(latency_us), sum(cost_usd) FROM tool_rollups WHERE {where[0]}"
        )
        return _added(ToolStats(), connection.execute(f"{sql} GROUP BY status", where[1]).fetchall())
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
            f"FROM tool_calls WHERE {where[0]} AND id BETWEEN ? AND ? GROUP BY status"
        )
        rows = budget.execute(connection, sql, (*where[1], part.first, part.last))
        if rows is None:
            return ToolStats(
                stats.executions, stats.successes, stats.timed, stats.latency_us, stats.cost_usd, exact=False
            )
        stats = _added(stats, rows)
    return stats


def tool_values(connection: sqlite3.Connection, scope: Scope, names: Names) -> ToolValues:
    """List what a filter may name."""
    where = _rollup_where(connection, ToolFilter(scope=scope))
    if where is None:
        return ToolValues([], [], [])
    sql = f"SELECT DISTINCT tool_name, server_label, key_id, key_name FROM tool_rollups WHERE {where[0]}"
    rows = connection.execute(sql, where[1]).fetchall()
    text = names.load(connection, {number for row in rows for number in row})
    return ToolValues(
        tool_names=sorted({text[row[0]] or "" for row in rows}),
        server_labels=sorted({text[row[1]] or "" for row in rows}),
        keys=sorted({ToolKey(key, text[row[3]]) for row in rows if (key := text[row[2]]) is not None}),
    )


def drop_details(connection: sqlite3.Connection, body_floor_us: int) -> int:
    """Forget arguments and results of calls below the floor of bodies, a slice of them; answers how many."""
    sql = "SELECT id FROM tool_calls WHERE started_at_us < ? AND detail <> x'' LIMIT ?"
    ids = connection.execute(sql, (body_floor_us, _DROPPED_ROWS)).fetchall()
    connection.executemany("UPDATE tool_calls SET detail = x'', search = '' WHERE id = ?", ids)
    return len(ids)


def _decode(connection: sqlite3.Connection, rows: list[tuple[Any, ...]], names: Names) -> list[ToolCall]:
    first = len(_COLUMNS) - len(_REPEATED)
    text = names.load(connection, {number for row in rows for number in row[first:]})
    body_floor_us = meta(connection, "body_floor_us")
    return [_call(row, [text[number] for number in row[first:]], body_floor_us) for row in rows]


def _call(row: tuple[Any, ...], text: list[str | None], body_floor_us: int) -> ToolCall:
    _, record_id, position, started, created, status, latency_us, cost, linked, rpc_id, session, search, packed = row[
        :13
    ]
    detail = Detail(None, None, None, b"{}")
    if packed and started >= body_floor_us:
        detail = msgspec.msgpack.decode(zstd.decompress(packed), type=Detail)
    return ToolCall(
        record_id=record_id,
        position=position,
        started_at_us=started,
        created_at_us=created,
        tool_name=text[0] or "",
        server_label=text[1] or "",
        status=_STATUSES[status],
        latency_us=None if latency_us < 0 else latency_us,
        cost_usd=cost,
        arguments=detail.arguments,
        result=detail.result,
        error_details=detail.error_details,
        metadata=detail.metadata,
        rpc_id=rpc_id or None,
        session=session or None,
        llm_request_id=linked or None,
        project=text[2],
        container=text[3],
        client=text[4],
        key_id=text[5],
        key_name=text[6],
        key_last4=text[7],
        search=search if started >= body_floor_us else "",
    )


def _added(stats: ToolStats, rows: list[tuple[Any, ...]]) -> ToolStats:
    for status, calls, timed, latency_us, cost_usd in rows:
        stats = ToolStats(
            stats.executions + calls,
            stats.successes + (calls if status == 0 else 0),
            stats.timed + round(timed),
            stats.latency_us + round(latency_us),
            stats.cost_usd + cost_usd,
        )
    return stats


Where = tuple[str, tuple[int | str, ...]]


def _rollup_where(connection: sqlite3.Connection, filter: ToolFilter) -> Where | None:
    clause = _Clause()
    clause.dimensions(connection, filter)
    clause.add("hour >= ?", -(-meta(connection, "purge_floor_us") // HOUR_US))
    return clause.finish()


def _where(connection: sqlite3.Connection, filter: ToolFilter) -> Where | None:
    clause = _Clause()
    clause.dimensions(connection, filter)
    clause.between("started_at_us", max(filter.since_us or 0, meta(connection, "purge_floor_us")), filter.until_us)
    if filter.min_latency_us is not None or filter.max_latency_us is not None:
        clause.between("latency_us", max(filter.min_latency_us or 0, 0), filter.max_latency_us)
    if filter.llm_request_ids:
        clause.among("llm_request_id", [value for value in filter.llm_request_ids if is_storable(value)])
    if filter.content:
        folded = filter.content.casefold()
        clause.is_impossible |= not is_storable(folded)
        clause.add("started_at_us >= ?", meta(connection, "body_floor_us"))
        clause.add("instr(search, ?) > 0", folded)
    return clause.finish()


class _Clause:
    """Conditions that must all hold, gathered one by one."""

    def __init__(self) -> None:
        self.is_impossible = False
        self._conditions: list[str] = []
        self._parameters: list[int | str] = []

    def finish(self) -> Where | None:
        return None if self.is_impossible else (" AND ".join(self._conditions), tuple(self._parameters))

    def add(self, condition: str, parameter: int | str) -> None:
        self._conditions.append(condition)
        self._parameters.append(parameter)

    def dimensions(self, connection: sqlite3.Connection, filter: ToolFilter) -> None:
        wanted: list[tuple[str, tuple[str, ...]]] = [(column, getattr(filter.scope, name)) for column, name in _SCOPED]
        wanted += [("tool_name", filter.tool_names), ("server_label", filter.server_labels), ("key_id", filter.key_ids)]
        texts: Texts = {column: tuple(v for v in values if is_storable(v)) for column, values in wanted if values}
        ids = find(connection, texts)
        for column, values in wanted:
            if values:
                self.among(column, [ids[column][value] for value in values if value in ids[column]])
        if filter.statuses:
            self.among("status", [code for code, word in enumerate(_STATUSES) if word in filter.statuses])

    def among(self, column: str, values: list[int] | list[str]) -> None:
        self.is_impossible |= not values
        self._conditions.append(f"{column} IN ({marks(values)})")
        self._parameters.extend(values)

    def between(self, column: str, least: int | None, most: int | None) -> None:
        if least is not None:
            self.add(f"{column} >= ?", min(least, MAX_INT))
            self.is_impossible |= least > MAX_INT
        if most is not None and most < MAX_INT:
            self.add(f"{column} <= ?", max(most, -MAX_INT))
