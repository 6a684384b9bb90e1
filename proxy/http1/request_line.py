"""The request line: method, target and version, judged byte by byte (RFC 9112 §3, RFC 9110 §7.1).

The common case, a known method with an origin-form target, is one regular expression, which
`request_reader.py` tries first. Any other line takes the slow path here, which converts its target
to origin form or refuses it. Path bytes are never changed.
"""

import re
from typing import Final, NamedTuple

from proxy.http1.errors import Refused, shown

METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")
"""Methods with counters of their own. Others are forwarded too, but not these in another case."""

IDEMPOTENT_METHODS: Final = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))
"""Methods that may be sent again if a reused connection was closed (RFC 9110 §9.2.2)."""

_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0"
"""The first line of a client that expects HTTP/2 unnegotiated, as gRPC does (RFC 9113 §3.4)."""

_REFUSED_METHODS: Final = (b"CONNECT", b"TRACE")
_NO_FORWARD_PROXY: Final = (
    ": this is a reverse proxy, not a forward proxy, so it opens no tunnel to a host that a client "
    "names. Send requests to this address itself, as those to the service, and leave it out of "
    "HTTPS_PROXY, which is for the port of outgoing calls ([egress] listen)"
)

# No controls, no space, no "#": a fragment never goes on the wire (RFC 9110 §4.2.5). Bytes from
# 0x80 are not URI characters, but clients send them and servers accept them; they do not affect
# framing.
FAST_REQUEST_LINE: Final = re.compile(
    rb"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (/[\x21\x22\x24-\x7e\x80-\xff]*) HTTP/1\.([01])\r\n"
)

NO_PROXY_PROTOCOL: Final = "a PROXY header was sent to a port without it: set proxy_protocol"
_REQUEST_LINE: Final = re.compile(rb"([^ \r\n]+) ([^ \r\n]+) (HTTP/\d\.\d)")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_TARGET_BYTES: Final = re.compile(rb"[\x21-\x7e\x80-\xff]+")
_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*+)://([^/?#]*+)([^#]*+)")
"""Possessive, so that a `#` after the match costs no backtracking."""
# RFC 3986 §3.2.2: reg-name or bracketed IPv6; userinfo is not allowed (RFC 9110 §4.2.4).
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")


class RequestLine(NamedTuple):
    """A request line that may be forwarded."""

    method: bytes
    target: bytes
    """Target in origin form, or `*` for OPTIONS."""
    authority: bytes | None
    """Authority of an absolute-form target. It takes precedence over Host (RFC 9112 §3.2.2)."""
    is_http10: bool


def is_host(value: bytes) -> bool:
    """Return True if a Host value or authority is well-formed. An empty one is not."""
    match = _HOST.fullmatch(value)
    return match is not None and not (match[1] and int(match[1]) > 65535)


def check_host(value: bytes) -> bytes:
    """Return a Host value or authority if it is well-formed.

    Raises:
        Refused: `bad_request`, naming the value.
    """
    if not is_host(value):
        raise Refused("bad_request", f"invalid host {shown(value)}")
    return value


def parse_request_line(line: bytes, *, max_bytes: int, is_tls: bool = False) -> RequestLine:
    """Read a request line without its CRLF.

    Raises:
        Refused: `bad_request`, `uri_too_long`, `method_unknown`, `method_not_allowed`,
            `version_not_supported` or `http2_unsupported`.
    """
    if len(line) > max_bytes:
        raise Refused(
            "uri_too_long", f"request line of {len(line)} bytes, the limit is {max_bytes}"
        )

    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        if line.startswith(b"PROXY "):
            raise Refused("bad_request", NO_PROXY_PROTOCOL)
        raise Refused("bad_request", f"malformed request line {shown(line)}")

    method, target, version = match.groups()
    if line == _HTTP2_PREFACE:
        raise Refused("http2_unsupported", "HTTP/2 is off on this port ([proxy] http2)")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Refused("version_not_supported", f"{version.decode()} is not supported, use HTTP/1.1")

    _check_method(method)
    if not _TARGET_BYTES.fullmatch(target):
        raise Refused("bad_request", f"invalid byte in request target {shown(target)}")
    if b"#" in target:
        raise Refused("bad_request", f"fragment in request target {shown(target)}")

    target, authority = _origin_form(method, target, b"https" if is_tls else b"http")
    return RequestLine(method, target, authority, version == b"HTTP/1.0")


def _check_method(method: bytes) -> None:
    """Refuse a malformed method, or one that a lenient server would take for another.

    The other method might be framed otherwise. PRI is reserved, so that no server takes the preface
    of HTTP/2 for a request (RFC 9113 §11.6).
    """
    if method in METHODS:
        return
    if method in _REFUSED_METHODS:
        why = _NO_FORWARD_PROXY if method == b"CONNECT" else ""
        raise Refused("method_not_allowed", f"{method.decode()} is not allowed here{why}")
    if not _TOKEN.fullmatch(method):
        raise Refused("bad_request", f"invalid method {shown(method)}")
    if method == b"PRI" or method.upper() in METHODS or method.upper() in _REFUSED_METHODS:
        raise Refused("method_unknown", f"unknown method {shown(method)}")


def _origin_form(method: bytes, target: bytes, scheme: bytes) -> tuple[bytes, bytes | None]:
    """Return a target in origin form, and the authority of an absolute-form one.

    Routes choose the upstream, not the authority, so this does not create an open proxy.
    """
    if target.startswith(b"/"):
        return target, None
    if target == b"*" and method == b"OPTIONS":
        return target, None

    match = _ABSOLUTE.fullmatch(target)
    if match is None or match[1].lower() not in (b"http", scheme):
        raise Refused(
            "bad_request", f"request target {shown(target)} is neither a path nor an http URL"
        )

    rest = match[3]
    if not rest:
        rest = b"*" if method == b"OPTIONS" else b"/"
    elif rest.startswith(b"?"):
        rest = b"/" + rest

    return rest, check_host(match[2])
