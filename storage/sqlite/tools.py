"""Writing tool calls: rows beside the records, arguments and results in a zstd frame. Triggers keep
the rollups.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from storage.record import Entry, ToolCall
from storage.relational.tools.rows import COLUMNS, REPEATED, row_of
from storage.tools import awaited_calls, ended_calls

_INSERT: Final = (
    f"INSERT INTO tool_calls ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
)
_FORGET: Final = "DELETE FROM waiting_calls WHERE record_id = ? AND position = ?"
_AWAIT: Final = (
    "INSERT OR REPLACE INTO waiting_calls SELECT ?, ?, ?, ?, ? "
    # The batch with the answer may have overtaken this one, when it was in the spool.
    "WHERE NOT EXISTS (SELECT 1 FROM tool_calls WHERE record_id = ? AND position = ?)"
)

IdOf = Callable[[sqlite3.Connection, str, str | None], int]


def insert_calls(
    connection: sqlite3.Connection, entries: Iterable[Entry], first_seq: int, id_of: IdOf
) -> None:
    called = [(seq, entry) for seq, entry in enumerate(entries, first_seq) if entry.tool_calls]
    if not called:
        return

    ended = [(seq, call) for seq, entry in called for call in ended_calls(entry)]
    connection.executemany(_INSERT, [_row(connection, call, seq, id_of) for seq, call in ended])
    connection.executemany(_FORGET, [(call.record_id, call.position) for _, call in ended])
    awaited = [
        (entry.record.instance, call) for _, entry in called for call in awaited_calls(entry)
    ]
    connection.executemany(_AWAIT, [_waiting_row(instance, call) for instance, call in awaited])


def _waiting_row(instance: str, call: ToolCall) -> tuple[Any, ...]:
    key = (call.record_id, call.position)
    return (*key, instance, call.started_at_us, msgspec.msgpack.encode(call), *key)


def _row(connection: sqlite3.Connection, call: ToolCall, seq: int, id_of: IdOf) -> tuple[Any, ...]:
    stored = (0 if value is None else value for value in row_of(call))
    return seq, *stored, *(id_of(connection, column, getattr(call, column)) for column in REPEATED)
