"""The sending half of a connection: frames in order, and bodies within windows (RFC 9113 §5.2,
§6.9).

Strategy: heads and control frames go at once; body pieces wait in their stream's queue. Streams
that wait only for the connection's window take turns, one frame each, so none starves; streams that
wait for their own window cost nothing until it is widened. If a window would split off a piece
below
1 KiB, sending waits a while for a larger window, so that a peer cannot have a body cut into tiny
frames (F12, CVE-2019-9511).
"""

from typing import Any, Final

from proxy.http2 import frames
from proxy.http2.budget import Budget
from proxy.http2.stream import Stream

SMALL_BYTES: Final = 1024
SMALL_WAIT_NS: Final = 10_000_000


class Output:
    """Collects frames to send, and shares the windows among streams."""

    __slots__ = ("_budget", "_delayed", "_parts", "_ready", "drained", "size_bytes", "window")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: list[Any] = []
        """Views of large pieces: they are copied once, when all parts are joined."""
        self._ready: dict[int, Stream] = {}
        """Streams with queued data and an open window of their own, in turn."""
        self._delayed: dict[int, Stream] = {}
        """Streams with a small window, the longest waiting first."""
        self.size_bytes = 0
        """Size of the next result of `take`."""
        self.window = frames.WINDOW_BYTES
        """The window of the connection."""
        self.drained: list[Stream] = []
        """Streams with a queue that became empty. The connection clears this list."""

    def put(self, data: bytes) -> None:
        self._parts.append(data)
        self.size_bytes += len(data)

    def take(self) -> bytes:
        """Remove and return the bytes that can be written now."""
        data = b"".join(self._parts)
        self._parts = []
        self.size_bytes = 0
        return data

    def queue(self, stream: Stream, data: bytes) -> None:
        """Queue a piece of a stream's body, which `pump` sends."""
        if data:
            stream.queue.append(data)
            stream.queued_bytes += len(data)
            self._ready[stream.id] = stream

    def send(self, stream: Stream, data: bytes, *, is_end: bool) -> bool:
        """Send a piece of a body at once.

        Return False if it does not fit into a frame and the windows, or others wait.
        """
        size = len(data)
        if not 0 < size <= frames.MAX_FRAME_BYTES or size > self.window or size > stream.window:
            return False
        if stream.queue or self._ready:
            return False

        self.window -= size
        stream.window -= size
        self._budget.refill_for_data(size)
        self.put(
            frames.frame_header(size, frames.DATA, frames.END_STREAM if is_end else 0, stream.id)
        )
        self.put(data)
        stream.is_end_queued = is_end
        stream.is_local_ended = is_end
        return True

    def end(self, stream: Stream, trailers: bytes) -> None:
        """Queue the end of a body, with a block of trailers or none."""
        stream.is_end_queued = True
        stream.trailers = trailers
        if not stream.queue:
            self._finish(stream)

    def forget(self, stream: Stream) -> None:
        """Stop sending a stream; `queued_bytes` keeps the number of bytes that never went out."""
        stream.queue.clear()
        stream.offset = 0
        stream.small_since_ns = 0
        self._ready.pop(stream.id, None)
        self._delayed.pop(stream.id, None)

    def widen(self, increment: int, now_ns: int) -> bool:
        """Widen the connection's window and send what fits; return False if the window exceeds its
        limit.
        """
        self.window += increment
        self._ready.update(self._delayed)
        self.pump(now_ns)
        return self.window <= frames.MAX_WINDOW_BYTES

    def widen_stream(self, stream: Stream, increment: int, now_ns: int) -> bool:
        """Widen or narrow a stream's window and send what fits; return False if the window exceeds
        its limit.
        """
        stream.window += increment
        if stream.window > frames.MAX_WINDOW_BYTES:
            return False

        if stream.queue and increment > 0:
            self._ready[stream.id] = stream
            self.pump(now_ns)
        return True

    @property
    def next_check_ns(self) -> int:
        """Time at which `check` is due; 0 if only new input can change anything."""
        first = next(iter(self._delayed.values()), None)
        if first is not None and self.window > 0:
            return first.small_since_ns + SMALL_WAIT_NS
        return 0

    def check(self, now_ns: int) -> None:
        """Send pieces that have waited long enough for a larger window."""
        for stream in self._delayed.values():
            if now_ns - stream.small_since_ns < SMALL_WAIT_NS:
                break
            self._ready[stream.id] = stream
        self.pump(now_ns)

    def pump(self, now_ns: int) -> None:
        """Put queued data of all streams into frames, as far as the windows allow."""
        ready = self._ready
        while ready and self.window > 0:
            stream_id = next(iter(ready))
            stream = ready.pop(stream_id)
            if self._send_frame(stream, now_ns) and stream.queue:
                ready[stream_id] = stream

    def _send_frame(self, stream: Stream, now_ns: int) -> bool:
        """Send one frame of a stream with queued data; return False if a window blocks it."""
        piece = stream.queue[0]
        offset = stream.offset
        left = len(piece) - offset
        size = min(left, self.window, stream.window, frames.MAX_FRAME_BYTES)
        if size < left and size < SMALL_BYTES and not self._may_send_small(stream, size, now_ns):
            return False

        if stream.small_since_ns:
            stream.small_since_ns = 0
            self._delayed.pop(stream.id, None)
        if size == left:
            stream.queue.popleft()
            stream.offset = 0
        else:
            stream.offset = offset + size

        stream.queued_bytes -= size
        self.window -= size
        stream.window -= size
        self._budget.refill_for_data(size)
        is_empty = not stream.queue
        is_end = is_empty and stream.is_end_queued and not stream.trailers
        self.put(
            frames.frame_header(size, frames.DATA, frames.END_STREAM if is_end else 0, stream.id)
        )
        self._parts.append(
            piece if size == len(piece) else memoryview(piece)[offset : offset + size]
        )
        self.size_bytes += size
        stream.is_local_ended = is_end
        if is_empty:
            self._finish(stream)
        return True

    def _may_send_small(self, stream: Stream, size: int, now_ns: int) -> bool:
        """Return True if a small piece has waited long enough. With an empty window it waits on."""
        if size <= 0:
            stream.small_since_ns = 0
            self._delayed.pop(stream.id, None)
            return False

        if not stream.small_since_ns:
            stream.small_since_ns = now_ns
            self._delayed[stream.id] = stream
        return now_ns - stream.small_since_ns >= SMALL_WAIT_NS

    def _finish(self, stream: Stream) -> None:
        """Send the pending end of a stream, whose queue is empty."""
        if stream.is_end_queued and not stream.is_local_ended:
            stream.is_local_ended = True
            if stream.trailers:
                self.put(frames.header_frames(stream.id, stream.trailers, is_end=True))
            else:
                self.put(frames.frame_header(0, frames.DATA, frames.END_STREAM, stream.id))

        self.drained.append(stream)
