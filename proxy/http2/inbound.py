"""The receiving half of a connection: its settings and end, and the heads, bodies and ends of its
streams.

The invariant: a part of a body is passed on only while it does not exceed the length that its head
named, and the end only when that length is met (F8). A stream that ends in any way returns its
share of the connection's window (F9).
"""

from typing import Final

from proxy.http2 import events, frames
from proxy.http2.budget import Budget, Limits
from proxy.http2.errors import ConnectionFault, ErrorCode, StreamFault
from proxy.http2.field import METHOD, PATH, Field
from proxy.http2.frame_reader import FrameReader
from proxy.http2.hpack.decoder import Decoder
from proxy.http2.output import Output
from proxy.http2.request_fields import read_request, read_trailers
from proxy.http2.response_fields import ResponseFields, read_response
from proxy.http2.stream import ReceiveWindow, Stream, Streams

DRAIN_WAIT_NS: Final = 1_000_000_000
ASSUMED_MAX_STREAMS: Final = 100
"""Streams of a peer before its settings arrive: the least that RFC 9113 §6.5.2 recommends."""
_DRAIN_PING: Final = b"draining"
OVERSIZED_COST: Final = 20
"""Cost of a head over the limit, which takes longer to read. Its response refunds half."""
USUAL_FIELDS: Final = 16
"""Fields of a head that counts as one. Every further 16 count as another head (F14)."""
_MAX_RECORDED_BYTES: Final = 4096
_CONTROLS: Final = bytes(byte for byte in (*range(32), 127) if byte not in b"\t\r\n")
_SHOWN: Final = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))


class Inbound:
    """Judges the peer's frames by the state of its streams and by our role, and collects events."""

    __slots__ = (
        "_budget", "_decoder", "_is_server", "_limits", "_output", "_peer_window_bytes", "_reader", "_received",
        "_response", "_response_fields", "_streams", "bodies", "drain_since_ns", "events", "final_id", "heads",
        "is_going_away", "peer_max_streams",
    )  # fmt: skip

    def __init__(
        self,
        limits: Limits,
        reader: FrameReader,
        output: Output,
        streams: Streams,
        budget: Budget,
        *,
        is_server: bool,
    ) -> None:
        self._limits = limits
        self._is_server = is_server
        self._reader = reader
        self._output = output
        self._streams = streams
        self._budget = budget
        self._decoder = Decoder(limits.max_header_bytes)
        self._received = ReceiveWindow(limits.connection_window_bytes)
        self.events: list[events.Event] = []
        """Events not yet reported."""
        self.bodies: dict[int, events.DataReceived] = {}
        """The body parts among them, by stream."""
        self.heads = 0
        """Number of heads read in this step. A head with many fields counts as several (F14)."""
        self.drain_since_ns = 0
        """Time of the PING of a drain whose answer is pending; 0 without one."""
        self.final_id = -1
        """Last stream that we serve, once a GOAWAY has named it; -1 before."""
        self.is_going_away = False
        """True if the peer accepts no more streams."""
        self.peer_max_streams = ASSUMED_MAX_STREAMS
        self._peer_window_bytes = frames.WINDOW_BYTES
        self._response_fields: list[Field] = []
        self._response: ResponseFields | None = None
        """Field list and parsed head of the last response."""

    def spend(self, cost: int, what: str) -> None:
        """Charge a cost to the budget of the peer; a connection that exhausts its budget ends
        (F11).
        """
        if not self._budget.spend(cost):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    # The connection itself.

    def read_connection_frame(self, now_ns: int) -> None:
        """Handle a frame of the connection: SETTINGS, PING or GOAWAY."""
        kind = self._reader.kind
        payload = self._reader.payload
        is_ack = self._reader.flags & frames.ACK
        if self._reader.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame of the connection on a stream")

        if kind == frames.GOAWAY:
            self._read_goaway(payload)
        elif kind == frames.SETTINGS:
            if not is_ack:
                self._read_settings(frames.read_settings(payload), now_ns)
            elif payload:
                raise ConnectionFault(
                    ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with entries"
                )
        elif len(payload) != len(_DRAIN_PING):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a PING that has not 8 bytes")
        elif not is_ack:
            self._output.put(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _DRAIN_PING and self.drain_since_ns:
            self.finish_drain()

    def _read_settings(self, found: dict[int, int], now_ns: int) -> None:
        if not self._is_server and found.get(frames.ENABLE_PUSH):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a server that enables push")
        self.peer_max_streams = found.get(frames.MAX_CONCURRENT_STREAMS, self.peer_max_streams)
        if not self._is_server:
            self.events.append(events.SettingsReceived())
        self._output.put(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        change = (
            found.get(frames.INITIAL_WINDOW_SIZE, self._peer_window_bytes) - self._peer_window_bytes
        )
        self._peer_window_bytes += change

        for stream in list(self._streams.open.values()) if change else ():
            if not self._output.widen_stream(stream, change, now_ns):
                raise ConnectionFault(
                    ErrorCode.FLOW_CONTROL_ERROR, "a window over 2^31-1 by SETTINGS"
                )

    def _read_goaway(self, payload: bytes) -> None:
        """Open no more streams. Streams that the peer will not process end."""
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY of less than 8 bytes")
        self.is_going_away = True
        last_id = int.from_bytes(payload[:4], "big") & frames.MAX_STREAM_ID
        self.events.append(
            events.GoawayReceived(int.from_bytes(payload[4:8], "big"), payload[8:136])
        )
        for stream in () if self._is_server else list(self._streams.open.values()):
            if stream.id > last_id and not stream.is_closed:
                self._end_stream(stream, ErrorCode.REFUSED_STREAM, is_retryable=True)

    def drain(self, now_ns: int) -> None:
        """Serve, or open, no streams except those that are open or on their way.

        As in RFC 9113 §6.8: a GOAWAY without a last stream, then a PING; once that is answered, or
        after a second, a GOAWAY that names the last stream.
        """
        if self.drain_since_ns or self.final_id >= 0:
            return
        if not self._is_server:
            self.final_id = 0
            return

        self.drain_since_ns = now_ns
        self._output.put(frames.goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR))
        self._output.put(frames.frame(frames.PING, 0, 0, _DRAIN_PING))

    def finish_drain(self) -> None:
        """Send the GOAWAY that names the last stream that is served."""
        self.drain_since_ns = 0
        self.final_id = max(self._streams.highest_id, 0)
        self._output.put(frames.goaway(self.final_id, ErrorCode.NO_ERROR))

    def read_stream_frame(self, now_ns: int) -> None:
        """Handle a frame of a stream: RST_STREAM, WINDOW_UPDATE, or PRIORITY, which is ignored
        (F15).
        """
        kind = self._reader.kind
        stream_id = self._reader.stream_id
        payload = self._reader.payload
        stream = self._streams.open.get(stream_id)

        if len(payload) != (frames.PRIORITY_BYTES if kind == frames.PRIORITY else 4):
            fault = (
                StreamFault if kind == frames.PRIORITY and stream is not None else ConnectionFault
            )
            raise fault(ErrorCode.FRAME_SIZE_ERROR, "a frame of a wrong size")

        value = int.from_bytes(payload, "big")
        if kind == frames.WINDOW_UPDATE and not stream_id:
            self._widen(None, value & frames.MAX_WINDOW_BYTES, now_ns)
        elif not stream_id or (kind != frames.PRIORITY and self._streams.is_idle(stream_id)):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream")
        elif stream is None or stream.is_closed or kind == frames.PRIORITY:
            return
        elif kind == frames.RST_STREAM:
            self._end_stream(stream, value, is_retryable=value == ErrorCode.REFUSED_STREAM)
        else:
            self._widen(stream, value & frames.MAX_WINDOW_BYTES, now_ns)

    def _widen(self, stream: Stream | None, increment: int, now_ns: int) -> None:
        """Widen the window of a stream, or of the connection."""
        fault = ConnectionFault if stream is None else StreamFault
        if not increment:
            raise fault(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of nothing")

        output = self._output
        is_within = (
            output.widen_stream(stream, increment, now_ns)
            if stream
            else output.widen(increment, now_ns)
        )
        if not is_within:
            raise fault(ErrorCode.FLOW_CONTROL_ERROR, "a window over 2^31-1")

    # Bodies.

    def read_data(self) -> None:
        """Handle the DATA frame that the reader read last."""
        stream_id = self._reader.stream_id
        payload = self._reader.payload
        flags = self._reader.flags
        if self._streams.is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on an idle stream")

        size = len(payload)
        if not self._received.take(size):
            raise ConnectionFault(
                ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window"
            )

        body = frames.without_padding(payload, flags & frames.PADDED)
        stream = self._streams.open.get(stream_id)
        if stream is None or stream.is_closed or stream.is_remote_ended:
            self._credit_connection(size)
            self._read_stray("DATA")
            return

        if not stream.received.take(size):
            self._credit_connection(size)
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window")

        is_end = flags & frames.END_STREAM != 0
        self._budget.refill_for_data(len(body))
        if not body and not is_end:
            self.spend(1, "empty DATA frames")
        if not self._is_server and not stream.has_head:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a body before its head")
        # As over HTTP/1.1, the response is complete and the rest does not belong to it.
        if body and not stream.allows_body:
            self._report_body(stream_id, b"", is_end=True)
            return

        stream.take_body(len(body), is_end=is_end)
        if size > len(body):
            self.credit(stream, size - len(body))
        if body or is_end:
            self._report_body(stream_id, body, is_end=is_end)
        self.close_if_complete(stream)

    def _report_body(self, stream_id: int, body: bytes, *, is_end: bool) -> None:
        """Report a part of a body. Parts of a stream in one step become one event (F14)."""
        last = self.bodies.get(stream_id)
        if last is None:
            last = self.bodies[stream_id] = events.DataReceived(stream_id, body, is_end)
            self.events.append(last)
        else:
            last.add(body, is_end)

    def _read_stray(self, what: str) -> None:
        """Judge a frame on a stream that the peer has ended, or that was reset (F9)."""
        self.spend(1, f"{what} frames on closed streams")
        stream_id = self._reader.stream_id
        if self._streams.was_reset_by_us(stream_id):
            return

        stream = self._streams.open.get(stream_id)
        if what == "HEADERS" and self._streams.was_passed_over(stream_id):
            raise ConnectionFault(
                ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream below those that were opened"
            )
        if not self._is_server or (what == "HEADERS" and (stream is None or stream.is_closed)):
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"{what} on a closed stream")

        raise StreamFault(ErrorCode.STREAM_CLOSED, f"{what} on a closed stream")

    def credit(self, stream: Stream, size: int) -> None:
        """Give credit for bytes of a body, on the stream and on the connection."""
        increment = stream.received.forward(size)
        if increment and not stream.is_remote_ended:
            self._output.put(frames.window_update(stream.id, increment))
        self._credit_connection(size)

    def _credit_connection(self, size: int) -> None:
        increment = self._received.forward(size)
        if increment:
            self._output.put(frames.window_update(0, increment))

    # Heads.

    def read_block(self, payload: bytes) -> None:
        """Add a part of a header block, and handle the whole block once it is complete (F3)."""
        block = self._reader.add_to_block(payload)
        if block is None:
            return

        fields = self._decoder.decode(block)
        self.heads += 1 + len(fields) // USUAL_FIELDS
        if self._decoder.is_over:
            self.spend(OVERSIZED_COST, "heads over the limit")
        stream_id = self._reader.stream_id
        is_end = self._reader.is_end

        stream = self._streams.open.get(stream_id)
        if stream is None and self._streams.is_idle(stream_id):
            self._open(stream_id, fields, is_end=is_end)
        elif stream is None or stream.is_closed or stream.is_remote_ended:
            self._read_stray("HEADERS")
        elif self._is_server or stream.has_head:
            self._read_trailers(stream, fields, is_end=is_end)
        else:
            self._read_response(stream, fields, is_end=is_end)

    def _open(self, stream_id: int, fields: list[Field], *, is_end: bool) -> None:
        """Begin a request on a new stream. Refuse the stream if no slot is free; ignore it once the
        last stream is named.
        """
        self.spend(1, "streams")
        if self.final_id >= 0:
            self._streams.skip(stream_id)
        elif len(self._streams.open) >= self._limits.max_streams:
            self._refuse(stream_id, ErrorCode.REFUSED_STREAM, "", b"")
        else:
            stream = self.new_stream(stream_id)
            try:
                head = read_request(fields, is_over=self._decoder.is_over)
                stream.expected_bytes = head.content_length
                stream.take_body(0, is_end=is_end)
            except StreamFault as fault:
                del self._streams.open[stream_id]
                self._refuse(stream_id, fault.code, fault.reason, _recorded(fields))
                return

            self.events.append(events.RequestReceived(stream_id, head, is_end))

    def new_stream(self, stream_id: int) -> Stream:
        """Create a stream and give it a slot."""
        received = ReceiveWindow(self._limits.stream_window_bytes)
        stream = Stream(stream_id, received, self._peer_window_bytes)
        self._streams.open[stream_id] = stream
        self._streams.reach(stream_id)
        return stream

    def _refuse(self, stream_id: int, code: ErrorCode, reason: str, text: bytes) -> None:
        self.events.append(events.RequestRefused(stream_id, code, reason, text))
        self._streams.skip(stream_id)
        self._output.put(frames.rst_stream(stream_id, code))
        self.spend(1, "refused streams")

    def _read_response(self, stream: Stream, fields: list[Field], *, is_end: bool) -> None:
        head = self._response
        # A repeated block decodes to the same list object.
        if head is None or fields is not self._response_fields:
            head = read_response(fields, is_over=self._decoder.is_over)
            self._response_fields = fields
            self._response = head

        if head.status < 200:
            if is_end:
                raise StreamFault(
                    ErrorCode.PROTOCOL_ERROR, "an informational response that ends its stream"
                )
            self.spend(1, "informational responses")
        else:
            stream.has_head = True
            stream.allows_body = stream.allows_body and not head.has_no_body
            stream.expected_bytes = head.content_length if stream.allows_body else -1
            stream.take_body(0, is_end=is_end)

        self.events.append(events.ResponseReceived(stream.id, head, is_end))
        self.close_if_complete(stream)

    def _read_trailers(self, stream: Stream, fields: list[Field], *, is_end: bool) -> None:
        if not is_end:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a second head")
        lines = read_trailers(fields, is_over=self._decoder.is_over)
        stream.take_body(0, is_end=True)
        self.events.append(events.TrailersReceived(stream.id, lines))
        self.close_if_complete(stream)

    # Ends.

    def close_if_complete(self, stream: Stream) -> None:
        """Free the slot of a stream that both ends have ended."""
        if stream.is_local_ended and stream.is_remote_ended and not stream.is_closed:
            self._budget.refill_for_exchange()
            self.drop(stream)
            del self._streams.open[stream.id]

    def drop(self, stream: Stream) -> None:
        """Stop sending and receiving on a stream, and discard its unsent data."""
        stream.is_closed = True
        self._output.forget(stream)
        held = stream.received.held
        stream.received.held = 0
        self._credit_connection(held)

    def _end_stream(
        self, stream: Stream, code: int, reason: str = "", *, is_retryable: bool = False
    ) -> None:
        """Drop a stream, and report its reset as an event."""
        self.drop(stream)
        self.events.append(events.StreamReset(stream.id, code, reason, is_retryable=is_retryable))

    def reset_for(self, fault: StreamFault) -> None:
        """Reset the stream of the last frame for a violation."""
        stream_id = self._reader.stream_id
        self._streams.remember_reset(stream_id)
        self._output.put(frames.rst_stream(stream_id, fault.code))
        stream = self._streams.open.get(stream_id)
        if stream is not None and not stream.is_closed:
            self._end_stream(stream, fault.code, fault.reason)
        self.spend(1, "frames that reset their streams")


def _recorded(fields: list[Field]) -> bytes:
    """Return a malformed head as text fit to be recorded: its request line if readable, and all
    fields.
    """
    named = {field.kind: field.value[:_MAX_RECORDED_BYTES] for field in fields}
    lines = b"".join([field.line for field in fields]).translate(_SHOWN)[:_MAX_RECORDED_BYTES]
    return b"%b %b HTTP/2\r\n%b\r\n" % (named.get(METHOD, b"PRI"), named.get(PATH, b"*"), lines)
