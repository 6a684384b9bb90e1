"""A message of a WebSocket or gRPC stream as a ring entry, packed by the worker, read by the
collector.

The counterpart of `exchange.py`. Each message becomes an event record of its own, so it carries the
link to its exchange: its id, its route and its `traceparent`, cut out of the request head once per
exchange. The first message also carries the opening of the exchange, whose own entry comes last.
"""

from struct import Struct
from typing import Final, NamedTuple

from proxy.http1.websocket_frames import Message, Opcode
from proxy.ring.exchange import ACCESS

KIND_WEBSOCKET, KIND_GRPC = 2, 3
"""Ring entry kinds of messages."""

IN, OUT = 0, 1
"""Direction: from the client, from the upstream."""

FIXED: Final = Struct("<16s16sqQHBBBBI")
"""Own id, exchange id, wall clock in ns, size, route, opcode, direction, flags, length of the
traceparent, length of the data.
"""
_COMPRESSED, _ACCESS, _GAP, _SESSION, _NO_TEXT, _ROW, _OPENING = 1, 2, 4, 8, 16, 32, 64
"""Flags, in this order: the payload is compressed; `exchange.ACCESS` of the handshake follows the
data; messages before it were not recorded; the session follows, after its length; no content may be
stored; the entry stands for a run of empty messages, with their number in the field of the size;
the opening follows, after its length.
"""
_LENGTH: Final = Struct("<H")
_OPENING_LENGTH: Final = Struct("<I")
_OPCODES: Final = frozenset(map(int, Opcode))


class CapturedMessage(NamedTuple):
    """A decoded message."""

    id: bytes
    exchange_id: bytes
    at_ns: int
    """Wall clock, Unix nanoseconds."""
    size: int
    """Payload bytes as sent."""
    route: int
    opcode: int
    direction: int
    is_compressed: bool
    traceparent: bytes
    data: bytes
    """The first bytes of the payload, unmasked, as sent (compressed, if it was)."""
    access: bytes = b""
    """Result of the key check of the handshake."""
    follows_gap: bool = False
    """True if messages of its direction passed unrecorded before it."""
    session: bytes = b""
    """In a model session: the packed handshake (`handshake.py`). In a gRPC stream: path, content
    type and message coding, separated by line feeds.
    """
    keeps_text: bool = True
    """True if its content may be stored; otherwise it is used for counts alone."""
    times: int = 1
    """Number of consecutive empty messages of this kind that this one stands for."""
    kind: int = KIND_WEBSOCKET
    """Kind of its ring entry."""
    opening: bytes = b""
    """Result of `Exchange.encode_opening`, in the first recorded message of an exchange."""


def encode_message(
    record_id: bytes,
    exchange_id: bytes,
    at_ns: int,
    route: int,
    direction: int,
    message: Message,
    traceparent: bytes,
    access: bytes = b"",
    session: bytes = b"",
    *,
    keeps_text: bool = True,
    follows_gap: bool = False,
    opening: bytes = b"",
) -> tuple[bytes, list[bytes]]:
    flags = _COMPRESSED * message.is_compressed | (_ACCESS if access else 0) | _GAP * follows_gap
    flags |= (
        (_SESSION if session else 0) | (0 if keeps_text else _NO_TEXT) | _ROW * (message.times > 1)
    )
    flags |= _OPENING if opening else 0
    header = FIXED.pack(
        record_id,
        exchange_id,
        at_ns,
        message.size if message.times == 1 else message.times,
        route,
        message.opcode,
        direction,
        flags,
        len(traceparent),
        len(message.data),
    )
    sections = [traceparent, message.data, access]
    if session:
        sections += _LENGTH.pack(len(session)), session
    if opening:
        sections += _OPENING_LENGTH.pack(len(opening)), opening
    return header, sections


def decode_message(
    kind: int, header: bytes | memoryview, sections: bytes | memoryview
) -> CapturedMessage:
    """Decode an entry.

    Raises:
        ValueError: the entry is damaged: not a message, lengths that do not fit, or an unknown
            code.
    """
    if kind not in (KIND_WEBSOCKET, KIND_GRPC):
        raise ValueError(f"unknown ring entry kind {kind}")
    if len(header) != FIXED.size:
        raise ValueError(f"message header of {len(header)} bytes, expected {FIXED.size}")

    record_id, exchange_id, at_ns, size, route, opcode, direction, flags, trace, length = (
        FIXED.unpack(header)
    )
    raw = bytes(sections)

    text = trace + length
    access = end = text + (ACCESS.size if flags & _ACCESS else 0)
    if end > len(raw) or direction > OUT or opcode not in _OPCODES:
        raise ValueError(
            f"message of {end} bytes, opcode {opcode}, direction {direction} is damaged"
        )

    session = b""
    opening = b""
    if flags & _SESSION:
        session, end = _part_in(raw, end, _LENGTH, "session")
    if flags & _OPENING:
        opening, end = _part_in(raw, end, _OPENING_LENGTH, "opening")
    size, times = (0, size) if flags & _ROW else (size, 1)
    return CapturedMessage(
        record_id, exchange_id, at_ns, size, route, opcode, direction, bool(flags & _COMPRESSED),
        raw[:trace], raw[trace:text], raw[text:access], bool(flags & _GAP), session,
        not flags & _NO_TEXT, times, kind, opening,
    )  # fmt: skip


def _part_in(raw: bytes, at: int, length: Struct, name: str) -> tuple[bytes, int]:
    """Return the part at an offset, where it follows its length, and the offset of the part's end."""
    start = at + length.size
    size = int.from_bytes(raw[at:start], "little")
    part = raw[start : start + size]
    if not size or len(part) != size:
        raise ValueError(f"message with a {name} of {len(part)} bytes, expected {size}, is damaged")
    return part, start + size
