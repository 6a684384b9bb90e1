"""Request heads: read once, strictly, and rebuilt for the upstream (RFC 9110 §7.6, RFC 9112 §6,
§9).

Pure functions of bytes. Fields that steer the connection are taken out by name; all others are
forwarded unchanged. Our own framing and forwarding fields are added last (`Route.render`), so that
a client can never remove them. The invariant: every strict parser reads the forwarded bytes as the
one message that was recorded.

Heads repeat on kept-alive connections. A parsed head is therefore treated as immutable, and
memoised by its bytes (`memo/`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import httptools

from proxy.http1.errors import Refused
from proxy.http1.field_lines import HOP_BY_HOP, PlainLines, is_named, judge, name_of, options_of
from proxy.http1.request_line import check_host

"""The most that a request allows to be recorded."""

VERSION_LINE_BYTES: Final = 10
"""The length of the version, as in `HTTP/1.1`, and the CRLF that ends the request line."""
_EMPTY_BLOCK_BYTES: Final = 12
"""The length of those and the empty line: a head without fields."""

_ESSENTIAL: Final = frozenset((b"host", b"content-length", b"authorization", b"cookie"))
"""Fields that Connection must not name, since they would be removed silently (P1)."""

OUR_FIELDS: Final = frozenset(
    (
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-request-id",
        b"x-sidelog-hop",
    )
)
"""Lower-case names of the fields that the proxy writes itself on each request."""

_REQUEST_ID: Final = re.compile(rb"[\w.-]{1,128}", re.ASCII)
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SESSION_PAIR: Final = re.compile(
    rb"(?:^|;)[ \t]*(?:__(?:Host|Secure)-)?sidelog_session(?:_[0-9a-f]+)?=[^;]*"
)


@dataclass(slots=True, eq=False)
class RequestHead:
    """The parsed field lines of a request; independent of request line and connection."""

    is_keep_alive: bool
    content_length: int = -1
    is_chunked: bool = False
    is_websocket: bool = False
    """True if it asks for a WebSocket (RFC 6455 §4.1). No other upgrade is offered (P7)."""
    expects_continue: bool = False
    accepts_trailers: bool = False
    """True if the client accepts trailers (RFC 9110 §10.1.4)."""
    host: bytes = b""
    forwarded_for: bytes = b""
    forwarded_proto: bytes = b""
    forwarded_host: bytes = b""
    forwarded: bytes = b""
    """The value of Forwarded (RFC 7239); the field is also among `lines`."""
    hops: list[bytes] = field(default_factory=list)
    """Sidelogs that the request has passed (X-Sidelog-Hop, P19)."""
    request_id: bytes = b""
    lacks_trace: bool = False
    """True if it will get a trace context. Set by engines that make one (`trace_context.py`)."""
    lines: list[bytes] = field(default_factory=list)
    """Forwarded field lines, without their CRLF."""
    rendered: dict[int, bytes] = field(default_factory=dict)
    """Route index → the field lines for its upstream; memoised with the head."""

    def render(self, without: frozenset[bytes] = frozenset()) -> bytes:
        """Return the forwarded field lines, each with its CRLF, except those whose names are in
        `without`.
        """
        lines = self.lines
        if without:
            lines = [line for line in lines if not is_named(line, without)]
        if lines:
            return b"\r\n".join(lines) + b"\r\n"
        return b""

    def with_host(self, host: bytes) -> "RequestHead":
        """Return a copy with the authority of an absolute-form target as host (RFC 9112 §3.2.2)."""
        return replace(self, host=host, rendered={})


def parse_request_head(
    block: bytes, *, max_headers: int, max_line_bytes: int, plain: PlainLines | None = None
) -> RequestHead:
    r"""Read the field lines of a request.

    Args:
        block: the head from the version to the empty line, as in `HTTP/1.1\r\nHost: a\r\n\r\n`.
        max_headers: the most fields it may have.
        max_line_bytes: the longest field line.
        plain: remembers lines that are forwarded unchanged.

    Raises:
        Refused: `bad_request`, `header_too_large` or `expectation_failed`.
    """
    objection = judge(httptools.HttpRequestParser, b"GET / " + block)
    if objection:
        raise Refused("bad_request", f"malformed request head: {objection}")

    if len(block) > _EMPTY_BLOCK_BYTES:
        lines = block[VERSION_LINE_BYTES:-4].split(b"\r\n")
    else:
        lines = []
    if len(lines) > max_headers:
        raise Refused("header_too_large", f"{len(lines)} header fields, the limit is {max_headers}")

    is_http10 = block.startswith(b"HTTP/1.0")
    head = RequestHead(is_keep_alive=not is_http10)
    plain = plain or PlainLines()
    known = plain.known
    known_hosts = plain.hosts
    keep = head.lines.append
    options: set[bytes] = set()
    hosts = 0

    for line in lines:
        if line in known:
            keep(line)
            continue
        if line in known_hosts:
            hosts += 1
            head.host = known_hosts[line]
            continue

        if len(line) > max_line_bytes:
            raise Refused(
                "header_too_large",
                f"header field of {len(line)} bytes, the limit is {max_line_bytes}",
            )

        hosts += _read_field(head, line, options, plain)

    _check_request(head, hosts, options, is_http10=is_http10)
    return head


def _check_request(head: RequestHead, hosts: int, options: set[bytes], *, is_http10: bool) -> None:
    if hosts > 1 or (hosts == 0 and not is_http10):
        raise Refused("bad_request", f"{hosts} Host fields, exactly one is needed")
    if is_http10 and head.is_chunked:
        raise Refused("bad_request", "Transfer-Encoding in an HTTP/1.0 request")

    if options:
        if options & _ESSENTIAL:
            raise Refused("bad_request", "Connection names an end-to-end field")
        head.lines = [line for line in head.lines if name_of(line) not in options]

    if head.is_websocket:
        head.is_websocket = b"upgrade" in options and not is_http10
        if head.is_websocket and (head.is_chunked or head.content_length > 0):
            raise Refused("bad_request", "an upgrade to WebSocket with a body")


def _read_field(head: RequestHead, line: bytes, options: set[bytes], plain: PlainLines) -> bool:
    """Read one field line into `head`; return True if it was Host.

    `options` collects the names in Connection; those fields are removed once all lines are read
    (P1).
    """
    raw_name, _, value = line.partition(b":")
    name = raw_name.lower()

    reader = _REQUEST_FIELDS.get(name)
    if reader is not None:
        reader(head, line, value.strip(b" \t"), options)
        if name == b"host":
            plain.remember_host(line, head.host)
            return True

        # A cookie without our session is forwarded unchanged; any other field here was read.
        if name == b"cookie" and head.lines and head.lines[-1] is line:
            plain.remember(name, line)
        return False

    if b"_" not in name or name.replace(b"_", b"-") not in _TWINS:
        head.lines.append(line)
        plain.remember(name, line)
    return False


def _read_connection(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    for option in options_of(value):
        if option == b"close":
            head.is_keep_alive = False
        elif option == b"keep-alive":
            head.is_keep_alive = head.is_keep_alive or b"close" not in options
        elif not _TOKEN.fullmatch(option):
            raise Refused("bad_request", f"invalid option in Connection: {value[:80]!r}")

        options.add(option)

    if b"close" in options:
        head.is_keep_alive = False


def _read_length(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    if not value.isdigit() or head.content_length >= 0:
        raise Refused("bad_request", f"invalid Content-Length {value[:40]!r}")
    head.content_length = int(value[:20])
    if head.content_length >= 1 << 63 or len(value) > 19:
        raise Refused("bad_request", f"Content-Length {value[:40]!r} is over 2^63-1")


def _read_coding(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    if value.lower() != b"chunked" or head.is_chunked:
        raise Refused("bad_request", f"Transfer-Encoding {value[:40]!r} is not exactly chunked")
    head.is_chunked = True


def _read_te(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    head.accepts_trailers = head.accepts_trailers or b"trailers" in options_of(value)


def _read_expect(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    if value.lower() != b"100-continue":
        raise Refused("expectation_failed", f"expectation {value[:40]!r} cannot be met")
    head.expects_continue = True
    head.lines.append(line)


def _read_host(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    head.host = check_host(value) if value else b""


def _read_cookie(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    # Browsers send the admin port's cookie to every port of a host (P11).
    if b"sidelog_session" in value:
        rest = _SESSION_PAIR.sub(b"", value)
        if rest != value:
            rest = rest.lstrip(b"; \t")
            if not rest:
                return
            line = b"Cookie: " + rest

    head.lines.append(line)


def _read_forwarded_for(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    if head.forwarded_for:
        head.forwarded_for = head.forwarded_for + b", " + value
    else:
        head.forwarded_for = value


def _read_forwarded_proto(
    head: RequestHead, line: bytes, value: bytes, options: set[bytes]
) -> None:
    head.forwarded_proto = value


def _read_forwarded_host(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    head.forwarded_host = value


def _read_forwarded(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    if head.forwarded:
        head.forwarded = head.forwarded + b", " + value
    else:
        head.forwarded = value
    head.lines.append(line)


def _read_request_id(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    head.request_id = value if _REQUEST_ID.fullmatch(value) else b""


def _read_hop(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    # Not `options_of`: names of hops keep their case.
    head.hops.extend(hop for part in value.split(b",") if (hop := part.strip(b" \t")))


def _read_upgrade(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    head.is_websocket = head.is_websocket or b"websocket" in options_of(value)


def _refuse_draft_key(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    """Refuse a WebSocket draft before RFC 6455: nothing frames the eight bytes after its head."""
    raise Refused("bad_request", "a WebSocket handshake older than RFC 6455")


def _drop(head: RequestHead, line: bytes, value: bytes, options: set[bytes]) -> None:
    """Do not forward a hop-by-hop field."""


_REQUEST_FIELDS: Final[dict[bytes, Callable[[RequestHead, bytes, bytes, set[bytes]], None]]] = {
    **dict.fromkeys(HOP_BY_HOP, _drop),
    b"connection": _read_connection,
    b"te": _read_te,
    b"upgrade": _read_upgrade,
    b"content-length": _read_length,
    b"transfer-encoding": _read_coding,
    b"expect": _read_expect,
    b"host": _read_host,
    b"cookie": _read_cookie,
    b"x-forwarded-for": _read_forwarded_for,
    b"x-forwarded-proto": _read_forwarded_proto,
    b"x-forwarded-host": _read_forwarded_host,
    b"forwarded": _read_forwarded,
    b"x-request-id": _read_request_id,
    b"x-sidelog-hop": _read_hop,
    b"sec-websocket-key1": _refuse_draft_key,
}
_TWINS: Final = HOP_BY_HOP | OUR_FIELDS | {b"content-length", b"host"}
"""Names whose spelling with underscores is dropped: CGI-style servers treat both alike (P18)."""
