"""Message heads: read once, strictly, and rebuilt canonically for the other side (RFC 9110 §7.6, RFC 9112 §6, §9).

Pure functions of bytes. The strategy: llhttp judges the syntax of the whole head (names, values, line endings, repeated
or conflicting lengths); what it lets pass is refused here (http.md lists it). The fields that steer the connection are
taken out by name, all others are forwarded as the bytes they came as, and framing and forwarding fields of our own are
added last, so that a client can never remove them. The invariant: what is forwarded is read by every strict parser as
the one message that was recorded.

Heads repeat on kept-alive connections, so a parsed head is an immutable value that can be memoised by its bytes.
"""

import re
from collections.abc import Callable
from copy import copy
from typing import Final

import httptools

from proxy.errors import Refused, UpstreamError
from proxy.target import check_host

HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"trailer",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"http2-settings",
    )
)
"""Never forwarded, in either direction (P1, P7)."""

_ESSENTIAL: Final = frozenset((b"host", b"content-length", b"authorization", b"cookie"))
"""Naming one of these in Connection would make us strip it silently: refused instead (P1)."""

_OURS: Final = frozenset(
    (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id", b"x-sidelog-hop")
)

_REQUEST_ID: Final = re.compile(rb"[\w.-]{1,128}", re.ASCII)
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e]*)?")
_SESSION_PAIR: Final = re.compile(rb"(?:^|;)[ \t]*sidelog_session=[^;]*")


class _Sink:
    """llhttp calls nothing: only its verdict is wanted."""


def _judge(parser: Callable[[object], object], head: bytes) -> str | None:
    """Let llhttp read a complete head; return what it objects to, or None."""
    try:
        parser(_Sink()).feed_data(head)  # type: ignore[attr-defined]
    except httptools.HttpParserUpgrade:
        return None  # the head is well-formed; whether it upgrades is decided here, not by the parser
    except httptools.HttpParserError as error:
        return str(error)
    return None


class RequestHead:
    """What the field lines of one request say; independent of the request line and of the connection."""

    __slots__ = (
        "_fields",
        "content_length",
        "expects_continue",
        "forwarded_for",
        "forwarded_host",
        "forwarded_proto",
        "hops",
        "host",
        "is_chunked",
        "is_keep_alive",
        "rendered",
        "request_id",
    )

    def __init__(self, is_http10: bool) -> None:
        """Begin empty."""
        self.is_keep_alive = not is_http10
        self.content_length = -1
        self.is_chunked = False
        self.expects_continue = False
        self.host = b""
        self.forwarded_for = b""
        self.forwarded_proto = b""
        self.forwarded_host = b""
        self.hops: list[bytes] = []
        self.request_id = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self.rendered: dict[int, bytes] = {}
        """Route index → the field lines for its upstream, kept with the memoised head."""

    def render(self, without: frozenset[bytes] = frozenset()) -> bytes:
        """Join the forwarded field lines, each with its CRLF, leaving out some lower-case names."""
        return b"".join([line + b"\r\n" for name, line in self._fields if name not in without])

    def with_host(self, host: bytes) -> "RequestHead":
        """Copy the head with another host: the authority of an absolute-form target (RFC 9112 §3.2.2)."""
        copied = copy(self)
        copied.host = host
        copied.rendered = {}
        return copied

    def leave_out(self, names: set[bytes]) -> None:
        """Forget the fields that Connection named (P1)."""
        if names:
            self._fields = [field for field in self._fields if field[0] not in names]

    def take(self, name: bytes, line: bytes) -> None:
        """Keep one field line for forwarding."""
        self._fields.append((name, line))


def parse_request_head(block: bytes, *, max_headers: int, max_line_bytes: int) -> RequestHead:
    r"""Read the field lines of a request.

    Args:
        block: from the version to the empty line: `HTTP/1.1\r\nHost: a\r\n\r\n`.
        max_headers: limit of the number of field lines.
        max_line_bytes: limit of each.

    Raises:
        Refused: `bad_request`, `header_too_large` or `expectation_failed`.
    """
    objection = _judge(httptools.HttpRequestParser, b"GET / " + block)
    if objection:
        raise Refused("bad_request", f"malformed request head: {objection}")
    lines = block[10:-4].split(b"\r\n") if len(block) > 12 else []
    if len(lines) > max_headers:
        raise Refused("header_too_large", f"{len(lines)} header fields, the limit is {max_headers}")
    is_http10 = block.startswith(b"HTTP/1.0")
    head = RequestHead(is_http10)
    dropped: set[bytes] = set()
    hosts = 0
    for line in lines:
        if len(line) > max_line_bytes:
            raise Refused("header_too_large", f"header field of {len(line)} bytes, the limit is {max_line_bytes}")
        hosts += _request_field(head, line, dropped)
    if hosts > 1 or (hosts == 0 and not is_http10):
        raise Refused("bad_request", f"{hosts} Host fields, exactly one is needed")
    if is_http10 and head.is_chunked:
        raise Refused("bad_request", "Transfer-Encoding in an HTTP/1.0 request")
    if dropped & _ESSENTIAL:
        raise Refused("bad_request", "Connection names an end-to-end field")
    head.leave_out(dropped)
    return head


def _request_field(head: RequestHead, line: bytes, dropped: set[bytes]) -> bool:
    """Take in one field line; return whether it was Host."""
    raw_name, _, value = line.partition(b":")
    name = raw_name.lower()
    reader = _REQUEST_FIELDS.get(name)
    if reader is not None:
        reader(head, line, value.strip(b" \t"), dropped)
    elif b"_" not in name or name.replace(b"_", b"-") not in _TWINS:
        head.take(name, line)
    return name == b"host"


def _request_connection(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    for option in _options(value):
        if option == b"close":
            head.is_keep_alive = False
        elif option == b"keep-alive":
            head.is_keep_alive = head.is_keep_alive or b"close" not in dropped
        elif not _TOKEN.fullmatch(option):
            raise Refused("bad_request", f"invalid option in Connection: {value[:80]!r}")
        dropped.add(option)
    if b"close" in dropped:
        head.is_keep_alive = False


def _request_length(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    if not value.isdigit() or head.content_length >= 0:
        raise Refused("bad_request", f"invalid Content-Length {value[:40]!r}")
    head.content_length = int(value[:20])
    if head.content_length >= 1 << 63 or len(value) > 19:
        raise Refused("bad_request", f"Content-Length {value[:40]!r} is over 2^63-1")


def _request_coding(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    if value.lower() != b"chunked" or head.is_chunked:
        raise Refused("bad_request", f"Transfer-Encoding {value[:40]!r} is not exactly chunked")
    head.is_chunked = True


def _request_expect(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    if value.lower() != b"100-continue":
        raise Refused("expectation_failed", f"expectation {value[:40]!r} cannot be met")
    head.expects_continue = True
    head.take(b"expect", line)


def _request_host(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    head.host = check_host(value) if value else b""


def _request_cookie(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    # Browsers send the admin port's cookie to every port of a host (P11).
    if b"sidelog_session" in value:
        value = _SESSION_PAIR.sub(b"", value).lstrip(b"; \t")
        if not value:
            return
        line = b"Cookie: " + value
    head.take(b"cookie", line)


def _request_forwarded_for(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    head.forwarded_for = head.forwarded_for + b", " + value if head.forwarded_for else value


def _request_forwarded_proto(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    head.forwarded_proto = value


def _request_forwarded_host(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    head.forwarded_host = value


def _request_request_id(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    head.request_id = value if _REQUEST_ID.fullmatch(value) else b""


def _request_hop(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    head.hops.extend(_options(value))


def _drop(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    """Hop-by-hop: not forwarded."""


_REQUEST_FIELDS: Final[dict[bytes, Callable[[RequestHead, bytes, bytes, set[bytes]], None]]] = {
    **dict.fromkeys(HOP_BY_HOP, _drop),
    b"connection": _request_connection,
    b"content-length": _request_length,
    b"transfer-encoding": _request_coding,
    b"expect": _request_expect,
    b"host": _request_host,
    b"cookie": _request_cookie,
    b"x-forwarded-for": _request_forwarded_for,
    b"x-forwarded-proto": _request_forwarded_proto,
    b"x-forwarded-host": _request_forwarded_host,
    b"x-request-id": _request_request_id,
    b"x-sidelog-hop": _request_hop,
}
_TWINS: Final = HOP_BY_HOP | _OURS | {b"content-length", b"host"}
"""Names whose underscore spellings are dropped: CGI-style servers would take them for the real ones (P18)."""


def _options(value: bytes) -> list[bytes]:
    return [option for part in value.lower().split(b",") if (option := part.strip(b" \t"))]


class ResponseHead:
    """What an upstream's response head says."""

    __slots__ = (
        "content_length",
        "fields",
        "is_chunked",
        "is_event_stream",
        "is_http10",
        "is_keep_alive",
        "keep_alive_s",
        "prefix",
        "status",
        "status_line",
    )

    def __init__(self, status_line: bytes, status: int, is_http10: bool) -> None:
        """Begin with the status line, in our version, with its CRLF."""
        self.status_line = status_line
        self.status = status
        self.is_http10 = is_http10
        self.is_keep_alive = not is_http10
        self.keep_alive_s = -1
        self.content_length = -1
        self.is_chunked = False
        self.fields = b""
        """Forwarded field lines, each with its CRLF; framing is not among them."""
        self.prefix = b""
        """Status line, fields and framing for an HTTP/1.1 client; the final empty line is still to come."""
        self.is_event_stream = False

    def body_length(self, method: bytes) -> int:
        """Bytes of body that follow: 0 where HTTP allows none (RFC 9112 §6.3), -1 when chunked or until close."""
        if method == b"HEAD" or self.status == 204 or self.status == 304 or self.status < 200:
            return 0
        return -1 if self.is_chunked else self.content_length


def parse_response_head(head: bytes, *, max_headers: int) -> ResponseHead:
    """Read a response head, status line to empty line.

    Raises:
        UpstreamError: `upstream_bad_response`.
    """
    objection = _judge(httptools.HttpResponseParser, head)
    if objection:
        raise UpstreamError("upstream_bad_response", f"malformed response head: {objection}")
    lines = head[:-4].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise UpstreamError("upstream_bad_response", f"invalid status line {lines[0][:80]!r}")
    if len(lines) - 1 > max_headers:
        raise UpstreamError("upstream_bad_response", f"{len(lines) - 1} header fields, the limit is {max_headers}")
    response = ResponseHead(b"HTTP/1.1" + lines[0][8:] + b"\r\n", int(match[2]), match[1] == b"0")
    dropped: set[bytes] = set()
    kept: list[tuple[bytes, bytes]] = []
    for line in lines[1:]:
        raw_name, _, value = line.partition(b":")
        name = raw_name.lower()
        if name in _RESPONSE_FIELDS:
            _response_field(response, name, value.strip(b" \t"), dropped)
        else:
            kept.append((name, line))
    if response.is_chunked and (response.is_http10 or response.content_length >= 0):
        raise UpstreamError("upstream_bad_response", "Transfer-Encoding with Content-Length or in HTTP/1.0")
    response.fields = b"".join([line + b"\r\n" for name, line in kept if name not in dropped])
    response.prefix = response.status_line + response.fields + _framing(response)
    response.is_event_stream = any(
        name == b"content-type" and b"text/event-stream" in line.lower() for name, line in kept
    )
    return response


def _framing(response: ResponseHead) -> bytes:
    """Frame anew, canonically (P2); what has no body gets no coding (P6, RFC 9112 §6.1)."""
    if response.status < 200 or response.status == 204:
        return b""
    if response.content_length >= 0:
        return b"Content-Length: %d\r\n" % response.content_length
    return b"" if response.status == 304 else b"Transfer-Encoding: chunked\r\n"


_RESPONSE_FIELDS: Final = HOP_BY_HOP | {b"content-length"}


def _response_field(response: ResponseHead, name: bytes, value: bytes, dropped: set[bytes]) -> None:
    if name == b"content-length":
        if not value.isdigit() or len(value) > 18 or response.content_length >= 0:
            raise UpstreamError("upstream_bad_response", f"invalid Content-Length {value[:40]!r}")
        response.content_length = int(value)
    elif name == b"transfer-encoding":
        if value.lower() != b"chunked" or response.is_chunked:
            raise UpstreamError("upstream_bad_response", f"Transfer-Encoding {value[:40]!r} is not exactly chunked")
        response.is_chunked = True
    elif name == b"connection":
        options = _options(value)
        dropped.update(options)
        if b"close" in options:
            response.is_keep_alive = False
        elif b"keep-alive" in options:
            response.is_keep_alive = True
    elif name == b"keep-alive":
        match = re.search(rb"timeout=(\d{1,5})", value)
        response.keep_alive_s = int(match[1]) if match else -1
