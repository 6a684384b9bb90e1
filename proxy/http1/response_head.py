"""Response heads: parsed as strictly as a client's and framed again (RFC 9112 §6, RFC 9110 §7.6.1).

llhttp's response parser is lenient where a proxy must not be (transfer codings, statuses, the
reason phrase), so those are judged here. A malformed head becomes a 502 and closes the connection:
nothing of it reaches the client (P22).
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import Final

import httptools

from proxy.http1.errors import bad_response
from proxy.http1.field_lines import (
    HOP_BY_HOP,
    UPGRADE_LINES,
    PlainLines,
    judge,
    name_of,
    options_of,
)

_WEBSOCKET_KEY: Final = re.compile(rb"\r\nsec-websocket-key:[ \t]*+([^\r\n]*)", re.IGNORECASE)
_WEBSOCKET_ACCEPT: Final = re.compile(rb"\r\nsec-websocket-accept:[ \t]*+([^\r\n]*)", re.IGNORECASE)
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")


class ResponseHead:
    """A parsed response head. Not a dataclass, because mypyc does not compile its `__init__`."""

    __slots__ = (
        "content_length", "framing", "has_no_body", "is_chunked", "is_event_stream", "is_http10", "is_keep_alive",
        "is_websocket", "keep_alive_s", "prefix", "status", "status_line",
    )  # fmt: skip

    def __init__(
        self, status_line: bytes, status: int, has_no_body: bool, is_http10: bool, is_keep_alive: bool,
        keep_alive_s: int = -1, content_length: int = -1, is_chunked: bool = False, prefix: bytes = b"",
        framing: bytes = b"", is_event_stream: bool = False, is_websocket: bool = False,
    ) -> None:  # fmt: skip
        self.status_line = status_line
        """The status line for an HTTP/1.1 client, with its CRLF."""
        self.status = status
        self.has_no_body = has_no_body
        """True if no body follows, whatever the framing says (P6, RFC 9112 §6.3).

        Responses to HEAD have no body either, but the head alone does not show that.
        """
        self.is_http10 = is_http10
        self.is_keep_alive = is_keep_alive
        self.keep_alive_s = keep_alive_s
        """Seconds announced by `Keep-Alive`; -1 without it."""
        self.content_length = content_length
        self.is_chunked = is_chunked
        self.prefix = prefix
        """Status line, fields and framing for an HTTP/1.1 client, without the final empty line."""
        self.framing = framing
        """Last lines of `prefix`. They frame the body."""
        self.is_event_stream = is_event_stream
        self.is_websocket = is_websocket
        """True if `Upgrade` names a WebSocket."""

    @property
    def fields(self) -> bytes:
        """Return the field lines that are forwarded, each with its CRLF."""
        return self.prefix[len(self.status_line) : len(self.prefix) - len(self.framing)]

    def body_length(self, method: bytes) -> int:
        """Return the number of body bytes that follow; -1 if chunked, or until the connection ends."""
        if method == b"HEAD" or self.has_no_body:
            return 0
        if self.is_chunked:
            return -1
        return self.content_length


def parse_response_head(
    head: bytes, *, max_headers: int, plain: PlainLines | None = None
) -> ResponseHead:
    """Read a response head, from the status line to the empty line.

    Args:
        head: its bytes.
        max_headers: the most fields it may have.
        plain: remembers lines that are forwarded unchanged.

    Raises:
        UpstreamError: `upstream_bad_response`.
    """
    objection = judge(httptools.HttpResponseParser, head)
    if objection:
        raise bad_response(f"malformed response head: {objection}")

    lines = head[:-4].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise bad_response(f"invalid status line {lines[0][:80]!r}")
    if len(lines) - 1 > max_headers:
        raise bad_response(f"{len(lines) - 1} header fields, the limit is {max_headers}")

    status = int(match[2])
    is_http10 = match[1] == b"0"
    response = ResponseHead(
        b"HTTP/1.1" + lines[0][8:] + b"\r\n",
        status,
        status < 200 or status in (204, 304),
        is_http10,
        not is_http10,
    )
    plain = plain or PlainLines()
    known = plain.known
    options: set[bytes] = set()
    kept = [
        line for line in lines[1:] if line in known or _read_field(response, line, options, plain)
    ]

    if response.is_chunked and (response.is_http10 or response.content_length >= 0):
        raise bad_response("Transfer-Encoding with Content-Length or in HTTP/1.0")

    if options:
        kept = [line for line in kept if name_of(line) not in options]
        # A 426 without Upgrade would be malformed (RFC 9110 §15.5.22).
        if response.is_websocket and status == 426:
            kept.append(UPGRADE_LINES[:-2])

    response.framing = _framing(response)
    fields = b"\r\n".join(kept) + b"\r\n" if kept else b""
    response.prefix = response.status_line + fields + response.framing
    return response


def _read_field(
    response: ResponseHead, line: bytes, options: set[bytes], plain: PlainLines
) -> bool:
    """Read one field line of a response; return True if the line goes to the client."""
    raw_name, _, value = line.partition(b":")
    name = raw_name.lower()
    if name in _CONNECTION_FIELDS:
        _read_connection_field(response, name, value.strip(b" \t"), options)
        return False

    if name == b"content-type" and b"text/event-stream" in value.lower():
        response.is_event_stream = True
    else:
        plain.remember(name, line)

    return True


def _framing(response: ResponseHead) -> bytes:
    """Return the lines that frame the body for an HTTP/1.1 client (P2).

    A response without a body gets no transfer coding (P6, RFC 9112 §6.1).
    """
    if response.is_websocket and response.status == 101:
        return UPGRADE_LINES
    if response.status < 200 or response.status == 204:
        return b""
    if response.content_length >= 0:
        return b"Content-Length: %d\r\n" % response.content_length
    if response.status == 304:
        return b""

    return b"Transfer-Encoding: chunked\r\n"


_CONNECTION_FIELDS: Final = HOP_BY_HOP | {b"content-length"}
"""Lower-case names of the fields that concern the upstream's connection only."""


def _read_connection_field(
    response: ResponseHead, name: bytes, value: bytes, options: set[bytes]
) -> None:
    if name == b"content-length":
        if not value.isdigit() or len(value) > 18 or response.content_length >= 0:
            raise bad_response(f"invalid Content-Length {value[:40]!r}")
        response.content_length = int(value)
    elif name == b"transfer-encoding":
        if value.lower() != b"chunked" or response.is_chunked:
            raise bad_response(f"Transfer-Encoding {value[:40]!r} is not exactly chunked")
        response.is_chunked = True
    elif name == b"upgrade":
        response.is_websocket = response.is_websocket or b"websocket" in options_of(value)
    elif name == b"connection":
        own_options = options_of(value)
        options.update(own_options)
        if b"close" in own_options:
            response.is_keep_alive = False
        elif b"keep-alive" in own_options:
            response.is_keep_alive = True
    elif name == b"keep-alive":
        match = re.search(rb"timeout=(\d{1,5})", value)
        response.keep_alive_s = int(match[1]) if match else -1


def accepts_websocket(request_head: bytes, response_head: bytes) -> bool:
    """Return True if a 101 has the one Sec-WebSocket-Accept that belongs to the request's key.

    An HTTP/1.1 client checks that itself. An HTTP/2 client sees neither key nor response, so the
    gateway must check it (RFC 8441 §5.1, RFC 6455 §4.1).
    """
    key = _WEBSOCKET_KEY.search(request_head)
    answers = _WEBSOCKET_ACCEPT.findall(response_head)
    if key is None or len(answers) != 1:
        return False
    expected = b64encode(sha1(key[1].strip() + _WEBSOCKET_GUID, usedforsecurity=False).digest())
    return bool(answers[0].strip() == expected)
