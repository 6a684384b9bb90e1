"""Encode a record as a row of columns, and decode a row. Pure.

Strategy: a batch is written column by column, as the server stores it. Repeated text is stored
plainly (the server's dictionary replaces it with a number). An empty text stands for null; a text
that is empty, or begins with NUL, gets a NUL in front. Fields that are never filtered or summed are
packed into `rest`.

Invariant: `decode(row)` of a row from `columns_of([record])` returns an equal record, for every
record that the store accepts.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec

from storage.grpc import Grpc
from storage.record import Record, Shed, Stream
from storage.relational.combinations import pack
from storage.relational.sql import CODED
from storage.relational.weights import weight_code, weight_of
from storage.relational.writes import packing, redactions

REPEATED: Final = (
    "instance", "outcome", "method", "host", "route_id", "service", "container", "project", "client", "user_id",
    "source", "stage", "user_agent", "error_type", "name", "key_id", "key_name", "auth_code", "provider", "model",
    "resolved_model", "usage_state", "price_source", "endpoint", "finish_reason", "called_tools",
    "grpc_status", "redactions", "failed_tools", "message",
)  # fmt: skip
"""Text columns with repeated values."""
TYPES: Final = {
    "seq": "Int64", "id": "FixedString(16)", "kind": "UInt8", "started_at_us": "Int64", "duration_us": "Int64",
    "first_byte_us": "Nullable(Int64)", "level": "UInt8", "direction": "UInt8", "status": "Nullable(Int64)",
    "path": "Nullable(String)", "query": "Nullable(String)", "trace_id": "Nullable(String)",
    "span_id": "Nullable(String)", "request_id": "Nullable(String)", "client_ip": "Nullable(String)",
    "request_bytes": "Int64", "response_bytes": "Int64", "input_tokens": "Nullable(Int64)",
    "output_tokens": "Nullable(Int64)", "cache_read_tokens": "Nullable(Int64)",
    "cache_write_tokens": "Nullable(Int64)", "reasoning_tokens": "Nullable(Int64)", "cost_usd": "Nullable(Float64)",
    "keyed": "UInt8", "conversation": "Nullable(FixedString(16))", "stream": "Nullable(String)",
    "data": "Nullable(String)", "weight": "Int64", "rest": "String",
} | dict.fromkeys(REPEATED, "String")  # fmt: skip
"""Column of a record → its type in the wire format."""
PACKED: Final = (
    "request_complete",
    "scheme",
    "http_version",
    "upstream",
    "key_last4",
    "shed",
    "marks",
    "grpc",
)
"""Fields of a record that `rest` holds after its times."""
_OWN_ID: Final = "\1"
"""Stands for a request id that is equal to the record's own."""
_MADE: Final = (
    "rest",
    "finish_reason",
    "called_tools",
    "failed_tools",
    "grpc_status",
    "redactions",
)

_FIELDS: Final = Record.__struct_fields__
_PLAIN: Final = tuple(name for name in TYPES if name not in (*_MADE, "seq"))
"""Columns that hold a field of a record, unchanged or as a code."""
RECORD_COLUMNS: Final = (*(name for name in _FIELDS if name in TYPES), "rest")
"""Columns that a record is decoded from, `seq` and `id` first."""
_in_order: Final = itemgetter(
    *((*RECORD_COLUMNS, *PACKED, *packing.TIME_FIELDS).index(name) for name in _FIELDS)
)
_STARTED, _DURATION = RECORD_COLUMNS.index("started_at_us"), RECORD_COLUMNS.index("duration_us")
_packed_of: Final = attrgetter(*PACKED)
_Rest = tuple[bytes, bool, str, str | None, str | None, str | None, Shed, bytes | None, Grpc | None]
_rest_decoder: Final[msgspec.msgpack.Decoder[_Rest]] = msgspec.msgpack.Decoder(_Rest)
_stream_decoder: Final = msgspec.msgpack.Decoder(Stream)
encode: Final = msgspec.msgpack.Encoder().encode


def columns_of(records: Sequence[Record]) -> dict[str, list[Any]]:
    """Return the columns of records, without `seq`.

    Raises:
        ValueError: A value cannot be stored. Writing the columns may find more of these values.
    """
    made = {name: list(map(attrgetter(name), records)) for name in _PLAIN}
    made["rest"] = [encode((packing.pack_times(record), *_packed_of(record))) for record in records]
    made["finish_reason"] = [stream and stream.finish_reason for stream in made["stream"]]
    made["called_tools"] = [stream and pack(stream.tools) for stream in made["stream"]]
    made["failed_tools"] = [stream and pack(stream.failed_tools) for stream in made["stream"]]
    made["grpc_status"] = [record.grpc and record.grpc.status_name for record in records]
    made["redactions"] = [redactions.pack(record.redactions) for record in records]
    for name, words in CODED.items():
        made[name] = _codes(name, words, made[name])
    for name in REPEATED:
        known = {text: stored_text(text) for text in set(made[name])}
        made[name] = list(map(known.__getitem__, made[name]))
    made["weight"] = list(map(weight_code, made["weight"]))
    made["stream"] = [None if stream is None else encode(stream) for stream in made["stream"]]
    made["client_ip"] = [
        None if text is None else packing.pack_address(text) for text in made["client_ip"]
    ]
    made["request_id"] = list(map(_request_id, records))
    return made


def decode(row: Sequence[Any]) -> Record:
    """Return the record that is stored in a row with the columns `RECORD_COLUMNS`."""
    values = [
        value if change is None or value is None else change(value)
        for change, value in zip(_READ, row, strict=True)
    ]
    if values[_REQUEST_ID] == _OWN_ID:
        number = values[1].hex()
        values[_REQUEST_ID] = "-".join(
            (number[:8], number[8:12], number[12:16], number[16:20], number[20:])
        )

    times, *packed = values[-1]
    values += packed
    if values[_REDACTIONS] is not None:
        values[_REDACTIONS] = packing.unpack_redactions(values[_REDACTIONS], times)
    values += packing.unpack_times(times, values[_STARTED], values[_DURATION])
    return Record(*_in_order(values))


def stored_text(text: str | None) -> str:
    """Return a repeated text in its stored form, in which an empty text is null."""
    if text is None:
        return ""
    if text and text[0] != "\0":
        return text
    return "\0" + text


def text_of(stored: str) -> str | None:
    """Return the text of a stored form; the inverse of `stored_text`."""
    if not stored:
        return None
    if stored[0] == "\0":
        return stored[1:]
    return stored


def to_bytes(value: str | bytes) -> bytes:
    """Return bytes that a `String` column may have returned as text."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return value


def _request_id(record: Record) -> str | None:
    if record.request_id is None or not packing.is_own(record.request_id, record.id):
        return record.request_id
    return _OWN_ID


def _codes(column: str, words: Sequence[str], values: Sequence[str]) -> list[int]:
    codes = {word: code for code, word in enumerate(words)}
    try:
        return list(map(codes.__getitem__, values))
    except KeyError as error:
        raise ValueError(f"{column} {error.args[0]!r} is not one of {', '.join(words)}") from None


def _reading(column: str) -> Callable[[Any], Any] | None:
    """Return the function that decodes the values of a column; None where they are stored
    unchanged.
    """
    if column in REPEATED:
        return text_of
    if column in CODED:
        return CODED[column].__getitem__

    others: dict[str, Callable[[Any], Any]] = {
        "keyed": bool,
        "client_ip": lambda text: packing.unpack_address(to_bytes(text)),
        "stream": lambda text: _stream_decoder.decode(to_bytes(text)),
        "data": to_bytes,
        "weight": weight_of,
        "rest": lambda text: _rest_decoder.decode(to_bytes(text)),
    }
    return others.get(column)


_READ: Final = tuple(map(_reading, RECORD_COLUMNS))
_REQUEST_ID, _REDACTIONS = RECORD_COLUMNS.index("request_id"), RECORD_COLUMNS.index("redactions")
