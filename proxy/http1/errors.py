"""The errors of the proxy itself: their codes, messages and response.

The type tells the responsible side: `Refused` means the client, `UpstreamError` the upstream.
"""

import json
import os
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
    "egress_denied": 403,
    "certificate_rejected": 403,
}
"""Error code → status of the response. Only append: rings store a code as its position here."""
KEYS_UNAVAILABLE: Final = "keys_unavailable"
_EGRESS_CODES: Final = ("egress_denied", "certificate_rejected")
AUTH_CODES: Final = tuple(
    code for code, status in STATUS_OF.items() if status in (401, 403) and code not in _EGRESS_CODES
)
"""Reasons for a key that does not open a route, in the order of evaluation."""
KEEPS_CONNECTION: Final = frozenset(("no_route", KEYS_UNAVAILABLE, "egress_denied", *AUTH_CODES))
"""Refusals of requests that were framed without doubt: the connection may go on."""
_PARAMETERS: Final = re.compile(rb"[?;#]")
_UNSHOWN: Final = re.compile(rb"(?:\A|(?<=//))[^/]*@|(?<=[?;#=]).+", re.DOTALL)
"""The user of a URL, and the parameters of a target: often secrets."""
_MAX_SHOWN_BYTES: Final = 80
_CALL_FAILED: Final = "Connect call failed"
"""Text of asyncio that replaces the kernel's reason."""


class Refused(Exception):
    """The client's request is refused, before anything of it was forwarded."""

    def __init__(self, code: str, message: str) -> None:
        """Refuse with a code of `STATUS_OF`; the client sees the message: name value and limit."""
        super().__init__(message)
        self.code = code
        self.message = message


class UpstreamError(Exception):
    """The upstream could not be reached, closed early, was silent too long, or does not speak HTTP."""

    def __init__(self, code: str, message: str, refused_head: bytes = b"") -> None:
        """Fail with an `upstream_*` code or `overloaded`, and the bytes of a malformed head."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.refused_head = refused_head
        self.reset_code = -1
        """Code with which it reset an HTTP/2 stream; -1 without a reset."""


class Denied(OSError):
    """An address that outgoing calls must not reach. The message gives the reason."""


class NotHttp2(UpstreamError):
    """The upstream does not speak HTTP/2, so it cannot carry gRPC."""


def bad_response(message: str, head: bytes = b"") -> UpstreamError:
    """Return the error for a response that breaks a rule, with the head that does so."""
    return UpstreamError("upstream_bad_response", message, head)


def shown(value: bytes) -> str:
    """Quote the beginning of a target or host for a message, without user and parameters."""
    value = _UNSHOWN.sub(lambda found: b"...@" if found[0].endswith(b"@") else b"...", value)
    return _quoted(value[:_MAX_SHOWN_BYTES])


def no_route(host: bytes, target: bytes) -> Refused:
    """Return the error for a host and path without a route.

    The message has no query, no parameters and no half of a segment: those may be secrets.
    """
    path = _PARAMETERS.split(target, maxsplit=1)[0]
    if len(path) > _MAX_SHOWN_BYTES:
        path = path[:_MAX_SHOWN_BYTES].rpartition(b"/")[0] + b"/..."
    return Refused(
        "no_route", f"no route for host {_quoted(host[:_MAX_SHOWN_BYTES])} and path {_quoted(path)}"
    )


def _quoted(value: bytes) -> str:
    """Return bytes in quotes, with escapes for control characters."""
    return repr(value)[1:]


def unreached(error: Exception) -> str:
    """Return the error code for a connection that could not be opened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "upstream_untrusted"
    if isinstance(error, Denied):
        return "egress_denied"
    # UnicodeError: a host name that IDNA cannot encode.
    if isinstance(error, socket.gaierror | UnicodeError):
        return "upstream_unresolved"
    return "upstream_refused"


def why_unreached(error: Exception) -> str:
    """Return the reason for a failed connection.

    Misleading texts of OpenSSL, asyncio and aiohttp are replaced.
    """
    if isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error, OSError) and error.errno and _CALL_FAILED in str(error):
        return os.strerror(error.errno)
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "the port does not speak TLS, as in http://"
    return getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)


def error_response(
    code: str, message: str, *, close: bool, record_id_line: bytes = b""
) -> tuple[bytes, bytes]:
    """Return the head of the proxy's own response, with its empty line, and the JSON body."""
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
        # A 401 must have this field (RFC 9110 §11.6.1).
        lines.append(b'WWW-Authenticate: ApiKey realm="sidelog"\r\n')
    if status == 405:
        lines.append(b"Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n")
    if close:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines), body
