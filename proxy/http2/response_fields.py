"""Responses: fields of HTTP/2 to the text of HTTP/1.1, and back (RFC 9113 §8.3.2). Pure.

What an upstream's head gets wrong makes a malformed response, which is a 502 (F17); nothing of it reaches the client.
"""

from dataclasses import dataclass

from proxy.http2.errors import ErrorCode, StreamFault
from proxy.http2.field import LENGTH, METHOD, STATUS, TE, Field
from proxy.http2.hpack.encoder import LineEncoder, encode_field
from proxy.http2.request_fields import length_of, malformed


@dataclass(slots=True, eq=False)
class ResponseFields:
    """The head of a response, as text of HTTP/1.1 has it."""

    status: int
    lines: bytes
    """The fields in their order, each with its CRLF."""
    content_length: int
    """-1 where it names none."""

    @property
    def text(self) -> bytes:
        """The whole head, as it is recorded."""
        return b"HTTP/2 %d\r\n%b\r\n" % (self.status, self.lines)

    @property
    def has_no_body(self) -> bool:
        """Whatever it says of a length (P6); neither has any response to HEAD."""
        return self.status < 200 or self.status in (204, 304)


def read_response(fields: list[Field], *, is_over: bool) -> ResponseFields:
    if is_over:
        raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "the fields of the head are over the limit")
    if not fields or fields[0].kind != STATUS or fields[0].value == b"101":
        raise malformed("a response that does not begin with :status, or 101, which HTTP/2 has not")
    length = -1
    for field in fields[1:]:
        kind = field.kind
        if field.objection or METHOD <= kind <= STATUS or kind == TE:
            raise malformed(field.objection or "a field that no response may have")
        if kind == LENGTH:
            length = length_of(field, length)
    return ResponseFields(int(fields[0].value), b"".join([field.line for field in fields[1:]]), length)


def encode_response(encoder: LineEncoder, status: int, lines: bytes) -> bytes:
    """Return the block of a response to a client; fields of a connection of HTTP/1.1 are left out (F7)."""
    return encode_field(b":status", b"%d" % status) + encoder.encode(lines)
