"""Events that a connection reports to its consumer, in their order (`connection.py`).

No dataclasses: mypyc leaves the `__init__` of one interpreted, and each exchange makes several.
"""

from proxy.http2.request_fields import RequestFields
from proxy.http2.response_fields import ResponseFields


class RequestReceived:
    """A client opened a stream, which holds a place until it is completed, or reset and released."""

    __slots__ = ("head", "is_end", "stream_id")

    def __init__(self, stream_id: int, head: RequestFields, is_end: bool) -> None:
        self.stream_id = stream_id
        self.head = head
        self.is_end = is_end


class RequestRefused:
    """A request was reset: it is malformed, or all places are taken. It holds none."""

    __slots__ = ("code", "reason", "stream_id", "text")

    def __init__(self, stream_id: int, code: int, reason: str, text: bytes) -> None:
        """Name the rule that it breaks, none where there is no place; the text may be recorded: controls are `?`."""
        self.stream_id = stream_id
        self.code = code
        self.reason = reason
        self.text = text


class ResponseReceived:
    """An upstream's head: any number of informational ones, then the final one."""

    __slots__ = ("head", "is_end", "stream_id")

    def __init__(self, stream_id: int, head: ResponseFields, is_end: bool) -> None:
        self.stream_id = stream_id
        self.head = head
        self.is_end = is_end


class DataReceived:
    """Part of a body; `Connection.credit` gives the peer credit for it, once it was forwarded (F13)."""

    __slots__ = ("_pieces", "is_end", "stream_id")

    def __init__(self, stream_id: int, data: bytes, is_end: bool) -> None:
        self.stream_id = stream_id
        self._pieces = [data]
        self.is_end = is_end
        """The body is complete, and as long as its head says (F8)."""

    def add(self, data: bytes, is_end: bool) -> None:
        """Take what follows."""
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


class StreamReset:
    """A stream ended early; call `Connection.release` once the work for it is cancelled (F10)."""

    __slots__ = ("code", "is_retryable", "reason", "stream_id")

    def __init__(self, stream_id: int, code: int, reason: str, *, is_retryable: bool = False) -> None:
        """Name the rule that the peer broke, none where the peer reset the stream; maybe before it began (§8.7)."""
        self.stream_id = stream_id
        self.code = code
        self.reason = reason
        self.is_retryable = is_retryable


class StreamDrained:
    """All of a body that waited for windows has been sent."""

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id


class GoawayReceived:
    """The peer accepts no more streams; those it will not work on are reset, as retryable."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: bytes) -> None:
        self.code = code
        self.reason = reason


class ConnectionEnded:
    """The peer broke a rule: send what `output` has, which ends with the GOAWAY, and close."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


Event = (
    RequestReceived | RequestRefused | ResponseReceived | DataReceived | TrailersReceived
    | StreamReset | StreamDrained | GoawayReceived | ConnectionEnded
)  # fmt: skip
