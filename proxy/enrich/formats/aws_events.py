"""Split the binary event streams of AWS (`application/vnd.amazon.eventstream`) into frames.

Strategy: a message begins with its length, protected by a checksum of its own. In a cut stream, and
after damage, the next message is found by the header that begins every event. Payload checksums are
ignored: this is a copy. An exception becomes a document with a member of its name, as clients show
it. So does an error, whose code and message are headers. Standard: the Smithy specification "Amazon
Event Stream Specification".
"""

import re
import zlib
from struct import Struct
from typing import Final

import msgspec

from proxy.enrich.formats.frames import Frame

_PRELUDE: Final = Struct(">III")
"""Length of the message, length of its headers, checksum of these two."""
_TRAILER_BYTES: Final = 4
DAMAGED: Final = b":damaged"
"""Event name for bytes that are not a message, or for a cut message; compare it with `is`."""
FIRST_HEADER: Final = re.compile(
    rb"\x0b:event-type\x07|\x0f:exception-type\x07|\x0d:message-type\x07|\x0b:error-code\x07|\x0e:error-message\x07"
)
"""Possible first headers of a message, 12 bytes after its beginning. They come in any order."""
_TEXT: Final = b"\7"
"""Type of a text header; its length precedes its value."""


def split_aws(
    data: bytes, *, start: int = 0, is_inside: bool = False, is_ended: bool = False
) -> list[Frame]:
    """Split a window of messages, see `Split`. A frame named `DAMAGED` replaces damaged or
    incomplete messages.
    """
    frames: list[Frame] = []
    at = 0
    is_lost = is_inside

    while len(data) - at >= _PRELUDE.size:
        if is_lost:
            at = _next_message(data, at)
            if at < 0:
                return frames
            is_lost = False

        size, headers_size, _ = _PRELUDE.unpack_from(data, at)
        begin = at + _PRELUDE.size + headers_size

        end = at + size - _TRAILER_BYTES
        if not _is_prelude(data, at) or begin > end:
            frames.append(Frame(DAMAGED, b"", start + at))
            is_lost = True
            at += 1
        elif at + size > len(data):
            break
        else:
            frames.append(
                _frame(data[at + _PRELUDE.size : begin], data[begin:end], start + at + size)
            )
            at += size

    if is_ended and at < len(data) and not is_lost:
        frames.append(Frame(DAMAGED, b"", start + len(data)))
    return frames


def _is_prelude(data: bytes, at: int) -> bool:
    return zlib.crc32(data[at : at + 8]) == int.from_bytes(data[at + 8 : at + _PRELUDE.size], "big")


def _next_message(data: bytes, at: int) -> int:
    """Return the offset of the first message at or after `at`; -1 without one."""
    begins = (
        found.start() - _PRELUDE.size for found in FIRST_HEADER.finditer(data, at + _PRELUDE.size)
    )
    return next((place for place in begins if _is_prelude(data, place)), -1)


def _frame(headers: bytes, payload: bytes, end: int) -> Frame:
    """Return the frame of a message, named by the type of its event or exception, or its error
    code.
    """
    texts = _texts_in(headers)
    if (exception := texts.get(b":exception-type")) is not None:
        return Frame(exception, b'{"%b":%b}' % (exception, payload), end)
    if (code := texts.get(b":error-code")) is not None:
        said = msgspec.json.encode(
            {"message": texts.get(b":error-message", b"").decode("utf-8", "replace")}
        )
        return Frame(code, b'{"%b":%b}' % (code, said), end)

    return Frame(texts.get(b":event-type", b""), payload, end)


def _texts_in(headers: bytes) -> dict[bytes, bytes]:
    """Return the headers up to the first one that is not text."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(headers):
        kind = at + 1 + headers[at]
        begin = kind + 3
        end = begin + int.from_bytes(headers[kind + 1 : begin], "big")
        if headers[kind : kind + 1] != _TEXT or end > len(headers):
            break

        found[headers[at + 1 : kind]] = headers[begin:end]
        at = end

    return found
