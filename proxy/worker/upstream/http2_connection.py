"""The upstream side of HTTP/2: one connection, and its lanes, each a stream that carries one
exchange (RFC 9113).

Strategy: as on a client's connection the codec (`proxy/http2`) reads frames and returns events; a
response's head becomes the text of HTTP/1.1, which the reader of responses judges again (P22), and
its handler gets what it gets from a connection of HTTP/1.1. Credit for a body is given when its
client has taken it, and reading from a client stops while the upstream grants its stream no window,
so one that stalls holds up nothing but itself (F13).

The invariant: a handler gets the end of its exchange exactly once; a lane whose handler has parted
from it is reset unless both ends were done, and its place is free again.
"""

import asyncio
import time
from http import HTTPStatus
from typing import Final, Protocol, cast

from proxy.http1.errors import NotHttp2, UpstreamError
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
from proxy.network.fair_loop import HELD_BYTES, TURN_BYTES, TURN_NS, FairLoop
from proxy.network.paced_reader import PacedReader
from proxy.network.socket_queues import last_bytes
from proxy.process.tls import is_fit_for_http2
from proxy.worker.exits.frame_writer import FrameWriter, Steps
from proxy.worker.upstream.http2_lane import Http2Lane
from proxy.worker.upstream.response_handler import ResponseHandler

_STATUS_LINES: Final = {
    each.value: b"HTTP/1.1 %d %b\r\n" % (each, each.phrase.encode()) for each in HTTPStatus
}


class LanePool(Protocol):
    """The pool that a connection belongs to."""

    def freed(self, connection: "Http2Upstream") -> None:
        """Note that a lane of a connection may be free again."""

    def retire(self, connection: "Http2Upstream") -> None:
        """Lend no more lanes of a connection."""

    def remove(self, connection: "Http2Upstream") -> None:
        """Remove a connection that is closed or about to be; idempotent."""

    def count_reset(self, code: int) -> None:
        """Count a stream that the upstream reset."""


class Http2Upstream(PacedReader, asyncio.Protocol):
    """One connection to an upstream."""

    __slots__ = (
        "_failing", "_fields", "_head", "_lanes", "_pool", "_read_response", "_steps", "_writer", "address_text",
        "begun", "codec", "failure", "has_served", "idle_since_ns", "is_full", "is_retired", "retires_ns", "scheme",
        "transport", "uses_left",
    )  # fmt: skip

    transport: asyncio.Transport
    _writer: FrameWriter

    def __init__(
        self,
        pool: LanePool,
        steps: Steps,
        codec: tuple[Limits, LineEncoder],
        responses: ResponseHeads,
        address_text: bytes,
        turns: FairLoop,
        max_requests: int,
    ) -> None:
        """Belong to a pool; `address_text` is shown on records."""
        super().__init__(turns)
        self._pool = pool
        self.codec = Connection(*codec, time.monotonic_ns(), is_server=False)
        self._read_response = ConnectionHeads(responses).read
        self._fields: ResponseFields | None = None
        self._head: ResponseHead | None = None
        """What the last head of a response was read as."""
        self.address_text = address_text
        self._lanes: dict[int, Http2Lane] = {}
        self._failing: tuple[UpstreamError, bool] | None = None
        """Why what runs on it fails, and whether it was lost: a few exchanges in a turn."""
        self.begun = asyncio.Event()
        """Set when the upstream has sent settings by which it takes streams, or failed to."""
        self.failure: UpstreamError | None = None
        """Why it is of no use; a connection that is lost has one."""
        self.scheme = b"http"
        self.has_served = False
        self.is_retired = False
        self.is_full = False
        """Whether our buffer is full: the upstream reads nothing."""
        self.idle_since_ns = 0
        self.retires_ns = 1 << 61  # when it is used no more
        self.uses_left = max_requests
        self._steps = steps

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and say hello; over TLS the upstream has to have agreed."""
        own = cast(asyncio.Transport, transport)
        self.transport = own
        self._writer = FrameWriter(self._steps, self.codec, own, self._take_all)

        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.scheme = b"https"
            self.held_bytes = HELD_BYTES
            if tls.selected_alpn_protocol() != "h2":
                self._fail_begin("it chose another protocol by ALPN")
                return
            if not is_fit_for_http2(tls.version(), name := tls.cipher()[0]):
                self._fail(UpstreamError("upstream_bad_response", f"HTTP/2 over the cipher {name}"))
                return

        self._writer.write()

    def abandon(self) -> None:
        """Be let go of by a transport that was given up while it was opened: each would hold the
        other.
        """
        if hasattr(self, "transport"):
            self.transport.set_protocol(asyncio.Protocol())
            self._writer.close()

    def _fail_begin(self, why: str) -> None:
        self._fail(NotHttp2("upstream_bad_response", f"the upstream does not speak HTTP/2: {why}"))

    # Lanes.

    @property
    def free_lanes(self) -> int:
        """How many exchanges may begin now."""
        if self.is_retired or self.transport.is_closing():
            return 0
        return self.codec.free_streams

    @property
    def has_lanes(self) -> bool:
        return bool(self._lanes)

    def open(self, lane: Http2Lane, head: bytes, *, is_end: bool) -> int:
        """Send a head, as it is rendered for HTTP/1.1 with Host as its first field; return the id
        of the stream.
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

    def part(self, lane: Http2Lane) -> None:
        """Let go of a lane; what is left of its stream is cancelled."""
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
            self._pool.freed(self)

    def retire(self) -> None:
        """Begin no more exchanges; close behind the last."""
        self.is_retired = True
        self._pool.retire(self)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._lanes:
            self.close()

    def close(self) -> None:
        """Say goodbye, and close at once; what runs was ended before."""
        self._pool.remove(self)
        self.codec.end(ErrorCode.NO_ERROR)
        self._writer.write()
        self.transport.abort()

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Take the next bytes."""
        self._step(data)
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

    def _step(self, data: bytes) -> None:
        """Read some frames, and pass on what they say."""
        self._steps.begin()
        try:
            self._take_all(self.codec.receive(data, time.monotonic_ns()))
            self.flush()
        finally:
            self._steps.end()

    def _take_all(self, found: list[events.Event]) -> None:
        at = 0
        count = len(found)
        while at < count:
            event = found[at]
            at += 1
            if isinstance(event, events.ResponseReceived):
                at += self._take_head(event, found[at] if at < count else None)
            else:
                self._take(event)

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            self._take_body(event)
        elif isinstance(event, events.TrailersReceived):
            self._take_trailers(event)
        elif isinstance(event, events.StreamDrained):
            lane = self._lanes.get(event.stream_id)
            if lane is not None and not self.is_full:
                lane.drained()
        elif isinstance(event, events.StreamReset):
            self._take_reset(event)
        elif isinstance(event, events.SettingsReceived):
            self._take_settings()
        elif isinstance(event, events.GoawayReceived):
            self.retire()
        elif isinstance(event, events.ConnectionEnded):
            if self.codec.reader.has_begun:
                self._fail(
                    UpstreamError(
                        "upstream_bad_response", f"a rule of HTTP/2 was broken: {event.reason}"
                    )
                )
            else:
                self._fail_begin(event.reason)

    def _take_settings(self) -> None:
        """Lend its lanes, if it has some: at its first settings, or at later ones that allow more."""
        if self.codec.free_streams:
            self.begun.set()
            self._pool.freed(self)

    def _take_head(self, event: events.ResponseReceived, following: events.Event | None) -> int:
        """Pass on a head; return how many of the events that follow it were part of it: a body that
        is all here.
        """
        lane = self._lanes.get(event.stream_id)
        if lane is None or lane.handler is None:
            return 0

        lane.has_begun = True
        handler = lane.handler
        fields = event.head

        head = self._head
        if head is None or fields is not self._fields:
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

        # A client of HTTP/1.1 needs to know the length beforehand, or gets chunks.
        has_length = head.content_length >= 0 or head.has_no_body or handler.method == b"HEAD"
        if is_whole and (has_length or handler.stream is not None):
            self._finish(lane).send_full_response(head, fields.text, body, now_ns)
            return 0 if event.is_end else 1

        handler.start_response(head, fields.text, now_ns)
        if event.is_end:
            self._finish(lane).response_end(b"", b"")
        return 0

    def _read_head(self, fields: ResponseFields) -> ResponseHead:
        """Read a head as text, and remember it: the codec says so where the next one is the same."""
        line = _STATUS_LINES.get(fields.status) or b"HTTP/1.1 %d \r\n" % fields.status
        head = self._read_response(b"%b%b\r\n" % (line, fields.lines))
        self._head = head
        self._fields = fields
        return head

    def _take_body(self, event: events.DataReceived) -> None:
        lane = self._lanes.get(event.stream_id)
        if lane is None or lane.handler is None:
            return
        if event.is_end:
            self._finish(lane).response_end(event.data, b"")
        else:
            lane.handler.response_data(event.data)
            self.codec.credit(lane.id, len(event.data))

    def _take_trailers(self, event: events.TrailersReceived) -> None:
        lane = self._lanes.get(event.stream_id)
        if lane is not None:
            self._finish(lane).response_end(b"", event.lines)

    def _take_reset(self, event: events.StreamReset) -> None:
        if not event.reason:
            self._pool.count_reset(event.code)
        lane = self._lanes.get(event.stream_id)
        if lane is None:
            return

        if event.reason:
            error = UpstreamError(
                "upstream_bad_response", f"a rule of HTTP/2 was broken: {event.reason}"
            )
        else:
            error = UpstreamError(
                "upstream_reset", f"the upstream reset the stream ({name_of(event.code)})"
            )
            error.reset_code = event.code

        sent = lane.sent()
        handler = self._finish(lane)
        if event.is_retryable:
            handler.upstream_refused(error, sent)
        else:
            handler.upstream_failed(error, is_stale=False)

    def _finish(self, lane: Http2Lane) -> ResponseHandler:
        """Part from a handler before it is notified: it may begin its next exchange at once."""
        handler = lane.handler
        assert handler is not None
        self.has_served = True
        lane.close()
        return handler

    # Ends.

    def _fail(self, error: UpstreamError) -> None:
        """Give up the connection; what runs on it fails."""
        self.failure = self.failure or error
        if self.begun.is_set():
            self.close()
        else:
            self.transport.abort()
        self._fail_lanes(error, is_lost=False)

    def _fail_lanes(self, error: UpstreamError, *, is_lost: bool) -> None:
        self.begun.set()
        self._failing = self._failing or (error, is_lost)
        self.take_turn()

    def take_turn(self) -> None:
        """Let some more of what runs fail, in the time of a turn, or read on: a hundred at once
        hold all others up.
        """
        if self._failing is None:
            super().take_turn()
            return
        (error, is_lost), until_ns = self._failing, time.monotonic_ns() + TURN_NS
        while self._lanes:
            lane = self._lanes.pop(next(iter(self._lanes)))
            handler = lane.handler
            lane.handler = None

            if handler is not None:
                handler.upstream_failed(
                    error, is_stale=is_lost and self.has_served and not lane.has_begun
                )

            if self._lanes and time.monotonic_ns() >= until_ns:
                self._turns.add(self)
                return

    def eof_received(self) -> bool:
        """The upstream is done sending: close, at once where it takes nothing; `connection_lost`
        sorts out the rest.
        """
        self.is_retired = True
        self._pool.retire(self)
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Read what is in hand, and notify the handlers that are left.

        A failure to send is no failure to answer: what came before it is read first (P16).
        """
        self._pool.remove(self)
        if error is not None and (data := last_bytes(self.transport)):
            self._step(data)
        while self._has_more:
            self._step(b"")
        if self.failure is None:
            why = f"failed: {error}" if error is not None else "was closed by it"
            self.failure = UpstreamError("upstream_reset", f"the connection to the upstream {why}")
        self._fail_lanes(self.failure, is_lost=True)
        self._writer.close()

    def pause_writing(self) -> None:
        """Our send buffer is full."""
        self.is_full = True
        for lane in list(self._lanes.values()):
            if lane.handler is not None and not lane.is_waiting:
                lane.is_waiting = True
                lane.handler.pause_request()

    def resume_writing(self) -> None:
        """It has drained."""
        self.is_full = False
        for lane in list(self._lanes.values()):
            stream = self.codec.streams.open.get(lane.id)
            if stream is None or not stream.queue:
                lane.drained()
