"""One HTTP/2 connection to an upstream, and its lanes: streams that carry one exchange each (RFC
9113).

Strategy: the codec (`proxy/http2`) reads frames and returns events, as on a client's connection.
The head of a response is written as text of HTTP/1.1 and judged again by the reader of response
heads (P22), so a handler gets the same calls from either protocol. The upstream gets credit for a
body when the client has received it. A client is not read while the upstream grants its stream no
window. So a peer that stalls blocks only its own stream (F13).

The invariant: each handler is notified of the end of its exchange exactly once. A stream without a
handler is reset, unless both sides had ended it, and makes room for another.
"""

import asyncio
import time
from http import HTTPStatus
from typing import Final, Protocol, cast

from proxy.http1.errors import NotHttp2, UpstreamError, bad_response
from proxy.http1.memo.head_templates import ConnectionHeads
from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http1.response_head import ResponseHead
from proxy.http2 import events
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.errors import ErrorCode, name_of
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields
from proxy.http2.response_fields import ResponseFields
from proxy.network.pacing import HELD_BYTES, TURN_BYTES, TURN_NS, FairLoop, PacedReader
from proxy.network.sockets import last_bytes
from proxy.worker.deadlines import TICK_NS
from proxy.worker.exits.frame_writer import FrameWriter, Steps
from proxy.worker.upstream.connection import NEVER_NS
from proxy.worker.upstream.http2_lane import Http2Lane
from proxy.worker.upstream.response_handler import ResponseHandler

STUCK_NS: Final = 2_000_000_000
"""A pause within a frame that lasts longer is not just a delay of the network."""

_STATUS_LINES: Final = {
    each.value: b"HTTP/1.1 %d %b\r\n" % (each, each.phrase.encode()) for each in HTTPStatus
}


class Http2ConnectionPool(Protocol):
    """The pool of a connection; declared here, as `http2_pool.py` imports this module."""

    def note_free_lane(self, connection: "Http2Upstream") -> None:
        """Note that a connection may have a free lane again."""

    def retire(self, connection: "Http2Upstream") -> None:
        """Stop lending lanes of a connection."""

    def remove(self, connection: "Http2Upstream") -> None:
        """Remove a connection that is closed or about to be; idempotent."""

    def count_reset(self, code: int) -> None:
        """Count a stream that the upstream reset."""


class Http2Upstream(PacedReader, asyncio.Protocol):
    """One connection to an upstream."""

    __slots__ = (
        "_lane_failure", "_lanes", "_last_fields", "_last_head", "_pool", "_read_response", "_steps", "_writer",
        "address_text", "codec", "failure", "has_served", "idle_since_ns", "is_retired", "is_write_paused", "read_ns",
        "ready", "retires_ns", "scheme", "transport", "uses_left",
    )  # fmt: skip

    transport: asyncio.Transport
    _writer: FrameWriter

    def __init__(
        self,
        pool: Http2ConnectionPool,
        steps: Steps,
        codec: tuple[Limits, LineEncoder],
        responses: ResponseHeads,
        address_text: bytes,
        turns: FairLoop,
        max_requests: int,
    ) -> None:
        """Belong to a pool.

        Args:
            pool: lends the lanes.
            steps: has frames written in batches, for all connections of the worker.
            codec: limits and encoder of the codec.
            responses: reads response heads.
            address_text: the upstream's address as records show it.
            turns: shares the worker's time among connections (P23).
            max_requests: exchanges that the connection carries before it retires.
        """
        super().__init__(turns)
        self._pool = pool
        self.codec = Connection(*codec, time.monotonic_ns(), is_server=False)
        self._read_response = ConnectionHeads(responses).read
        self._last_fields: ResponseFields | None = None
        """The fields of the last response; the codec returns the same object for equal ones."""
        self._last_head: ResponseHead | None = None
        """The head that these fields were read as."""
        self.address_text = address_text
        self._lanes: dict[int, Http2Lane] = {}
        self._lane_failure: tuple[UpstreamError, bool] | None = None
        """The error for the lanes, which fail a few in each turn, and True if the connection was
        lost.
        """
        self.ready = asyncio.Event()
        """Set when the upstream has sent settings that allow streams, or has failed to do so."""
        self.failure: UpstreamError | None = None
        """The reason why the connection cannot be used; a lost one always has a reason."""
        self.scheme = b"http"
        self.has_served = False
        """True if an exchange has ended here."""
        self.is_retired = False
        """True if no exchange may begin any more."""
        self.is_write_paused = False
        """True if our send buffer is full: the upstream reads nothing."""
        self.idle_since_ns = 0
        self.read_ns = 0
        """When something was last read."""
        self.retires_ns = NEVER_NS
        """When the connection is too old for another exchange."""
        self.uses_left = max_requests
        self._steps = steps

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport and send the preface; over TLS, ALPN must have chosen HTTP/2."""
        self.transport = cast(asyncio.Transport, transport)
        self._writer = FrameWriter(self._steps, self.codec, self.transport, self._handle_events)

        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.scheme = b"https"
            self.held_bytes = HELD_BYTES
            if tls.selected_alpn_protocol() != "h2":
                self._fail_as_not_http2("it chose another protocol by ALPN")
                return

        self._writer.write()

    def abandon(self) -> None:
        """Break the reference cycle with a transport that was abandoned during its opening."""
        if hasattr(self, "transport"):
            self.transport.set_protocol(asyncio.Protocol())
            self._writer.close()

    def _fail_as_not_http2(self, why: str) -> None:
        self._fail(NotHttp2("upstream_bad_response", f"the upstream does not speak HTTP/2: {why}"))

    # Lanes.

    @property
    def free_lanes(self) -> int:
        """Return how many more exchanges may begin on the connection at present."""
        if self.is_retired or self.transport.is_closing():
            return 0
        return self.codec.free_streams

    @property
    def has_lanes(self) -> bool:
        return bool(self._lanes)

    def open_stream(self, lane: Http2Lane, head: bytes, *, is_end: bool) -> int:
        """Send the head of a request on a new stream; return the stream's id.

        The head is rendered as for HTTP/1.1, with Host as its first field.
        """
        line, host, lines = head.split(b"\r\n", 2)
        method, target, _ = line.split(b" ", 2)
        fields = RequestFields(method, target, self.scheme, lines[:-2], -1, None)
        stream_id = self.codec.send_request(fields, host.partition(b": ")[2], is_end=is_end)
        self._lanes[stream_id] = lane
        self.uses_left -= 1
        if self.uses_left <= 0:
            self.retire()
        return stream_id

    def flush(self) -> None:
        self._writer.flush()

    @property
    def written_bytes(self) -> int:
        return self._writer.written_bytes + self.codec.output.size_bytes

    def release(self, lane: Http2Lane) -> None:
        """Take back a lane; its stream is cancelled if it has not ended."""
        self._lanes.pop(lane.id, None)
        if lane.id in self.codec.streams.open:
            self.codec.release(lane.id)
            self.flush()
        self.idle_since_ns = time.monotonic_ns()
        if self.idle_since_ns >= self.retires_ns:
            self.retire()
        elif self.is_retired:
            self._close_if_done()
        else:
            self._pool.note_free_lane(self)

    def is_stuck(self, now_ns: int, limit_ns: int = STUCK_NS) -> bool:
        """True if the upstream has sent nothing for that long in the middle of a frame or header
        block: a response cannot come before the rest of that.
        """
        return self.codec.reader.is_within_frame and now_ns - self.read_ns >= limit_ns

    def distrust(self, since_ns: int) -> None:
        """Stop lending lanes if nothing came in the second half of a wait without success.

        In the first half even an upstream that died meanwhile may have acknowledged something.
        """
        now_ns = time.monotonic_ns()
        is_silent = self.read_ns <= (since_ns + now_ns) // 2
        if not self.is_retired and (is_silent or self.is_stuck(now_ns, TICK_NS)):
            self.retire()

    def retire(self) -> None:
        """Begin no more exchanges, and close when the last has ended."""
        self.is_retired = True
        self._pool.retire(self)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._lanes:
            self.close()

    def close(self) -> None:
        """Send GOAWAY and close at once; the running exchanges are ended, or will be failed, by the
        caller.
        """
        self._pool.remove(self)
        self.codec.end(ErrorCode.NO_ERROR)
        self._writer.write()
        self.transport.abort()

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Handle the received frames that fit in one turn; the others wait for another turn."""
        self._read_frames(data)
        if (self._has_more or len(data) >= TURN_BYTES) and not self.transport.is_closing():
            self._await_turn(self.codec.reader.in_hand)

    @property
    def _has_more(self) -> bool:
        return self.codec.has_more

    def _read_in_hand(self) -> None:
        self.data_received(b"")

    def _stop_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _read_frames(self, data: bytes) -> None:
        """Read some frames and handle their events; writes go out together at the end."""
        self._steps.begin()
        try:
            now_ns = time.monotonic_ns()
            if data:
                self.read_ns = now_ns
            self._handle_events(self.codec.receive(data, now_ns))
            self.flush()
        finally:
            self._steps.end()

    def _handle_events(self, found: list[events.Event]) -> None:
        at = 0
        count = len(found)
        while at < count:
            event = found[at]
            at += 1
            if isinstance(event, events.ResponseReceived):
                at += self._handle_head(event, found[at] if at < count else None)
            else:
                self._handle_event(event)

    def _handle_event(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            self._handle_body(event)
        elif isinstance(event, events.TrailersReceived):
            self._handle_trailers(event)
        elif isinstance(event, events.StreamDrained):
            lane = self._lanes.get(event.stream_id)
            if lane is not None and not self.is_write_paused:
                lane.resume_request()
        elif isinstance(event, events.StreamReset):
            self._handle_reset(event)
        elif isinstance(event, events.SettingsReceived):
            self._handle_settings()
        elif isinstance(event, events.GoawayReceived):
            self.retire()
        elif isinstance(event, events.ConnectionEnded):
            if self.codec.reader.has_begun:
                self._fail(_broken_rule(event.reason))
            else:
                self._fail_as_not_http2(event.reason)

    def _handle_settings(self) -> None:
        """Lend the lanes that the settings allow, be they the first settings or later ones."""
        if self.codec.free_streams:
            self.ready.set()
            self._pool.note_free_lane(self)

    def _handle_head(self, event: events.ResponseReceived, following: events.Event | None) -> int:
        """Pass on the head of a response, together with its body if that is complete.

        Returns:
            How many of the events after the head were handled with it: 1 if `following` was the
            body, else 0.
        """
        lane = self._lanes.get(event.stream_id)
        if lane is None or lane.handler is None:
            return 0

        lane.has_response = True
        handler = lane.handler
        fields = event.head

        head = self._last_head
        if head is None or fields is not self._last_fields:
            try:
                head = self._read_head(fields)
            except UpstreamError as error:
                error.refused_head = fields.text
                self._finish(lane).upstream_failed(error, is_stale=False)
                return 0

        if fields.status < 200:
            handler.send_informational(head)
            return 0

        body = b""
        is_whole = event.is_end
        now_ns = time.monotonic_ns()

        if (
            isinstance(following, events.DataReceived)
            and following.is_end
            and following.stream_id == lane.id
        ):
            body = following.data
            is_whole = True

        # A client of HTTP/1.1 gets chunks unless the head has the length.
        has_length = head.content_length >= 0 or head.has_no_body or handler.method == b"HEAD"
        if is_whole and (has_length or handler.stream is not None):
            self._finish(lane).send_full_response(head, fields.text, body, now_ns)
            if event.is_end:
                return 0
            return 1

        handler.start_response(head, fields.text, now_ns)
        if event.is_end:
            self._finish(lane).response_end(b"", b"")
        return 0

    def _read_head(self, fields: ResponseFields) -> ResponseHead:
        """Read a head written as text of HTTP/1.1, and keep it for the next response."""
        line = _STATUS_LINES.get(fields.status) or b"HTTP/1.1 %d \r\n" % fields.status
        head = self._read_response(b"%b%b\r\n" % (line, fields.lines))
        self._last_head = head
        self._last_fields = fields
        return head

    def _handle_body(self, event: events.DataReceived) -> None:
        lane = self._lanes.get(event.stream_id)
        if lane is None or lane.handler is None:
            return
        if event.is_end:
            self._finish(lane).response_end(event.data, b"")
        else:
            lane.handler.response_data(event.data)
            self.codec.credit(lane.id, len(event.data))

    def _handle_trailers(self, event: events.TrailersReceived) -> None:
        lane = self._lanes.get(event.stream_id)
        if lane is not None:
            self._finish(lane).response_end(b"", event.lines)

    def _handle_reset(self, event: events.StreamReset) -> None:
        if not event.reason:
            self._pool.count_reset(event.code)
        lane = self._lanes.get(event.stream_id)
        if lane is None:
            return

        if event.reason:
            error = _broken_rule(event.reason)
        else:
            error = UpstreamError(
                "upstream_reset", f"the upstream reset the stream ({name_of(event.code)})"
            )
            error.reset_code = event.code

        sent = lane.sent_body()
        handler = self._finish(lane)
        if event.is_retryable:
            handler.upstream_refused(error, sent)
        else:
            handler.upstream_failed(error, is_stale=False)

    def _finish(self, lane: Http2Lane) -> ResponseHandler:
        """Release a lane; return its handler, to be notified now: its next exchange may begin at
        once.
        """
        handler = lane.handler
        assert handler is not None
        self.has_served = True
        lane.close()
        return handler

    # Ends.

    def _fail(self, error: UpstreamError) -> None:
        """Give up the connection; its running exchanges fail."""
        self.failure = self.failure or error
        if self.ready.is_set():
            self.close()
        else:
            self.transport.abort()
        self._fail_lanes(error, is_lost=False)

    def _fail_lanes(self, error: UpstreamError, *, is_lost: bool) -> None:
        self.ready.set()
        self._lane_failure = self._lane_failure or (error, is_lost)
        self.take_turn()

    def take_turn(self) -> None:
        """Fail lanes for the time of a turn; read on if none fails.

        A hundred that fail at once would block all other connections.
        """
        if self._lane_failure is None:
            super().take_turn()
            return

        error, is_lost = self._lane_failure
        until_ns = time.monotonic_ns() + TURN_NS
        while self._lanes:
            lane = self._lanes.pop(next(iter(self._lanes)))
            handler = lane.handler
            lane.handler = None

            if handler is not None:
                is_stale = is_lost and self.has_served and not lane.has_response
                handler.upstream_failed(error, is_stale=is_stale)

            if self._lanes and time.monotonic_ns() >= until_ns:
                self._turns.add(self)
                return

    def eof_received(self) -> bool:
        """Close, as the upstream has ended its side; `connection_lost` follows.

        A transport closes only after everything is sent: it is aborted if the upstream receives
        nothing.
        """
        self.is_retired = True
        self._pool.retire(self)
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Read the bytes in hand, then notify the remaining handlers.

        An upstream that cannot be sent to may have responded before: that response is read first
        (P16).
        """
        self._pool.remove(self)
        if error is not None and (data := last_bytes(self.transport)):
            self._read_frames(data)
        while self._has_more:
            self._read_frames(b"")

        if self.failure is None:
            why = f"failed: {error}" if error is not None else "was closed by it"
            self.failure = UpstreamError("upstream_reset", f"the connection to the upstream {why}")
        self._fail_lanes(self.failure, is_lost=True)
        self._writer.close()

    def pause_writing(self) -> None:
        """Stop sending request bodies: our send buffer is full."""
        self.is_write_paused = True
        for lane in list(self._lanes.values()):
            lane.pause_request()

    def resume_writing(self) -> None:
        """Send on for streams with open windows: the buffer has drained."""
        self.is_write_paused = False
        for lane in list(self._lanes.values()):
            stream = self.codec.streams.open.get(lane.id)
            if stream is None or not stream.queue:
                lane.resume_request()


def _broken_rule(reason: str) -> UpstreamError:
    return bad_response(f"a rule of HTTP/2 was broken: {reason}")
