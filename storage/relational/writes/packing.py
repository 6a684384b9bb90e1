"""The columns of a row in all relational stores, and their packed forms.

Every field of a record has a separate column unless it is in `PACKED`. Packed values read back
exactly:

* A client's address takes 4 or 16 bytes, as in a packet; other text from a proxy is kept as it is.
* Scheme, version, upstream, key and shed parts have few combinations, and share one dictionary id
  (`origin`).
* Times within an exchange become differences. These are small, and two of them are nearly always 0
  or 1: 9 bytes of msgpack instead of five columns with 40. After them come the numbers of
  redactions, if any (`redactions.py`).
"""

import socket
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import msgspec

from storage.record import Record, Shed
from storage.relational.rollups import DIMENSIONS
from storage.relational.sql import CODED
from storage.relational.sql import DIMENSIONS as DICTIONARY_COLUMNS
from storage.relational.weights import weight_of
from storage.relational.writes import redactions
from storage.search import meaning

ORIGIN_FIELDS: Final = ("scheme", "http_version", "upstream", "key_name", "key_last4", "shed")
"""Fields that are packed into `origin`: searches do not read them."""

Origin = tuple[str | None, str | None, str | None, str | None, str | None, Shed | None]
"""In the order of `ORIGIN_FIELDS`."""

_origin_decoder: Final[msgspec.json.Decoder[Origin]] = msgspec.json.Decoder(Origin)


def pack_origin(values: Sequence[str | None]) -> str:
    return msgspec.json.encode(values).decode()


def unpack_origin(packed: str) -> Origin:
    """Read the result of `pack_origin`."""
    return _origin_decoder.decode(packed)


TIME_FIELDS: Final = (
    "ended_at_us",
    "connect_us",
    "upstream_us",
    "upstream_sent_at_us",
    "upstream_done_at_us",
)
"""Fields that are packed into `times`."""

Times = tuple[int, int | None, int | None, int | None, int | None]
"""In the order of `TIME_FIELDS`."""

PACKED: Final = (*ORIGIN_FIELDS, *TIME_FIELDS)
"""The fields of a record without a separate column."""
_FIELDS: Final[tuple[str, ...]] = Record.__struct_fields__
COLUMNS: Final = (*(field for field in _FIELDS if field not in PACKED), "origin", "times")
"""Columns of a record, in the order that `unpacked` expects: the order of its fields, then the
packed ones.
"""
_STARTED, _DURATION = COLUMNS.index("started_at_us"), COLUMNS.index("duration_us")
_REDACTIONS, _WEIGHT = COLUMNS.index("redactions"), COLUMNS.index("weight")
_in_order: Final = itemgetter(*((*COLUMNS, *PACKED).index(field) for field in _FIELDS))
"""From the values of a row, unpacked ones last, to the fields of a record."""


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """The content of `times`: differences, those of `TIME_FIELDS` in their order, then the numbers
    of redactions.
    """

    ended: int | str
    connect: int | str | None
    upstream: int | str | None
    sent: int | str | None
    done: int | str | None
    redactions: list[int] | None = None


_times_encoder: Final = msgspec.msgpack.Encoder()
_times_decoder: Final = msgspec.msgpack.Decoder(_Packed)

_FAMILIES: Final = {4: socket.AF_INET, 16: socket.AF_INET6}
"""Length → address family."""
_MAX_REMEMBERED: Final = 10_000


@lru_cache(_MAX_REMEMBERED)
def pack_address(text: str) -> bytes:
    packed = meaning.pack_address(text)
    if packed is not None:
        return packed

    # One or two bytes are added in front, so that the length differs from that of every address.
    marked = b"\0" + text.encode()
    if len(marked) in _FAMILIES:
        return b"\1" + marked

    return marked


@lru_cache(_MAX_REMEMBERED)
def unpack_address(packed: bytes) -> str:
    """Read the result of `pack_address`."""
    if len(packed) in _FAMILIES:
        return socket.inet_ntop(_FAMILIES[len(packed)], packed)
    return packed[1 + packed[0] :].decode()


def pack_times(record: Record) -> bytes:
    start = record.started_at_us
    sent = record.upstream_sent_at_us
    done = record.upstream_done_at_us
    upstream = record.upstream_us
    if upstream is not None and sent is not None and done is not None:
        upstream -= done - sent
    values = (
        record.ended_at_us - start - record.duration_us,
        record.connect_us,
        upstream,
        None if sent is None else sent - start,
        None if done is None else done - start,
    )
    counts = record.redactions and redactions.counts_of(record.redactions)
    try:
        return _times_encoder.encode((*values, counts) if counts else values)
    except OverflowError:  # differences of 64-bit numbers may need more
        texts = tuple(None if value is None else str(value) for value in values)
        return _times_encoder.encode((*texts, counts) if counts else texts)


def unpack_times(packed: bytes, started_at_us: int, duration_us: int) -> Times:
    """Read the result of `pack_times`, given two columns of the same row."""
    found = _times_decoder.decode(packed)
    values = (found.ended, found.connect, found.upstream, found.sent, found.done)
    ended, connect, upstream, sent, done = (
        int(value) if isinstance(value, str) else value for value in values
    )
    assert ended is not None, "bug: every record has an end"
    if upstream is not None and sent is not None and done is not None:
        upstream += done - sent
    return (
        started_at_us + duration_us + ended,
        connect,
        upstream,
        None if sent is None else started_at_us + sent,
        None if done is None else started_at_us + done,
    )


def unpack_redactions(ids: str, packed: bytes) -> dict[str, int]:
    """Read redactions from the text of their ids, and the result of `pack_times`."""
    return redactions.unpack(ids, _times_decoder.decode(packed).redactions)


def is_own(request_id: str, record_id: bytes) -> bool:
    """Return True if a request id is the record's own as `format_id` writes it: stores keep a mark
    instead.
    """
    # 0.2 us; writing the id with its hyphens takes 0.5.
    return (
        len(request_id) == 36
        and request_id[8:24:5] == "----"
        and request_id.replace("-", "") == record_id.hex()
    )


def unpacked(values: list[Any]) -> Record:
    """Make a record from the values of `COLUMNS`, all decoded except the last two; the list is
    changed.

    The origin is None if retention has meanwhile deleted its text, together with the row.
    """
    *_, origin, times = values
    if values[_REDACTIONS] is not None:
        values[_REDACTIONS] = unpack_redactions(values[_REDACTIONS], times)
    values[_WEIGHT] = weight_of(values[_WEIGHT])
    values += unpack_origin(origin) if origin else (None,) * len(ORIGIN_FIELDS)
    values += unpack_times(times, values[_STARTED], values[_DURATION])
    return Record(*_in_order(values))


COMBINED: Final = (*DIMENSIONS, "outcome", "stage", "direction", "error_type")
"""Columns that occur in few combinations, together with those of the origin."""
Combined = tuple[str | None, ...]
"""Text of one record in the order of `COMBINED`, then of `ORIGIN_FIELDS`."""
METHOD: Final = DIMENSIONS.index("method")
"""Its position in a combination."""
MAX_COMBINATIONS: Final = 10_000
"""Remembered combinations of route, key, method, upstream, outcome and so on: up to 8 MB, then all
are forgotten.
"""
MAX_METHOD_CHARACTERS: Final = 64
"""Longest method of a remembered combination: clients choose it."""
REPEATED_PLACES: Final = tuple(
    COLUMNS.index(column)
    for column in (*DICTIONARY_COLUMNS, "origin", "redactions")
    if column in COLUMNS
)
"""Positions in `COLUMNS` of ids of repeated text."""

CODED_PLACES: Final = tuple((COLUMNS.index(column), words) for column, words in CODED.items())


def combined_of(record: Record) -> Combined:
    """Return the key of a combination: one look-up (0.4 µs) instead of 20 (1.5 µs)."""
    return (
        record.project, record.container, record.client, record.service, record.route_id, record.key_id,
        record.source, record.level, record.method, record.kind, record.instance,
        record.outcome, record.stage, record.direction, record.error_type,
        record.scheme, record.http_version, record.upstream, record.key_name, record.key_last4, record.shed,
    )  # fmt: skip


PLACES: Final = (
    "heads_block", "heads_offset", "heads_length", "bodies_block", "bodies_offset", "bodies_length",
)  # fmt: skip
"""Columns with the place of a row's payload."""


def code_of(column: str, value: str | None) -> int:
    """Return the number of a word.

    Raises:
        ValueError: the column does not have this word.
    """
    words = CODED[column]
    if value not in words:
        raise ValueError(f"{column} {value!r} is not one of {', '.join(words)}")
    return words.index(value)
