"""Columns nobody searches for, packed: client address, origin and times. What is packed reads back exactly.

* A client's address takes 4 or 16 bytes, as in a packet; other text, which proxies may bring, is kept as it is.
* How a request came and went, with whose key, what was shed of it: few combinations, so together one dictionary id.
* When things happened within an exchange: differences are small where moments are not, and two of them are nearly
  always 0 or 1, so that msgpack takes 9 bytes for what five columns take 40 for.
"""

import socket
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from storage.record import Record, Shed

ORIGIN_FIELDS: Final = ("scheme", "http_version", "upstream", "key_name", "key_last4", "shed")
"""What is packed, of a record: nobody searches for any of them."""

Origin = tuple[str | None, str | None, str | None, str | None, str | None, Shed | None]
"""In the order of `ORIGIN_FIELDS`."""

_origin_decoder: Final[msgspec.json.Decoder[Origin]] = msgspec.json.Decoder(Origin)


def pack_origin(values: Sequence[str | None]) -> str:
    return msgspec.json.encode(values).decode()


def unpack_origin(packed: str) -> Origin:
    """Read what `pack_origin` wrote."""
    return _origin_decoder.decode(packed)


TIME_FIELDS: Final = ("ended_at_us", "connect_us", "upstream_us", "upstream_sent_at_us", "upstream_done_at_us")
"""What is packed, of a record."""

Times = tuple[int, int | None, int | None, int | None, int | None]
"""In the order of `TIME_FIELDS`."""

_PackedTimes = tuple[int | str, int | str | None, int | str | None, int | str | None, int | str | None]
_times_encoder: Final = msgspec.msgpack.Encoder()
_times_decoder: Final = msgspec.msgpack.Decoder(_PackedTimes)

_FAMILIES: Final = {4: socket.AF_INET, 16: socket.AF_INET6}
"""Length → address family."""
_MAX_REMEMBERED: Final = 10_000


@lru_cache(_MAX_REMEMBERED)
def pack_address(text: str) -> bytes:
    for family in _FAMILIES.values():
        try:
            packed = socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        if socket.inet_ntop(family, packed) == text:
            return packed
    # NUL, once or twice, so that it has the length of no address.
    marked = b"\0" + text.encode()
    return b"\0" + marked if len(marked) in _FAMILIES else marked


@lru_cache(_MAX_REMEMBERED)
def unpack_address(packed: bytes) -> str:
    """Read what `pack_address` wrote."""
    if len(packed) in _FAMILIES:
        return socket.inet_ntop(_FAMILIES[len(packed)], packed)
    return packed.lstrip(b"\0").decode()


def pack_times(record: Record) -> bytes:
    start, sent, done = record.started_at_us, record.upstream_sent_at_us, record.upstream_done_at_us
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
    try:
        return _times_encoder.encode(values)
    except OverflowError:  # differences of what fits in 64 bits need not fit
        return _times_encoder.encode(tuple(None if value is None else str(value) for value in values))


def unpack_times(packed: bytes, started_at_us: int, duration_us: int) -> Times:
    """Read what `pack_times` wrote, given two columns of the same row."""
    values = _times_decoder.decode(packed)
    ended, connect, upstream, sent, done = (int(value) if isinstance(value, str) else value for value in values)
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
