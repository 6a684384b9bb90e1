"""Streams: the state and windows of one, and the open, idle and closed ones of a connection.

Standard: RFC 9113 §5.1. A reset stream keeps its slot until the consumer releases it, so it counts
as long as work for it goes on (F10). Some ids of streams that we reset are remembered, because
frames on their way to them are not a fault of the peer (RFC 9113 §5.4.2).
"""

from collections import deque
from typing import Final

from proxy.http2.errors import ErrorCode, StreamFault

MAX_RESET_IDS: Final = 256
"""Ids remembered of one connection: more than twice the streams that may be open."""


class ReceiveWindow:
    """The window of a peer, on one stream or on the connection (RFC 9113 §5.2, §6.9).

    Its size is the sum of three counts of bytes: those that the peer may send, those received and
    not forwarded, and those forwarded and not announced. So no more than the size is ever held, and
    a consumer that forwards nothing stops the peer (F13).
    """

    __slots__ = ("_available", "_forwarded", "_size", "held")

    def __init__(self, size: int) -> None:
        self._size = size
        self._available = size
        self._forwarded = 0
        self.held = 0
        """Bytes that were received and not forwarded."""

    def take(self, size: int) -> bool:
        """Count the bytes of a received frame, padding included; return False if the peer exceeded
        its window.
        """
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
    """The state of one exchange. Not a dataclass: mypyc would create it in Python, 1.8 µs instead
    of 0.4.
    """

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
        """Missing bytes of the received body; -1 if its head named no length."""
        self.paused = 0
        self.owed_bytes = 0
        """Reasons for which credit is paused, as bits, and bytes received meanwhile."""
        self.allows_body = True
        self.has_head = False
        """True once the final head of a response came."""
        self.queue: deque[bytes] = deque()
        """Pieces of the sent body that wait for windows."""
        self.offset = 0
        """Sent bytes of the first piece."""
        self.queued_bytes = 0
        self.is_end_queued = False
        self.trailers = b""
        """The block that follows the queue."""
        self.small_since_ns = 0
        """Time since which it waits for more than a small window; 0 if it does not wait."""
        self.is_waiting = False
        """True if the consumer waits for the queue to drain."""
        self.is_local_ended = False
        self.is_remote_ended = False
        self.is_closed = False
        """True once nothing more is sent or received: reset by either side, or ended by both."""

    def take_body(self, size: int, *, is_end: bool) -> None:
        """Count a part of the body before it is passed on. A length different from the head's is a
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
        """Streams that hold a slot, including reset ones that are not released (F10)."""
        self._reset_ids: dict[int, None] = {}
        self.highest_id = -1
        """Highest stream id that the client has opened."""
        self._passed_over = range(0)
        """Ids below it that the client skipped last (RFC 9113 §5.1.1)."""

    def is_idle(self, stream_id: int) -> bool:
        """Return True if a stream was never opened. Servers open none (F15)."""
        return not stream_id & 1 or stream_id > self.highest_id

    def was_passed_over(self, stream_id: int) -> bool:
        """Return True if a stream was never opened, and cannot be any more."""
        return stream_id in self._passed_over

    def reach(self, stream_id: int) -> None:
        """Record the highest id of a stream that has been opened."""
        if stream_id > self.highest_id + 2:
            self._passed_over = range(self.highest_id + 2, stream_id)
        self.highest_id = stream_id

    def skip(self, stream_id: int) -> None:
        """Remember a stream that a client opened and we do not serve."""
        self.reach(stream_id)
        self.remember_reset(stream_id)

    def remember_reset(self, stream_id: int) -> None:
        """Remember the id of a stream that we reset."""
        self._reset_ids[stream_id] = None
        if len(self._reset_ids) > MAX_RESET_IDS:
            del self._reset_ids[next(iter(self._reset_ids))]

    def was_reset_by_us(self, stream_id: int) -> bool:
        """Return True if frames on the stream may have been on their way when we reset it."""
        return stream_id in self._reset_ids
