"""gRPC on HTTP/2, as far as a worker has to know it: which calls are, how long they last, how they
are refused. Pure.

By the protocol's own description (gRPC over HTTP/2) and its mapping of statuses of HTTP
(http-grpc-status-mapping).
"""

import re
from typing import Final

_CALL: Final = re.compile(rb"\r\ncontent-type: application/grpc(?:[+;][^\r]*)?\r\n")
_TIMEOUT: Final = re.compile(rb"\r\ngrpc-timeout: ([0-9]{1,8})([HMSmun])\r\n")
UNITS_NS: Final = {
    b"H": 3_600_000_000_000, b"M": 60_000_000_000, b"S": 1_000_000_000, b"m": 1_000_000, b"u": 1000, b"n": 1,
}  # fmt: skip
"""Units of `grpc-timeout`."""
LATE_NS: Final = 5_000_000_000
"""How long behind its deadline a call may still run: client and service end it themselves, so that
nothing is lost.
"""
_STATUSES: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_UNKNOWN: Final = 2
DEADLINE_EXCEEDED: Final = 4
"""The status of a call that its client waits for no more."""
UNAVAILABLE: Final = 14
"""Clients try again, elsewhere."""
_ESCAPED: Final = re.compile(rb"[^\x20-\x24\x26-\x7e]")


def is_grpc(lines: bytes) -> bool:
    """Return whether a request with these lines, `Host` first, is a call of gRPC; gRPC-Web is none."""
    return _CALL.search(lines) is not None


def expires_ns(lines: bytes, now_ns: int) -> int:
    """Return when a call that begins now is waited for no more; 0: its client does not say."""
    found = _TIMEOUT.search(lines)
    if found is not None:
        return now_ns + int(found[1]) * UNITS_NS[found[2]] + LATE_NS
    return 0


def grpc_status_of(status: int) -> int:
    """Return the status of a call that ends with one of HTTP."""
    return _STATUSES.get(status, _UNKNOWN)


def grpc_message(text: str) -> bytes:
    """Return a text as `grpc-message` has it."""
    return _ESCAPED.sub(lambda found: b"%%%02X" % found[0][0], text.encode())


def status_lines(status: int, message: str) -> bytes:
    """Return how a call ended as field lines, of trailers or of a head without a body."""
    return b"grpc-status: %d\r\ngrpc-message: %b\r\n" % (status, grpc_message(message))
