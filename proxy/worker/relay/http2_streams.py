"""The streams of one HTTP/2 connection of a client: their exchanges, their waits for windows, and
their ends.

Strategy: once an exchange is recorded, its stream is released when all of its response is sent, or
reset. If a connection ends with many streams, a few are ended in each turn of the loop: ending a
hundred downloads in one step blocked other connections for 74 to 92 ms.

The invariant: an exchange is ended exactly once, and its output after the end of its connection
goes nowhere.
"""

import time
from collections.abc import Callable

from proxy.http2.connection import Connection
from proxy.http2.errors import ErrorCode
from proxy.network.pacing import TURN_NS
from proxy.ring import http2_notes
from proxy.worker.closing_connection import ClosingConnection
from proxy.worker.engine import Engine, Http2
from proxy.worker.exits.frame_writer import FrameWriter
from proxy.worker.relay.ending import lose_client
from proxy.worker.relay.relay import Relay


class Http2Streams(ClosingConnection):
    """The part of a client's connection that keeps its streams."""

    __slots__ = ("_codec", "_ending", "_engine", "_relays", "_shared", "_waiting", "_writer")

    _writer: FrameWriter

    def __init__(self, engine: Engine, shared: Http2, codec: Connection) -> None:
        """Begin without streams."""
        super().__init__(engine.turns)
        self._engine = engine
        self._shared = shared
        self._codec = codec
        self._relays: dict[int, Relay] = {}
        """Stream → the relay of its exchange, while that runs."""
        self._waiting: dict[int, tuple[int, int]] = {}
        """Stream whose client grants no window → since when, and how many bytes of its response
        wait.
        """
        self._ending: Callable[[Relay], object] | None = None
        """Ends one exchange; not None while the exchanges of an ended connection are ended in
        turns.
        """

    def flush(self) -> None:
        """Write the codec's output, now or at the end of the running step."""
        self._writer.flush()

    def await_window(self, stream_id: int) -> None:
        """Note that a stream waits for its client's window, and stop reading its response."""
        relay = self._relays.get(stream_id)
        state = self._codec.streams.open.get(stream_id)
        if state is not None:
            self._waiting.setdefault(stream_id, (time.monotonic_ns(), state.queued_bytes))
        if relay is not None:
            relay.pause_response()

    def exchange_ended(self, stream_id: int) -> None:
        """Forget a recorded exchange; release its stream once its response is sent."""
        if self._relays.pop(stream_id, None) is not None:
            self._shared.open_streams -= 1
        self._since_ns = time.monotonic_ns()
        if stream_id not in self._waiting:
            self._release(stream_id)

    def _release(self, stream_id: int) -> None:
        """Release a stream; reset it if its request is incomplete, so that the client need not send
        the rest (RFC 9113 §8.1).
        """
        state = self._codec.streams.open.get(stream_id)
        if state is not None and not self._codec.is_ended:
            if not state.is_closed:
                self.reset(
                    stream_id,
                    ErrorCode.NO_ERROR if state.is_local_ended else ErrorCode.INTERNAL_ERROR,
                )

            self._codec.release(stream_id)
            self.flush()

    def reset(self, stream_id: int, code: int) -> None:
        """Send RST_STREAM to end a stream early, and count the reset."""
        self._engine.recorder.count_http2_reset("server", code)
        if (relay := self._relays.get(stream_id)) is not None and relay.stream is not None:
            relay.stream.note_reset(code, http2_notes.BY_US)
        self._codec.reset(stream_id, code)
        self._waiting.pop(stream_id, None)

    def _check_windows(self, now_ns: int) -> None:
        """Reset streams whose client has received nothing for too long (P17)."""
        for stream_id, (since_ns, waiting_bytes) in list(self._waiting.items()):
            state = self._codec.streams.open.get(stream_id)
            relay = self._relays.get(stream_id)
            queued = 0 if state is None else state.queued_bytes
            if queued != waiting_bytes:
                # The upstream may have sent more that the client has not received.
                since_ns = now_ns if queued < waiting_bytes else since_ns
                self._waiting[stream_id] = since_ns, queued

            is_awaited, limit_ns = self.stall_limit if relay is None else relay.stall_limit
            if 0 < limit_ns <= now_ns - since_ns:
                self.reset(stream_id, ErrorCode.CANCEL)
                if relay is not None:
                    relay.client_stalled(is_awaited=is_awaited)
                    lose_client(relay)
                self.exchange_ended(stream_id)
                self.flush()

    @property
    def stall_limit(self) -> tuple[bool, int]:
        """Return True if a stream holds an upstream connection that other requests wait for; and
        how long the client may receive nothing, in ns: the shortest limit of all streams.
        """
        stalls = [relay.stall_limit for relay in self._relays.values()]
        is_awaited = any(is_awaited for is_awaited, _ in stalls)
        limits_ns = [limit_ns for _, limit_ns in stalls if limit_ns]
        return is_awaited, min(limits_ns, default=self._engine.deadlines.write_stall_ns)

    def client_stalled(self, *, is_awaited: bool) -> None:
        """Note on all streams that the client has received nothing for too long (P17)."""
        for relay in list(self._relays.values()):
            relay.client_stalled(is_awaited=is_awaited)

    # The end of all streams.

    def _end_streams(self, end: Callable[[Relay], object]) -> None:
        """End all exchanges with `end`, in turns, unless that has begun already."""
        self._waiting.clear()
        self._ending = self._ending or end
        self.take_turn()

    def take_turn(self) -> None:
        """While the connection is ending, end as many streams as fit in one turn; otherwise read
        on.
        """
        if self._ending is None:
            super().take_turn()
            return
        until_ns = time.monotonic_ns() + TURN_NS
        while self._relays:
            self._end_first(self._ending)
            if time.monotonic_ns() >= until_ns:
                break

        if self._relays:
            self._turns.add(self)
        else:
            self._ending = None

    def _end_first(self, end: Callable[[Relay], object]) -> None:
        stream_id, relay = next(iter(self._relays.items()))
        end(relay)
        self.exchange_ended(stream_id)

    def _end_all(self, end: Callable[[Relay], object]) -> None:
        """End all exchanges with `end`, at once."""
        while self._relays:
            self._end_first(end)
        self._waiting.clear()
