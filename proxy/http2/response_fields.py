"""Responses: HTTP/2 fields to HTTP/1.1 text, and back (RFC 9113 §8.3.2).

A fault in an upstream's head makes its response malformed and becomes a 502 (F17). None of it
reaches the client.
"""

from proxy.http2.errors import ErrorCode, StreamFault
from proxy.http2.field import LENGTH, METHOD, STATUS, TE, Field
from proxy.http2.hpack.encoder import LineEncoder, encode_field, encode_line
from proxy.http2.request_fields import length_of, malformed


class ResponseFields:
    """The head of a response as HTTP/1.1 text."""

    __slots__ = ("content_length", "lines", "status", "text")

    def __init__(self, status: int, lines: bytes, content_length: int) -> None:
        """Take the field lines in their order, each with its CRLF, and the content length, -1
        without one.
        """
        self.status = status
        self.lines = lines
        self.content_length = content_length
        self.text = b"HTTP/2 %d\r\n%b\r\n" % (status, lines)
        """The whole head as it is recorded."""

    @property
    def has_no_body(self) -> bool:
        """True if the status allows no body, whatever the length (P6). A response to HEAD has no
        body either.
        """
        return self.status < 200 or self.status in (204, 304)


def read_response(fields: list[Field], *, is_over: bool) -> ResponseFields:
    if is_over:
        raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "the fields of the head are over the limit")
    if not fields or fields[0].kind != STATUS or fields[0].value == b"101":
        raise malformed(
            "a response that does not begin with :status, or with 101, which HTTP/2 does not have"
        )

    length = -1
    for field in fields[1:]:
        kind = field.kind
        if field.objection or METHOD <= kind <= STATUS or kind == TE:
            raise malformed(field.objection or "a field that no response may have")
        if kind == LENGTH:
            length = length_of(field, length)

    return ResponseFields(
        int(fields[0].value), b"".join([field.line for field in fields[1:]]), length
    )


def encode_response(
    encoder: LineEncoder, status: int, lines: bytes, own_line: bytes = b""
) -> bytes:
    """Return the block of a response to a client. HTTP/1.1 connection fields are dropped (F7).

    `own_line` comes last. It is encoded separately, because it differs in every response.
    """
    own = encode_line(own_line) if own_line else b""
    return encode_field(b":status", b"%d" % status) + encoder.encode(lines) + own
