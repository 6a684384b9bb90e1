"""The answering half of a client connection: responses, failures, back-pressure, the end.

What an upstream connection tells its downstream arrives here (`upstream.Owner`). The invariant: an exchange is recorded
exactly once, and before the last bytes of its response are handed to the transport, so an answer that a client has
received completely is in the ring. Chunks of a response are written first and copied afterwards.
"""

import asyncio
import socket
import struct
import time
from typing import Final

from proxy.capture import Window
from proxy.chunked import LAST_CHUNK, ChunkedDecoder, frame
from proxy.engine import Engine
from proxy.errors import STATUS_OF, UpstreamError, error_response
from proxy.exchange import ERROR_INDEX, FLAG_HTTP10, FLAG_OWN_RESPONSE, OUTCOME_INDEX, Exchange
from proxy.heads import RequestHead
from proxy.limits import Phase
from proxy.response_head import ResponseHead
from proxy.routes import Route
from proxy.target import IDEMPOTENT_METHODS
from proxy.timeline import note_chunk
from proxy.upstream import UpstreamConnection
from storage.record import Outcome

REJECTED: Final = OUTCOME_INDEX[Outcome.REJECTED]
CLIENT_CLOSED: Final = OUTCOME_INDEX[Outcome.CLIENT_CLOSED]
SHUTDOWN: Final = OUTCOME_INDEX[Outcome.SHUTDOWN]
_TRUNCATED: Final = OUTCOME_INDEX[Outcome.TRUNCATED]
_UPSTREAM_ERROR: Final = OUTCOME_INDEX[Outcome.UPSTREAM_ERROR]
_UPSTREAM_TIMEOUT: Final = OUTCOME_INDEX[Outcome.UPSTREAM_TIMEOUT]

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that turns a close into a reset, so that a truncated answer never looks like a finished one (P14)."""

BY_CLIENT, BY_UPSTREAM, BY_UNSENT = 1, 2, 4
"""Why reading from the client is paused; it goes on when no reason is left."""


class Answering(asyncio.Protocol):
    """The answering half of a client connection; `connection.Downstream` is the whole."""

    __slots__ = (
        "_buffer",
        "_connecting",
        "_decoder",
        "_engine",
        "_eof_ns",
        "_fields",
        "_head",
        "_is_chunked_out",
        "_is_keep_alive",
        "_is_parsing",
        "_is_responding",
        "_is_retried",
        "_lingered_bytes",
        "_paused",
        "_peer",
        "_remaining",
        "_route",
        "_scheme",
        "_since_ns",
        "_stalled_bytes",
        "_stalled_ns",
        "_transport",
        "_unsent",
        "_unsent_bytes",
        "_upstream",
        "_upstream_head",
        "exchange",
        "has_sent_request",
        "method",
        "phase",
    )

    _transport: asyncio.Transport

    def __init__(self, engine: Engine) -> None:
        """Belong to an engine."""
        self._engine = engine
        # of the connection
        self._peer = b""
        self._scheme = b"http"
        self._buffer = b""
        self._paused = 0
        self._stalled_ns = self._eof_ns = self._stalled_bytes = 0
        self._lingered_bytes = 0
        self._is_parsing = False
        self._fields: tuple[RequestHead | None, Route | None, bytes, bytes] = (None, None, b"", b"")
        """The last head, its route, the lines they became, and the client they came from."""
        self.phase = Phase.IDLE
        self._since_ns = 0
        # of the exchange
        self.exchange: Exchange | None = None
        self.method = b""
        self.has_sent_request = True
        self._head: RequestHead | None = None
        self._route: Route | None = None
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._upstream_head = b""
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._decoder: ChunkedDecoder | None = None
        self._remaining = 0
        self._is_keep_alive = self._is_responding = self._is_chunked_out = self._is_retried = False

    @property
    def is_flushing(self) -> bool:
        """Whether bytes for the client are still in our buffer."""
        return self._transport.get_write_buffer_size() > 0

    def _go_on(self) -> None:
        """Begin the requests that wait in the buffer."""
        raise AssertionError("bug: only a whole connection reads requests")

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

    # Back-pressure.

    def _pause(self, reason: int) -> None:
        if not self._paused:
            self._transport.pause_reading()
        self._paused |= reason

    def _resume(self, reason: int) -> None:
        if self._paused & reason:
            self._paused &= ~reason
            if not self._paused and not self._transport.is_closing():
                self._transport.resume_reading()

    def pause_request(self) -> None:
        """The upstream takes no more for now."""
        self._pause(BY_UPSTREAM)
        if self.phase is Phase.BODY:
            self.phase = Phase.WAITING
            self._since_ns = time.monotonic_ns()

    def resume_request(self) -> None:
        """The upstream takes bytes again."""
        if self.phase is Phase.WAITING and not self.has_sent_request:
            self.phase = Phase.BODY
            self._since_ns = time.monotonic_ns()
        self._resume(BY_UPSTREAM)

    def pause_writing(self) -> None:
        """The client takes no more for now: stop reading from the upstream."""
        self._stalled_ns = time.monotonic_ns()
        self._stalled_bytes = self._transport.get_write_buffer_size()
        if self._upstream is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        self._stalled_ns = 0
        if self._upstream is not None:
            self._upstream.transport.resume_reading()
        if self.phase is Phase.STREAMING:
            self._since_ns = time.monotonic_ns()
        elif self.exchange is None and self._buffer and self.phase is Phase.IDLE:
            self._go_on()

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

    def _record(self, exchange: Exchange, now_ns: int) -> None:
        self.exchange = None
        self._engine.in_flight.discard(self)
        self._engine.recorder.finish(exchange, now_ns)

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

    # Ends.

    def _end_early(self, outcome: int, status: int) -> None:
        """Record the running exchange, if any, as cut short; `status` counts when no head had been sent."""
        exchange = self.exchange
        self._drop_upstream()
        if exchange is None:
            return
        exchange.outcome = outcome
        if not self._is_responding:
            exchange.status = status
        self._record(exchange, time.monotonic_ns())

    def _drop_upstream(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._upstream is not None:
            self._upstream.abandon()
            self._upstream = None

    def _close(self) -> None:
        """Close after what is written; unread input is drained for a moment, lest a reset destroys the answer (P16)."""
        self.phase = Phase.LINGERING
        self._since_ns = time.monotonic_ns()
        self._buffer = b""
        self._is_keep_alive = False
        if self._eof_ns or self.has_sent_request or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._paused = 0
        self._transport.resume_reading()
        self._transport.write_eof()

    # Failures.

    def upstream_failed(self, error: UpstreamError, *, is_stale: bool) -> None:
        """Retry, answer, or break off visibly, depending on how far the exchange got (P13, P14)."""
        exchange, route = self.exchange, self._route
        if exchange is None or route is None:
            return
        self._drop_upstream()
        if is_stale and not self._is_responding and not self._is_retried and self._may_be_repeated(exchange):
            self._is_retried = True
            exchange.sent_ns = -1
            self._unsent = [self._upstream_head]
            self._connect()
            return
        self._engine.recorder.count_upstream_error(route, error.code)
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
