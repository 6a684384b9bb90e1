"""Split the binary event streams of AWS (`application/vnd.amazon.eventstream`) into frames. Pure.

Strategy: a message says its length, which its own checksum guards; in a stream that is cut, and
behind damage, the next one is found by the header that every event begins with. Payload checksums
are not looked at: this is a copy. An exception comes as a document with a member of its name, as
clients show it, and so does an error, which has no payload but a code and a message among its
headers. Standard: the Smithy specification "Amazon Event Stream Specification".
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
"""Name of the event, to be compared with `is`, that stands for bytes that are no message, or for
one that is cut.
"""
FIRST_HEADER: Final = re.compile(
    rb"\x0b:event-type\x07|\x0f:exception-type\x07|\x0d:message-type\x07|\x0b:error-code\x07|\x0e:error-message\x07"
)
"""Of a message, 12 bytes behind where it begins: they come in any order."""
_TEXT: Final = b"\7"
"""Type of a header's value; the length of a text is in front of it."""


def split_aws(
    data: bytes, *, start: int = 0, is_inside: bool = False, is_ended: bool = False
) -> list[Frame]:
    """Split a window of messages, see `Split`; one named `DAMAGED` stands for what is none, or is
    not all there.
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
    """Return where the first message from a place on begins; -1 without one."""
    begins = (
        found.start() - _PRELUDE.size for found in FIRST_HEADER.finditer(data, at + _PRELUDE.size)
    )
    return next((place for place in begins if _is_prelude(data, place)), -1)


def _frame(headers: bytes, payload: bytes, end: int) -> Frame:
    """Name a message by the type of its event or exception, or by the code of its error."""
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
    """Return the headers before the first that is no text."""
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
