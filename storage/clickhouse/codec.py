"""A record as a row of columns, and a row as a record. Pure.

Strategy: a batch is written column by column, as the server stores it. Repeated text is a number of
`storage.clickhouse.dictionary`; null is null where it may be told from a value, and 0 in numbers of text. Bytes are
`String`, so that the server can compare them, but for the packed times, which nobody asks for.

Invariant: `decode(columns_of([record], …)) == record` for every record that the store takes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from storage.clickhouse.dictionary import KINDS, Values, text_id
from storage.clickhouse.native import Column
from storage.record import Record, Stream
from storage.relational.sql import CALL_KINDS, CODED
from storage.relational.tools.called import pack
from storage.relational.writes import packing
from storage.relational.writes.packing import COLUMNS

_OWN_ID: Final = "\1"
"""Stands for a request id that is the record's own."""
_TYPES: Final = {
    "id": "FixedString(16)", "conversation": "Nullable(FixedString(16))", "times": "Array(UInt8)",
    "cost_usd": "Nullable(Float64)", "level": "UInt8", "kind": "UInt8", "keyed": "UInt8", "request_complete": "UInt8",
    "seq": "Int64", "started_at_us": "Int64", "duration_us": "Int64", "request_bytes": "Int64",
    "response_bytes": "Int64",
}  # fmt: skip
_STRINGS: Final = frozenset(
    {"path", "query", "trace_id", "span_id", "request_id", "client_ip", "data", "stream", "marks"}
)
_BYTES: Final = ("client_ip", "data", "stream", "marks")
_REPEATED: Final = tuple(place for place, column in enumerate(COLUMNS) if column in KINDS)
_PLACE: Final = {column: place for place, column in enumerate(COLUMNS)}
_stream_decoder: Final = msgspec.msgpack.Decoder(Stream)


_PLAIN: Final = tuple(column for column in COLUMNS if column in Record.__struct_fields__ and column != "seq")
"""Columns that are a field of a record, as it is or to be coded."""
_KINDS: Final = tuple(column for column in _PLAIN if column in KINDS)
_origin_of: Final = attrgetter(*packing.ORIGIN_FIELDS)


def _type(column: str) -> str:
    if column in KINDS:
        return "Int64"
    return _TYPES.get(column, "Nullable(String)" if column in _STRINGS else "Nullable(Int64)")


ROW_TYPES: Final = {column: _type(column) for column in (*COLUMNS, *CALL_KINDS)} | {"attempt": "UInt64"}
"""Column → its type, of the table of rows."""


def columns_of(records: Sequence[Record], values: Values) -> list[Column]:
    """Make the columns of records, but for `seq` and `attempt`; the repeated text in them is added to `values`.

    Raises:
        ValueError: A value cannot be stored. So may writing the columns.
    """

    def numbers(column: str, texts: Sequence[str | None]) -> list[int]:
        found = {text: text_id(column, text) for text in set(texts)}
        values.update({number: (column, text) for text, number in found.items() if text is not None})
        return list(map(found.__getitem__, texts))

    made: dict[str, Sequence[Any]] = {column: list(map(attrgetter(column), records)) for column in _PLAIN}
    streams = made["stream"]
    made["origin"] = numbers("origin", _origins(records))
    made["finish_reason"] = numbers("finish_reason", list(map(_finish_reason, streams)))
    made["called_tools"] = numbers("called_tools", list(map(_called_tools, streams)))
    for column, words in CODED.items():
        made[column] = _codes(column, words, made[column])
    for column, write in _WRITERS.items():
        made[column] = list(map(write, records))
    for column in _KINDS:
        made[column] = numbers(column, made[column])
    return [Column(column, type, made[column]) for column, type in ROW_TYPES.items() if column in made]


def decode(row: Sequence[Any], texts: Mapping[Any, str | None]) -> Record:
    """Make a record of a row of `packing.COLUMNS`, given the texts of `numbers_of`."""
    values = list(row)
    for place in _REPEATED:
        values[place] = texts.get(values[place])
    for column, words in CODED.items():
        values[_PLACE[column]] = words[values[_PLACE[column]]]
    for column in ("keyed", "request_complete"):
        values[_PLACE[column]] = values[_PLACE[column]] == 1
    for column in _BYTES:
        if (text := values[_PLACE[column]]) is not None:
            values[_PLACE[column]] = text.encode("utf-8", "surrogateescape")
    _change(values, "client_ip", packing.unpack_address)
    _change(values, "stream", _stream_decoder.decode)
    if values[_PLACE["request_id"]] == _OWN_ID:
        number = values[_PLACE["id"]].hex()
        values[_PLACE["request_id"]] = "-".join((number[:8], number[8:12], number[12:16], number[16:20], number[20:]))
    return packing.unpacked(values)


def numbers_of(rows: Iterable[Sequence[Any]]) -> set[int]:
    """Return the numbers of text in rows of `packing.COLUMNS`."""
    return {row[place] for row in rows for place in _REPEATED}


def _change(values: list[Any], column: str, change: Callable[[Any], Any]) -> None:
    place = _PLACE[column]
    if values[place] is not None:
        values[place] = change(values[place])


def _origins(records: Sequence[Record]) -> list[str]:
    """Write the origin of each record: many are the same."""
    found = list(map(_origin_of, records))
    packed = {origin: packing.pack_origin(origin) for origin in set(found)}
    return list(map(packed.__getitem__, found))


def _finish_reason(stream: Stream | None) -> str | None:
    return None if stream is None else stream.finish_reason


def _called_tools(stream: Stream | None) -> str | None:
    return None if stream is None else pack(stream.tools)


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


_WRITERS: Final[dict[str, Callable[[Record], Any]]] = {
    "times": packing.pack_times,
    "client_ip": lambda record: None if record.client_ip is None else packing.pack_address(record.client_ip),
    "request_id": _request_id,
    "stream": lambda record: None if record.stream is None else msgspec.msgpack.encode(record.stream),
}
