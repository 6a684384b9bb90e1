"""Errors that end a stream or a connection, and their codes on the wire (RFC 9113 §5.4, §7)."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """Codes of RST_STREAM and GOAWAY.

    An unknown code of a peer means INTERNAL_ERROR (RFC 9113 §7).
    """

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def name_of(code: int) -> str:
    """Return the name of an error code that a peer sent."""
    if code <= ErrorCode.HTTP_1_1_REQUIRED:
        return ErrorCode(code).name
    return f"code {code}"


class Fault(Exception):
    """The peer broke a rule.

    The reason is one of a closed set and contains no value, so it can be counted.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConnectionFault(Fault):
    """A violation that affects the whole connection. It ends with a GOAWAY (RFC 9113 §5.4.1)."""


class StreamFault(Fault):
    """A violation on one stream, or a malformed message. The stream is reset (RFC 9113 §5.4.2)."""
