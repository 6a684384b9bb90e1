"""Writing of frames, and reading of their padding and settings (RFC 9113 §4.1, §6)."""

from collections.abc import Iterable
from typing import Final

from proxy.http2.errors import ConnectionFault, ErrorCode

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
) = range(10)
(
    HEADER_TABLE_SIZE,
    ENABLE_PUSH,
    MAX_CONCURRENT_STREAMS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    MAX_LIST_SIZE,
) = range(1, 7)
ENABLE_CONNECT_PROTOCOL: Final = 8
"""Setting that allows WebSockets by an extended CONNECT (RFC 8441)."""
CONTROL_NAMES: Final[dict[int, str]] = {
    PRIORITY: "PRIORITY frames", RST_STREAM: "RST_STREAM frames", SETTINGS: "SETTINGS frames",
    PUSH_PROMISE: "PUSH_PROMISE frames", PING: "PING frames", GOAWAY: "GOAWAY frames",
    WINDOW_UPDATE: "WINDOW_UPDATE frames",
}  # fmt: skip
"""Names in the reasons of faults."""
ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEADER_BYTES: Final = 9
MAX_FRAME_BYTES: Final = 16384
"""Limit of a frame's payload, in either direction: the default, which every peer accepts (RFC 9113
§4.2).
"""
LARGEST_FRAME_BYTES: Final = 16_777_215
MAX_WINDOW_BYTES: Final = 0x7FFFFFFF
MAX_STREAM_ID: Final = 0x7FFFFFFF
WINDOW_BYTES: Final = 65535
"""Initial window of each stream and of the connection (RFC 9113 §6.9.2)."""
MAX_SETTINGS: Final = 32
"""Limit of entries in one frame: about twenty are registered, and each costs time (F1)."""
_ENTRY_BYTES: Final = 6
PRIORITY_BYTES: Final = 5


def frame_header(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    return (size << 48 | kind << 40 | flags << 32 | stream_id).to_bytes(HEADER_BYTES, "big")


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return frame_header(len(payload), kind, flags, stream_id) + payload


def rst_stream(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def goaway(last_id: int, code: int, reason: str = "") -> bytes:
    return frame(
        GOAWAY, 0, 0, last_id.to_bytes(4, "big") + code.to_bytes(4, "big") + reason.encode()
    )


def settings(entries: Iterable[tuple[int, int]]) -> bytes:
    return frame(
        SETTINGS,
        0,
        0,
        b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in entries),
    )


def header_frames(stream_id: int, block: bytes, *, is_end: bool) -> bytes:
    """Return a header block as a HEADERS frame, and CONTINUATIONs if it exceeds one frame (RFC 9113
    §6.10).
    """
    kind = HEADERS
    flags = END_STREAM if is_end else 0
    parts: list[bytes] = []

    while len(block) > MAX_FRAME_BYTES:
        parts.append(frame(kind, flags, stream_id, block[:MAX_FRAME_BYTES]))
        block = block[MAX_FRAME_BYTES:]
        kind = CONTINUATION
        flags = 0

    parts.append(frame(kind, flags | END_HEADERS, stream_id, block))
    return b"".join(parts)


def without_padding(payload: bytes, flags: int) -> bytes:
    """Return the payload of a DATA or HEADERS frame without padding and priority (RFC 9113 §6.1,
    §6.2).
    """
    begin = 0
    padding = 0
    if flags & PADDED:
        begin = 1
        padding = payload[0] if payload else 0
    if flags & HAS_PRIORITY:
        begin += PRIORITY_BYTES
    if begin > len(payload):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a frame too short for its flags")
    if begin + padding > len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")

    return payload[begin : len(payload) - padding]


def read_settings(payload: bytes) -> dict[int, int]:
    """Read and judge the entries of a SETTINGS frame (RFC 9113 §6.5.2). The last of equal ones
    counts.
    """
    if len(payload) % _ENTRY_BYTES:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
    if len(payload) > MAX_SETTINGS * _ENTRY_BYTES:
        raise ConnectionFault(
            ErrorCode.ENHANCE_YOUR_CALM, f"SETTINGS of more than {MAX_SETTINGS} entries"
        )

    found: dict[int, int] = {}
    for at in range(0, len(payload), _ENTRY_BYTES):
        key = payload[at] << 8 | payload[at + 1]
        value = found[key] = int.from_bytes(payload[at + 2 : at + _ENTRY_BYTES], "big")
        if key == ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if key == INITIAL_WINDOW_SIZE and value > MAX_WINDOW_BYTES:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE over 2^31-1")
        if key == MAX_FRAME_SIZE and not MAX_FRAME_BYTES <= value <= LARGEST_FRAME_BYTES:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of bounds")

    return found
