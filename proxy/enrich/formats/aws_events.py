"""Split the binary event streams of AWS (`application/vnd.amazon.eventstream`) into frames. Pure.

Strategy: a message says its length, which its own checksum guards; within a stream that is cut the next one is found by
the header that every event begins with. Payload checksums are not looked at: this is a copy. Standard: the Smithy
specification "Amazon Event Stream Specification".
"""

import zlib
from struct import Struct
from typing import Final

from proxy.enrich.formats.frames import MAX_FRAME_BYTES, Frame

_PRELUDE: Final = Struct(">III")
"""Length of the message, length of its headers, checksum of these two."""
_TRAILER_BYTES: Final = 4
_FIRST_HEADERS: Final = (b"\x0b:event-type\x07", b"\x0f:exception-type\x07")


class AwsEventSplitter:
    """Splits one stream; fed piece by piece."""

    __slots__ = ("_at", "_is_cut", "_max", "_rest")

    def __init__(self, *, start: int = 0, is_inside: bool = False, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        """Begin at offset `start`; with `is_inside` somewhere within a message, which is then passed over."""
        self._max = max_frame_bytes
        self._at = start
        self._is_cut = is_inside
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next piece; return the messages it completes. Behind damage nothing is read."""
        data = self._rest + data
        frames: list[Frame] = []
        at = _next_message(data) if self._is_cut else 0
        self._is_cut = False
        while len(data) - at >= _PRELUDE.size:
            size, headers, checksum = _PRELUDE.unpack_from(data, at)
            begin, end = at + _PRELUDE.size + headers, at + size - _TRAILER_BYTES
            if zlib.crc32(data[at : at + 8]) != checksum or begin > end or size > self._max:
                at = len(data)
            elif at + size > len(data):
                break
            else:
                frames.append(Frame(_event_of(data[at + _PRELUDE.size : begin]), data[begin:end], self._at + at + size))
                at += size
        self._rest = data[at:]
        self._at += at
        return frames

    def finish(self) -> list[Frame]:
        return []


def _next_message(data: bytes) -> int:
    """Return where the first message begins that is there from its beginning; the length of `data` without one."""
    places = [place - _PRELUDE.size for name in _FIRST_HEADERS if (place := data.find(name, _PRELUDE.size)) >= 0]
    return min(places, default=len(data))


def _event_of(headers: bytes) -> bytes:
    """Return the value of the first header, the type of the event or exception."""
    for name in _FIRST_HEADERS:
        if headers.startswith(name):
            size = int.from_bytes(headers[len(name) : len(name) + 2], "big")
            return headers[len(name) + 2 : len(name) + 2 + size]
    return b""
