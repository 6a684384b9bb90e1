"""Encode records as rows.

Strategy: rows are sent by COPY in the driver's binary form, where null costs least, so no stand-in
is used. They are made before the transaction, and `seq` is set once the counter row is locked, so
that nothing slow happens under the lock. Ids of repeated text are looked up first, for a whole
batch at once. Reading is shared (storage/relational/writes/codec.py).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from storage.postgres.connection import Connection
from storage.postgres.dictionary import Dictionary, Value
from storage.postgres.index_keys import id_bucket
from storage.record import Record
from storage.relational.blocks.payloads import NOWHERE, Place
from storage.relational.by_id import id_ms
from storage.relational.sql import CODED, PART_KINDS
from storage.relational.weights import weight_code
from storage.relational.writes import packing
from storage.relational.writes.codec import NULLABLE_TEXT, parts_of, stored_request_id
from storage.relational.writes.dictionary import Combination, origin_of

_ALONE: Final = (
    "host", "user_agent", "user_id", "name", "auth_code", "provider", "model", "resolved_model", "usage_state",
    "price_source", "endpoint", "message",
)  # fmt: skip
"""Columns of repeated text that are looked up one by one."""
ROW_COLUMNS: Final = (
    "seq", "id", "id_bucket", "started_at_us", "status", "duration_us",
    *packing.COMBINED, "origin",
    *_ALONE, *PART_KINDS,
    "first_byte_us", "times",
    "request_bytes", "response_bytes", "request_complete",
    *packing.PLACES,
    "client_ip", *NULLABLE_TEXT,
    "data", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd",
    "stream", "keyed", "conversation", "marks", "grpc", "weight",
)  # fmt: skip
"""Columns of a stored row; `seq` is the first."""
_NO_PLACE: Final = (None, None, None)

Row = list[Any]


async def learn(
    dictionary: Dictionary,
    connection: Connection,
    records: Sequence[Record],
    more: Iterable[Value] = (),
) -> list[Combination]:
    """Look up all repeated text of a batch, and the values `more`, outside its transaction. Return
    the combination of each record.
    """
    await dictionary.learn(
        connection, {*_alone(records), *_combined(set(map(packing.combined_of, records))), *more}
    )
    return [dictionary.combination(record) for record in records]


def make_row(
    dictionary: Dictionary, record: Record, combination: Combination, heads: Place, bodies: Place
) -> Row:
    """Return a row, with a `seq` of 0 for now."""
    ids = dictionary.ids
    return [
        0, record.id, id_bucket(id_ms(record.id)), record.started_at_us, record.status, record.duration_us,
        *combination.ids,
        *[ids[column][getattr(record, column)] for column in _ALONE],
        *[ids[column][text] for column, text in parts_of(record)],
        record.first_byte_us, packing.pack_times(record),
        record.request_bytes, record.response_bytes, record.request_complete,
        *(_NO_PLACE if heads is NOWHERE else heads),
        *(_NO_PLACE if bodies is NOWHERE else bodies),
        None if record.client_ip is None else packing.pack_address(record.client_ip),
        record.path, record.query, record.trace_id, record.span_id, stored_request_id(record),
        record.data,
        record.input_tokens, record.output_tokens,
        record.cache_read_tokens, record.cache_write_tokens, record.reasoning_tokens,
        record.cost_usd,
        None if record.stream is None else msgspec.msgpack.encode(record.stream),
        1 if record.keyed else 0,
        record.conversation, record.marks,
        None if record.grpc is None else msgspec.msgpack.encode(record.grpc),
        weight_code(record.weight) or None,
    ]  # fmt: skip


def _alone(records: Sequence[Record]) -> Iterable[Value]:
    for column in _ALONE:
        for text in {getattr(record, column) for record in records}:
            yield column, text
    for record in records:
        yield from parts_of(record)


def _combined(keys: Iterable[packing.Combined]) -> Iterable[Value]:
    for key in keys:
        for column, text in zip(packing.COMBINED, key, strict=False):
            if column not in CODED:
                yield column, text
        yield "origin", origin_of(key)
