"""A record as a row, and a row as a record.

Strategy: rows go to the server by COPY in the driver's binary form, where null costs least, so null
is null. They are made before the transaction; `seq` is set when the counter row is locked, so that
nothing slow happens under the lock. Ids of repeated text are looked up first, for a whole batch at
once.

Invariant: `decode(encode(record)) == record` for every record the store takes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from asyncpg.pgproto.pgproto import UUID

from storage.grpc import Grpc
from storage.postgres.connection import Connection
from storage.postgres.dictionary import Dictionary, Value
from storage.postgres.index_keys import id_bucket
from storage.postgres.text import escape, unescape
from storage.record import Record, Stream
from storage.relational.blocks.payloads import NOWHERE, Place
from storage.relational.by_id import id_ms
from storage.relational.combinations import pack
from storage.relational.rollups import DIMENSIONS, LIMITED, dimensions_of
from storage.relational.sql import CODED, PART_KINDS, Statements
from storage.relational.weights import weight_code
from storage.relational.writes import packing, redactions
from storage.relational.writes.remembered import Names

_TEXT: Final = ("path", "query", "trace_id", "span_id", "request_id")
_ALONE: Final = (
    "host", "user_agent", "user_id", "name", "auth_code", "provider", "model", "resolved_model", "usage_state",
    "price_source", "endpoint", "message",
)  # fmt: skip
"""Columns of repeated text, each looked up by itself."""
ROW_COLUMNS: Final = (
    "seq", "id", "id_bucket", "started_at_us", "status", "duration_us",
    *packing.COMBINED, "origin",
    *_ALONE, *PART_KINDS,
    "first_byte_us", "times",
    "request_bytes", "response_bytes", "request_complete",
    *packing.PLACES,
    "client_ip", *_TEXT,
    "data", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd",
    "stream", "keyed", "conversation", "marks", "grpc", "weight",
)  # fmt: skip
"""Columns of a row as it is stored; `seq` is the first."""
_NO_PLACE: Final = (None, None, None)

_TEXT_PLACES: Final = tuple(packing.COLUMNS.index(column) for column in _TEXT)
_ID: Final = packing.COLUMNS.index("id")
_STREAM, _GRPC = packing.COLUMNS.index("stream"), packing.COLUMNS.index("grpc")
_CLIENT_IP, _REQUEST_ID = packing.COLUMNS.index("client_ip"), packing.COLUMNS.index("request_id")
_KEYED, _CONVERSATION = packing.COLUMNS.index("keyed"), packing.COLUMNS.index("conversation")

_OWN_ID: Final = "\1"
"""Stands for a request id equal to the record's own, which a request without one gets. `escape`
never returns it.
"""

Row = list[Any]


class Combination(NamedTuple):
    """The ids of the repeated text that few combinations of occur."""

    ids: tuple[int | None, ...]
    """In the order of the row."""
    rollup: tuple[int, ...]
    """The dimensions of rollups, 0 for null; methods that clients invented are 0."""
    error_type: int
    """0 for null."""


class RowEncoder:
    """Makes rows: `learn` for a batch, then `row` for each of its records."""

    def __init__(self) -> None:
        self._dictionary = Dictionary()
        self._combinations: dict[packing.Combined, Combination] = {}

    def forget(self) -> None:
        """Remember nothing: the server may have been replaced."""
        self._combinations.clear()
        self._dictionary.forget()

    async def learn(
        self,
        connection: Connection,
        records: Sequence[Record],
        day: int,
        more: Iterable[Value] = (),
    ) -> list[Combination]:
        """Look up all repeated text of a batch, outside its transaction; returns the combination of
        each record.

        No row of the batch starts after `day` (since the epoch); `more` are values that are looked
        up, too.
        """
        if self._dictionary.begin(day) or len(self._combinations) > packing.MAX_COMBINATIONS:
            self._combinations.clear()
        keys = [packing.combined_of(record) for record in records]
        new = {key for key in keys if key not in self._combinations}
        unknown = {
            (column, text) for column, text in more if text not in self._dictionary.ids[column]
        }
        await self._dictionary.learn(
            connection, {*self._unknown_alone(records), *self._unknown_combined(new), *unknown}
        )
        for key in new:
            self._combinations[key] = self._combine(key)
        return [self._combinations[key] for key in keys]

    @property
    def ids(self) -> dict[str, dict[str | None, int | None]]:
        """Column → text → id, of what was learned."""
        return self._dictionary.ids

    def usage(self, record: Record, combination: Combination) -> tuple[int, ...]:
        ids = self._dictionary.ids
        return (
            *combination.rollup[: len(LIMITED)],
            ids["provider"][record.provider] or 0,
            ids["model"][record.model] or 0,
            ids["resolved_model"][record.resolved_model] or 0,
        )

    def row(self, record: Record, combination: Combination, heads: Place, bodies: Place) -> Row:
        """Make a row whose `seq` is still 0."""
        ids = self._dictionary.ids
        return [
            0, UUID(record.id), id_bucket(id_ms(record.id)), record.started_at_us, record.status, record.duration_us,
            *combination.ids,
            *[ids[column][getattr(record, column)] for column in _ALONE],
            *(ids[column][text] for column, text in _repeated(record)),
            record.first_byte_us, packing.pack_times(record),
            record.request_bytes, record.response_bytes, record.request_complete,
            *(_NO_PLACE if heads is NOWHERE else heads),
            *(_NO_PLACE if bodies is NOWHERE else bodies),
            None if record.client_ip is None else packing.pack_address(escape(record.client_ip)),
            None if record.path is None else escape(record.path),
            None if record.query is None else escape(record.query),
            None if record.trace_id is None else escape(record.trace_id),
            None if record.span_id is None else escape(record.span_id),
            _request_id(record),
            record.data,
            record.input_tokens, record.output_tokens,
            record.cache_read_tokens, record.cache_write_tokens, record.reasoning_tokens,
            record.cost_usd,
            None if record.stream is None else msgspec.msgpack.encode(record.stream),
            1 if record.keyed else 0,
            None if record.conversation is None else UUID(record.conversation), record.marks,
            None if record.grpc is None else msgspec.msgpack.encode(record.grpc),
            weight_code(record.weight) or None,
        ]  # fmt: skip

    def _unknown_alone(self, records: Sequence[Record]) -> Iterable[Value]:
        ids = self._dictionary.ids
        for column in _ALONE:
            known = ids[column]
            for text in {getattr(record, column) for record in records}:
                if text not in known:
                    yield column, text

        for record in records:
            for column, text in _repeated(record):
                if text is not None and text not in ids[column]:
                    yield column, text

    def _unknown_combined(self, keys: Iterable[packing.Combined]) -> Iterable[Value]:
        ids = self._dictionary.ids
        for key in keys:
            for column, text in zip(packing.COMBINED, key, strict=False):
                if column not in CODED and text is not None and text not in ids[column]:
                    yield column, text
            packed = _origin(key)
            if packed not in ids["origin"]:
                yield "origin", packed

    def _combine(self, key: packing.Combined) -> Combination:
        ids = tuple(
            packing.code_of(column, text) if column in CODED else self._dictionary.ids[column][text]
            for column, text in zip(packing.COMBINED, key, strict=False)
        )
        rollup = dimensions_of(ids[: len(DIMENSIONS)], key[packing.METHOD])
        packed = self._dictionary.ids["origin"][_origin(key)]
        return Combination((*ids, packed), rollup, ids[packing.COMBINED.index("error_type")] or 0)


def _repeated(record: Record) -> Iterable[tuple[str, str | None]]:
    """Return the columns of `PART_KINDS` and what a record says of them."""
    stream = record.stream
    grpc = record.grpc
    return (
        ("finish_reason", None if stream is None else stream.finish_reason),
        ("called_tools", None if stream is None else pack(stream.tools)),
        ("grpc_status", None if grpc is None else grpc.status_name),
        ("redactions", redactions.pack(record.redactions)),
        ("failed_tools", None if stream is None else pack(stream.failed_tools)),
    )


def _request_id(record: Record) -> str | None:
    if record.request_id is None:
        return None
    if packing.is_own(record.request_id, record.id):
        return _OWN_ID
    return escape(record.request_id)


def _origin(key: packing.Combined) -> str:
    return packing.pack_origin(key[len(packing.COMBINED) :])


async def decode_rows(statements: Statements, rows: Sequence[Any], names: Names) -> list[Record]:
    """Make records of rows that have `COLUMNS`, in their order."""
    ids = {row[place] for row in rows for place in packing.REPEATED_PLACES}
    text = await names.load(statements, ids)
    return [_record(row, text) for row in rows]


def _record(row: Iterable[Any], text: Mapping[int | None, str | None]) -> Record:
    values = list(row)
    for place in packing.REPEATED_PLACES:
        values[place] = text[values[place]]
    if values[_CLIENT_IP] is not None:
        values[_CLIENT_IP] = unescape(packing.unpack_address(values[_CLIENT_IP]))
    if values[_REQUEST_ID] == _OWN_ID:
        values[_REQUEST_ID] = str(values[_ID])
    for place in _TEXT_PLACES:
        if values[place] is not None:
            values[place] = unescape(values[place])
    for place, words in packing.CODED_PLACES:
        values[place] = words[values[place]]
    values[_ID] = values[_ID].bytes
    values[_KEYED] = values[_KEYED] == 1
    values[_CONVERSATION] = values[_CONVERSATION] and values[_CONVERSATION].bytes
    if values[_STREAM] is not None:
        values[_STREAM] = msgspec.msgpack.decode(values[_STREAM], type=Stream)
    if values[_GRPC] is not None:
        values[_GRPC] = msgspec.msgpack.decode(values[_GRPC], type=Grpc)
    return packing.unpacked(values)
