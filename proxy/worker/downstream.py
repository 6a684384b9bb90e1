"""The client side of the default engine: one HTTP/1.1 connection, one exchange at a time.

Strategy: cut the head out of the bytes, judge it in pure functions (`target.py`, `heads.py`), frame the body by what
the head says, lend an upstream connection and let bytes pass both ways; the response half is `answering.py`. Pipelined
requests wait in a bounded buffer until the response before them is out (RFC 9112 §9.3.2). Bytes that do not frame
exactly are refused before anything of them reaches an upstream.

The methods that run per request join bytes that were built before and keep no futures, tasks or timers; measured with
bench/macro (bench/results).
"""

import asyncio
import time
from typing import cast

from proxy.http1.chunked import LAST_CHUNK, ChunkedDecoder, ChunkError, frame
from proxy.http1.errors import KEEPS_CONNECTION, Refused, UpstreamError, error_response
from proxy.http1.forwarded import forwarded_lines
from proxy.http1.request_head import RequestHead
from proxy.http1.request_line import FAST_REQUEST_LINE, IDEMPOTENT_METHODS, MAX_REQUEST_LINE_BYTES, parse_request_line
from proxy.ring.body_window import Window
from proxy.ring.exchange import FLAG_HTTP10, FLAG_REQUEST_COMPLETE, FLAG_TLS, Exchange
from proxy.worker.deadlines import MAX_LINGER_BYTES, MAX_READ_AHEAD_BYTES, Phase
from proxy.worker.downstream_state import BY_CLIENT, BY_UNSENT
from proxy.worker.responding import CLIENT_CLOSED, REJECTED, SHUTDOWN, Answering
from proxy.worker.routes import Route
from proxy.worker.socket_queues import unsent_bytes


class Downstream(Answering):
    """One client connection."""

    __slots__ = ()

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; above the limit of connections answer 503 and close, unread and unrecorded."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_READ_AHEAD_BYTES)
        engine = self._engine
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]).encode() if isinstance(peer, tuple) and peer else b""
        if transport.get_extra_info("sslcontext") is not None:
            self._scheme = b"https"
        self._since_ns = time.monotonic_ns()
        refusal = engine.admit(self, self._peer)
        if refusal:
            head, body = error_response("overloaded", refusal, close=True)
            self.phase = Phase.LINGERING
            self._transport.write(head + body)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone: cancel the upstream, record what there is (P15)."""
        engine = self._engine
        engine.dismiss(self, self._peer)
        if self._tunnel is not None:
            self._end_tunnel(CLIENT_CLOSED)
        self._end_early(CLIENT_CLOSED, 499)
        self.phase = Phase.LINGERING

    def eof_received(self) -> bool:
        """The client sends no more; a complete request still gets its answer, for a while (`HALF_CLOSE_NS`)."""
        has_more = self._stalled_ns and self._buffer  # requests that wait until their client reads
        if (self.exchange is None and not has_more) or not self.has_sent_request:
            return False
        if not self._transport.can_write_eof():  # TLS ends both sides at once, and its loop logs who says otherwise
            return False
        self._eof_ns = time.monotonic_ns()
        if self._tunnel is not None and self._upstream is not None and self._upstream.transport.can_write_eof():
            self._upstream.transport.write_eof()
        return True

    def close_if_idle(self) -> None:
        """Draining: close now when nothing is under way; otherwise the running exchange is the last."""
        self._is_keep_alive = False
        if self.phase is Phase.IDLE or self.phase is Phase.FRESH:
            self.has_sent_request = True
            self._close()

    def abort_for_shutdown(self) -> None:
        """The time for draining is over: record and close."""
        is_cut = self.exchange is not None and self._is_responding
        self._end_early(SHUTDOWN, 503)
        if is_cut:
            self._reset()
        else:
            self._transport.abort()

    # Time.

    def check(self, now_ns: int) -> None:
        """Enforce the deadlines; called by the engine's tick."""
        deadlines = self._engine.deadlines
        if self._stalled_ns:
            size = unsent_bytes(self._transport)
            if size < self._stalled_bytes:
                self._stalled_ns = now_ns
            elif deadlines.write_stall_ns and now_ns - self._stalled_ns >= deadlines.write_stall_ns:
                self._transport.abort()
            self._stalled_bytes = size
        elif self._has_left(now_ns):
            self._transport.abort()
        elif self._is_upload_stalled(now_ns):
            error = UpstreamError("upstream_timeout", "the upstream takes no more of the request")
            self.upstream_failed(error, is_stale=False)
        elif deadlines.is_over(self.phase, self._since_ns, now_ns):
            self._time_out()

    def _time_out(self) -> None:
        match self.phase:
            case Phase.IDLE | Phase.FRESH | Phase.LINGERING:
                self._transport.close()
            case Phase.HEAD:
                self._refuse_unread("timeout_headers", "the request head did not arrive in time")
            case Phase.BODY:
                self._answer_error("timeout_body", "the request body did not go on in time", REJECTED, close=True)
            case Phase.WAITING:
                self.upstream_failed(UpstreamError("upstream_timeout", "no answer in time"), is_stale=False)
            case Phase.STREAMING:
                self.upstream_failed(UpstreamError("upstream_timeout", "the response stalled"), is_stale=False)
            case Phase.CONNECTING | Phase.TUNNEL:
                raise AssertionError("bug: this phase has no deadline of its own")

    # Reading requests.

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client: a head, a body, or the next requests."""
        if self.exchange is None:
            if self.phase is Phase.LINGERING:
                self._lingered_bytes += len(data)
                if self._lingered_bytes > MAX_LINGER_BYTES:
                    self._transport.close()
            elif self._stalled_ns:
                self._hold(data)
            else:
                self._parse(self._buffer + data if self._buffer else data)
        elif self._tunnel is not None:
            self._forward(data)
            self._tunnel.watch_client(data)
        elif self.has_sent_request:
            self._hold(data)
        else:
            self._read_body(data)

    def _hold(self, data: bytes) -> None:
        """Keep bytes for later: a request is running, or its client does not take the answers to the ones before."""
        self._buffer += data
        if len(self._buffer) > MAX_READ_AHEAD_BYTES:
            self._pause(BY_CLIENT)

    def _parse(self, data: bytes) -> None:
        """Begin requests until one of them runs, or the bytes are used up, or the client takes no answers."""
        self._buffer = b""
        self._is_parsing = True
        while data and self.exchange is None and self.phase is not Phase.LINGERING and not self._stalled_ns:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 or end > self._engine.max_head_bytes:
                self._await_head(data)
                break
            self._begin(data, end)
            data = self._buffer
        self._is_parsing = False
        if data and self.exchange is not None and len(data) > MAX_READ_AHEAD_BYTES:
            self._pause(BY_CLIENT)  # one read of the loop may bring more than that

    def _await_head(self, data: bytes) -> None:
        engine = self._engine
        if self.phase is not Phase.HEAD:
            if self.phase is not Phase.FRESH:
                self._since_ns = time.monotonic_ns()
            self.phase = Phase.HEAD
        self._buffer = data
        if not data[:1].isalpha() and data[:1] not in b"\r\n":  # a TLS hello, for one: its end would never come
            self._refuse_unread("bad_request", f"a request does not begin with {data[:8]!r}")
        elif len(data) > MAX_REQUEST_LINE_BYTES and b"\r\n" not in data[: MAX_REQUEST_LINE_BYTES + 2]:
            self._refuse_unread("uri_too_long", f"request line over {MAX_REQUEST_LINE_BYTES} bytes")
        elif len(data) > engine.max_head_bytes:
            self._refuse_unread("header_too_large", f"request head over {engine.max_head_bytes} bytes")

    def _begin(self, data: bytes, end: int) -> None:
        """Start the exchange whose head is `data[:end]`; what follows its request stays in the buffer."""
        engine = self._engine
        now_ns = time.monotonic_ns()
        self.exchange = exchange = engine.recorder.begin(now_ns, self._peer)
        exchange.request_head = data[:end]
        self._buffer = rest = data[end:]
        self._is_responding = False
        self.has_sent_request = True
        self.method = b""
        try:
            match = FAST_REQUEST_LINE.match(data)
            if match is not None and match.end() <= MAX_REQUEST_LINE_BYTES:
                method, target, minor = match.groups()
                line_end = match.end()
                is_http10 = minor == b"0"
                authority = None
            else:
                line_end = data.index(b"\r\n") + 2
                method, target, authority, is_http10 = parse_request_line(
                    data[: line_end - 2], is_tls=self._scheme == b"https"
                )
            self.method = exchange.method = method
            head = engine.parse(data[line_end - 10 : end])
            exchange.flags = (FLAG_HTTP10 if is_http10 else 0) | (FLAG_TLS if self._scheme == b"https" else 0)
            self._is_keep_alive = head.is_keep_alive and engine.keeps_alive
            self._admit(exchange, head, target, head.host if authority is None else authority)
        except Refused as refusal:
            exchange.outcome = REJECTED
            self.method = self.method or _method_seen(data)
            self._refuse(refusal)
            return
        route = self._route
        assert route is not None
        fields = self._fields
        if fields[0] is not head or fields[1] is not route or authority is not None:
            fields = self._fields = self._render(head, route, authority)
        exchange.client = fields[3]
        id_line = b"" if head.request_id else b"X-Request-Id: %b\r\n" % exchange.id_text
        if route.strip_bytes:
            target = route.target(target)
        self._upstream_head = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method, target, fields[2], id_line)
        engine.in_flight.add(self)
        self._send(exchange, head, rest, now_ns)

    def _admit(self, exchange: Exchange, head: RequestHead, target: bytes, host: bytes) -> None:
        """Find the route, refuse what may not pass."""
        engine = self._engine
        self._head = head
        if head.content_length > 0 or head.is_chunked:
            self.has_sent_request = False
        else:
            exchange.flags |= FLAG_REQUEST_COMPLETE
        route = engine.routes.catch_all or engine.routes.match(host, target)
        if route is None:
            raise Refused("no_route", f"no route for host {host[:80]!r} and path {target[:80]!r}")
        self._route = route
        exchange.route = route.index
        exchange.flags |= route.flags
        exchange.is_recorded = route.is_recorded
        if engine.instance in head.hops:
            raise Refused("loop_detected", "this request has passed this proxy before")
        if 0 < engine.max_body_bytes < head.content_length:
            raise Refused(
                "body_too_large", f"body of {head.content_length} bytes, the limit is {engine.max_body_bytes}"
            )
        if route.access is not None:
            engine.gate.admit(exchange, route.access, head, self._peer)

    def _render(
        self, head: RequestHead, route: Route, authority: bytes | None
    ) -> tuple[RequestHead | None, Route | None, bytes, bytes]:
        """Build the field lines for the upstream, and find the client, for as long as this head repeats."""
        engine = self._engine
        peer = self._peer
        is_trusted = engine.trusted.has(peer.decode())
        client = peer
        if is_trusted and head.forwarded_for:
            client = engine.trusted.client(peer.decode(), head.forwarded_for).encode()
        if authority is not None:
            lines = route.render(head.with_host(authority), engine.instance, engine.via)
            lines += forwarded_lines(head, peer, self._scheme, authority, is_trusted=is_trusted)
            return None, None, lines, client
        lines = engine.render(head, route)
        lines += forwarded_lines(head, peer, self._scheme, head.host, is_trusted=is_trusted)
        return head, route, lines, client

    def _send(self, exchange: Exchange, head: RequestHead, rest: bytes, now_ns: int) -> None:
        """Send the request to the upstream, as far as it is here."""
        route = self._route
        assert route is not None
        outgoing = self._upstream_head
        length = head.content_length
        if 0 < length <= len(rest) and length <= route.request_window_bytes:
            exchange.request_whole = body = rest[:length]
            self._buffer = rest[length:]
            outgoing += body
            self.has_sent_request = True
            exchange.flags |= FLAG_REQUEST_COMPLETE
        if self.has_sent_request:
            self.phase = Phase.WAITING
        else:
            self._buffer = b""
            exchange.request_body = Window(route.request_window_bytes, route.tail_bytes)
            self._remaining = length
            self._decoder = ChunkedDecoder() if head.is_chunked else None
            self.phase = Phase.BODY
        self._since_ns = now_ns
        self._is_retried = False
        pool = self._engine.pools[route.index]
        upstream = pool.acquire(now_ns, is_idempotent=self.method in IDEMPOTENT_METHODS)
        if upstream is not None:
            self._upstream = upstream
            exchange.upstream = route.address_text
            exchange.sent_ns = now_ns - exchange.started_ns
            if not self.has_sent_request and rest and not head.is_chunked:
                outgoing += self._take_length(rest)
                rest = b""
            upstream.begin(self, outgoing)
        else:
            self._unsent = [outgoing]
            self._unsent_bytes = len(outgoing)
            self._connect()
        if not self.has_sent_request and rest:
            self._read_body(rest)

    def _take_length(self, data: bytes) -> bytes:
        """Take what belongs to a body of known length; the rest is the next request's."""
        exchange = self.exchange
        assert exchange is not None
        assert exchange.request_body is not None
        remaining = self._remaining
        if len(data) > remaining:
            self._buffer = data[remaining:]
            data = data[:remaining]
        self._remaining = remaining - len(data)
        exchange.request_body.add(data)
        if not self._remaining:
            self._complete_request(exchange)
        return data

    def _complete_request(self, exchange: Exchange) -> None:
        self.has_sent_request = True
        exchange.flags |= FLAG_REQUEST_COMPLETE
        if not self._is_responding:
            self.phase = Phase.WAITING if self._connecting is None else Phase.CONNECTING
            self._since_ns = time.monotonic_ns()

    def _read_body(self, data: bytes) -> None:
        """Pass request body on, framed as the head said."""
        exchange = self.exchange
        assert exchange is not None
        assert exchange.request_body is not None
        if self.phase is Phase.BODY:
            self._since_ns = time.monotonic_ns()
        if self._decoder is None:
            self._forward(self._take_length(data))
            return
        try:
            pieces, rest = self._decoder.feed(data)
        except ChunkError as error:
            self._answer_error("bad_request", str(error), REJECTED, close=True)
            return
        body = b"".join(pieces)
        if body:
            exchange.request_body.add(body)
        limit = self._engine.max_body_bytes
        if 0 < limit < exchange.request_body.size:
            self._answer_error("body_too_large", f"body over the limit of {limit} bytes", REJECTED, close=True)
            return
        outgoing = frame(body) if body else b""
        if self._decoder.is_done:
            self._decoder = None
            self._buffer = rest
            self._complete_request(exchange)
            outgoing += LAST_CHUNK
        self._forward(outgoing)

    def _forward(self, data: bytes) -> None:
        upstream = self._upstream
        if upstream is not None:
            upstream.transport.write(data)
        elif self._connecting is not None:
            self._unsent.append(data)
            self._unsent_bytes += len(data)
            if self._unsent_bytes > MAX_READ_AHEAD_BYTES:
                self._pause(BY_UNSENT)

    def _go_on(self) -> None:
        """Begin the requests that wait in the buffer; of a client that sends no more, these are the last."""
        self._resume(BY_CLIENT)
        self._parse(self._buffer)
        if self._eof_ns and self.exchange is None and not self._stalled_ns:
            self._close()

    def _refuse(self, refusal: Refused) -> None:
        close = refusal.code not in KEEPS_CONNECTION or not self.has_sent_request
        self._answer_error(refusal.code, refusal.message, REJECTED, close=close)

    def _refuse_unread(self, code: str, message: str) -> None:
        """Refuse a request whose head never became complete."""
        self.exchange = exchange = self._engine.recorder.begin(time.monotonic_ns(), self._peer)
        exchange.request_head = self._buffer[: self._engine.max_line_bytes]
        self.method = _method_seen(self._buffer)
        self.has_sent_request = False
        self._is_responding = False
        self._answer_error(code, message, REJECTED, close=True)


def _method_seen(data: bytes) -> bytes:
    """What an unreadable request was meant to be, as far as it shapes the answer: none to HEAD has a body (P6)."""
    return b"HEAD" if data.startswith(b"HEAD ") else b""
