"""One exchange at a time, between a client connection and an upstream: the request up, the response down, the record.

Strategy: the relay lives as long as its client connection and is begun anew for each request. An upstream connection
calls it directly (`connection.ResponseHandler`); it writes to the client's transport and asks its `Client` only where
the two directions meet. The methods that run per request join bytes that were built before and keep no futures, tasks
or timers; measured with bench/macro (bench/results).

The invariant: an exchange is recorded exactly once, and before the last bytes of its response are handed to the
transport, so a response that a client has received completely is in the ring; the record of a response that comes
before its request is complete follows it (P24). From then on the relay is free for the
next one. Chunks of a response are written first and copied afterwards.
"""

import asyncio
import logging
import socket
import struct
import time
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from proxy.http1.chunked import LAST_CHUNK, frame, last_chunk
from proxy.http1.errors import KEEPS_CONNECTION, STATUS_OF, Refused, UpstreamError, error_response
from proxy.http1.request_head import RequestHead
from proxy.http1.request_line import IDEMPOTENT_METHODS
from proxy.http1.request_reader import RequestReader
from proxy.http1.response_head import ResponseHead
from proxy.http1.trailers import forwarded_trailers, trailer_names, without_trailer_field
from proxy.network.fair_loop import BY_CLIENT, BY_UNSENT, BY_UPSTREAM
from proxy.network.socket_queues import unsent_bytes
from proxy.network.tls_buffers import bound_buffers
from proxy.ring.body_window import Window
from proxy.ring.capture_windows import CaptureWindows
from proxy.ring.exchange import (
    ERROR_INDEX,
    FLAG_HTTP10,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    MAX_REFUSED_HEAD_BYTES,
    MAX_WAITED_MS,
    NOTE_MESSAGE,
    NOTE_REFUSED_HEAD,
    NOTES_REQUEST_TRAILERS,
    NOTES_RESPONSE_TRAILERS,
    OK,
    OUTCOME_INDEX,
    Exchange,
)
from proxy.ring.timeline import Timeline, note_chunk
from proxy.worker.admission.admission import Admission, TracingAdmission
from proxy.worker.admission.opt_out import lower_outside
from proxy.worker.deadlines import (
    MAX_LINGER_BYTES,
    MAX_READ_AHEAD_BYTES,
    STALLED,
    STALLED_NS,
    TRICKLED,
    Deadlines,
    Phase,
    is_trickle,
)
from proxy.worker.engine import Engine
from proxy.worker.routes import Route
from proxy.worker.tunnel import Side, Tunnel
from proxy.worker.upstream.connection import UpstreamConnection
from storage.record import Outcome

log = logging.getLogger(__name__)

_REJECTED: Final = OUTCOME_INDEX[Outcome.REJECTED]
_CLIENT_CLOSED: Final = OUTCOME_INDEX[Outcome.CLIENT_CLOSED]
_SHUTDOWN: Final = OUTCOME_INDEX[Outcome.SHUTDOWN]
_TRUNCATED: Final = OUTCOME_INDEX[Outcome.TRUNCATED]
_UPSTREAM_ERROR: Final = OUTCOME_INDEX[Outcome.UPSTREAM_ERROR]
_UPSTREAM_TIMEOUT: Final = OUTCOME_INDEX[Outcome.UPSTREAM_TIMEOUT]

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that turns a close into a reset, so that a truncated response never looks like a finished one (P14)."""


class Client(Side, Protocol):
    """What a relay asks of its client connection, which is a side of a tunnel too."""

    @property
    def eof_ns(self) -> int:
        """When the client ended its side; 0: not yet."""

    def take_read_ahead(self) -> bytes:
        """Return what was read behind the request; it is not read as requests any more."""

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None:
        """Go on to the next request, or close; `linger`: the client may still be sending."""


class _DetachedClient:
    """Stands in for a client that is gone and whose exchanges are all recorded."""

    eof_ns: Final = 0
    held_bytes: Final = 0

    def pause(self, reason: int) -> None: ...

    def resume(self, reason: int) -> None: ...

    def take_read_ahead(self) -> bytes:
        return b""

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None: ...


_DETACHED_CLIENT: Final = _DetachedClient()


class Relay:
    """The exchanges of one client connection."""

    __slots__ = (
        "_admission", "_body_bytes", "_client", "_connecting", "_continued_ns", "_engine", "_flags", "_head",
        "_is_chunked_out", "_is_paused", "_is_responding", "_is_retried", "_is_upload_paused", "_peer",
        "_phase", "_route", "_since_ns", "_transport", "_unsent", "_unsent_bytes", "_upload_bytes", "_upstream",
        "_upstream_head", "_write", "exchange", "has_long_body", "is_answered", "is_continue_due", "is_keep_alive",
        "is_request_complete", "method", "tunnel",
    )  # fmt: skip

    def __init__(
        self, engine: Engine, client: Client, transport: asyncio.Transport, peer: bytes, *, is_tls: bool
    ) -> None:
        """Relay for a client at the address `peer`, through its transport."""
        # of the connection
        self._engine = engine
        self._client: Client = client
        self._transport = transport
        self._write = bound_buffers(transport)
        self._peer = peer
        self._flags = FLAG_TLS if is_tls else 0
        admission = TracingAdmission if engine.makes_traces else Admission
        self._admission = admission(engine, peer, is_tls=is_tls)
        self._is_paused = False
        """Whether the client takes no more of the response for now."""
        # of the exchange
        self.exchange: Exchange | None = None
        """What runs; None between two exchanges."""
        self.method = b""
        self.is_request_complete = True
        self.is_continue_due = False
        self.has_long_body = False
        self.is_keep_alive = False
        """Whether the client's connection goes on after the exchange."""
        self._phase: int = Phase.WAITING
        self._since_ns = 0
        self._head: RequestHead | None = None
        self._route: Route | None = None
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._upstream_head = b""
        self.is_answered = False
        """Whether all of a response is sent, and its record waits for more of the request (P24)."""
        self._unsent: list[bytes] = []
        self._unsent_bytes = self._upload_bytes = self._body_bytes = 0
        self._continued_ns = 0
        """When the newest 100 came, maybe for an earlier request."""
        self.tunnel: Tunnel | None = None
        self._is_responding = self._is_chunked_out = self._is_retried = self._is_upload_paused = False

    # The request.

    def begin(self, request: RequestReader, head: RequestHead, now_ns: int, waited_ns: int = 0) -> None:
        """Start the exchange of a request whose head was read: send what is here of it, or refuse it.

        It began earlier where it waited for recording.
        """
        engine = self._engine
        self.exchange = exchange = engine.recorder.begin(now_ns - waited_ns, self._peer)
        if waited_ns:
            exchange.waited_ms = min(MAX_WAITED_MS, max(1, waited_ns // 1_000_000))
        exchange.request_head = request.raw
        self.method = exchange.method = request.method
        flags = self._flags | FLAG_HTTP10 if request.is_http10 else self._flags
        self._head = head
        self._is_responding = False
        self.is_keep_alive = head.is_keep_alive and engine.keeps_alive
        has_body = request.content_length > 0 or head.is_chunked
        if has_body:
            self.is_request_complete = False
            self.is_continue_due = head.expects_continue
            exchange.flags = flags
        else:
            self.is_request_complete = True
            self.is_continue_due = False
            exchange.flags = flags | FLAG_REQUEST_COMPLETE
        try:
            route, outgoing = self._admission.admit(exchange, request, head)
        except Refused as refusal:
            exchange.client = self._admission.client_of(head)
            lower_outside(exchange, engine.level)
            self.refuse(refusal)
            return
        self._route = route
        self._upstream_head = outgoing
        self._is_retried = self._is_upload_paused = False
        engine.in_flight.add(exchange)
        if not self.is_request_complete:
            outgoing += self._begin_body(exchange, route, request)
        self._phase = Phase.BODY if not self.is_request_complete and self._is_body_next else Phase.WAITING
        self._since_ns = now_ns
        upstream = engine.pools[route.index].acquire(
            now_ns, may_repeat=not has_body and self.method in IDEMPOTENT_METHODS
        )
        if upstream is not None:
            self._upstream = upstream
            exchange.upstream = upstream.address_text
            exchange.sent_ns = now_ns - exchange.started_ns
            upstream.begin(self, outgoing)
        else:
            self._connect(outgoing)

    def _begin_body(self, exchange: Exchange, route: Route, request: RequestReader) -> bytes:
        body = request.body
        self.has_long_body = request.is_body_due or len(body) > MAX_READ_AHEAD_BYTES
        if not request.is_body_due:
            self.is_request_complete = True
            exchange.flags |= FLAG_REQUEST_COMPLETE
            if len(body) <= route.request_window_bytes:
                exchange.request_whole = body
                return body
        windows = route.windows.of(exchange.request_head)
        exchange.request_body = Window(windows.request_bytes, windows.tail_bytes)
        self._body_bytes = request.content_length
        if body:
            exchange.request_body.add(body)
        return body

    def forward_body(self, body: bytes, trailers: bytes, *, is_last: bool) -> None:
        exchange, head = self.exchange, self._head
        assert exchange is not None
        assert exchange.request_body is not None
        assert head is not None
        if body:
            exchange.request_body.add(body)
        self._time_body()
        if head.is_chunked:
            assert self._route is not None
            limit = self._route.max_body_bytes
            if 0 < limit < exchange.request_body.size:
                self._send_error("body_too_large", f"body over the limit of {limit} bytes", _REJECTED, close=True)
                return
            body = frame(body) if body else b""
            if is_last:
                body += self._end_request_body(exchange, trailers) if trailers else LAST_CHUNK
        if is_last:
            self.is_request_complete = True
            exchange.flags |= FLAG_REQUEST_COMPLETE
            if not self._is_responding and not self.is_answered:
                self._phase = Phase.WAITING if self._connecting is None else Phase.CONNECTING
                self._since_ns = time.monotonic_ns()
        if not self.is_answered:
            self._forward(body)
        elif is_last or self._is_body_enough():
            self._end_answered()

    @property
    def _is_body_next(self) -> bool:
        """Whether it is the client's turn to send: a part of its body is to come, and it waits for no 100."""
        if self.is_request_complete:
            return False
        body = None if self.exchange is None else self.exchange.request_body
        return not self.is_continue_due or (body is not None and body.size > 0)

    def _time_body(self) -> None:
        """Restart the client's time for the next part of its body, if it is the client's turn.

        It was not while the upstream took no more, or the client waited for a 100, without which it may go on (RFC 9110
        §10.1.1).
        """
        if self._phase == Phase.WAITING and not self._is_upload_paused and self._is_body_next:
            self._phase = Phase.BODY
        if self._phase == Phase.BODY:
            self._since_ns = time.monotonic_ns()

    def _end_request_body(self, exchange: Exchange, trailers: bytes) -> bytes:
        assert self._route is not None
        kept, dropped = forwarded_trailers(trailers, exchange.request_head, self._route.request_trailers_without)
        exchange.note_trailers(NOTES_REQUEST_TRAILERS, trailers, dropped)
        return last_chunk(kept)

    def forward_tunnel(self, tunnel: Tunnel, data: bytes) -> None:
        self._forward(data)
        tunnel.watch_client(data)

    def _forward(self, data: bytes) -> None:
        if self._upstream is not None:
            if not self._upstream.transport.is_closing():  # lost, while its last bytes are still being read
                self._upstream.write(data)
        elif self._connecting is not None:
            self._keep_unsent(data)

    def _keep_unsent(self, data: bytes) -> None:
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > MAX_READ_AHEAD_BYTES:
            self._client.pause(BY_UNSENT)
            self._phase = Phase.CONNECTING

    def _connect(self, outgoing: bytes) -> None:
        self._unsent, self._unsent_bytes = [], 0
        self._keep_unsent(outgoing)
        if self._phase != Phase.BODY:
            self._phase = Phase.CONNECTING
        self._connecting = self._engine.tasks.create_task(self._open_upstream(), name="open upstream")

    async def _open_upstream(self) -> None:
        exchange, route = self.exchange, self._route
        assert exchange is not None
        assert route is not None
        before_ns = time.monotonic_ns()
        try:
            upstream = await self._engine.openers[route.index].open(may_repeat=self._may_be_retried(exchange))
        except UpstreamError as error:
            self._connecting = None
            self.upstream_failed(error, is_stale=False)
            return
        except Exception:  # a fault of ours in one exchange must not end the others with the task group
            log.exception("unexpected error while opening an upstream connection")
            self._connecting = None
            self.upstream_failed(UpstreamError("upstream_refused", "no upstream connection"), is_stale=False)
            return
        now_ns = time.monotonic_ns()
        self._connecting = None
        exchange.connect_ns = now_ns - before_ns
        exchange.sent_ns = now_ns - exchange.started_ns
        exchange.upstream = upstream.address_text
        self._upstream = upstream
        if self._phase == Phase.CONNECTING:
            self._phase = Phase.BODY if self._is_body_next else Phase.WAITING
            self._since_ns = now_ns
        unsent, self._unsent, self._unsent_bytes = b"".join(self._unsent), [], 0
        upstream.begin(self, unsent)
        self._client.resume(BY_UNSENT)

    def pause_request(self) -> None:
        self._is_upload_paused = True
        self._client.pause(BY_UPSTREAM)
        if self._phase == Phase.BODY:
            self._phase = Phase.WAITING
        if self._phase != Phase.STREAMING:
            self._since_ns = time.monotonic_ns()

    def resume_request(self) -> None:
        self._is_upload_paused = False
        self._time_body()
        self._client.resume(BY_UPSTREAM)

    # Ends, maybe of a response before its request.

    def _end_with(self, exchange: Exchange, outgoing: bytes, now_ns: int) -> None:
        """Send the last of a response, recorded first; the record of a request that is still coming waits for it (P24).

        Most clients send head and body in two writes: without this it would be chance whether the body is on record.
        A client that waits for a 100 sends none.
        """
        if self.is_request_complete or self.is_continue_due or self._is_body_enough():
            self._record(exchange, now_ns)
            if outgoing:
                self._write(outgoing)
            self._client.exchange_ended(now_ns, linger=not self.is_request_complete)
            return
        self.is_answered = True
        self._phase = Phase.ENDING
        self._since_ns = now_ns
        if outgoing:
            self._write(outgoing)
        if not self.is_keep_alive and self._transport.can_write_eof():
            with suppress(OSError):  # it is reset already
                self._transport.write_eof()
        self._client.resume(BY_UPSTREAM | BY_UNSENT)

    def _is_body_enough(self) -> bool:
        """Whether nothing is gained by more of the body: its window keeps no more, nor does the connection go on."""
        exchange = self.exchange
        if exchange is None or exchange.request_body is None:
            return True
        return not self.is_keep_alive and exchange.request_body.is_head_full

    def _may_go_on(self) -> bool:
        """Whether the client's connection may serve another request: the rest of this one is here, or soon will be.

        Of a longer one the client reads that it need not send it.
        """
        if self.is_request_complete:
            return self.is_keep_alive
        exchange = self.exchange
        if exchange is None or exchange.request_body is None or self.is_continue_due:
            return False
        return self.is_keep_alive and 0 <= self._body_bytes - exchange.request_body.size <= MAX_LINGER_BYTES

    def _end_answered(self) -> None:
        """Record an exchange whose response is sent, with what is here of its request."""
        exchange = self.exchange
        if exchange is not None:
            self._record(exchange, self._since_ns)
            self._client.exchange_ended(time.monotonic_ns(), linger=not self.is_request_complete)

    # The response.

    def _unpause_upstream(self) -> None:
        """Give back a connection that was paused while its last bytes were already being read."""
        if self._upstream is not None:
            self._upstream.resume(BY_CLIENT)

    def send_informational(self, head: ResponseHead) -> None:
        """Relay a 1xx; 100 only to a client that waits for it (RFC 9110 §15.2)."""
        exchange, request = self.exchange, self._head
        assert exchange is not None
        assert request is not None
        if head.status == 100:
            self.is_continue_due = False
            self._continued_ns = time.monotonic_ns()
            self._time_body()
        if not exchange.flags & FLAG_HTTP10 and (head.status != 100 or request.expects_continue):
            self._write(head.status_line + head.fields + b"\r\n")

    def send_full_response(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
        """Send a whole response in one write, recorded first."""
        exchange, route = self.exchange, self._route
        assert exchange is not None
        assert route is not None
        exchange.first_byte_ns = exchange.done_ns = now_ns - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        if len(body) <= route.response_window_bytes:
            exchange.response_whole = body
        else:
            windows = route.windows.of(exchange.request_head)
            exchange.response_body = Window(windows.response_bytes, windows.tail_bytes)
            exchange.response_body.add(body)
        if self._is_paused:
            self._unpause_upstream()
        self._upstream = None
        engine = self._engine
        if self.is_request_complete and self.is_keep_alive and not exchange.flags & FLAG_HTTP10:
            outgoing = engine.head_end_format % (head.prefix, exchange.id_text) + body
        else:
            self._end_with(exchange, self._prefix(head, exchange) + body, now_ns)
            return
        # `_end_with` and the case of `_prefix` that nearly all take, written out: 0.2 µs of 21 (bench/macro, get).
        self.exchange = None
        engine.in_flight.discard(exchange)
        engine.recorder.finish(exchange, now_ns)
        self._write(outgoing)
        self._client.exchange_ended(now_ns, linger=False)

    def start_response(self, head: ResponseHead, raw: bytes, now_ns: int) -> None:
        """Send the response head; its body will follow."""
        exchange, route = self.exchange, self._route
        assert exchange is not None
        assert route is not None
        exchange.first_byte_ns = now_ns - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        self._write(self._prefix(head, exchange))
        self._is_responding = True
        self._phase = Phase.STREAMING
        self._since_ns = now_ns
        self._is_chunked_out = head.content_length < 0 and not exchange.flags & FLAG_HTTP10
        windows = route.windows.of_response(exchange.request_head, is_event_stream=head.is_event_stream)
        exchange.response_body = Window(windows.response_bytes, windows.tail_bytes)
        if head.is_event_stream or windows is route.windows.paced:
            exchange.timeline = Timeline()

    def _prefix(self, head: ResponseHead, exchange: Exchange) -> bytes:
        self.is_keep_alive = self._may_go_on()
        prefix = head.prefix
        if exchange.flags & FLAG_HTTP10:
            prefix = self._prefix_for_http10(head)
        elif not self.is_keep_alive:
            prefix += b"Connection: close\r\n"
        return self._engine.head_end_format % (prefix, exchange.id_text)

    def _prefix_for_http10(self, head: ResponseHead) -> bytes:
        """HTTP/1.0 knows no chunks: without a length the end of the connection ends the body."""
        length = head.content_length
        if length < 0 and head.body_length(self.method) < 0:
            self.is_keep_alive = False
        framing = b"Content-Length: %d\r\n" % length if length >= 0 and head.status != 204 else b""
        connection = b"Connection: keep-alive\r\n" if self.is_keep_alive else b"Connection: close\r\n"
        return head.status_line + without_trailer_field(head.fields) + framing + connection

    def response_data(self, data: bytes) -> None:
        """Send more body; nothing is held back. The copy is taken after the write."""
        self._write(frame(data) if self._is_chunked_out else data)
        exchange = self.exchange
        assert exchange is not None
        assert exchange.response_body is not None
        self._since_ns = now_ns = time.monotonic_ns()
        exchange.response_body.add(data)
        if exchange.timeline is not None:
            note_chunk(exchange.timeline, exchange.response_body.size, (now_ns - exchange.started_ns) // 1000)

    def response_end(self, data: bytes, trailers: bytes) -> None:
        exchange = self.exchange
        assert exchange is not None
        assert exchange.response_body is not None
        if self._is_paused:
            self._unpause_upstream()
        self._upstream = None
        now_ns = time.monotonic_ns()
        exchange.done_ns = now_ns - exchange.started_ns
        if data:
            exchange.response_body.add(data)
            if exchange.timeline is not None:
                note_chunk(exchange.timeline, exchange.response_body.size, exchange.done_ns // 1000)
        end = self._end_response_body(exchange, trailers) if trailers else LAST_CHUNK
        if self._is_chunked_out:
            data = frame(data) + end if data else end
        self._end_with(exchange, data, now_ns)

    def _end_response_body(self, exchange: Exchange, trailers: bytes) -> bytes:
        assert self._route is not None
        kept, dropped = forwarded_trailers(trailers, exchange.response_head, self._route.response_trailers_without)
        if not self._is_chunked_out:
            dropped = trailer_names(trailers)
        exchange.note_trailers(NOTES_RESPONSE_TRAILERS, trailers, dropped)
        return last_chunk(kept)

    # Tunnels.

    @property
    def wants_websocket(self) -> bool:
        return self._head is not None and self._head.is_websocket

    def open_tunnel(self, head: ResponseHead, raw: bytes, data: bytes) -> None:
        """Answer 101 and relay raw bytes from now on; what the client sent already goes first."""
        exchange = self.exchange
        assert exchange is not None
        now_ns = time.monotonic_ns()
        exchange.first_byte_ns = now_ns - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        self._is_responding = True
        self.is_keep_alive = False
        self._phase = Phase.TUNNEL
        engine, upstream = self._engine, self._upstream
        assert upstream is not None
        assert self._route is not None
        self.tunnel = Tunnel(
            exchange, engine.recorder, engine.turns, engine.pace, (self._client, upstream),
            max_bytes=engine.capture.websocket_message_bytes,
            max_messages_per_s=engine.capture.websocket_messages_per_s,
            session_bytes=self._route.windows.session_bytes(exchange.request_head),
        )  # fmt: skip
        self._write(self._engine.head_end_format % (head.prefix, exchange.id_text))
        self._is_upload_paused = False
        early = self._client.take_read_ahead()
        if early:
            self.forward_tunnel(self.tunnel, early)
        if data:
            self.tunnel_data(data)

    def tunnel_data(self, data: bytes) -> None:
        self._write(data)
        if self.tunnel is not None:
            self.tunnel.watch_upstream(data)

    def _end_tunnel(self, outcome: int) -> None:
        """Record the session, once its frames are read; without a close frame it was cut off by the side named."""
        if self.tunnel is not None:
            if self._upstream is not None:
                self._upstream.detach()
                self._upstream = None
            self.tunnel.end(partial(self._record_tunnel, outcome))

    def _record_tunnel(self, outcome: int) -> None:
        exchange, tunnel = self.exchange, self.tunnel
        if exchange is None or tunnel is None:
            return
        self.tunnel = None
        tunnel.settle()
        exchange.outcome = OK if tunnel.has_closed else outcome
        ended_ns = self._ended_ns(exchange)
        exchange.done_ns = ended_ns - exchange.started_ns
        self._record(exchange, ended_ns)
        self._client.exchange_ended(time.monotonic_ns(), linger=True)

    # Failures.

    def upstream_failed(self, error: UpstreamError, *, is_stale: bool) -> None:
        """Retry, answer, or break off visibly, depending on how far the exchange got (P13, P14)."""
        exchange, route = self.exchange, self._route
        if exchange is None or route is None:
            return
        self._drop_upstream()
        if self.tunnel is not None:
            if error.code == "upstream_timeout":
                self._engine.recorder.count_upstream_error(route.index, error.code)
                self._note_error(exchange, error.code, error.message)
            self._end_tunnel(_CLIENT_CLOSED if self._client.eof_ns else _TRUNCATED)
            return
        if is_stale and not self._is_responding and not self._is_retried and self._may_be_retried(exchange):
            self._is_retried = True
            self._engine.recorder.count_retry()
            exchange.sent_ns = -1
            self._connect(self._upstream_head)
            return
        self._engine.recorder.count_upstream_error(route.index, error.code)
        exchange.note(NOTE_MESSAGE, error.message.encode())
        if error.refused_head:
            exchange.note(NOTE_REFUSED_HEAD, error.refused_head[:MAX_REFUSED_HEAD_BYTES])
        if not self._is_responding:
            outcome = _UPSTREAM_TIMEOUT if error.code == "upstream_timeout" else _UPSTREAM_ERROR
            self._send_error(error.code, error.message, outcome, close=not self._may_go_on(), may_wait=True)
            return
        exchange.outcome = _TRUNCATED
        exchange.error = ERROR_INDEX[error.code]
        self._record(exchange, time.monotonic_ns())
        self._reset()

    def _reset(self) -> None:
        """Break off so that what was sent of a response cannot pass for all of it (P14)."""
        raw_socket = self._transport.get_extra_info("socket")
        if raw_socket is not None:
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _may_be_retried(self, exchange: Exchange) -> bool:
        return self.method in IDEMPOTENT_METHODS and exchange.request_body is None and not exchange.request_whole

    def refuse(self, refusal: Refused) -> None:
        """Respond with a refusal, after which the connection goes on where its framing is beyond doubt."""
        close = refusal.code not in KEEPS_CONNECTION or not self.is_request_complete
        self._send_error(refusal.code, refusal.message, _REJECTED, close=close)

    def refuse_unread(self, request: RequestReader, refusal: Refused, now_ns: int) -> None:
        """Refuse a request whose head could not be read, or did not become complete."""
        self._begin_unread(request, now_ns)
        # What it was meant to be shapes the response: none to HEAD has a body (P6).
        self.method = request.method or (b"HEAD" if request.raw.startswith(b"HEAD ") else b"")
        self._send_error(refusal.code, refusal.message, _REJECTED, close=True)

    def abandon_unread(self, request: RequestReader, now_ns: int) -> None:
        """Record a request whose client left before its head was complete."""
        self._begin_unread(request, now_ns)
        self._end_early(_CLIENT_CLOSED, 499)

    def _begin_unread(self, request: RequestReader, now_ns: int) -> None:
        self.exchange = exchange = self._engine.recorder.begin(now_ns, self._peer)
        exchange.request_head = request.raw
        exchange.method = request.method
        exchange.flags = self._flags
        lower_outside(exchange, self._engine.level)
        self._is_responding = False

    def _send_error(self, code: str, message: str, outcome: int, *, close: bool, may_wait: bool = False) -> None:
        exchange = self.exchange
        assert exchange is not None
        if self.is_answered:  # its body turns out to be malformed, or too large
            self._end_answered()
            return
        self._drop_upstream()
        if self._is_responding:
            exchange.outcome = _TRUNCATED
            self._note_error(exchange, code, message)
            self._record(exchange, time.monotonic_ns())
            self._reset()
            return
        if close:
            self.is_keep_alive = False
        id_format = self._engine.record_id_format
        head, body = error_response(
            code,
            message,
            close=not self.is_keep_alive,
            record_id_line=id_format % exchange.id_text if id_format else b"",
        )
        exchange.outcome = outcome
        exchange.error = ERROR_INDEX[code]
        exchange.status = STATUS_OF[code]
        if code in ("timeout_headers", "timeout_body"):
            exchange.note(NOTE_MESSAGE, message.encode())
        exchange.flags |= FLAG_OWN_RESPONSE
        exchange.response_head = head
        window = exchange.response_body = Window(len(body), 0)
        window.add(body)
        now_ns = time.monotonic_ns()
        outgoing = head if self.method == b"HEAD" else head + body
        if may_wait:
            self._end_with(exchange, outgoing, now_ns)
            return
        self._record(exchange, now_ns)
        self._write(outgoing)
        self._client.exchange_ended(now_ns, linger=close)

    # Time, and the client's part.

    @property
    def deadlines(self) -> Deadlines:
        """Those of the route of the request that runs, or ran last."""
        return self._engine.deadlines if self._route is None else self._route.deadlines

    def check(self, now_ns: int) -> None:
        deadlines = self.deadlines
        if self._is_upload_stalled(now_ns):
            self._time_out_upstream("the upstream stopped reading the request", deadlines.describe_stall())
        elif self._phase == Phase.BODY and self._holds_others(now_ns):
            self._send_error("timeout_body", TRICKLED, _REJECTED, close=True)
        elif deadlines.is_over(self._phase, self._since_ns, now_ns):
            if self._phase == Phase.ENDING:
                self._end_answered()
            elif self._phase == Phase.BODY:
                message = f"timed out waiting for more of the request body ({deadlines.describe(Phase.BODY)})"
                self._send_error("timeout_body", message, _REJECTED, close=True)
            elif self._phase == Phase.WAITING and not self._is_thinking(now_ns):
                limit = deadlines.describe_first_byte(is_llm=self._is_llm_call())
                self._time_out_upstream("timed out waiting for the response", limit)
            elif self._phase != Phase.WAITING:
                limit = deadlines.describe(Phase.STREAMING)
                self._time_out_upstream("timed out waiting for more of the response", limit)

    def _holds_others(self, now_ns: int) -> bool:
        """Whether others wait for an upstream connection that a trickling request body holds (P17)."""
        exchange = self.exchange
        if exchange is None or exchange.request_body is None or self.is_continue_due or not self._is_awaited:
            return False  # or it may not send yet
        since_ns = max(exchange.started_ns + exchange.sent_ns, self._continued_ns)
        return is_trickle(exchange.request_body.size, now_ns - since_ns)

    @property
    def _is_awaited(self) -> bool:
        """Whether others wait for an upstream connection, and this holds one."""
        route = self._route
        return self._upstream is not None and route is not None and self._engine.pools[route.index].is_awaited

    def _is_thinking(self, now_ns: int) -> bool:
        """Whether what runs is an LLM call that may take longer than others to be answered."""
        return self.deadlines.may_think(self._since_ns, now_ns) and self._is_llm_call()

    def _is_llm_call(self) -> bool:
        return self.exchange is not None and CaptureWindows.is_call(self.exchange.request_head)

    def _time_out_upstream(self, message: str, limit: str) -> None:
        self.upstream_failed(UpstreamError("upstream_timeout", f"{message} ({limit})"), is_stale=False)

    def _is_upload_stalled(self, now_ns: int) -> bool:
        """Whether the upstream has taken nothing for too long of what is on its way to it (P17).

        Asked by the tick, while nothing is added to it: whatever goes is progress and gives more time. An upstream that
        responds already may leave the rest alone (P16).
        """
        upstream, exchange = self._upstream, self.exchange
        if upstream is None or exchange is None or exchange.request_body is None:
            return False
        if self._phase != Phase.WAITING and not (self._phase == Phase.TUNNEL and self._is_upload_paused):
            return False
        unsent = unsent_bytes(upstream.transport)
        if unsent != self._upload_bytes:
            self._upload_bytes = unsent
            self._since_ns = now_ns
        limit_ns = self.deadlines.write_stall_ns
        return unsent > 0 and 0 < limit_ns <= now_ns - self._since_ns

    def pause_response(self) -> None:
        """The client takes no more for now: stop reading from the upstream."""
        self._is_paused = True
        if self._upstream is not None:
            self._upstream.pause(BY_CLIENT)

    def resume_response(self) -> None:
        self._is_paused = False
        if self._upstream is not None:
            self._upstream.resume(BY_CLIENT)
        self._since_ns = time.monotonic_ns() if self._phase == Phase.STREAMING else self._since_ns

    def client_sent_eof(self) -> None:
        """The client sends no more: what is tunnelled ends in this direction."""
        if self.tunnel is not None and self._upstream is not None and self._upstream.transport.can_write_eof():
            self._upstream.transport.write_eof()

    @property
    def stall_limit(self) -> tuple[bool, int]:
        """Whether others wait for a connection that it holds; how long the client may take nothing, ns, 0: no limit."""
        limit_ns = self.deadlines.write_stall_ns
        gives_way = (limit_ns > STALLED_NS or not limit_ns) and self._is_awaited
        return gives_way, STALLED_NS if gives_way else limit_ns

    def client_stalled(self, *, is_awaited: bool) -> None:
        """The client takes nothing for too long: its connection is about to be cut (P17)."""
        if self.is_answered:
            self._end_answered()
        if self.exchange is not None:
            limit = STALLED if is_awaited else self.deadlines.describe_stall()
            self._note_error(self.exchange, "client_stalled", f"the client stopped reading the response ({limit})")
        self._drop_upstream()  # at once: it frees the upstream before the next stalled client is judged

    def _note_error(self, exchange: Exchange, code: str, message: str) -> None:
        """Note what ended a response that had begun: only this record says so."""
        exchange.error = ERROR_INDEX[code]
        exchange.note(NOTE_MESSAGE, message.encode())

    def client_lost(self) -> None:
        """The client is gone: cancel the upstream, record what there is (P15)."""
        if self.tunnel is not None:
            self._end_tunnel(_CLIENT_CLOSED)
        elif self.is_answered:
            self._end_answered()
        else:
            self._end_early(_CLIENT_CLOSED, 499)

    def detach(self) -> None:
        """Hold the client no longer, which holds us: what is in a cycle waits for a collection, and those are rare."""
        if self.exchange is None:
            self._client = _DETACHED_CLIENT

    def shut_down(self) -> None:
        """The time for draining is over: record what runs, and close so that a cut response looks cut."""
        if self.is_answered:
            self._end_answered()
        is_cut = self.exchange is not None and self._is_responding
        if self.exchange is not None:
            self.exchange.note(NOTE_MESSAGE, self._engine.shutdown_reason)
        self._end_early(_SHUTDOWN, 503)
        if is_cut:
            self._reset()
        else:
            self._transport.abort()

    # Ends.

    def _end_early(self, outcome: int, status: int) -> None:
        """Record the running exchange, if any, as cut short; `status` counts when no head had been sent."""
        exchange = self.exchange
        self._drop_upstream()
        if exchange is None:
            return
        if self.tunnel is not None:
            self.tunnel.settle()
            self.tunnel = None
        exchange.outcome = outcome
        if not self._is_responding:
            exchange.status = status
        self._record(exchange, self._ended_ns(exchange))

    def _ended_ns(self, exchange: Exchange) -> int:
        """Return now, or when its client left, even if a response was still waited for."""
        if exchange.outcome != _CLIENT_CLOSED or not self._client.eof_ns:
            return time.monotonic_ns()
        return max(self._client.eof_ns, exchange.started_ns + max(exchange.sent_ns, exchange.first_byte_ns, 0))

    def _record(self, exchange: Exchange, now_ns: int) -> None:
        self.exchange = None
        self.is_answered = False
        self._engine.in_flight.discard(exchange)
        self._engine.recorder.finish(exchange, now_ns)

    def _drop_upstream(self) -> None:
        self._unsent = []
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
