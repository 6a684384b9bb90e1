"""Tool calls in Postgres: rows beside the records with their own indexes; arguments and results in one zstd frame each.

Strategy: calls are copied after their records, when `seq` is known, and counted in rollups before, while nobody waits.
A page is one statement in the order of an index, within the time budget; figures come from rollups, or from a walk over
slices of rows. Rows below the purge floor, and arguments and results below the body floor, are not shown.

Invariant: the rollups of a set of dimensions add up to its calls, over all instances; what erasure takes off is kept as
a row of no instance.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from asyncpg.pgproto.pgproto import UUID

from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names, Value, find
from storage.postgres.index_keys import seq_among
from storage.postgres.state import State, read_state
from storage.postgres.text import escape, unescape
from storage.query import Scope
from storage.record import Entry, ToolCall
from storage.relational.slices import Range, slices
from storage.relational.sql import MAX_INT, Where
from storage.relational.sql import POSTGRES as MARKS
from storage.relational.time_ranges import HOUR_US
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
from storage.tools import ToolFilter, ToolPage, ToolQuery, ToolStats, ToolValues, awaited_calls, ended_calls

_DIALECT: Final = Dialect(
    marks=MARKS,
    content="strpos(search, {}) > 0",
    linked="(hashtextextended(llm_request_id, 0) = hashtextextended({0}, 0) AND llm_request_id = {0})",
    escape=escape,
)
_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM sidelog.tool_calls"
_KEYS: Final = (
    "hour", "project", "container", "client", "server_label", "tool_name", "key_id", "key_name", "status", "instance",
)  # fmt: skip
_DROPPED_ROWS: Final = 1000
"""Rows of one slice of retention."""
_MERGE: Final = (
    f"INSERT INTO sidelog.tool_rollups AS known ({', '.join(_KEYS)}, calls, timed, latency_us, cost_usd) "
    f"SELECT * FROM unnest({', '.join(f'${place}::bigint[]' for place in range(1, len(_KEYS) + 4))}, "
    f"${len(_KEYS) + 4}::double precision[]) ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
    "calls = known.calls + excluded.calls, timed = known.timed + excluded.timed, "
    "latency_us = known.latency_us + excluded.latency_us, cost_usd = known.cost_usd + excluded.cost_usd"
)
_FORGET: Final = (
    "DELETE FROM sidelog.waiting_calls AS waiting "
    "USING unnest($1::uuid[], $2::bigint[]) AS ended (record_id, position) "
    "WHERE waiting.record_id = ended.record_id AND waiting.position = ended.position"
)
_AWAIT: Final = (
    "INSERT INTO sidelog.waiting_calls "
    "SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bytea[]) "
    "AS asked (record_id, position) "
    # The batch with the answer may have overtaken this one, when it was in the spool.
    "WHERE NOT EXISTS (SELECT FROM sidelog.tool_calls AS ended "
    "WHERE ended.record_id = asked.record_id AND ended.position = asked.position) ON CONFLICT DO NOTHING"
)
_ERASE: Final = "DELETE FROM sidelog.tool_calls WHERE record_seq = ANY($1::bigint[]) RETURNING *"

Row = list[Any]
Ids = dict[str, dict[str | None, int | None]]


def texts_of(entries: Iterable[Entry]) -> set[Value]:
    """Name the repeated text of all calls, by column."""
    return {
        (column, text)
        for entry in entries
        for call in entry.tool_calls
        for column in REPEATED
        if (text := getattr(call, column)) is not None
    }


class Calls:
    """The calls of one batch."""

    def __init__(self, entries: Sequence[Entry], ids: Ids, instance: int) -> None:
        """Make their rows, without the seq of their records."""
        self._places: list[int] = []
        self._rows: list[Row] = []
        self._sums: dict[tuple[int, ...], list[float]] = {}
        self._ended: list[tuple[UUID, int]] = []
        self._awaited: list[tuple[Any, ...]] = []
        for place, entry in enumerate(entries):
            for call in awaited_calls(entry):
                data = msgspec.msgpack.encode(call)
                whose = escape(entry.record.instance)
                self._awaited.append((UUID(call.record_id), call.position, whose, call.started_at_us, data))
            for call in ended_calls(entry):
                self._ended.append((UUID(call.record_id), call.position))
                row = _row(call, ids)
                self._places.append(place)
                self._rows.append(row)
                _add(self._sums, dict(zip(COLUMNS, row, strict=True)), instance, 1)

    async def merge(self, connection: Connection) -> None:
        """Add the counts to the rollups, inside the batch's transaction."""
        await _merge(connection, self._sums)

    async def insert(self, connection: Connection, first_seq: int) -> None:
        """Insert the rows, after the records."""
        if self._rows:
            await self._insert(connection, first_seq)
        if self._awaited:
            await connection.execute(_AWAIT, *map(list, zip(*self._awaited, strict=True)))

    async def _insert(self, connection: Connection, first_seq: int) -> None:
        for place, row in zip(self._places, self._rows, strict=True):
            row[0] = first_seq + place
        await connection.copy_records_to_table("tool_calls", schema_name="sidelog", columns=COLUMNS, records=self._rows)
        await connection.execute(_FORGET, *map(list, zip(*self._ended, strict=True)))


async def waiting_calls(connection: Connection, instance: str) -> list[ToolCall]:
    """List the calls whose answer a sidecar awaits, oldest first."""
    sql = "SELECT data FROM sidelog.waiting_calls WHERE instance = $1 ORDER BY started_at_us"
    rows = await connection.fetch(sql, escape(instance))
    return [msgspec.msgpack.decode(data, type=ToolCall) for (data,) in rows]


def _row(call: ToolCall, ids: Ids) -> Row:
    _, *values = row_of(call)
    stored = (escape(value) if isinstance(value, str) else value for value in values)
    return [0, UUID(call.record_id), *stored, *(ids[column][getattr(call, column)] for column in REPEATED)]


def _add(sums: dict[tuple[int, ...], list[float]], row: dict[str, Any], instance: int, sign: int) -> None:
    dimensions = (row[name] or 0 for name in _KEYS[1:-1])
    key = (row["started_at_us"] // HOUR_US, *dimensions, instance)
    latency_us = row["latency_us"]
    found = sums.setdefault(key, [0, 0, 0, 0.0])
    for place, value in enumerate((1, int(latency_us >= 0), max(latency_us, 0), row["cost_usd"])):
        found[place] += sign * value


async def _merge(connection: Connection, sums: dict[tuple[int, ...], list[float]]) -> None:
    rows = [(*key, *counts) for key, counts in sorted(sums.items())]
    if rows:
        await connection.execute(_MERGE, *map(list, zip(*rows, strict=True)))


async def erase_calls(connection: Connection, seqs: list[int]) -> None:
    """Delete the calls that were stored with some records, and take them off the rollups."""
    sums: dict[tuple[int, ...], list[float]] = {}
    await connection.execute(
        "DELETE FROM sidelog.waiting_calls "
        f"WHERE record_id IN (SELECT id FROM sidelog.records WHERE {seq_among('$1')})",
        seqs,
    )
    for row in await connection.fetch(_ERASE, seqs):
        _add(sums, dict(row), 0, -1)
    await _merge(connection, sums)


async def drop_calls(connection: Connection, state: State) -> int:
    """Delete calls below the purge floor, and arguments and results below that of bodies, a slice; answers how many."""
    gone = await connection.execute(
        "DELETE FROM sidelog.tool_calls WHERE id = ANY(ARRAY("
        "SELECT id FROM sidelog.tool_calls WHERE started_at_us < $1 LIMIT $2))",
        state.purge_floor_us,
        _DROPPED_ROWS,
    )
    emptied = await connection.execute(
        "UPDATE sidelog.tool_calls SET detail = '', search = '' WHERE id = ANY(ARRAY("
        "SELECT id FROM sidelog.tool_calls WHERE started_at_us < $1 AND detail <> '' LIMIT $2))",
        state.body_floor_us,
        _DROPPED_ROWS,
    )
    await connection.execute("DELETE FROM sidelog.waiting_calls WHERE started_at_us < $1", state.body_floor_us)
    await connection.execute("DELETE FROM sidelog.tool_rollups WHERE hour < $1", state.purge_floor_us // HOUR_US)
    return sum(int(status.rpartition(" ")[2]) for status in (gone, emptied))


async def tool_calls(connection: Connection, query: ToolQuery, names: Names, budget: Budget) -> ToolPage:
    """Read one page."""
    state = await read_state(connection)
    where = await _row_where(connection, query.filter, state)
    if where is None or query.limit <= 0:
        return ToolPage([], complete=True)
    number, direction = len(where.parameters) + 1, "ASC" if query.order == "asc" else "DESC"
    sql = (
        f"{_SELECT} WHERE {where.text} ORDER BY {SORTS[query.sort]} {direction}, id {direction} "
        f"LIMIT ${number} OFFSET ${number + 1}"
    )
    bounds = (min(query.limit, MAX_INT), min(max(query.offset, 0), MAX_INT))
    await budget.fetch(connection, "SELECT 1", ())  # the first statement of a read is without limit: this is not it
    rows = await budget.fetch(connection, sql, (*where.parameters, *bounds))
    if rows is None:
        return ToolPage([], complete=False)
    return ToolPage(await _decode(connection, rows, state, names), complete=True)


async def tool_call(connection: Connection, record_id: bytes, position: int, names: Names) -> ToolCall | None:
    """Read one call."""
    if len(record_id) != 16 or not -1 < position <= MAX_INT:
        return None
    state = await read_state(connection)
    sql = f"{_SELECT} WHERE record_id = $1 AND position = $2::bigint AND started_at_us >= $3"
    rows = await connection.fetch(sql, UUID(record_id), position, state.purge_floor_us)
    return (await _decode(connection, rows, state, names))[0] if rows else None


async def tool_calls_of(connection: Connection, record_seq: int, names: Names) -> list[ToolCall]:
    """Read the calls stored with one record."""
    state = await read_state(connection)
    sql = f"{_SELECT} WHERE record_seq = $1 AND started_at_us >= $2 ORDER BY position"
    rows = await connection.fetch(sql, max(min(record_seq, MAX_INT), 0), state.purge_floor_us)
    return await _decode(connection, rows, state, names)


async def tool_stats(connection: Connection, filter: ToolFilter, budget: Budget) -> ToolStats:
    """Count the calls of a filter."""
    state = await read_state(connection)
    if filter.has_only_rollup_dimensions:
        where = await _rollup_where(connection, filter, state)
        if where is None:
            return ToolStats()
        sql = "SELECT status, sum(calls), sum(timed), sum(latency_us), sum(cost_usd) FROM sidelog.tool_rollups"
        rows = await connection.fetch(f"{sql} WHERE {where.text} GROUP BY status", *where.parameters)
        return added(ToolStats(), rows)
    where = await _row_where(connection, filter, state)
    return ToolStats() if where is None else await _scanned(connection, where, budget)


async def _scanned(connection: Connection, where: Where, budget: Budget) -> ToolStats:
    ends = await connection.fetchrow("SELECT min(id), max(id) FROM sidelog.tool_calls")
    number, stats = len(where.parameters) + 1, ToolStats()
    sql = (
        "SELECT status, count(*), count(*) FILTER (WHERE latency_us >= 0), sum(greatest(latency_us, 0)), sum(cost_usd) "
        f"FROM sidelog.tool_calls WHERE {where.text} AND id BETWEEN ${number} AND ${number + 1} GROUP BY status"
    )
    whole = Range(1, 0) if ends is None or ends[0] is None else Range(ends[0], ends[1])
    for part in slices(whole, "desc"):
        rows = await budget.fetch(connection, sql, (*where.parameters, part.first, part.last))
        if rows is None:
            return ToolStats(
                stats.executions, stats.successes, stats.timed, stats.latency_us, stats.cost_usd, exact=False
            )
        stats = added(stats, rows)
    return stats


async def tool_values(connection: Connection, scope: Scope, names: Names) -> ToolValues:
    """List what a filter may name."""
    where = await _rollup_where(connection, ToolFilter(scope=scope), await read_state(connection))
    if where is None:
        return ToolValues([], [], [])
    sql = f"SELECT {VALUES} FROM sidelog.tool_rollups WHERE {where.text} GROUP BY {VALUES} HAVING sum(calls) > 0"
    rows = await connection.fetch(sql, *where.parameters)
    text = await names.load(connection, {number for row in rows for number in row})
    return values_of([text[number] for number in row] for row in rows)


async def _decode(connection: Connection, rows: Sequence[Any], state: State, names: Names) -> list[ToolCall]:
    text = await names.load(connection, {number for row in rows for number in row[FIRST_REPEATED:]})
    return [
        make_call(_plain(row[1:FIRST_REPEATED]), [text[number] for number in row[FIRST_REPEATED:]], state.body_floor_us)
        for row in rows
    ]


def _plain(values: Sequence[Any]) -> ToolRow:
    row = ToolRow(*values)
    return row._replace(
        record_id=values[0].bytes,
        llm_request_id=_unescaped(row.llm_request_id),
        rpc_id=_unescaped(row.rpc_id),
        session=_unescaped(row.session),
        search=unescape(row.search),
    )


def _unescaped(text: str | None) -> str | None:
    return None if text is None else unescape(text)


async def _rollup_where(connection: Connection, filter: ToolFilter, state: State) -> Where | None:
    return rollup_conditions(filter, await find(connection, texts(filter)), _DIALECT, state.purge_floor_us)


async def _row_where(connection: Connection, filter: ToolFilter, state: State) -> Where | None:
    ids = await find(connection, texts(filter))
    return conditions(filter, ids, _DIALECT, state.purge_floor_us, state.body_floor_us)
