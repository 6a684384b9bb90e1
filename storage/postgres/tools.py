"""Writing tool calls: rows beside the records, arguments and results in one zstd frame each.

Strategy: calls are copied after their records, when `seq` is known, and counted in rollups before,
while no transaction waits.

Invariant: the rollups of a set of dimensions add up to its calls, over all instances; what erasure
takes off is kept as a row of no instance.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from asyncpg.pgproto.pgproto import UUID

from storage.postgres.connection import Connection, affected
from storage.postgres.dictionary import Value
from storage.postgres.index_keys import SEQ_AMONG
from storage.postgres.text import escape
from storage.record import Entry, ToolCall
from storage.relational.time_ranges import HOUR_US
from storage.relational.tools.rows import COLUMNS, REPEATED, row_of
from storage.tools import awaited_calls, ended_calls

_KEYS: Final = (
    "hour", "project", "container", "client", "server_label", "tool_name", "key_id", "key_name", "status", "weight",
    "instance",
)  # fmt: skip
_MERGE: Final = (
    f"INSERT INTO sidelog.tool_rollups AS known ({', '.join(_KEYS)}, calls, timed, latency_us, "
    "cost_usd) "
    f"SELECT * FROM unnest({', '.join(f'${place}::bigint[]' for place in range(1, len(_KEYS) + 4))}, "
    f"${len(_KEYS) + 4}::double precision[]) ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
    "calls = known.calls + excluded.calls, timed = known.timed + excluded.timed, "
    "latency_us = known.latency_us + excluded.latency_us, cost_usd = known.cost_usd + "
    "excluded.cost_usd"
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
    "WHERE ended.record_id = asked.record_id "
    "AND ended.position = asked.position) ON CONFLICT DO NOTHING"
)
_ERASE: Final = (
    "DELETE FROM sidelog.tool_calls WHERE record_seq = ANY($1::bigint[]) "
    f"OR record_id = ANY(ARRAY(SELECT id FROM sidelog.records WHERE {SEQ_AMONG})) RETURNING *"
)

Row = list[Any]
Ids = dict[str, dict[str | None, int | None]]


def texts_of(entries: Iterable[Entry]) -> set[Value]:
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
        self._places: list[int] = []
        self._rows: list[Row] = []
        self._sums: dict[tuple[int, ...], list[float]] = {}
        self._ended: list[tuple[UUID, int]] = []
        self._awaited: list[tuple[Any, ...]] = []

        for place, entry in enumerate(entries):
            for call in awaited_calls(entry):
                data = msgspec.msgpack.encode(call)
                whose = escape(entry.record.instance)
                self._awaited.append(
                    (UUID(call.record_id), call.position, whose, call.started_at_us, data)
                )

            for call in ended_calls(entry):
                self._ended.append((UUID(call.record_id), call.position))
                row = _row(call, ids)
                self._places.append(place)
                self._rows.append(row)
                _add(self._sums, dict(zip(COLUMNS, row, strict=True)), instance, 1)

    async def merge(self, connection: Connection) -> None:
        await _merge(connection, self._sums)

    async def insert(self, connection: Connection, first_seq: int) -> None:
        if self._rows:
            await self._insert(connection, first_seq)
        if self._awaited:
            await connection.execute(_AWAIT, *map(list, zip(*self._awaited, strict=True)))

    async def _insert(self, connection: Connection, first_seq: int) -> None:
        for place, row in zip(self._places, self._rows, strict=True):
            row[0] = first_seq + place
        await connection.copy_records_to_table(
            "tool_calls", schema_name="sidelog", columns=COLUMNS, records=self._rows
        )
        await connection.execute(_FORGET, *map(list, zip(*self._ended, strict=True)))


def _row(call: ToolCall, ids: Ids) -> Row:
    _, *values = row_of(call)
    stored = (escape(value) if isinstance(value, str) else value for value in values)
    return [
        0,
        UUID(call.record_id),
        *stored,
        *(ids[column][getattr(call, column)] for column in REPEATED),
    ]


def _add(
    sums: dict[tuple[int, ...], list[float]], row: dict[str, Any], instance: int, sign: int
) -> None:
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
    """Delete the calls that some records asked for or are stored with, and take them off the
    rollups.
    """
    sums: dict[tuple[int, ...], list[float]] = {}
    await connection.execute(
        "DELETE FROM sidelog.waiting_calls WHERE record_id IN (SELECT id FROM sidelog.records "
        f"WHERE {SEQ_AMONG})",
        seqs,
    )
    for row in await connection.fetch(_ERASE, seqs):
        _add(sums, dict(row), 0, -1)
    await _merge(connection, sums)


async def drop_orphans(connection: Connection, floor_us: int, max_calls: int) -> int:
    """Forget calls below the floor, and sums of hours below it; returns how many calls."""
    gone = await connection.execute(
        "DELETE FROM sidelog.tool_calls WHERE id = ANY(ARRAY("
        "SELECT id FROM sidelog.tool_calls WHERE started_at_us < $1 LIMIT $2))",
        floor_us,
        max_calls,
    )
    await connection.execute(
        "DELETE FROM sidelog.tool_rollups WHERE hour < $1", floor_us // HOUR_US
    )
    return affected(gone)
