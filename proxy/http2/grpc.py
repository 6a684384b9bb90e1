"""The part of gRPC over HTTP/2 that a worker handles: recognition, deadline, and refusal of calls.

Follows the protocol's own description (gRPC over HTTP/2) and its mapping of HTTP statuses
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
"""Time that a call may run past its deadline: client and service normally end it themselves."""
_STATUSES: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_UNKNOWN: Final = 2
DEADLINE_EXCEEDED: Final = 4
"""Status of a call whose deadline has passed."""
UNAVAILABLE: Final = 14
"""Status that makes clients retry elsewhere."""
_ESCAPED: Final = re.compile(rb"[^\x20-\x24\x26-\x7e]")


def is_grpc(lines: bytes) -> bool:
    """Return True for a gRPC call. gRPC-Web does not count. `lines` begin with `Host`."""
    return _CALL.search(lines) is not None


def expires_ns(lines: bytes, now_ns: int) -> int:
    """Return the time until which a gRPC call that begins now may last by its deadline, with a
    tolerance of `LATE_NS`; 0 without a deadline.
    """
    found = _TIMEOUT.search(lines)
    if found is not None:
        return now_ns + int(found[1]) * UNITS_NS[found[2]] + LATE_NS
    return 0


def grpc_status_of(status: int) -> int:
    """Return the gRPC status that an HTTP status stands for."""
    return _STATUSES.get(status, _UNKNOWN)


def grpc_message(text: str) -> bytes:
    """Return a text encoded as a value of `grpc-message`."""
    return _ESCAPED.sub(lambda found: b"%%%02X" % found[0][0], text.encode())


def status_lines(status: int, message: str) -> bytes:
    """Return gRPC status and message as field lines, for trailers or a head without a body."""
    return b"grpc-status: %d\r\ngrpc-message: %b\r\n" % (status, grpc_message(message))
