"""What ends a stream or a connection, and how it is named on the wire (RFC 9113 §5.4, §7). Pure."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """Codes of RST_STREAM and GOAWAY; a peer may send others, which mean INTERNAL_ERROR (RFC 9113
    §7).
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
    """Name a code as a peer sent it."""
    if code <= ErrorCode.HTTP_1_1_REQUIRED:
        return ErrorCode(code).name
    return f"code {code}"


class Fault(Exception):
    """The peer broke a rule; the reason is one of a closed set, so it may be counted, and holds no
    value.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConnectionFault(Fault):
    """The whole connection depends on the rule: it ends with a GOAWAY (RFC 9113 §5.4.1)."""


class StreamFault(Fault):
    """A rule of one stream, or its message is malformed: it is reset (RFC 9113 §5.4.2)."""
