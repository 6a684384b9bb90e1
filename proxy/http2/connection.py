"""One HTTP/2 connection, at either end: bytes in, events out; methods in, bytes out (RFC 9113).

Strategy: `receive` reads frames, judges them (RULES.md) and returns events; frames to be sent
gather in `output`. A violation on a stream resets the stream; a violation of the connection ends it
with a GOAWAY, and nothing more is read. One call does a bounded amount of work, and stops while the
peer does not accept data; `has_more` reports frames that are left (F12, F14). Times are arguments,
of a monotonic clock.
The consumer reports the body bytes that it forwarded (`credit`), releases a reset stream once its
work for it is cancelled (`release`), calls `check` at `next_check_ns`, and closes after
`ConnectionEnded`. It drains by `inbound.drain`, and writes the result of `output.take`.
"""

from typing import Final

from proxy.http2 import frames
from proxy.http2.budget import Budget, Limits
from proxy.http2.errors import ConnectionFault, ErrorCode, StreamFault
from proxy.http2.events import ConnectionEnded, Event, StreamDrained
from proxy.http2.frame_reader import FrameReader
from proxy.http2.hpack.decoder import BOMB_FACTOR
from proxy.http2.hpack.encoder import NO_TABLE, LineEncoder
from proxy.http2.inbound import DRAIN_WAIT_NS, OVERSIZED_COST, Inbound
from proxy.http2.output import Output
from proxy.http2.request_fields import RequestFields, encode_request
from proxy.http2.response_fields import encode_response
from proxy.http2.stream import Stream, Streams

MAX_UNSENT_BYTES: Final = 65536
STEP_FRAMES: Final = 128
STEP_HEADS: Final = 16


class Connection:
    """One end of a connection: a server to a client, or a client to an upstream."""

    __slots__ = (
        "_begin_by_ns", "_budget", "_encoder", "_has_table", "_is_server", "inbound", "is_ended", "output", "reader",
        "streams",
    )  # fmt: skip

    def __init__(
        self, limits: Limits, encoder: LineEncoder, now_ns: int, *, is_server: bool
    ) -> None:
        """Begin the connection. The first bytes to send are in `output` at once.

        Connections may share the encoder.
        """
        self._is_server = is_server
        self._encoder = encoder
        self._has_table = True
        """True until the peer's dynamic table has been set to size 0 (`hpack/encoder.py`)."""
        self._budget = Budget(now_ns)
        self.reader = FrameReader(
            expects_preface=is_server, max_block_bytes=BOMB_FACTOR * limits.max_header_bytes
        )
        self.output = Output(self._budget)
        self.streams = Streams()
        self.inbound = Inbound(
            limits, self.reader, self.output, self.streams, self._budget, is_server=is_server
        )
        self._begin_by_ns = now_ns + limits.timeout_settings_ns
        self.is_ended = False
        """True once nothing more is read. The GOAWAY is then the last frame sent."""
        entries = {
            frames.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
            frames.MAX_LIST_SIZE: limits.max_header_bytes,
        }

        if is_server:
            entries |= {
                frames.MAX_CONCURRENT_STREAMS: limits.max_streams,
                frames.ENABLE_CONNECT_PROTOCOL: 1,
            }
        else:
            entries[frames.ENABLE_PUSH] = 0

        self.output.put((b"" if is_server else frames.PREFACE) + frames.settings(entries.items()))
        if limits.connection_window_bytes > frames.WINDOW_BYTES:
            self.output.put(
                frames.window_update(0, limits.connection_window_bytes - frames.WINDOW_BYTES)
            )

    # Receiving.

    def receive(self, data: bytes, now_ns: int, unsent_bytes: int = 0) -> list[Event]:
        """Take the next bytes and return their events.

        `unsent_bytes` have left `output` but not the process (F12).
        """
        if self.is_ended:
            return []
        reader = self.reader
        inbound = self.inbound
        output = self.output
        self._budget.pass_time(now_ns)
        inbound.heads = 0
        reader.feed(data)

        try:
            for _ in range(STEP_FRAMES):
                if (
                    output.size_bytes + unsent_bytes > MAX_UNSENT_BYTES
                    or inbound.heads >= STEP_HEADS
                ):
                    break
                if not reader.read():
                    break
                try:
                    self._read_frame(now_ns)
                except StreamFault as fault:
                    inbound.reset_for(fault)
        except ConnectionFault as fault:
            self._fail(fault.code, fault.reason)

        return self._take_events()

    @property
    def has_more(self) -> bool:
        """True if a whole frame is left: call `receive` again, without bytes."""
        return not self.is_ended and self.reader.has_more

    def note_refused(self) -> None:
        """Charge for a request with a refused head: its response alone would refill enough for the
        next one (F11).
        """
        self._budget.spend(OVERSIZED_COST)

    def credit(self, stream_id: int, size: int) -> None:
        """Give the peer credit for forwarded body bytes, at once or after `resume` (F13)."""
        stream = self.streams.open.get(stream_id)
        if stream is not None and not stream.is_closed:
            stream.owed_bytes += size
            self._pay(stream)

    def pause(self, stream_id: int, reason: int) -> None:
        """Give no credit on a stream until `resume` is called with the same reason."""
        stream = self.streams.open.get(stream_id)
        if stream is not None:
            stream.paused |= reason

    def resume(self, stream_id: int, reason: int) -> None:
        """Withdraw a reason of `pause`. Without any reason left, credit continues."""
        stream = self.streams.open.get(stream_id)
        if stream is not None and not stream.is_closed:
            stream.paused &= ~reason
            self._pay(stream)

    def _pay(self, stream: Stream) -> None:
        if stream.owed_bytes and not stream.paused:
            owed = stream.owed_bytes
            stream.owed_bytes = 0
            self.inbound.credit(stream, min(owed, stream.received.held))

    def _read_frame(self, now_ns: int) -> None:
        reader = self.reader
        kind = reader.kind
        if kind == frames.DATA:
            self.inbound.read_data()
        elif kind == frames.HEADERS:
            if reader.stream_id & 1 == 0 or (
                not self._is_server and self.streams.is_idle(reader.stream_id)
            ):
                raise ConnectionFault(
                    ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that the peer cannot open"
                )

            self.inbound.read_block(frames.without_padding(reader.payload, reader.flags))
        elif kind == frames.CONTINUATION:
            self.inbound.read_block(reader.payload)
        else:
            self.inbound.spend(1, frames.CONTROL_NAMES.get(kind, "frames of unknown types"))
            if kind in (frames.SETTINGS, frames.PING, frames.GOAWAY):
                self.inbound.read_connection_frame(now_ns)
            elif kind in (frames.WINDOW_UPDATE, frames.RST_STREAM, frames.PRIORITY):
                self.inbound.read_stream_frame(now_ns)
            elif kind == frames.PUSH_PROMISE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE without push")

    # Time, and the end.

    @property
    def next_check_ns(self) -> int:
        """Time at which `check` is due; 0 if only new input can change anything."""
        begin_by_ns = 0 if self.reader.has_begun else self._begin_by_ns
        since_ns = self.inbound.drain_since_ns
        due = [
            at
            for at in (
                begin_by_ns,
                self.output.next_check_ns,
                since_ns and since_ns + DRAIN_WAIT_NS,
            )
            if at
        ]
        if due and not self.is_ended:
            return min(due)
        return 0

    def check(self, now_ns: int) -> list[Event]:
        """Finish a drain, send delayed data, and end a connection without SETTINGS, as far as each
        is due; return the events.
        """
        if not self.is_ended:
            since_ns = self.inbound.drain_since_ns
            if since_ns and now_ns - since_ns >= DRAIN_WAIT_NS:
                self.inbound.finish_drain()
            self.output.check(now_ns)
            if not self.reader.has_begun and now_ns >= self._begin_by_ns:
                self._fail(ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS in time")

        return self._take_events()

    def _take_events(self) -> list[Event]:
        self._settle()
        found = self.inbound.events
        self.inbound.events = []
        self.inbound.bodies.clear()
        return found

    def _settle(self) -> None:
        """Report the waiting streams whose data is sent now, and close those that are complete."""
        drained = self.output.drained
        self.output.drained = []
        for stream in drained:
            if stream.is_waiting:
                stream.is_waiting = False
                self.inbound.events.append(StreamDrained(stream.id))
            self.inbound.close_if_complete(stream)

    @property
    def is_drained(self) -> bool:
        """True once a drain is over: the last stream is named, all streams are done, and `output`
        is empty.
        """
        return self.inbound.final_id >= 0 and not self.streams.open and not self.output.size_bytes

    def end(self, code: ErrorCode, reason: str = "") -> None:
        """End the connection with a GOAWAY."""
        if not self.is_ended:
            self.is_ended = True
            self.output.put(
                frames.goaway(
                    max(self.streams.highest_id, 0) if self._is_server else 0, code, reason
                )
            )

    def _fail(self, code: ErrorCode, reason: str) -> None:
        self.end(code, reason)
        self.inbound.events.append(ConnectionEnded(code, reason))

    # Sending. Nothing is sent on a stream that was reset or has ended.

    @property
    def free_streams(self) -> int:
        """Number of streams that may be opened now; 0 at a server's end."""
        inbound = self.inbound
        next_id = self.streams.highest_id + 2
        if self._is_server or self.is_ended or inbound.is_going_away or inbound.final_id >= 0:
            return 0
        if next_id <= frames.MAX_STREAM_ID:
            return max(inbound.peer_max_streams - len(self.streams.open), 0)

        return 0

    def send_request(self, head: RequestFields, authority: bytes, *, is_end: bool = False) -> int:
        """Open one of the free streams; return its id."""
        stream_id = self.streams.highest_id + 2
        stream = self.inbound.new_stream(stream_id)
        stream.allows_body = head.method != b"HEAD"
        self._send_head(stream, encode_request(self._encoder, head, authority), is_end=is_end)
        return stream_id

    def send_response(
        self,
        stream_id: int,
        status: int,
        lines: bytes,
        own_line: bytes = b"",
        *,
        is_end: bool = False,
    ) -> None:
        """Send a response head. Each of its lines has its CRLF; HTTP/1.1 connection fields are
        dropped (F7).

        `own_line` comes last. It is encoded separately, because it differs in every response.
        """
        stream = self._writable(stream_id)
        if stream is not None:
            self._send_head(
                stream, encode_response(self._encoder, status, lines, own_line), is_end=is_end
            )

    def _send_head(self, stream: Stream, block: bytes, *, is_end: bool) -> None:
        if self._has_table:
            block = NO_TABLE + block
            self._has_table = False
        self.output.put(frames.header_frames(stream.id, block, is_end=is_end))
        stream.is_local_ended = is_end
        self.inbound.close_if_complete(stream)

    def send_data(self, stream_id: int, data: bytes, now_ns: int, *, is_end: bool = False) -> bool:
        """Send a part of a body. Return False if some of it waits for windows; `StreamDrained`
        follows.
        """
        stream = self._writable(stream_id)
        if stream is None:
            return True
        if self.output.send(stream, data, is_end=is_end):  # the common case
            self.inbound.close_if_complete(stream)
            return True

        self.output.queue(stream, data)
        if is_end:
            self.output.end(stream, b"")
        return self._pump(stream, now_ns)

    def send_trailers(self, stream_id: int, lines: bytes, now_ns: int) -> bool:
        """End a body with trailers. Return False as in `send_data`."""
        stream = self._writable(stream_id)
        if stream is None:
            return True
        self.output.end(stream, self._encoder.encode(lines))
        return self._pump(stream, now_ns)

    def _writable(self, stream_id: int) -> Stream | None:
        stream = self.streams.open.get(stream_id)
        is_over = (
            stream is None
            or stream.is_closed
            or stream.is_end_queued
            or stream.is_local_ended
            or self.is_ended
        )
        if is_over:
            return None
        return stream

    def _pump(self, stream: Stream, now_ns: int) -> bool:
        self.output.pump(now_ns)
        stream.is_waiting = len(stream.queue) > 0
        self._settle()
        return not stream.is_waiting

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream early, and discard its unsent data."""
        stream = self.streams.open.get(stream_id)
        if stream is not None and not stream.is_closed:
            self.inbound.drop(stream)
            self.streams.remember_reset(stream_id)
            self.output.put(frames.rst_stream(stream_id, code))

    def release(self, stream_id: int) -> None:
        """Reset a stream that is not closed, and free its slot, once its work is cancelled and
        recorded (F10).
        """
        self.reset(stream_id, ErrorCode.CANCEL)
        self.streams.open.pop(stream_id, None)
