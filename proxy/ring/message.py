"""A message of a WebSocket or of a gRPC stream as a ring entry: packed by the worker, read back by
the collector.

The twin of `exchange.py`. Each message is an event record of its own, so it carries what ties it to
its exchange: that one's id, its route and its `traceparent`, cut out of the request's head once per
exchange. The first one also carries what is known of the exchange: its own entry comes last.
"""

from struct import Struct
from typing import Final, NamedTuple

from proxy.http1.websocket_frames import Message, Opcode
from proxy.ring.exchange import ACCESS

KIND_WEBSOCKET, KIND_GRPC = 2, 3
"""Ring entry kinds of messages."""

IN, OUT = 0, 1
"""From the client; from the upstream."""

FIXED: Final = Struct("<16s16sqQHBBBBI")
"""Own id, exchange's id, wall clock ns, size, route, opcode, direction, flags, length of
traceparent, of data.
"""
_COMPRESSED, _ACCESS, _GAP, _SESSION, _NO_TEXT, _ROW, _OPENING = 1, 2, 4, 8, 16, 32, 64
"""Flags: the payload is compressed; `exchange.ACCESS` of the handshake follows the data; messages
before it are not recorded; the session follows, behind its length; nothing of what is said may be
stored; it stands for a row of empty messages, and in the place of its size is how many; the
opening follows, behind its length.
"""
_LENGTH: Final = Struct("<H")
_OPENING_LENGTH: Final = Struct("<I")
_OPCODES: Final = frozenset(map(int, Opcode))


class CapturedMessage(NamedTuple):
    """A message read back."""

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
    """What the key check noted about the handshake."""
    follows_gap: bool = False
    """Whether messages of its direction passed unrecorded before it."""
    session: bytes = b""
    """Of a session with a model: what `handshake.py` packs. Of a gRPC stream: path,
    content type and coding of the messages, with line feeds between."""
    keeps_text: bool = True
    """Whether anything of what is said may be stored; else it is here for its counts alone."""
    times: int = 1
    """More than one: so many empty messages of this kind, one after the other."""
    kind: int = KIND_WEBSOCKET
    """Of its ring entry."""
    opening: bytes = b""
    """Of the first message that was recorded: what `Exchange.encode_opening` packs."""


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
    """Read an entry back.

    Raises:
        ValueError: its kind is no message's, the lengths do not fit, or a code is unknown: the entry is damaged.
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
    """Return a part that stands behind its length, and where it ends."""
    start = at + length.size
    size = int.from_bytes(raw[at:start], "little")
    part = raw[start : start + size]
    if not size or len(part) != size:
        raise ValueError(f"message with a {name} of {len(part)} bytes, expected {size}, is damaged")
    return part, start + size
