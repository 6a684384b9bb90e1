"""Split a gRPC body into messages. Five bytes before each give a compression flag and the length.

Strategy: the lengths lead from one message to the next, also across uncaptured bytes: a message
that begins in the head of a body and ends after its gap leads into the tail. The list ends at a
prefix that is missing or invalid. Compressed messages are inflated within the bounds of a coded
body.
Standards: gRPC over HTTP/2 ("Length-Prefixed-Message"), gRPC-Web (trailers as a last frame, base64
as text).
"""

import re
from binascii import a2b_base64
from typing import Final

import msgspec
from msgspec.structs import replace

from proxy.enrich.http.content_coding import decode
from proxy.enrich.http.exchange import DecodedBody

MAX_MESSAGES: Final = 1000
"""Messages read from one body. Only the worker counts the rest."""
MAX_MESSAGE_BYTES: Final = 262_144
"""Limit of one inflated message."""
MAX_INFLATED_BYTES: Final = 1 << 20
"""Limit of all inflated messages of a body together."""
_PREFIX_BYTES: Final = 5
_END_BYTES: Final = 16_384
_GROUP_CHARACTERS: Final = 4
WEB_TRAILERS: Final = b"\x80\0"
"""Beginning of gRPC-Web's last frame: its flags, and the first byte of a length below 2^24."""
_PLAIN: Final = b"\0"
_COMPRESSED, _TRAILERS = 1, 0x80
_NO_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/=]+")
_GROUP: Final = re.compile(rb"[^=]+=*")


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of a body."""

    data: bytes
    """Inflated content; only its beginning if the message was cut."""
    size: int
    """Length on the wire in bytes, without the prefix."""
    is_whole: bool
    is_inflated: bool = False

    @property
    def known_bytes(self) -> int | None:
        """Full length of the message in bytes; None if unknown."""
        if self.is_inflated and not self.is_whole:
            return None
        return max(self.size, len(self.data))


class Messages(msgspec.Struct, frozen=True):
    """The messages of a body."""

    found: list[Message]
    is_ended: bool
    """True if the last message ends the body, so these are all."""

    @property
    def is_whole(self) -> bool:
        return self.is_ended and all(message.is_whole for message in self.found)


def split(body: DecodedBody, encoding: str | None) -> Messages:
    """Split a gRPC body into its messages. Messages compressed by `encoding` are inflated."""
    text = body.head
    if text[:1] == _PLAIN and len(text) == body.text_size == _PREFIX_BYTES + int.from_bytes(
        text[1:_PREFIX_BYTES], "big"
    ):
        # Fast path: nearly all bodies are one plain message.
        return Messages([Message(text[_PREFIX_BYTES:], len(text) - _PREFIX_BYTES, True)], True)

    found: list[Message] = []
    at = 0
    room = MAX_INFLATED_BYTES

    while at < body.text_size and len(found) < MAX_MESSAGES:
        prefix = _piece(body, at, _PREFIX_BYTES)
        if len(prefix) < _PREFIX_BYTES or prefix[0] & ~(_TRAILERS | _COMPRESSED):
            return Messages(found, False)

        size = int.from_bytes(prefix[1:], "big")
        data = _piece(body, at + _PREFIX_BYTES, size)
        at += _PREFIX_BYTES + size
        is_whole = len(data) == size

        if prefix[0] & _COMPRESSED:
            data, is_whole = inflate(
                data, encoding, min(room, MAX_MESSAGE_BYTES), is_whole=is_whole
            )
            room -= len(data)

        if not prefix[0] & _TRAILERS:
            found.append(Message(data, size, is_whole, bool(prefix[0] & _COMPRESSED)))

    return Messages(found, at == body.text_size)


def without_text_coding(body: DecodedBody) -> DecodedBody:
    """Decode the base64 of gRPC-Web text; of a cut body only the head."""
    data = _from_text(body.head)
    is_cut = (
        body.is_truncated or not data or len(_NO_BASE64.sub(b"", body.head)) % _GROUP_CHARACTERS > 0
    )
    size = len(data) + is_cut  # the size after the cut is unknown
    return replace(body, head=data, tail=b"", text_size=size)


def last_frame(body: DecodedBody, begins: bytes, *, is_text: bool = False) -> bytes | None:
    """Return the content of the frame that ends a body; None if the body ends without one.

    It is found in the tail, by `begins` (its flags and first length byte) and a matching length,
    since the chain of lengths may not reach there.
    """
    if body.has_end:
        data = (body.tail or body.head)[-_END_BYTES:]
    else:
        data = b""
    if is_text and data:
        data = _from_text(data[len(data) % _GROUP_CHARACTERS :])
    at = data.find(begins)
    while (
        at >= 0
        and int.from_bytes(data[at + 1 : at + _PREFIX_BYTES], "big")
        != len(data) - at - _PREFIX_BYTES
    ):
        at = data.find(begins, at + 1)

    if at >= 0:
        return data[at + _PREFIX_BYTES :]
    return None


def _from_text(text: bytes) -> bytes:
    """Decode whole groups of four characters. Each message may have its own padding."""
    runs = _GROUP.findall(_NO_BASE64.sub(b"", text))
    return b"".join(a2b_base64(run[: len(run) - len(run) % _GROUP_CHARACTERS]) for run in runs)


def _piece(body: DecodedBody, at: int, size: int) -> bytes:
    """Return the captured bytes at an offset; fewer than `size` if some were not captured."""
    if at < len(body.head):
        piece = body.head[at : at + size]
        if at + size <= len(body.head) or len(body.head) + len(body.tail) < body.text_size:
            return piece
        return piece + body.tail[: size - len(piece)]

    start = at - (body.text_size - len(body.tail))
    if start >= 0:
        return body.tail[start : start + size]

    return b""


def inflate(data: bytes, encoding: str | None, room: int, *, is_whole: bool) -> tuple[bytes, bool]:
    """Inflate a message or its beginning; return its data, and True if it is complete. If that is
    impossible, return no data and False.
    """
    if not encoding or room <= 0:
        return b"", False
    inflated = decode(data, [encoding], room)
    if inflated is None or not inflated.undone:
        return b"", False
    return inflated.data, is_whole and inflated.is_complete
