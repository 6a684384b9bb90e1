"""Why the proxy answers an exchange itself; the type says whose fault it was and what the client
receives.
"""

import json
import re
import socket
import ssl
from http import HTTPStatus
from typing import Final

STATUS_OF: Final = {
    "bad_request": 400,
    "header_too_large": 431,
    "uri_too_long": 414,
    "body_too_large": 413,
    "timeout_headers": 408,
    "timeout_body": 408,
    "expectation_failed": 417,
    "no_route": 404,
    "method_not_allowed": 405,
    "upstream_refused": 502,
    "upstream_reset": 502,
    "upstream_bad_response": 502,
    "upstream_timeout": 504,
    "loop_detected": 508,
    "keys_unavailable": 503,
    "method_unknown": 501,
    "version_not_supported": 505,
    "overloaded": 503,
    "missing_token": 401,
    "invalid_token": 401,
    "disabled": 401,
    "expired": 401,
    "scope_denied": 403,
    "agent_denied": 403,
    "upstream_unresolved": 502,
    "upstream_untrusted": 502,
    "client_stalled": 408,
    "http2_unsupported": 400,
    "tls_on_plain_port": 400,
    "http2_protocol_error": 400,
    "http2_flood": 400,
    "stream_refused": 503,
    "grpc_needs_http2": 502,
}
"""Error code → status of the response. Rings store a code as its position in this table: only ever
append.
"""
KEYS_UNAVAILABLE: Final = "keys_unavailable"
AUTH_CODES: Final = tuple(code for code, status in STATUS_OF.items() if status in (401, 403))
"""Why a key does not open a route, in the order of evaluation."""
KEEPS_CONNECTION: Final = frozenset(("no_route", KEYS_UNAVAILABLE, *AUTH_CODES))
"""Refusals of a request that was read without doubt: the connection may go on."""
_PARAMETERS: Final = re.compile(rb"[?;#]")
_UNSHOWN: Final = re.compile(rb"(?:\A|(?<=//))[^/]*@|(?<=[?;#=]).+", re.DOTALL)
_MAX_SHOWN_BYTES: Final = 80


class Refused(Exception):
    """The client's request is refused before it reaches an upstream; nothing of it was forwarded."""

    def __init__(self, code: str, message: str) -> None:
        """Refuse with one of `STATUS_OF`; the message is shown to the client, so it names value and
        limit.
        """
        super().__init__(message)
        self.code = code
        self.message = message


class UpstreamError(Exception):
    """The upstream failed us: could not be reached, closed early, was silent too long, or spoke no
    HTTP.
    """

    def __init__(self, code: str, message: str, refused_head: bytes = b"") -> None:
        """Report with one of the `upstream_*` codes or `overloaded`, and the bytes that were no
        response head.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.refused_head = refused_head
        self.reset_code = -1
        """With which it reset a stream of HTTP/2; -1: it did not."""


class NotHttp2(UpstreamError):
    """The upstream speaks something else, so it cannot carry gRPC."""


def shown(value: bytes) -> str:
    """Write the beginning of a target, a host or what is in its place: without users and
    parameters, often secrets.
    """
    value = _UNSHOWN.sub(lambda found: b"...@" if found[0].endswith(b"@") else b"...", value)
    return _quoted(value[:_MAX_SHOWN_BYTES])


def no_route(host: bytes, target: bytes) -> Refused:
    """Say that no route has a host and path: not the query, nor parameters or half a segment, which
    may be secrets.
    """
    path = _PARAMETERS.split(target, maxsplit=1)[0]
    if len(path) > _MAX_SHOWN_BYTES:
        path = path[:_MAX_SHOWN_BYTES].rpartition(b"/")[0] + b"/..."
    return Refused(
        "no_route", f"no route for host {_quoted(host[:_MAX_SHOWN_BYTES])} and path {_quoted(path)}"
    )


def _quoted(value: bytes) -> str:
    """Write octets between quotes, as a text that a person reads."""
    return repr(value)[1:]


def unreached(error: Exception) -> str:
    """Name why no connection to an upstream came about: its name, its certificate, or whatever
    else.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return "upstream_untrusted"
    # UnicodeError: a host name that IDNA cannot write.
    if isinstance(error, socket.gaierror | UnicodeError):
        return "upstream_unresolved"
    return "upstream_refused"


def why_unreached(error: Exception) -> str:
    """Return why a connection failed, and reword what OpenSSL says where it would not help."""
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "the port does not speak TLS, as in http://"
    return getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)


def error_response(
    code: str, message: str, *, close: bool, record_id_line: bytes = b""
) -> tuple[bytes, bytes]:
    """Make the proxy's own answer: head with final empty line, and JSON body."""
    status = STATUS_OF[code]
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    lines = [
        b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode()),
        b"Content-Type: application/json\r\n",
        b"Content-Length: %d\r\n" % len(body),
        b"X-Sidelog-Error: %b\r\n" % code.encode(),
        record_id_line,
    ]
    if status == 503:
        lines.append(b"Retry-After: 1\r\n")
    if status == 401:
        # RFC 9110 §11.6.1: never without.
        lines.append(b'WWW-Authenticate: ApiKey realm="sidelog"\r\n')
    if status == 405:
        lines.append(b"Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n")
    if close:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines), body
