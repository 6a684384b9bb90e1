"""Writing tool calls: their rows, hourly sums of them, and the calls that wait for their result.

Strategy: calls are written after their records, when `seq` is known, and counted before, while no
transaction waits.

Invariant: the rollups of a set of dimensions add up to its calls, over all instances; subtractions
by erasure are kept as a row of no instance.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from storage.record import Entry, ToolCall
from storage.relational.rollup_sql import merging
from storage.relational.rollup_tables import ADDED
from storage.relational.sql import Parameters, Statements, delete_before
from storage.relational.time_ranges import HOUR_US
from storage.relational.tools.rows import COLUMNS, REPEATED, row_of
from storage.tools import awaited_calls, ended_calls

_KEYS: Final = (
    "hour", "project", "container", "client", "server_label", "tool_name", "key_id", "key_name", "status", "weight",
    "instance",
)  # fmt: skip
_DIMENSIONS: Final = _KEYS[1:-1]
_COUNTED: Final = ("started_at_us", "latency_us", "cost_usd", *_DIMENSIONS)
"""The columns of a call that rollups read."""
_SUMS: Final = {
    "calls": "bigint", "timed": "bigint", "latency_us": "bigint", "cost_usd": "double precision",
}  # fmt: skip
_CALL: Final = dict.fromkeys(COLUMNS, "bigint") | {
    "record_id": "uuid", "cost_usd": "double precision", "llm_request_id": "text", "rpc_id": "text",
    "session": "text", "search": "text", "detail": "bytea",
}  # fmt: skip
_PLACE: Final = {"record_id": "uuid", "position": "bigint"}
_WAITING: Final = _PLACE | {"instance": "text", "started_at_us": "bigint", "data": "bytea"}

Ids = Mapping[str, Mapping[str | None, int | None]]
"""Column → text → id."""
Sums = dict[tuple[int, ...], list[float]]


class Calls:
    """The calls of one batch."""

    def __init__(self, entries: Sequence[Entry], ids: Ids, instance: int) -> None:
        self._places: list[int] = []
        self._rows: list[list[Any]] = []
        self._sums: Sums = {}
        self._ended: list[tuple[bytes, int]] = []
        self._awaited: list[Parameters] = []

        for place, entry in enumerate(entries):
            if not entry.tool_calls:
                continue
            for call in awaited_calls(entry):
                self._awaited.append(_waiting_row(entry.record.instance, call))

            for call in ended_calls(entry):
                row = [0, *row_of(call), *(ids[name][getattr(call, name)] for name in REPEATED)]
                self._ended.append((call.record_id, call.position))
                self._places.append(place)
                self._rows.append(row)
                _add(self._sums, dict(zip(COLUMNS, row, strict=True)), instance, 1)

    async def merge(self, statements: Statements) -> None:
        """Count the calls, before the records are numbered."""
        if self._sums:
            await _merge(statements, self._sums)

    async def insert(self, statements: Statements, first_seq: int) -> None:
        if not self._ended and not self._awaited:
            return

        dialect = statements.dialect
        schema = dialect.schema
        for place, row in zip(self._places, self._rows, strict=True):
            row[0] = first_seq + place
        await statements.write_rows(
            f"INSERT INTO {schema}tool_calls ({', '.join(COLUMNS)}) {dialect.given(_CALL)}",
            self._rows,
        )
        await statements.write_rows(
            f"DELETE FROM {schema}waiting_calls "
            f"WHERE (record_id, position) IN ({dialect.given(_PLACE)})",
            self._ended,
        )
        await statements.write_rows(
            f"WITH asked ({', '.join(_WAITING)}) AS ({dialect.given(_WAITING)}) "
            f"INSERT INTO {schema}waiting_calls SELECT * FROM asked "
            # The batch with the result may have overtaken this one, if this one was in the spool.
            f"WHERE NOT EXISTS (SELECT 1 FROM {schema}tool_calls AS ended "
            "WHERE ended.record_id = asked.record_id AND ended.position = asked.position) "
            "ON CONFLICT DO NOTHING",
            self._awaited,
        )


async def erase_calls(statements: Statements, keys: Sequence[Any]) -> None:
    """Delete the calls that some records asked for or are stored with, and subtract them from the
    rollups; `keys` are the records' values of the dialect's `row_key`.
    """
    dialect = statements.dialect
    schema = dialect.schema
    erased = f"FROM {schema}records WHERE {dialect.of_keys.format(dialect.placeholder(1))}"
    parameters = (dialect.number_list(list(keys)),)
    whose = dialect.limited("record_id", f"SELECT id {erased}")
    await statements.fetch(f"DELETE FROM {schema}waiting_calls WHERE {whose}", parameters)
    gone = await statements.fetch(
        f"DELETE FROM {schema}tool_calls "
        f"WHERE {dialect.limited('record_seq', f'SELECT seq {erased}')} OR {whose} "
        f"RETURNING {', '.join(_COUNTED)}",
        parameters,
    )
    sums: Sums = {}
    for row in gone:
        _add(sums, dict(zip(_COUNTED, row, strict=True)), 0, -1)
    await _merge(statements, sums)


async def drop_calls(statements: Statements, floor_us: int, max_calls: int) -> int:
    """Delete calls that started below the floor, and sums of hours below it; return the number of
    calls.
    """
    dialect = statements.dialect
    sql = f"DELETE FROM {dialect.schema}tool_rollups WHERE hour < {dialect.placeholder(1)}"
    await statements.fetch(sql, (floor_us // HOUR_US,))
    return await delete_before(statements, "tool_calls", "started_at_us", floor_us, max_calls)


def _waiting_row(instance: str, call: ToolCall) -> Parameters:
    data = msgspec.msgpack.encode(call)
    return (call.record_id, call.position, instance, call.started_at_us, data)


def _add(sums: Sums, row: Mapping[str, Any], instance: int, sign: int) -> None:
    dimensions = (row[name] or 0 for name in _DIMENSIONS)
    key = (row["started_at_us"] // HOUR_US, *dimensions, instance)
    latency_us = row["latency_us"]
    found = sums.setdefault(key, [0, 0, 0, 0.0])
    for place, value in enumerate((1, int(latency_us >= 0), max(latency_us, 0), row["cost_usd"])):
        found[place] += sign * value


async def _merge(statements: Statements, sums: Sums) -> None:
    dialect = statements.dialect
    types = dict.fromkeys(_KEYS, "bigint") | _SUMS
    sql = merging(
        f"{dialect.schema}tool_rollups", _KEYS, dict.fromkeys(_SUMS, ADDED), dialect.given(types)
    )
    await statements.write_rows(sql, [(*key, *counts) for key, counts in sorted(sums.items())])


def texts_of(entries: Iterable[Entry]) -> set[tuple[str, str | None]]:
    """Return the repeated texts of the calls of a batch, with their columns."""
    return {
        (column, getattr(call, column))
        for entry in entries
        for call in entry.tool_calls
        for column in REPEATED
    }
