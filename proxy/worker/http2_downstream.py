"""One HTTP/2 connection of a client: its transport, its streams, and the deadlines of both (RFC
9113).

Strategy: the codec (`proxy/http2`) reads frames and returns events. Each request becomes the text
of an HTTP/1.1 head, is judged again by the reader of requests (P1 to P11), and gets a relay and a
stream of its own. The output of all streams is written once, at the end of a step, or when an
upstream brings something.

The invariant: a stream is released when its exchange is recorded and all of its response is sent,
or it is reset. If a client does not take the response of one stream, the others go on.
"""

import asyncio
import time
from typing import Final, cast

from proxy.http1.errors import Refused
from proxy.http1.request_reader import RequestReader
from proxy.http2 import events
from proxy.http2.connection import Connection
from proxy.http2.errors import ErrorCode
from proxy.http2.request_fields import RequestFields
from proxy.network.pacing import BY_CLIENT, HELD_BYTES, TURN_BYTES
from proxy.network.sockets import is_reset_by_peer
from proxy.process.tls import is_fit_for_http2
from proxy.ring import http2_notes
from proxy.ring.counters import http2_code
from proxy.ring.exchange import FLAG_TLS
from proxy.worker.admission.admission import Admission
from proxy.worker.deadlines import HALF_CLOSE_NS, Phase
from proxy.worker.engine import Engine, Http2
from proxy.worker.exits.frame_writer import FrameWriter
from proxy.worker.exits.http2 import Http2Exit
from proxy.worker.relay.ending import (
    cut_off,
    lose_client,
    record_fault,
    refuse_unread,
    reject_stream,
    shut_down,
)
from proxy.worker.relay.http2_streams import Http2Streams
from proxy.worker.relay.relay import Relay
from proxy.worker.relay.request_side import forward_body, restart_body_clock
from proxy.worker.relay.timing import check_deadlines
from proxy.worker.relay.tunnel_side import forward_eof, forward_stream_data, upgrade_lines

_BROKEN: Final = "http2_protocol_error"
_FLOOD: Final = "http2_flood"


class Http2Downstream(Http2Streams, asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_admission", "_arriving_bytes", "_flags", "_has_served", "_head_since_ns", "_held", "_held_events", "_held_ns",
        "_number", "_peer", "_reader", "eof_ns",
    )  # fmt: skip

    _reader: RequestReader

    def __init__(
        self, engine: Engine, shared: Http2, peer: bytes, since_ns: int, admission: Admission
    ) -> None:
        """Serve the client `peer` on a transport that was counted, and accepted at `since_ns`."""
        codec = Connection(shared.limits, engine.encoder, time.monotonic_ns(), is_server=True)
        super().__init__(engine, shared, codec)
        self._number = shared.connections = shared.connections + 1
        self._peer = peer
        self._admission = admission
        self._since_ns = since_ns
        self._flags = 0
        self.eof_ns = 0
        """When the client ended its side; 0: not yet."""
        self._arriving_bytes = 0
        """Bytes of an incomplete DATA frame that were here when the tick last looked."""
        self._has_served = False
        """True once a request has come."""
        self._head_since_ns = 0
        """Since when a header block is incomplete; 0 if there isn't one."""
        self._held = b""
        """Bytes to be read later."""
        self._held_events: list[events.Event] = []
        """A request that waits for recording, and the events after it (P30)."""
        self._held_ns = 0
        """Since when that request waits."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; end the connection if its cipher is too weak (RFC 9113 §9.2.2)."""
        own = cast(asyncio.Transport, transport)
        self._transport = own
        self._writer = FrameWriter(self._engine.steps, self._codec, own, self._take_all)
        self._engine.recorder.count("connections_http2")
        engine = self._engine
        tls = transport.get_extra_info("ssl_object")
        is_tls = tls is not None
        if is_tls:
            self._flags = FLAG_TLS
            self.held_bytes = HELD_BYTES
        self._reader = engine.request_reader(is_tls=is_tls)
        if is_tls and not is_fit_for_http2(tls.version(), name := tls.cipher()[0]):
            self._end(ErrorCode.INADEQUATE_SECURITY, f"HTTP/2 over the cipher {name}")
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        """Count the connection out; record the running exchanges, as their client is gone."""
        self._engine.unregister(self, self._peer)
        self._engine.recorder.count("connections_http2", by=-1)
        self._codec.is_ended = True
        self._writer.close()
        self._forget_held()
        self._end_streams(lose_client)

    def _forget_held(self) -> None:
        """Drop input in hand: it can no longer begin a request."""
        self._held = b""
        self._held_events = []

    def eof_received(self) -> bool:
        """Note that the client sends no more; complete requests still get their responses, for a
        while (`HALF_CLOSE_NS`).
        """
        self.eof_ns = time.monotonic_ns()
        self._end_requests()
        return self._transport.can_write_eof() and bool(self._relays)

    def _end_requests(self) -> None:
        """Once all input is read, end the incomplete requests, and the client's side of tunnels."""
        if not self._has_more:
            for stream_id, relay in list(self._relays.items()):
                forward_eof(relay)
                if not relay.is_request_complete:
                    self._waiting.pop(stream_id, None)
                    lose_client(relay)
                    self.exchange_ended(stream_id)

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Read bytes, or keep them while reading is paused."""
        if self._is_lingering:
            self._discard(len(data))
        elif self._paused or self._held_events:
            # A TLS layer may still have had bytes when reading was paused.
            self._held += data
        else:
            self._step(data)

    @property
    def _has_more(self) -> bool:
        return bool(self._held or self._held_events) or self._codec.has_more

    def _read_in_hand(self) -> None:
        held = self._held
        self._held = b""
        self._step(held)

    def _step(self, data: bytes) -> None:
        """Read some frames, handle their events, and write the output of all streams."""
        now_ns = time.monotonic_ns()
        reader = self._codec.reader
        held = self._held_events
        self._held_events = []
        found = self._codec.receive(data, now_ns, self._transport.get_write_buffer_size())
        self._act_on(held + found, now_ns - self._held_ns if held else -1)
        since_ns = self._head_since_ns if not self._codec.inbound.heads else 0
        if reader.is_within_head:
            self._head_since_ns = since_ns or now_ns
        else:
            self._head_since_ns = 0
        if (self._has_more or len(data) >= TURN_BYTES) and not (self._paused or self._is_lingering):
            self._await_turn(reader.in_hand)
        if self.eof_ns:
            self._end_requests()

    def _act_on(self, found: list[events.Event], waited_ns: int) -> None:
        """Handle events; hold a request, and the events after it, if recording needs room (P30).

        `waited_ns` is the wait of a first event that was held already, and is not held again; -1
        without one.
        """
        steps = self._engine.steps
        pace = self._engine.pace
        steps.begin()

        try:
            for at, event in enumerate(found):
                if not isinstance(event, events.RequestReceived):
                    self._take(event)
                    continue
                now_ns = time.monotonic_ns()
                if waited_ns < 0 and (wait_ns := pace.request_wait_ns(now_ns)):
                    self._held_events = found[at:]
                    self._held_ns = now_ns
                    pace.hold(self, now_ns, wait_ns)
                    break

                self._begin(event, now_ns, max(waited_ns, 0))

            self.flush()
        finally:
            steps.end()

    def _begin(self, event: events.RequestReceived, now_ns: int, waited_ns: int) -> None:
        """Begin the exchange of a request.

        The reader of HTTP/1.1 judges its head as text, with its framing written anew (F8).
        """
        engine = self._engine
        shared = self._shared
        head = event.head
        reader = self._reader
        state = http2_notes.StreamState(self._number, event.stream_id)
        stream = Http2Exit(engine, self, self._codec, state)
        relay = Relay(engine, stream, stream, self._admission, self._peer, is_tls=self._flags != 0)
        relay.stream = state

        if head.is_websocket:
            head.lines += upgrade_lines(head.lines)
        else:
            relay.note_grpc(state, head.lines, now_ns)

        self._relays[event.stream_id] = relay
        shared.open_streams += 1
        self._has_served = True
        refusal = self._refusal_of(head)
        if refusal is not None:
            self._refuse(relay, head, refusal, now_ns)
            return

        is_framed = event.is_end or head.content_length >= 0 or head.is_websocket
        framing = b"" if is_framed else b"transfer-encoding: chunked\r\n"
        try:
            read = reader.read_head(
                b"%b %b HTTP/1.1\r\n%b%b\r\n" % (head.method, head.target, head.lines, framing)
            )
        except Refused as error:
            self._refuse(relay, head, error, now_ns)
            return

        assert read is not None
        reader.raw = head.text
        if event.is_end and head.is_websocket:
            stream.note_client_eof()
        relay.begin(reader, read, now_ns, waited_ns)

    def _refusal_of(self, head: RequestFields) -> Refused | None:
        """Return the reason for refusing a request before its head is read, or None.

        It is returned because raising it would make a cycle: the head refers to the error, and the
        traceback of the error to the head.
        """
        engine = self._engine
        if head.refusal is not None and len(head.target) > engine.max_line_bytes:
            return Refused("uri_too_long", f"request line over {engine.max_line_bytes} bytes")
        if head.refusal is None and self._shared.open_streams > engine.max_connections:
            return Refused(
                "stream_refused", f"{engine.max_connections} streams are open, the limit"
            )

        return head.refusal

    def _refuse(self, relay: Relay, head: RequestFields, refusal: Refused, now_ns: int) -> None:
        """Refuse a request that has not begun; its record has as much of the head as the limits
        allow.
        """
        engine = self._engine
        reader = self._reader
        if refusal.code != "stream_refused":
            self._codec.note_refused()
        head.target = head.target[: engine.max_line_bytes]
        head.lines = head.lines[: engine.max_head_bytes]
        reader.buffer = b""
        reader.raw = head.text
        reader.method = head.method
        refuse_unread(relay, reader, refusal, now_ns)

    def _take_all(self, found: list[events.Event]) -> None:
        for event in found:
            self._take(event)

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.ConnectionEnded):
            self._end(ErrorCode(event.code), event.reason)
        elif isinstance(event, events.RequestRefused):
            self._engine.recorder.count_http2_reset("server", event.code)
            if event.reason:
                self._record_fault(_BROKEN, event.reason, event.text)
        elif isinstance(event, events.DataReceived):
            self._take_body(event.stream_id, event.data, b"", is_last=event.is_end)
        elif isinstance(event, events.TrailersReceived):
            self._take_body(event.stream_id, b"", event.lines, is_last=True)
        elif isinstance(event, events.StreamDrained):
            self._waiting.pop(event.stream_id, None)
            relay = self._relays.get(event.stream_id)
            if relay is None:
                self._release(event.stream_id)
            elif not self._stalled_ns:
                relay.resume_response()
        elif isinstance(event, events.StreamReset):
            self._take_reset(event)

    def _take_body(self, stream_id: int, data: bytes, trailers: bytes, *, is_last: bool) -> None:
        relay = self._relays.get(stream_id)
        if relay is not None and not relay.is_request_complete:
            forward_body(relay, data, trailers, is_last=is_last)
            self._codec.credit(stream_id, len(data))
        elif relay is not None and relay.wants_websocket:
            # On other streams DATA comes too late: the request is answered, or has no body.
            forward_stream_data(relay, cast(Http2Exit, relay.exit), data, is_last=is_last)

    def _take_reset(self, event: events.StreamReset) -> None:
        self._engine.recorder.count_http2_reset("server" if event.reason else "client", event.code)
        relay = self._relays.get(event.stream_id)
        if relay is not None and relay.stream is not None:
            relay.stream.note_reset(
                event.code, http2_notes.BY_US if event.reason else http2_notes.BY_CLIENT
            )
            if event.reason:
                reject_stream(relay, _BROKEN, event.reason)
            else:
                lose_client(relay)

        self._waiting.pop(event.stream_id, None)
        self.exchange_ended(event.stream_id)

    # Writing.

    def pause_writing(self) -> None:
        """Stop reading from the client and the upstreams: the client receives nothing for now."""
        self._time_stall()
        if not self._is_lingering:
            self.pause(BY_CLIENT)
        for relay in self._relays.values():
            relay.pause_response()

    def resume_writing(self) -> None:
        """Read again from the client, and for all streams with open windows."""
        self._end_stall()
        for stream_id, relay in list(self._relays.items()):
            if stream_id not in self._waiting:
                relay.resume_response()
        self.resume(BY_CLIENT)

    # Time, and the end.

    def check(self, now_ns: int) -> None:
        """Enforce the deadlines of the connection and its streams; called by the engine's tick."""
        codec = self._codec
        deadlines = self._engine.deadlines
        self._writer.check(now_ns)
        if self._stalled_ns:
            self._check_stall(now_ns, self)
            return
        if (self.eof_ns and now_ns - self.eof_ns >= HALF_CLOSE_NS) or (
            self._paused and is_reset_by_peer(self._transport)
        ):
            self._transport.abort()
            return

        is_coming = self._note_arriving()
        for relay in list(self._relays.values()):
            if is_coming:
                restart_body_clock(relay)
            check_deadlines(relay, now_ns)
        self._check_windows(now_ns)
        if (
            self._head_since_ns
            and not self._paused
            and deadlines.is_over(Phase.HEAD, self._head_since_ns, now_ns)
        ):
            self._end(
                ErrorCode.PROTOCOL_ERROR,
                f"timed out within a header block ({deadlines.describe(Phase.HEAD)})",
            )

        if not self._engine.keeps_alive and not codec.is_ended:
            codec.inbound.drain(now_ns)
            self.flush()
        is_over = deadlines.is_over(Phase.IDLE, self._since_ns, now_ns)
        if (
            not self._is_busy
            and codec.reader.has_begun
            and (is_over or codec.is_drained)
            and not self._is_lingering
        ):
            self._end(ErrorCode.NO_ERROR, "")

    def _note_arriving(self) -> bool:
        """Return True if more of a DATA frame has come since the last tick: the bodies of all
        streams wait for it.
        """
        reader = self._codec.reader
        arriving = reader.arriving_bytes
        is_coming = arriving not in (0, self._arriving_bytes)
        self._arriving_bytes = arriving
        for stream_id, relay in self._relays.items():
            relay.arriving_bytes = arriving if stream_id == reader.stream_id else 0
        return is_coming

    def _record_fault(self, fault: str, reason: str, text: bytes) -> None:
        record_fault(
            self._engine,
            self._admission,
            self._peer,
            self._flags,
            self._number,
            fault,
            reason,
            text,
        )

    def _end(self, code: ErrorCode, reason: str) -> None:
        """End the connection with a GOAWAY, and linger so that it arrives.

        A `reason` is a fault of the client, to be recorded once.
        """
        self._codec.end(code)
        self._engine.recorder.count("http2_ends", http2_code(code))
        is_flood = code == ErrorCode.ENHANCE_YOUR_CALM
        if reason:
            self._record_fault(_FLOOD if is_flood else _BROKEN, reason, b"")
        self._forget_held()
        self._end_streams(cut_off if is_flood else lose_client)
        self._writer.write()
        self._since_ns = time.monotonic_ns()
        if not self._transport.is_closing():
            self._linger()

    @property
    def waits_since_ns(self) -> int:
        """Return the time since which the connection has waited for a request, or lingers with a
        client that receives nothing; 0 while it is busy.
        """
        if self._is_lingering:
            return self._stalled_ns
        if self._is_busy or self._stalled_ns:
            return 0
        return self._since_ns

    @property
    def _is_busy(self) -> bool:
        return bool(self._relays or self._waiting or self._held or self._held_events)

    @property
    def has_been_served(self) -> bool:
        return self._has_served

    def evict(self, reason: str) -> None:
        """Close the connection at once, to make room for a new connection."""
        self._engine.unregister(self, self._peer)
        self._end(ErrorCode.NO_ERROR, "")
        self._transport.abort()

    def is_expected(self, since_ns: int) -> bool:
        """True if a request is probably on its way: the connection began, or was asked to end,
        after `since_ns`.
        """
        is_new = not self._has_served and self._since_ns >= since_ns
        return not self._is_lingering and (is_new or self._codec.inbound.drain_since_ns > since_ns)

    def close_if_idle(self, since_ns: int) -> None:
        """Drain the connection: serve the requests that the client has sent already, then close it
        (P29).
        """
        if not self._is_lingering:
            self._codec.inbound.drain(time.monotonic_ns())
            self.flush()

    def abort_for_shutdown(self) -> None:
        """Record the running exchanges as `shutdown`, and send GOAWAY: the time for draining is
        over.

        A second call closes, a moment later, so that the GOAWAY can arrive.
        """
        self._forget_held()
        self._end_all(shut_down)
        if self._is_lingering or self._transport.is_closing():
            self._transport.abort()
            return

        self._codec.end(ErrorCode.NO_ERROR)
        self._writer.write()
        self._linger()
