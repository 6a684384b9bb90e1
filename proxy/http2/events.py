"""Events that a connection reports to its consumer, in their order (`connection.py`).

The frequent ones are not dataclasses, because mypyc does not compile a dataclass's `__init__`.
"""

from dataclasses import dataclass

from proxy.http2.request_fields import RequestFields
from proxy.http2.response_fields import ResponseFields


class RequestReceived:
    """A client opened a stream. It holds a slot until it completes, or is reset and released."""

    __slots__ = ("head", "is_end", "stream_id")

    def __init__(self, stream_id: int, head: RequestFields, is_end: bool) -> None:
        self.stream_id = stream_id
        self.head = head
        self.is_end = is_end


@dataclass(slots=True, eq=False)
class RequestRefused:
    """A request was reset because it is malformed, or no slot was free. It holds no slot."""

    stream_id: int
    code: int
    reason: str
    """Rule that it breaks; empty if no slot was free."""
    text: bytes
    """Head of a malformed request, with `?` for control characters, fit to be recorded."""


class ResponseReceived:
    """An upstream's head: any number of informational ones, then the final one."""

    __slots__ = ("head", "is_end", "stream_id")

    def __init__(self, stream_id: int, head: ResponseFields, is_end: bool) -> None:
        self.stream_id = stream_id
        self.head = head
        self.is_end = is_end


class DataReceived:
    """A part of a body. `Connection.credit` gives the peer credit once it was forwarded (F13)."""

    __slots__ = ("_pieces", "is_end", "stream_id")

    def __init__(self, stream_id: int, data: bytes, is_end: bool) -> None:
        self.stream_id = stream_id
        self._pieces = [data]
        self.is_end = is_end
        """True if the body is complete. Its length then matches its head (F8)."""

    def add(self, data: bytes, is_end: bool) -> None:
        """Append the next piece of the body; `is_end` is True for the last one."""
        self._pieces.append(data)
        self.is_end = is_end

    @property
    def data(self) -> bytes:
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]


class TrailersReceived:
    """The end of a body with trailers: lines, each with its CRLF."""

    __slots__ = ("lines", "stream_id")

    def __init__(self, stream_id: int, lines: bytes) -> None:
        self.stream_id = stream_id
        self.lines = lines


@dataclass(slots=True, eq=False)
class StreamReset:
    """A stream ended early; call `Connection.release` once the work for it is cancelled (F10)."""

    stream_id: int
    code: int
    reason: str
    """Rule that the peer broke; empty if the peer reset the stream."""
    is_retryable: bool = False
    """True if the peer has not begun to process the stream (RFC 9113 §8.7)."""


@dataclass(slots=True, eq=False)
class StreamDrained:
    """All of a body that waited for windows has been sent."""

    stream_id: int


@dataclass(slots=True, eq=False)
class SettingsReceived:
    """An upstream's settings came: it may take more streams than before."""


@dataclass(slots=True, eq=False)
class GoawayReceived:
    """The peer accepts no more streams.

    Streams that it will not process are reset, as retryable.
    """

    code: int
    reason: bytes


@dataclass(slots=True, eq=False)
class ConnectionEnded:
    """The peer broke a rule: send the rest of `output`, which ends with the GOAWAY, and close."""

    code: int
    reason: str


Event = (
    RequestReceived | RequestRefused | ResponseReceived | DataReceived | TrailersReceived
    | StreamReset | StreamDrained | SettingsReceived | GoawayReceived | ConnectionEnded
)  # fmt: skip
