"""The status of a gRPC call, from its trailers, or from the head of a response without a body.

Standard: gRPC over HTTP/2 ("Responses"), and its status codes.
"""

import re
from binascii import a2b_base64
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from proxy.http2.grpc import UNITS_NS

_STATUS: Final = re.compile(rb"(?i)\ngrpc-status:[ \t]*(\d{1,9})[ \t]*(?:[\r\n]|$)")
_MESSAGE: Final = re.compile(rb"(?i)\ngrpc-message:[ \t]*+([^\r\n]*[^\r\n \t])")
_TIMEOUT: Final = re.compile(
    rb"(?i)\ngrpc-timeout:[ \t]*(\d{1,8})((?-i:[HMSmun]))[ \t]*(?:[\r\n]|$)"
)
_DETAILS: Final = re.compile(rb"(?i)\ngrpc-status-details-bin:[ \t]*([A-Za-z0-9+/]+)")
_ENCODING: Final = re.compile(rb"(?i)\ngrpc-encoding:[ \t]*([a-z0-9-]{1,32})[ \t]*(?:[\r\n]|$)")
"""Each begins with the end of the previous line: with an alternative there, a search takes 3.6
instead of 0.6 µs.
"""


class Status(NamedTuple):
    """The status of a call."""

    code: int
    message: bytes | None
    """Percent-decoded, not redacted."""


def status_in(fields: bytes) -> Status | None:
    """Read a status from field lines (trailers, or a head without its first line); None without
    one.
    """
    fields = b"\n" + fields
    found = _STATUS.search(fields)
    if found is None:
        return None
    message = _MESSAGE.search(fields)
    return Status(int(found[1]), None if message is None else unquote_to_bytes(message[1]))


def details_in(fields: bytes) -> bytes:
    """Return the encoded `google.rpc.Status` with error details from field lines; empty without
    one.

    It is base64 with or without padding (gRPC over HTTP/2, "Custom-Metadata").
    """
    found = _DETAILS.search(b"\n" + fields)
    if found is None or len(found[1]) % 4 == 1:
        return b""
    return a2b_base64(found[1] + b"=" * (-len(found[1]) % 4))


def timeout_us(fields: bytes) -> int | None:
    """Return the caller's timeout in µs from the head of a request; None without a deadline."""
    found = _TIMEOUT.search(fields)
    if found is None:
        return None
    return int(found[1]) * UNITS_NS[found[2]] // 1000


def encoding_in(fields: bytes) -> str | None:
    """Return the compression of gRPC messages that a head names; None if they are not compressed."""
    found = _ENCODING.search(fields)
    if found is None:
        name = "identity"
    else:
        name = found[1].decode().lower()
    if name == "identity":
        return None
    return name
