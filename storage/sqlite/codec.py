"""Encode records as rows.

Strategy: rows have three shapes, because binding a null costs 0.2 µs. Every row has the plain
columns. A gRPC call or a failure has three more. Columns of events, refused keys and LLM calls are
left out where all of them are null. Among the plain columns a stand-in for null binds quickly (see
migrations/0001_first.sql). Bytes are bound as bytearray, four times as fast. Fields that no search
reads are packed, because each column costs 0.05 µs (storage/relational/writes/packing.py). Reading
is shared (storage/relational/writes/codec.py).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from storage.record import Record
from storage.relational.blocks.payloads import Place
from storage.relational.combinations import pack
from storage.relational.weights import weight_code
from storage.relational.writes import packing, redactions
from storage.relational.writes.codec import NULLABLE_TEXT, stored_request_id
from storage.relational.writes.dictionary import Combination
from storage.sqlite.dictionary import Dictionary

_TEXTS: Final = ("host", "user_agent", "user_id", "endpoint")
"""Columns of texts that clients choose and repeat."""
_PLAIN: Final = (
    "seq", "id", "started_at_us", "status", "duration_us",
    *packing.COMBINED, "origin",
    *_TEXTS,
    "first_byte_us", "times",
    "request_bytes", "response_bytes", "request_complete",
    *packing.PLACES,
    "client_ip", *NULLABLE_TEXT,
    "redactions", "weight",
)  # fmt: skip
_FEW: Final = ("grpc", "grpc_status", "message")
"""Columns of the few rows that are gRPC calls or have an error message."""
_RARE: Final = (
    "name", "data", "auth_code", "provider", "model", "resolved_model", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_state", "cost_usd", "price_source", "stream",
    "keyed", "finish_reason", "called_tools", "failed_tools", "conversation", "marks", *_FEW,
)  # fmt: skip
Row = tuple[Any, ...]
Values = list[Any]
"""Values of a new row."""


class RowKind:
    """Columns of a shape of rows, with the statements that insert them."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        row = f"({', '.join('?' * len(columns))})"
        self._one = f"INSERT INTO records ({', '.join(columns)}) VALUES {row}"
        self._group = f"{self._one}{f', {row}' * (_GROUP_ROWS - 1)}"

    def insert(self, connection: sqlite3.Connection, rows: list[Values]) -> None:
        grouped = len(rows) - len(rows) % _GROUP_ROWS
        connection.executemany(
            self._group, (_flat(rows, start) for start in range(0, grouped, _GROUP_ROWS))
        )
        connection.executemany(self._one, rows[grouped:])


def _flat(rows: list[Values], start: int) -> list[object]:
    flat: list[object] = []
    for row in rows[start : start + _GROUP_ROWS]:
        flat += row
    return flat


_GROUP_ROWS: Final = 50
"""Rows inserted by one statement: 3.1 instead of 3.6 µs a row (measured), and the interpreter lock
changes hands less often.
"""

PLAIN: Final = RowKind(_PLAIN)
FEW: Final = RowKind(_PLAIN + _FEW)
FULL: Final = RowKind(_PLAIN + _RARE)


def plain_rows(
    dictionary: Dictionary,
    records: Sequence[Record],
    first_seq: int,
    combinations: Sequence[Combination],
    places: Sequence[tuple[Place, Place]],
) -> list[Values]:
    """Return the plain columns of consecutive rows; `places` are those of heads and bodies."""
    hosts, agents, users, endpoints = (dictionary.ids[column] for column in _TEXTS)
    redacted = dictionary.ids["redactions"]
    pack_times = packing.pack_times
    pack_address = packing.pack_address
    return [
        [
            seq, bytearray(record.id), record.started_at_us, record.status or 0, record.duration_us,
            *combination.ids,
            hosts[record.host], agents[record.user_agent], users[record.user_id], endpoints[record.endpoint],
            -1 if record.first_byte_us is None else record.first_byte_us, bytearray(pack_times(record)),
            record.request_bytes, record.response_bytes, 1 if record.request_complete else 0,
            *heads, *bodies,
            0 if record.client_ip is None else bytearray(pack_address(record.client_ip)),
            0 if record.path is None else record.path,
            0 if record.query is None else record.query,
            0 if record.trace_id is None else record.trace_id,
            0 if record.span_id is None else record.span_id,
            0 if record.request_id is None else stored_request_id(record),
            0 if record.redactions is None else redacted[redactions.pack(record.redactions)],
            0 if record.weight == 1 else weight_code(record.weight),
        ]
        for seq, (record, combination, (heads, bodies)) in enumerate(
            zip(records, combinations, places, strict=True), first_seq
        )
    ]  # fmt: skip


def few_columns(dictionary: Dictionary, record: Record) -> Row:
    """Return the columns of a gRPC call or of an error message."""
    message = dictionary.ids["message"][record.message]
    grpc = record.grpc
    if grpc is None:
        return None, 0, message
    status = dictionary.ids["grpc_status"][grpc.status_name]
    return bytearray(msgspec.msgpack.encode(grpc)), status, message


def rare_columns(dictionary: Dictionary, record: Record) -> Row:
    ids = dictionary.ids
    stream = record.stream
    return (
        ids["name"][record.name],
        None if record.data is None else bytearray(record.data),
        ids["auth_code"][record.auth_code],
        ids["provider"][record.provider],
        ids["model"][record.model],
        ids["resolved_model"][record.resolved_model],
        record.input_tokens, record.output_tokens,
        record.cache_read_tokens, record.cache_write_tokens, record.reasoning_tokens,
        ids["usage_state"][record.usage_state],
        record.cost_usd,
        ids["price_source"][record.price_source],
        None if stream is None else bytearray(msgspec.msgpack.encode(stream)),
        1 if record.keyed else 0,
        0 if stream is None else ids["finish_reason"][stream.finish_reason],
        0 if stream is None else ids["called_tools"][pack(stream.tools)],
        0 if stream is None else ids["failed_tools"][pack(stream.failed_tools)],
        record.conversation, record.marks,
        *few_columns(dictionary, record),
    )  # fmt: skip


def is_plain(record: Record) -> bool:
    """True if a record needs only the plain columns, and perhaps those of `has_few`."""
    # The most telling fields come first, so that only a plain record is checked for all of them.
    return (
        record.provider is None
        and record.model is None
        and record.usage_state is None
        and record.auth_code is None
        and record.stream is None
        and not record.keyed
        and record.name is None
        and record.data is None
        and record.resolved_model is None
        and record.input_tokens is None
        and record.output_tokens is None
        and record.cache_read_tokens is None
        and record.cache_write_tokens is None
        and record.reasoning_tokens is None
        and record.cost_usd is None
        and record.price_source is None
        and record.conversation is None
        and record.marks is None
    )


def has_few(record: Record) -> bool:
    """True if a record is a gRPC call or has an error message."""
    return record.grpc is not None or record.message is not None
