"""One exchange at a time, between a client connection and an upstream: the request up, the response
down, the record.

Strategy: the relay lives as long as its client connection and is begun anew for each request. An
upstream connection calls it directly (`upstream/response_handler.py`). The relay passes the
response to the client's `Exit`, and calls its `Client` only at the points where the two directions
meet. The methods that run for each request use no futures, tasks or timers.

The methods here begin an exchange, find it an upstream, and receive the response. The rest are
functions over the same state (`state.py`), called by the client's connection itself: the body of
the request (`request_side.py`), deadlines (`timing.py`), ends (`ending.py`), the client's side of a
tunnel (`tunnel_side.py`), messages of gRPC (`grpc_messages.py`).

The invariant: an exchange is recorded exactly once, and before the last bytes of its response are
handed to the transport, so a response that a client has received completely is in the ring. If a
response comes before its request is complete, its record follows it (P24). Once the exchange is
recorded, the relay is free for the next one. Chunks of a response are written first and copied
afterwards.
"""

import asyncio
import logging
import time

from proxy.http1.errors import NotHttp2, Refused, UpstreamError
from proxy.http1.request_head import RequestHead
from proxy.http1.request_line import IDEMPOTENT_METHODS
from proxy.http1.request_reader import RequestReader
from proxy.http1.response_head import ResponseHead
from proxy.http1.trailers import forwarded_trailers
from proxy.network.pacing import BY_CLIENT, BY_UNSENT, BY_UPSTREAM
from proxy.ring.body_window import Window
from proxy.ring.exchange import (
    FLAG_HTTP10,
    FLAG_REQUEST_COMPLETE,
    MAX_WAITED_MS,
    NOTES_RESPONSE_TRAILERS,
    Exchange,
)
from proxy.ring.message import OUT
from proxy.ring.timeline import Timeline, note_chunk
from proxy.worker.deadlines import STALLED, STALLED_NS, Phase
from proxy.worker.relay import ending, request_side
from proxy.worker.relay.grpc_messages import count_messages
from proxy.worker.relay.state import RelayState
from proxy.worker.relay.tunnel_side import forward_tunnel
from proxy.worker.routes import Route, settle_unrouted
from proxy.worker.tunnel import Tunnel
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.places import Lane

log = logging.getLogger(__name__)


class Relay(RelayState):
    """Relays the exchanges of one client, one after the other."""

    __slots__ = ()

    # The request.

    def begin(
        self, request: RequestReader, head: RequestHead, now_ns: int, waited_ns: int = 0
    ) -> None:
        """Start the exchange of a request whose head was read: send the part of it that is here, or
        refuse it.

        Args:
            request: the reader, with the head as received and the beginning of the body.
            head: the fields of the head.
            now_ns: the monotonic clock.
            waited_ns: how long the request waited for room in the ring (P30); it counts as begun
                that much earlier.
        """
        engine = self.engine
        exchange = engine.recorder.begin(now_ns - waited_ns, self.peer)
        self.exchange = exchange
        if waited_ns:
            exchange.waited_ms = min(MAX_WAITED_MS, max(1, waited_ns // 1_000_000))
        exchange.request_head = request.raw
        exchange.stream = self.stream
        method = request.method
        self.method = method
        exchange.method = method
        is_http10 = request.is_http10
        flags = self.flags | FLAG_HTTP10 if is_http10 else self.flags
        self.head = head
        self.exit.begin(
            method, is_keep_alive=head.is_keep_alive and engine.keeps_alive, is_http10=is_http10
        )

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
            route, outgoing = self.admission.admit(exchange, request, head)
        except Refused as refusal:
            exchange.client = self.admission.client_of(head)
            settle_unrouted(exchange, engine.level, self.admission.unrouted)
            ending.refuse(self, refusal)
            return

        self.route = route
        self.upstream_head = outgoing
        self.is_retried = False
        self.is_upload_paused = False
        engine.in_flight.add(exchange)
        if has_body:
            outgoing += request_side.begin_body(self, exchange, route, request)
        if not self.is_request_complete and request_side.is_clients_turn(self):
            self.phase = Phase.BODY
        else:
            self.phase = Phase.WAITING
        self.since_ns = now_ns
        self.is_http2 = self.is_grpc or (route.is_http2 and not head.is_websocket)
        if self.is_http2:
            self._begin_on_stream(exchange, route, outgoing[len(self.upstream_head) :], now_ns)
            return

        upstream = engine.pools[route.place].acquire(
            now_ns, may_repeat=not has_body and method in IDEMPOTENT_METHODS
        )
        self._send(exchange, upstream, outgoing, now_ns)

    def _begin_on_stream(self, exchange: Exchange, route: Route, body: bytes, now_ns: int) -> None:
        """Send a request over HTTP/2; a gRPC call fails if the route allows only HTTP/1.1."""
        self.request_trailers = b""
        if self.is_grpc and not route.takes_grpc:
            message = "the call is gRPC, and upstream_protocol of its route is http1"
            self.upstream_failed(UpstreamError("grpc_needs_http2", message), is_stale=False)
        else:
            upstream = self.engine.http2_pools[route.place].acquire(now_ns, may_repeat=True)
            self._send(exchange, upstream, body, now_ns)

    def _send(
        self, exchange: Exchange, upstream: Lane | None, outgoing: bytes, now_ns: int
    ) -> None:
        """Send on the lane that the pool has lent, or open a connection without one."""
        if upstream is not None:
            self.upstream = upstream
            exchange.upstream = upstream.address_text
            exchange.sent_ns = now_ns - exchange.started_ns
            upstream.begin(self, outgoing)
        else:
            self._connect(outgoing)

    # The upstream.

    def _connect(self, outgoing: bytes) -> None:
        self.unsent = []
        self.unsent_bytes = 0
        request_side.keep_unsent(self, outgoing)
        if self.phase != Phase.BODY:
            self.phase = Phase.CONNECTING
        self.connecting = self.engine.tasks.create_task(self._open_upstream(), name="open upstream")

    async def _open_upstream(self) -> None:
        exchange = self.exchange
        route = self.route
        assert exchange is not None
        assert route is not None
        before_ns = time.monotonic_ns()

        try:
            if self.is_http2:
                openers = self.engine.http2_openers
            else:
                openers = self.engine.openers
            upstream = await openers[route.place].open(may_repeat=self.may_be_retried(exchange))
        except UpstreamError as error:
            self.connecting = None
            if self.is_grpc and isinstance(error, NotHttp2):
                error.code = "grpc_needs_http2"
            self.upstream_failed(error, is_stale=False)
            return
        except asyncio.CancelledError:
            # The client is gone. If the error were raised further, it and the frames of this task
            # would keep each other alive until a garbage collection.
            return
        except Exception:
            # Our own fault in one exchange must not end the others together with the task group.
            log.exception("unexpected error while opening an upstream connection")
            self.connecting = None
            self.upstream_failed(
                UpstreamError("upstream_refused", "no upstream connection"), is_stale=False
            )
            return

        now_ns = time.monotonic_ns()
        self.connecting = None
        exchange.connect_ns = now_ns - before_ns
        exchange.sent_ns = now_ns - exchange.started_ns
        exchange.upstream = upstream.address_text
        self.upstream = upstream
        if self.phase == Phase.CONNECTING:
            if request_side.is_clients_turn(self):
                self.phase = Phase.BODY
            else:
                self.phase = Phase.WAITING
            self.since_ns = now_ns
        upstream.begin(self, request_side.take_unsent(self))
        self.client.resume(BY_UNSENT)

    def pause_request(self) -> None:
        self.is_upload_paused = True
        self.client.pause(BY_UPSTREAM)
        if self.phase == Phase.BODY:
            self.phase = Phase.WAITING
        if self.phase != Phase.STREAMING:
            self.since_ns = time.monotonic_ns()

    def resume_request(self) -> None:
        self.is_upload_paused = False
        request_side.restart_body_clock(self)
        self.client.resume(BY_UPSTREAM)

    def may_be_retried(self, exchange: Exchange) -> bool:
        return (
            self.method in IDEMPOTENT_METHODS
            and exchange.request_body is None
            and not exchange.request_whole
        )

    def upstream_refused(self, error: UpstreamError, sent: bytes | None) -> None:
        """Send a request again that the upstream refused unprocessed (RFC 9113 §8.7).

        It needs all of the request as `sent`, so the request must be short. It happens once.
        """
        if self.exchange is None or sent is None or self.is_retried:
            self.upstream_failed(error, is_stale=False)
        else:
            self._send_again(self.exchange, sent)

    def _send_again(self, exchange: Exchange, outgoing: bytes) -> None:
        self.drop_upstream()
        self.is_retried = True
        self.engine.recorder.count("upstream_retries")
        exchange.sent_ns = -1
        self._connect(outgoing)
        if self.is_upload_paused:
            self.resume_request()

    def upstream_failed(self, error: UpstreamError, *, is_stale: bool) -> None:
        """Retry, send an error, or break off visibly, depending on how far the exchange got (P13,
        P14).
        """
        exchange = self.exchange
        route = self.route
        if exchange is None or route is None:
            return

        self.drop_upstream()
        is_new = self.tunnel is None and not self.is_responding and not self.is_retried
        if is_stale and is_new and self.may_be_retried(exchange):
            self._send_again(exchange, b"" if self.is_http2 else self.upstream_head)
            return

        ending.fail(self, exchange, route.index, error)

    # The response.

    def _unpause_upstream(self) -> None:
        """Undo the client's pause before a connection goes back to its pool."""
        if self.upstream is not None:
            self.upstream.resume(BY_CLIENT)

    def send_informational(self, head: ResponseHead) -> None:
        """Relay a 1xx response to the client; a 100 only if the client waits for it (RFC 9110
        §15.2).
        """
        request = self.head
        assert request is not None
        if head.status == 100:
            self.is_continue_due = False
            self.continued_ns = time.monotonic_ns()
            request_side.restart_body_clock(self)

        if head.status != 100 or request.expects_continue:
            self.exit.inform(head)

    def send_full_response(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
        """Record the exchange, then send the whole response in one write."""
        exchange = self.exchange
        route = self.route
        assert exchange is not None
        assert route is not None
        exchange.first_byte_ns = exchange.done_ns = now_ns - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw

        if len(body) <= route.response_window_bytes:
            exchange.response_whole = body
        else:
            windows = route.windows.of(exchange.request_head)
            exchange.response_body = Window(windows.response_bytes, windows.response_tail_bytes)
            exchange.response_body.add(body)

        if self.is_grpc:
            count_messages(self, OUT, body)
        if self.is_paused:
            self._unpause_upstream()
        self.upstream = None
        exit = self.exit
        if not self.is_request_complete:
            exit.is_keep_alive = ending.may_keep_alive(self)
        exit.whole(head, body, exchange.id_text)
        ending.end(self, exchange, now_ns)

    def start_response(self, head: ResponseHead, raw: bytes, now_ns: int) -> None:
        """Send the head of a response whose body will follow."""
        exchange = self.exchange
        route = self.route
        assert exchange is not None
        assert route is not None
        exchange.first_byte_ns = now_ns - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        self.exit.is_keep_alive = ending.may_keep_alive(self)
        self.exit.start(head, exchange.id_text)
        self.phase = Phase.STREAMING
        self.since_ns = now_ns
        windows = route.windows.of_response(
            exchange.request_head, is_event_stream=head.is_event_stream
        )
        exchange.response_body = Window(windows.response_bytes, windows.response_tail_bytes)
        if head.is_event_stream or windows is route.windows.paced:
            exchange.timeline = Timeline()
        # Another stream may have filled the client's connection before this one had an upstream.
        if self.is_paused:
            self.pause_response()

    def response_data(self, data: bytes) -> None:
        """Send the next bytes of the response's body to the client, then copy them for the record."""
        self.exit.data(data)
        exchange = self.exchange
        assert exchange is not None
        assert exchange.response_body is not None
        now_ns = time.monotonic_ns()
        self.since_ns = now_ns
        exchange.response_body.add(data)
        if self.is_grpc:
            count_messages(self, OUT, data)
        if exchange.timeline is not None:
            note_chunk(
                exchange.timeline,
                exchange.response_body.size,
                (now_ns - exchange.started_ns) // 1000,
            )

    def response_end(self, data: bytes, trailers: bytes) -> None:
        """Record the exchange, then send the last of the body and its trailers."""
        exchange = self.exchange
        assert exchange is not None
        assert exchange.response_body is not None
        if self.is_paused:
            self._unpause_upstream()
        self.upstream = None
        now_ns = time.monotonic_ns()
        exchange.done_ns = now_ns - exchange.started_ns

        if data:
            exchange.response_body.add(data)
            if self.is_grpc:
                count_messages(self, OUT, data)
            if exchange.timeline is not None:
                note_chunk(exchange.timeline, exchange.response_body.size, exchange.done_ns // 1000)

        self.exit.end(data, self._forwarded_trailers(exchange, trailers) if trailers else b"")
        ending.end(self, exchange, now_ns)

    def _forwarded_trailers(self, exchange: Exchange, trailers: bytes) -> bytes:
        """Note the trailers of a response; return the trailers for its client."""
        assert self.route is not None
        without = self.route.response_trailers_without
        takes_any = self.exit.takes_trailers
        kept, dropped = forwarded_trailers(
            trailers, exchange.response_head, without, takes_any=takes_any
        )
        exchange.note_trailers(NOTES_RESPONSE_TRAILERS, trailers, dropped)
        return kept

    # Tunnels.

    @property
    def wants_websocket(self) -> bool:
        return self.head is not None and self.head.is_websocket

    def open_tunnel(self, head: ResponseHead, raw: bytes, data: bytes) -> None:
        """Send the 101 and relay raw bytes from now on, first those that are here already."""
        exchange = self.exchange
        engine = self.engine
        upstream = self.upstream
        assert exchange is not None
        assert isinstance(upstream, UpstreamConnection)
        assert self.route is not None
        exchange.first_byte_ns = time.monotonic_ns() - exchange.started_ns
        exchange.status = head.status
        exchange.response_head = raw
        self.exit.is_keep_alive = False
        self.phase = Phase.TUNNEL
        self.tunnel = tunnel = Tunnel(
            exchange,
            engine.recorder,
            engine.turns,
            engine.pace,
            (self.client, upstream),
            max_bytes=engine.capture.message_bytes,
            session_bytes=self.route.windows.session_bytes(exchange.request_head),
        )

        self.exit.switch(head, exchange.id_text)
        self.is_upload_paused = False
        if early := self.client.take_read_ahead():
            forward_tunnel(self, tunnel, early)
        if data:
            self.tunnel_data(data)

    def tunnel_data(self, data: bytes) -> None:
        """Send bytes of the upstream through its tunnel."""
        self.exit.data(data)
        if self.tunnel is not None:
            self.tunnel.watch_upstream(data)

    # Back-pressure from the client.

    def pause_response(self) -> None:
        """Stop reading from the upstream: the client receives nothing for now."""
        self.is_paused = True
        if self.upstream is not None:
            self.upstream.pause(BY_CLIENT)

    def resume_response(self) -> None:
        """Read on from the upstream, or end a response that is here: the client receives bytes
        again.
        """
        self.is_paused = False
        if self.upstream is not None:
            self.upstream.resume(BY_CLIENT)
        if self.phase == Phase.STREAMING:
            self.since_ns = time.monotonic_ns()
            if self.upstream is None and self.exchange is not None:
                ending.end(self, self.exchange, self.since_ns)

    @property
    def stall_limit(self) -> tuple[bool, int]:
        """Return True if other requests wait for the upstream connection of this exchange; and how
        long the client may receive nothing, in ns (0: no limit).
        """
        limit_ns = self.deadlines.write_stall_ns
        gives_way = (limit_ns > STALLED_NS or not limit_ns) and request_side.is_awaited(self)
        return gives_way, STALLED_NS if gives_way else limit_ns

    def client_stalled(self, *, is_awaited: bool) -> None:
        """Note that the client has received nothing for too long; its connection is cut afterwards
        (P17).

        The upstream is dropped at once: it is then free before the next stalled client is judged.
        """
        if self.is_answered:
            ending.end_answered(self)
        if self.exchange is not None:
            limit = STALLED if is_awaited else self.deadlines.describe_stall()
            message = f"the client stopped reading the response ({limit})"
            ending.note_error(self.exchange, "client_stalled", message)

        self.drop_upstream()
