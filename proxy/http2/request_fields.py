"""Requests: HTTP/2 fields to HTTP/1.1 text, and back (RFC 9113 §8.3.1).

Strategy: a head becomes text at the edge, so that all other code reads HTTP/1.1 heads: `Host` from
`:authority`, cookie crumbs joined, all other fields unchanged. This module checks errors that only
HTTP/2 can have (F5, F6, F7); P1 to P11 apply to the text. Invariant: no name or value ends a line
of the text early.
"""

from typing import Final

from proxy.http1.chunked import MAX_TRAILER_FIELDS
from proxy.http1.errors import Refused, shown
from proxy.http1.field_lines import name_of
from proxy.http2.errors import ErrorCode, StreamFault
from proxy.http2.field import (
    AUTHORITY,
    COOKIE,
    HOST,
    LENGTH,
    METHOD,
    PATH,
    PLAIN,
    PROTOCOL,
    SCHEME,
    STATUS,
    TE,
    Field,
)
from proxy.http2.hpack.encoder import LineEncoder, encode_field

_MAX_LENGTH_DIGITS: Final = 19


class RequestFields:
    """The head of a request as HTTP/1.1 text."""

    __slots__ = ("content_length", "is_websocket", "lines", "method", "refusal", "scheme", "target")

    def __init__(
        self, method: bytes, target: bytes, scheme: bytes, lines: bytes, content_length: int = -1,
        refusal: Refused | None = None, *, is_websocket: bool = False,
    ) -> None:  # fmt: skip
        self.method = method
        self.target = target
        """Target in origin form or `*`; for CONNECT the authority."""
        self.scheme = scheme
        """`http` or `https`, as the client claims; empty for CONNECT."""
        self.lines = lines
        """`Host` first, then the other fields, each with its CRLF."""
        self.content_length = content_length
        """Length named by the head; -1 without one: the body is then sent in chunks (F8)."""
        self.refusal = refusal
        """Response to a request that must not be forwarded."""
        self.is_websocket = is_websocket
        """True for an extended CONNECT. It becomes a GET that asks for a WebSocket once it has a
        key (RFC 8441 §5).
        """

    @property
    def text(self) -> bytes:
        """Return the whole head of the request in the form in which it is recorded."""
        return b"%b %b HTTP/2\r\n%b\r\n" % (self.method, self.target, self.lines)


def read_request(fields: list[Field], *, is_over: bool) -> RequestFields:
    """Read the head of a request. `is_over` means that its fields exceed the limit."""
    pseudo = [b""] * (PROTOCOL + 1)
    hosts: list[bytes] = []
    lines: list[bytes] = []
    crumbs: list[bytes] = []
    length = -1

    for field in fields:
        kind = field.kind
        if kind in (PLAIN, TE):
            lines.append(field.line)
        elif kind <= PROTOCOL:
            if lines or hosts or crumbs or pseudo[kind]:
                raise malformed("a pseudo-field behind a field, or twice")
            pseudo[kind] = field.value
        elif kind == COOKIE:
            crumbs.append(field.value)
        elif kind == HOST:
            hosts.append(field.value)
        elif kind == LENGTH:
            length = length_of(field, length)
            lines.append(field.line)
        else:
            raise malformed(field.objection or ":status in a request")

    if crumbs:
        lines.append(b"cookie: %b\r\n" % b"; ".join(crumbs))  # RFC 9113 §8.2.3
    host_lines, refusal = _hosts(pseudo[AUTHORITY], hosts)
    refusal = _refusal(pseudo[PROTOCOL], is_over=is_over) or refusal
    text = host_lines + b"".join(lines)
    target = _target(pseudo)
    is_websocket = pseudo[PROTOCOL] == b"websocket"
    method = b"GET" if is_websocket else pseudo[METHOD]
    return RequestFields(
        method, target, pseudo[SCHEME].lower(), text, length, refusal, is_websocket=is_websocket
    )


def _refusal(protocol: bytes, *, is_over: bool) -> Refused | None:
    if is_over:
        return Refused("header_too_large", "the fields of the head are over the limit")
    if protocol in (b"", b"websocket"):
        return None
    return Refused("method_unknown", f"CONNECT for {shown(protocol)}, which is not websocket")


def _target(pseudo: list[bytes]) -> bytes:
    """Return the target of the request line (RFC 9113 §8.3.1, §8.5, RFC 8441 §4)."""
    method = pseudo[METHOD]
    scheme = pseudo[SCHEME]
    authority = pseudo[AUTHORITY]
    path = pseudo[PATH]
    if pseudo[PROTOCOL] and method != b"CONNECT":
        raise malformed(":protocol without CONNECT")
    if method == b"CONNECT" and not pseudo[PROTOCOL]:
        if scheme or path or not authority:
            raise malformed("CONNECT with :scheme or :path, or without :authority")
        return authority
    if not method or not scheme or not path or (path == b"*" and method != b"OPTIONS"):
        raise malformed(
            "a request without :method, :scheme or :path, or with * for another method than OPTIONS"
        )

    return path


def _hosts(authority: bytes, hosts: list[bytes]) -> tuple[bytes, Refused | None]:
    """Return the Host lines, and a refusal if they differ from the authority (F6)."""
    if b"" in hosts:
        raise malformed("an empty host")
    others = [host for host in hosts if host.lower() != authority.lower()]
    named = [authority, *others] if authority else hosts
    lines = b"".join([b"Host: %b\r\n" % host for host in named])
    if not authority or not others:
        return lines, None

    return lines, Refused(
        "bad_request", f":authority {shown(authority)} is not Host {shown(others[0])}"
    )


def length_of(field: Field, known: int) -> int:
    """Return the length in a field. A second one is malformed (F8)."""
    value = field.value
    if (
        known >= 0
        or not value.isdigit()
        or len(value) > _MAX_LENGTH_DIGITS
        or int(value) >= 1 << 63
    ):
        raise malformed("an invalid or repeated content-length")

    return int(value)


def read_trailers(fields: list[Field], *, is_over: bool) -> bytes:
    """Return trailers as lines, each with its CRLF.

    P4 limits their number and the forwarded names.
    """
    if is_over or len(fields) > MAX_TRAILER_FIELDS:
        raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "trailers over the limit")
    for field in fields:
        if field.objection or METHOD <= field.kind <= STATUS:
            raise malformed(field.objection or "a pseudo-field in trailers")
    return b"".join([field.line for field in fields])


def malformed(reason: str) -> StreamFault:
    return StreamFault(ErrorCode.PROTOCOL_ERROR, reason)


def encode_request(encoder: LineEncoder, head: RequestFields, authority: bytes) -> bytes:
    """Return the block of a request to an upstream. `authority` replaces Host."""
    if head.method == b"CONNECT":
        return encode_field(b":method", head.method) + encode_field(b":authority", authority)
    lines = head.lines
    if (b"\n" + lines).lower().find(b"\nhost:") >= 0:
        lines = b"".join(
            [line for line in lines.splitlines(keepends=True) if name_of(line) != b"host"]
        )

    path = encode_field(b":path", head.target)
    return encoder.begin(head.method, head.scheme, authority) + path + encoder.encode(lines)
