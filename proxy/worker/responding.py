"""The answering half of a client connection: responses, failures, back-pressure, the end.

What an upstream connection tells its downstream arrives here (`upstream.Owner`). The invariant: an exchange is recorded
exactly once, and before the last bytes of its response are handed to the transport, so an answer that a client has
received completely is in the ring. Chunks of a response are written first and copied afterwards.
"""

import logging
import socket
import struct
import time
from typing import Final

from proxy.http1.chunked import LAST_CHUNK, frame
from proxy.http1.errors import STATUS_OF, UpstreamError, error_response
from proxy.http1.request_line import IDEMPOTENT_METHODS
from proxy.http1.response_head import ResponseHead
from proxy.ring.body_window import Window, note_chunk
from proxy.ring.exchange import ERROR_INDEX, FLAG_HTTP10, FLAG_OWN_RESPONSE, OK, OUTCOME_INDEX, Exchange
from proxy.worker.deadlines import Phase
from proxy.worker.downstream_state import BY_CLIENT, BY_UNSENT, BY_UPSTREAM, ClientSide
from proxy.worker.tunnel import Tunnel
from storage.record import Outcome

log = logging.getLogger(__name__)

REJECTED: Final = OUTCOME_INDEX[Outcome.REJECTED]
CLIENT_CLOSED: Final = OUTCOME_INDEX[Outcome.CLIENT_CLOSED]
SHUTDOWN: Final = OUTCOME_INDEX[Outcome.SHUTDOWN]
_TRUNCATED: Final = OUTCOME_INDEX[Outcome.TRUNCATED]
_UPSTREAM_ERROR: Final = OUTCOME_INDEX[Outcome.UPSTREAM_ERROR]
_UPSTREAM_TIMEOUT: Final = OUTCOME_INDEX[Outcome.UPSTREAM_TIMEOUT]

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that turns a close into a reset, so that a truncated answer never looks like a finished one (P14)."""


class Answering(ClientSide):
    """The answering half of a client connection."""

    __slots__ = ()

    # Opening the upstream.

    def _connect(self) -> None:
        if self.has_sent_request:
            self.phase = Phase.CONNECTING
        self._connecting = self._engine.tasks.create_task(self._open_upstream(), name="open upstream")

    async def _open_upstream(self) -> None:
        exchange, route = self.exchange, self._route
        assert exchange is not None
        assert route is not None
        before_ns = time.monotonic_ns()
        try:
            upstream = await self._engine.pools[route.index].open(is_idempotent=self.method in IDEMPOTENT_METHODS)
        except UpstreamError as error:
            self._connecting = None
            self.upstream_failed(error, is_stale=False)
            return
        except Exception:  # a fault of ours in one exchange must not end the others with the task group
            log.exception("opening an upstream connection failed for a reason nobody thought of")
            self._connecting = None
            self.upstream_failed(UpstreamError("upstream_refused", "no upstream connection"), is_stale=False)
            return
        now_ns = time.monotonic_ns()
        self._connecting = None
        exchange.connect_ns = now_ns - before_ns
        exchange.sent_ns = now_ns - exchange.started_ns
        exchange.upstream = route.address_text
        self._upstream = upstream
        if self.has_sent_request:
            self.phase = Phase.WAITING
            self._since_ns = now_ns
        unsent, self._unsent, self._unsent_bytes = b"".join(self._unsent), [], 0
        upstream.begin(self, unsent)
        self._resume(BY_UNSENT)

    def _unpause_upstream(self) -> None:
        """Give back a connection that was paused while its last bytes were already being read."""
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()

    # Responses.

    def interim(self, head: ResponseHead) -> None:
        """Relay a 1xx; 100 only to a client that waits for it (RFC 9110 §15.2)."""
        exchange, request = self.exchange, self._head
        assert exchange is not None
        assert request is not None
        if not exchange.flags & FLAG_HTTP10 and (head.status != 100 or request.expects_continue):
            self._transport.write(head.status_line + head.fields + b"\r\n")

    def respond_whole(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
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
            exchange.response_body = Window(route.response_window_bytes, route.tail_bytes)
            exchange.response_body.add(body)
        if self._stalled_ns:
            self._unpause_upstream()
        self._upstream = None
        outgoing = b"".join((self._prefix(head, exchange), body))
        self._record(exchange, now_ns)
        self._transport.write(outgoing)
        self._next(now_ns)

    def respond(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
        """Send the response head, and the body bytes that came with it; more will follow."""
        exchange, route = self.exchange, self._route
        assert exchange is not None
        assert route is not None
        exchange.first_byte_ns = now_ns - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        self._transport.write(self._prefix(head, exchange))
        self._is_responding = True
        self.phase = Phase.STREAMING
        self._since_ns = now_ns
        self._is_chunked_out = head.content_length < 0 and not exchange.flags & FLAG_HTTP10
        exchange.response_body = Window(route.response_window_bytes, route.tail_bytes)
        if head.is_event_stream:
            exchange.timeline = []
        if body:
            self.response_data(body)

    def _prefix(self, head: ResponseHead, exchange: Exchange) -> bytes:
        """Build the head for the client, up to the empty line."""
        if not self.has_sent_request:
            self._is_keep_alive = False
        prefix = head.prefix
        if exchange.flags & FLAG_HTTP10:
            prefix = self._prefix_for_http10(head)
        elif not self._is_keep_alive:
            prefix += b"Connection: close\r\n"
        return self._engine.head_end_format % (prefix, exchange.id_text)

    def _prefix_for_http10(self, head: ResponseHead) -> bytes:
        """HTTP/1.0 knows no chunks: without a length the end of the connection ends the body."""
        length = head.content_length
        if length < 0 and head.body_length(self.method) < 0:
            self._is_keep_alive = False
        framing = b"Content-Length: %d\r\n" % length if length >= 0 and head.status != 204 else b""
        connection = b"Connection: keep-alive\r\n" if self._is_keep_alive else b"Connection: close\r\n"
        return head.status_line + head.fields + framing + connection

    def response_data(self, data: bytes) -> None:
        """Send more body; nothing is held back. The copy is taken after the write."""
        self._transport.write(frame(data) if self._is_chunked_out else data)
        exchange = self.exchange
        assert exchange is not None
        assert exchange.response_body is not None
        self._since_ns = now_ns = time.monotonic_ns()
        exchange.response_body.add(data)
        if exchange.timeline is not None:
            note_chunk(exchange.timeline, exchange.response_body.size, (now_ns - exchange.started_ns) // 1000)

    def response_end(self, data: bytes) -> None:
        """Send the last of the body, recorded first."""
        exchange = self.exchange
        assert exchange is not None
        assert exchange.response_body is not None
        if self._stalled_ns:
            self._unpause_upstream()
        self._upstream = None
        now_ns = time.monotonic_ns()
        exchange.done_ns = now_ns - exchange.started_ns
        if data:
            exchange.response_body.add(data)
            if exchange.timeline is not None:
                note_chunk(exchange.timeline, exchange.response_body.size, exchange.done_ns // 1000)
        if self._is_chunked_out:
            data = frame(data) + LAST_CHUNK if data else LAST_CHUNK
        self._record(exchange, now_ns)
        if data:
            self._transport.write(data)
        self._next(now_ns)

    def _next(self, now_ns: int) -> None:
        """Go on to the next request, or close."""
        if not self._is_keep_alive or not self.has_sent_request:
            self._close()
            return
        self.phase = Phase.IDLE
        self._since_ns = now_ns
        if self._paused:
            self._resume(BY_CLIENT | BY_UPSTREAM | BY_UNSENT)
        if self._engine.is_draining:
            self._close()
        elif self._buffer:
            if not self._is_parsing and not self._stalled_ns:
                self._go_on()
        elif self._eof_ns:
            self._close()

    # Tunnels.

    @property
    def wants_websocket(self) -> bool:
        """Whether the running request asked to become a WebSocket."""
        return self._head is not None and self._head.is_websocket

    def open_tunnel(self, head: ResponseHead, raw: bytes, data: bytes) -> None:
        """Answer 101 and relay raw bytes from now on; what the client sent already goes first."""
        exchange, upstream = self.exchange, self._upstream
        assert exchange is not None
        assert upstream is not None
        now_ns = time.monotonic_ns()
        exchange.first_byte_ns = now_ns - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        self._is_responding = True
        self._is_keep_alive = False
        self.phase = Phase.TUNNEL
        self._tunnel = Tunnel(exchange, self._engine.recorder, self._engine.max_message_bytes)
        self._transport.write(self._engine.head_end_format % (head.prefix, exchange.id_text))
        if self._buffer:
            early, self._buffer = self._buffer, b""
            self._resume(BY_CLIENT)
            upstream.transport.write(early)
            self._tunnel.watch_client(early)
        if data:
            self.tunnel_data(data)

    def tunnel_data(self, data: bytes) -> None:
        """Pass bytes of the upstream on."""
        self._transport.write(data)
        if self._tunnel is not None:
            self._tunnel.watch_upstream(data)

    def _end_tunnel(self, outcome: int) -> None:
        """Record the session; without a close frame it was cut off by the side that `outcome` names."""
        exchange, tunnel = self.exchange, self._tunnel
        assert exchange is not None
        assert tunnel is not None
        exchange.outcome = OK if tunnel.has_closed else outcome
        exchange.close_code = tunnel.close_code or 0
        now_ns = time.monotonic_ns()
        exchange.done_ns = now_ns - exchange.started_ns
        self._record(exchange, now_ns)
        self._drop_upstream()
        self._tunnel = None
        self._transport.close()

    # Failures.

    def upstream_failed(self, error: UpstreamError, *, is_stale: bool) -> None:
        """Retry, answer, or break off visibly, depending on how far the exchange got (P13, P14)."""
        exchange, route = self.exchange, self._route
        if exchange is None or route is None:
            return
        if self._tunnel is not None:
            self._end_tunnel(CLIENT_CLOSED if self._eof_ns else _TRUNCATED)
            return
        self._drop_upstream()
        if is_stale and not self._is_responding and not self._is_retried and self._may_be_repeated(exchange):
            self._is_retried = True
            self._engine.recorder.count_retry()
            exchange.sent_ns = -1
            self._unsent = [self._upstream_head]
            self._connect()
            return
        self._engine.recorder.count_upstream_error(route.index, error.code)
        if not self._is_responding:
            outcome = _UPSTREAM_TIMEOUT if error.code == "upstream_timeout" else _UPSTREAM_ERROR
            self._answer_error(error.code, error.message, outcome, close=not self.has_sent_request)
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

    def _may_be_repeated(self, exchange: Exchange) -> bool:
        return self.method in IDEMPOTENT_METHODS and exchange.request_body is None and not exchange.request_whole

    def _answer_error(self, code: str, message: str, outcome: int, *, close: bool) -> None:
        """Answer in place of the upstream."""
        exchange = self.exchange
        assert exchange is not None
        self._drop_upstream()
        id_format = self._engine.record_id_format
        head, body = error_response(
            code,
            message,
            close=close or not self._is_keep_alive,
            record_id_line=id_format % exchange.id_text if id_format else b"",
        )
        if self._is_responding:
            exchange.outcome = _TRUNCATED
            self._record(exchange, time.monotonic_ns())
            self._reset()
            return
        exchange.outcome = outcome
        exchange.error = ERROR_INDEX[code]
        exchange.status = STATUS_OF[code]
        exchange.flags |= FLAG_OWN_RESPONSE
        exchange.response_head = head
        window = exchange.response_body = Window(len(body), 0)
        window.add(body)
        if close:
            self._is_keep_alive = False
            self.has_sent_request = False
        now_ns = time.monotonic_ns()
        self._record(exchange, now_ns)
        self._transport.write(head if self.method == b"HEAD" else head + body)
        self._next(now_ns)
