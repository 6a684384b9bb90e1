"""Streams: windows and state of one, and which of a connection's are open, idle or closed (RFC 9113
§5.1). Pure.

A stream that was reset keeps its place until the consumer releases it, so it counts as long as work
for it goes on (F10). Some ids of streams that we reset are remembered, because frames on their way
to them are no fault of the peer (RFC 9113 §5.4.2).
"""

from collections import deque
from typing import Final

from proxy.http2.errors import ErrorCode, StreamFault

MAX_RESET_IDS: Final = 256
"""Ids remembered of one connection: more than twice the streams that may be open."""


class ReceiveWindow:
    """The window of a peer, on one stream or on the connection (RFC 9113 §5.2, §6.9).

    Its size is the sum of the bytes that the peer may send, that were received and not forwarded,
    and that were forwarded and not announced. So no more than the size is ever held, and a consumer
    that forwards nothing stops the peer (F13).
    """

    __slots__ = ("_available", "_forwarded", "_size", "held")

    def __init__(self, size: int) -> None:
        self._size = size
        self._available = size
        self._forwarded = 0
        self.held = 0
        """Bytes that were received and not forwarded."""

    def take(self, size: int) -> bool:
        """Take the bytes of a frame, padding included; False: the peer exceeded its window."""
        if size > self._available:
            return False
        self._available -= size
        self.held += size
        return True

    def forward(self, size: int) -> int:
        """Give credit for forwarded bytes; return the increment to announce, 0 below half of the
        size.
        """
        self.held -= size
        self._forwarded += size
        if 2 * self._forwarded < self._size:
            return 0

        increment = self._forwarded
        self._forwarded = 0
        self._available += increment
        return increment


class Stream:
    """One exchange. mypyc would create a dataclass in Python: 0.4 µs instead of 1.8."""

    __slots__ = (
        "allows_body", "expected_bytes", "has_head", "id", "is_closed", "is_end_queued", "is_local_ended",
        "is_remote_ended", "is_waiting", "offset", "owed_bytes", "paused", "queue", "queued_bytes", "received",
        "small_since_ns", "trailers", "window",
    )  # fmt: skip

    def __init__(self, stream_id: int, received: ReceiveWindow, window: int) -> None:
        self.id = stream_id
        self.received = received
        self.window = window
        """Bytes that may be sent; settings can make it negative (RFC 9113 §6.9.2)."""
        self.expected_bytes = -1
        """Bytes of the received body that are missing; -1: its head named no length."""
        self.paused = 0
        self.owed_bytes = 0
        """Why the received body is not wanted for now, and how much of it came without credit."""
        self.allows_body = True
        self.has_head = False
        """Whether the final head of a response came."""
        self.queue: deque[bytes] = deque()
        """Pieces of the sent body that wait for windows."""
        self.offset = 0
        """Bytes of the first piece that were sent."""
        self.queued_bytes = 0
        self.is_end_queued = False
        self.trailers = b""
        """The block that follows the queue."""
        self.small_since_ns = 0
        """Since when it waits for more than a small window; 0: it does not wait."""
        self.is_waiting = False
        """Whether the consumer waits for the queue to drain."""
        self.is_local_ended = False
        self.is_remote_ended = False
        self.is_closed = False
        """Whether nothing more is sent or taken: it was reset by either side, or both have ended
        it.
        """

    def take_body(self, size: int, *, is_end: bool) -> None:
        """Count a part of the body before it is passed on; a length other than the head named is a
        fault (F8).
        """
        known = self.expected_bytes >= 0
        if known:
            self.expected_bytes -= size
        if known and (self.expected_bytes < 0 or (is_end and self.expected_bytes)):
            raise StreamFault(
                ErrorCode.PROTOCOL_ERROR, "a body that is not as long as its head says"
            )

        self.is_remote_ended = is_end


class Streams:
    """The streams of one connection by their ids."""

    __slots__ = ("_passed_over", "_reset_ids", "highest_id", "open")

    def __init__(self) -> None:
        self.open: dict[int, Stream] = {}
        """Those that hold a place, reset and not released ones among them (F10)."""
        self._reset_ids: dict[int, None] = {}
        self.highest_id = -1
        """Of the streams that the client has opened."""
        self._passed_over = range(0)
        """Ids below it that were left out last (RFC 9113 §5.1.1)."""

    def is_idle(self, stream_id: int) -> bool:
        """Whether a stream was never opened; servers open none (F15)."""
        return not stream_id & 1 or stream_id > self.highest_id

    def was_passed_over(self, stream_id: int) -> bool:
        """Whether a stream was never opened, and cannot be any more."""
        return stream_id in self._passed_over

    def reach(self, stream_id: int) -> None:
        """Note the highest stream that the client has opened."""
        if stream_id > self.highest_id + 2:
            self._passed_over = range(self.highest_id + 2, stream_id)
        self.highest_id = stream_id

    def skip(self, stream_id: int) -> None:
        """Remember a stream that a client opened and we do not serve."""
        self.reach(stream_id)
        self.remember_reset(stream_id)

    def remember_reset(self, stream_id: int) -> None:
        """Remember that we reset a stream."""
        self._reset_ids[stream_id] = None
        if len(self._reset_ids) > MAX_RESET_IDS:
            del self._reset_ids[next(iter(self._reset_ids))]

    def was_reset_by_us(self, stream_id: int) -> bool:
        """Whether frames on the stream may have been on their way when we reset it."""
        return stream_id in self._reset_ids
