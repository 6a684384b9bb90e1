"""What a connection reports to its consumer, in the order in which it happened (`connection.py`)."""

from dataclasses import dataclass

from proxy.http2.request_fields import RequestFields
from proxy.http2.response_fields import ResponseFields


@dataclass(slots=True, eq=False)
class RequestReceived:
    """A client opened a stream; it holds a place until it is completed, or reset and released."""

    stream_id: int
    head: RequestFields
    is_end: bool


@dataclass(slots=True, eq=False)
class RequestRefused:
    """A malformed request was reset; it holds no place, and its text, `?` for controls in it, may be recorded."""

    stream_id: int
    reason: str
    text: bytes


@dataclass(slots=True, eq=False)
class ResponseReceived:
    """An upstream's head: any number of informational ones, then the final one."""

    stream_id: int
    head: ResponseFields
    is_end: bool


@dataclass(slots=True, eq=False)
class DataReceived:
    """Part of a body; `Connection.forwarded` gives the peer credit for it, once it went on (F13)."""

    stream_id: int
    data: bytes
    is_end: bool
    """The body is complete, and as long as its head says (F8)."""


@dataclass(slots=True, eq=False)
class TrailersReceived:
    """The end of a body that is followed by fields: lines, each with its CRLF."""

    stream_id: int
    lines: bytes


@dataclass(slots=True, eq=False)
class StreamReset:
    """A stream ended early; its place is free when the work for it is cancelled: `Connection.release` (F10)."""

    stream_id: int
    code: int
    reason: str
    """What rule the peer broke; empty where it reset the stream itself."""
    is_retryable: bool = False
    """The peer has not begun to work on it (RFC 9113 §8.7)."""


@dataclass(slots=True, eq=False)
class StreamDrained:
    """All that was to be sent on a stream so far is on its way, after a time of waiting for windows."""

    stream_id: int


@dataclass(slots=True, eq=False)
class GoawayReceived:
    """The peer takes no more streams; those it will not work on are reset, as retryable."""

    code: int
    reason: bytes


@dataclass(slots=True, eq=False)
class ConnectionEnded:
    """The peer broke a rule; the GOAWAY is among what is to be sent, then the connection is to be closed."""

    code: int
    reason: str


Event = (
    RequestReceived | RequestRefused | ResponseReceived | DataReceived | TrailersReceived
    | StreamReset | StreamDrained | GoawayReceived | ConnectionEnded
)  # fmt: skip
