"""A record as a row, and a row as a record.

Strategy: three shapes. Every row has the plain columns, a call of gRPC or a failure three more;
those of events, refused keys and LLM calls are left out where all of them are null, because binding
null costs 0.2 µs each. Within the plain columns null has a stand-in that binds fast (see
migrations/0001_first.sql). Bytes are bound as bytearray, which is four times as fast. What no
search reads for is packed, because each column costs 0.05 µs
(storage/relational/writes/packing.py).

Invariant: `decode(encode(record)) == record` for every record whose numbers are not negative.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from storage.grpc import Grpc
from storage.record import Record, Stream, format_id
from storage.relational.blocks.payloads import Place
from storage.relational.combinations import pack
from storage.relational.rollups import DIMENSIONS, dimensions_of
from storage.relational.sql import CODED, Statements
from storage.relational.weights import weight_code
from storage.relational.writes import packing, redactions
from storage.relational.writes.remembered import Names
from storage.sqlite.dictionary import Dictionary

_TEXTS: Final = ("host", "user_agent", "user_id", "endpoint")
"""Columns of texts that clients choose, of which one client repeats the same."""
_NULLABLE_TEXT: Final = ("path", "query", "trace_id", "span_id", "request_id")
_PLAIN: Final = (
    "seq", "id", "started_at_us", "status", "duration_us",
    *packing.COMBINED, "origin",
    *_TEXTS,
    "first_byte_us", "times",
    "request_bytes", "response_bytes", "request_complete",
    *packing.PLACES,
    "client_ip", *_NULLABLE_TEXT,
    "redactions", "weight",
)  # fmt: skip
_FEW: Final = ("grpc", "grpc_status", "message")
"""Columns of the few rows that are calls of gRPC, or failed and said why."""
_RARE: Final = (
    "name", "data", "auth_code", "provider", "model", "resolved_model", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_state", "cost_usd", "price_source", "stream",
    "keyed", "finish_reason", "called_tools", "failed_tools", "conversation", "marks", *_FEW,
)  # fmt: skip
_MAX_TEXTS: Final = 4096
"""Hosts × user agents × users × endpoints; about 2 MB, the texts are those of the dictionary or of
records.
"""
_MAX_TEXTS_CHARACTERS: Final = 1024
"""Of the four together; longer ones are looked up one by one."""

_NULLABLE_PLACES: Final = tuple(
    packing.COLUMNS.index(column) for column in ("client_ip", *_NULLABLE_TEXT)
)
_STATUS: Final = packing.COLUMNS.index("status")
_COMPLETE: Final = packing.COLUMNS.index("request_complete")
_STREAM, _GRPC = packing.COLUMNS.index("stream"), packing.COLUMNS.index("grpc")
_KEYED: Final = packing.COLUMNS.index("keyed")
_ID, _FIRST_BYTE = packing.COLUMNS.index("id"), packing.COLUMNS.index("first_byte_us")
_CLIENT_IP, _REQUEST_ID = packing.COLUMNS.index("client_ip"), packing.COLUMNS.index("request_id")

_OWN_ID: Final = 1
"""Stands for a request id that is the record's own, as that of a request that brought none."""

Row = tuple[Any, ...]
Values = list[Any]
"""Of a row that is made."""
Texts = tuple[str | None, str | None, str | None, str | None]
"""In the order of `_TEXTS`."""


class RowKind:
    """Columns of a row, and the statements that insert rows of them."""

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
"""Rows of one statement: 3.1 µs a row instead of 3.6 (measured), and the interpreter lock changes
hands less often.
"""

PLAIN: Final = RowKind(_PLAIN)
FEW: Final = RowKind(_PLAIN + _FEW)
FULL: Final = RowKind(_PLAIN + _RARE)


class Combination(NamedTuple):
    """The ids of the repeated text that few combinations of occur."""

    ids: tuple[int, ...]
    """In the order of the row."""
    rollup: tuple[int, ...]
    """The dimensions of rollups; methods that clients invented are 0."""
    error_type: int


class RowEncoder:
    """Makes rows, inside the transaction that stores them."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._combinations: dict[packing.Combined, Combination] = {}
        self._texts: dict[Texts, tuple[int, ...]] = {}

    def forget(self) -> None:
        """Remember nothing: a transaction failed."""
        self._combinations.clear()
        self._texts.clear()
        self._dictionary.forget()

    def begin(self, day: int) -> None:
        if self._dictionary.begin(day):
            self._combinations.clear()
            self._texts.clear()

    def id_of(self, connection: sqlite3.Connection, column: str, value: str | None) -> int:
        return self._dictionary.id_of(connection, column, value)

    def combination(self, connection: sqlite3.Connection, record: Record) -> Combination:
        key = packing.combined_of(record)
        found = self._combinations.get(key)
        if found is None:
            return self._learn(connection, key)
        return found

    def _learn(self, connection: sqlite3.Connection, key: packing.Combined) -> Combination:
        id_of = self._dictionary.id_of
        ids = tuple(
            packing.code_of(column, value) if column in CODED else id_of(connection, column, value)
            for column, value in zip(packing.COMBINED, key, strict=False)
        )
        rollup = dimensions_of(ids[: len(DIMENSIONS)], key[packing.METHOD])
        origin = id_of(connection, "origin", packing.pack_origin(key[len(packing.COMBINED) :]))
        if len(self._combinations) >= packing.MAX_COMBINATIONS:
            self._combinations.clear()
        found = Combination((*ids, origin), rollup, ids[-1])
        if len(key[packing.METHOD] or "") <= packing.MAX_METHOD_CHARACTERS:
            self._combinations[key] = found
        return found

    def plain(
        self,
        connection: sqlite3.Connection,
        records: list[Record],
        first_seq: int,
        combinations: list[Combination],
        places: list[tuple[Place, Place]],
    ) -> list[Values]:
        """Make the plain columns of consecutive rows; `places` are those of heads and bodies."""
        known = self._texts.get
        texts = [
            (record.host, record.user_agent, record.user_id, record.endpoint) for record in records
        ]
        ids = [known(key) or self._learn_texts(connection, key) for key in texts]
        id_of = self._dictionary.id_of
        pack_times = packing.pack_times
        pack_address = packing.pack_address
        return [
            [
                seq, bytearray(record.id), record.started_at_us, record.status or 0, record.duration_us,
                *combination.ids, *text_ids,
                -1 if record.first_byte_us is None else record.first_byte_us, bytearray(pack_times(record)),
                record.request_bytes, record.response_bytes, 1 if record.request_complete else 0,
                *heads, *bodies,
                0 if record.client_ip is None else bytearray(pack_address(record.client_ip)),
                0 if record.path is None else record.path,
                0 if record.query is None else record.query,
                0 if record.trace_id is None else record.trace_id,
                0 if record.span_id is None else record.span_id,
                _request_id(record.request_id, record.id),
                0 if record.redactions is None else id_of(connection, "redactions", redactions.pack(record.redactions)),
                0 if record.weight == 1 else weight_code(record.weight),
            ]
            for seq, (record, combination, text_ids, (heads, bodies)) in enumerate(
                zip(records, combinations, ids, places, strict=True), first_seq
            )
        ]  # fmt: skip

    def _learn_texts(self, connection: sqlite3.Connection, key: Texts) -> tuple[int, ...]:
        id_of = self._dictionary.id_of
        ids = tuple(
            id_of(connection, column, value) for column, value in zip(_TEXTS, key, strict=True)
        )
        if len(self._texts) >= _MAX_TEXTS:
            self._texts.clear()
        if sum(len(text) for text in key if text is not None) <= _MAX_TEXTS_CHARACTERS:
            self._texts[key] = ids
        return ids

    def few(self, connection: sqlite3.Connection, record: Record) -> Row:
        """Make the columns of calls of gRPC, and of what said why it failed."""
        message = self._dictionary.id_of(connection, "message", record.message)
        grpc = record.grpc
        if grpc is None:
            return None, 0, message
        status = self._dictionary.id_of(connection, "grpc_status", grpc.status_name)
        return bytearray(msgspec.msgpack.encode(grpc)), status, message

    def rare(self, connection: sqlite3.Connection, record: Record) -> Row:
        id_of = self._dictionary.id_of
        stream = record.stream
        return (
            id_of(connection, "name", record.name),
            None if record.data is None else bytearray(record.data),
            id_of(connection, "auth_code", record.auth_code),
            id_of(connection, "provider", record.provider),
            id_of(connection, "model", record.model),
            id_of(connection, "resolved_model", record.resolved_model),
            record.input_tokens, record.output_tokens,
            record.cache_read_tokens, record.cache_write_tokens, record.reasoning_tokens,
            id_of(connection, "usage_state", record.usage_state),
            record.cost_usd,
            id_of(connection, "price_source", record.price_source),
            None if stream is None else bytearray(msgspec.msgpack.encode(stream)),
            1 if record.keyed else 0,
            0 if stream is None else id_of(connection, "finish_reason", stream.finish_reason),
            0 if stream is None else id_of(connection, "called_tools", pack(stream.tools)),
            0 if stream is None else id_of(connection, "failed_tools", pack(stream.failed_tools)),
            record.conversation, record.marks,
            *self.few(connection, record),
        )  # fmt: skip


def _request_id(text: str | None, record_id: bytes) -> str | int:
    if text is None:
        return 0
    return _OWN_ID if packing.is_own(text, record_id) else text


def is_plain(record: Record) -> bool:
    """Whether a record needs no more than the plain columns, and those that `has_few` tells of."""
    # In the order in which kinds of traffic betray themselves, so that a plain record pays all and
    # others few.
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
    """Whether it is a call of gRPC, or failed and said why."""
    return record.grpc is not None or record.message is not None


async def decode_rows(
    statements: Statements, rows: Sequence[Sequence[Any]], names: Names
) -> list[Record]:
    """Make records of rows that have `COLUMNS`, in their order."""
    ids = {row[place] for row in rows for place in packing.REPEATED_PLACES}
    text = await names.load(statements, ids)
    return [_record(row, text) for row in rows]


def _record(row: Sequence[Any], text: Mapping[int | None, str | None]) -> Record:
    # By place, not by name: 7 instead of 11 µs a row, reading it included.
    values = list(row)
    for place in packing.REPEATED_PLACES:
        values[place] = text[values[place]]
    for place in _NULLABLE_PLACES:
        if values[place] == 0:
            values[place] = None
    if values[_FIRST_BYTE] == -1:
        values[_FIRST_BYTE] = None
    if values[_CLIENT_IP] is not None:
        values[_CLIENT_IP] = packing.unpack_address(values[_CLIENT_IP])
    if values[_REQUEST_ID] == _OWN_ID:
        values[_REQUEST_ID] = format_id(values[_ID])
    values[_STATUS] = values[_STATUS] or None
    values[_COMPLETE] = values[_COMPLETE] == 1
    values[_KEYED] = values[_KEYED] == 1
    for place, words in packing.CODED_PLACES:
        values[place] = words[values[place]]
    if values[_STREAM] is not None:
        values[_STREAM] = msgspec.msgpack.decode(values[_STREAM], type=Stream)
    if values[_GRPC] is not None:
        values[_GRPC] = msgspec.msgpack.decode(values[_GRPC], type=Grpc)
    return packing.unpacked(values)
