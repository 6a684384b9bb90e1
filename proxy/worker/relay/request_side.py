"""The request on its way up: its body, the turns of client and upstream, and bytes that wait for an
upstream connection.

Functions over the state of a relay. After the response, the body of a request is read only for its
record (P24).
"""

import time

from proxy.http1.chunked import LAST_CHUNK, frame, last_chunk
from proxy.http1.request_reader import RequestReader
from proxy.http1.trailers import forwarded_trailers
from proxy.network.pacing import BY_UNSENT
from proxy.ring.body_window import Window
from proxy.ring.exchange import FLAG_REQUEST_COMPLETE, NOTES_REQUEST_TRAILERS, Exchange
from proxy.ring.message import IN
from proxy.worker.deadlines import MAX_READ_AHEAD_BYTES, Phase, is_trickle
from proxy.worker.relay.ending import end_answered, is_rest_unneeded, reject
from proxy.worker.relay.grpc_messages import count_messages
from proxy.worker.relay.state import RelayState
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.http2_lane import Http2Lane


def begin_body(
    relay: RelayState, exchange: Exchange, route: Route, request: RequestReader
) -> bytes:
    """Return the part of the body that came with the head; note it for the record."""
    body = request.body
    relay.has_long_body = request.is_body_due or len(body) > MAX_READ_AHEAD_BYTES
    if not request.is_body_due:
        relay.is_request_complete = True
        exchange.flags |= FLAG_REQUEST_COMPLETE
        if len(body) <= route.request_window_bytes:
            exchange.request_whole = body
            return body

    windows = route.windows.of(exchange.request_head)
    exchange.request_body = Window(windows.request_bytes, windows.request_tail_bytes)
    relay.body_bytes = request.content_length
    if body:
        exchange.request_body.add(body)
    return body


def forward_body(relay: RelayState, body: bytes, trailers: bytes, *, is_last: bool) -> None:
    """Forward more of the body; the last part may have trailer lines after it."""
    exchange = relay.exchange
    head = relay.head
    assert exchange is not None
    assert exchange.request_body is not None
    assert head is not None

    if body:
        exchange.request_body.add(body)
        if relay.is_grpc:
            count_messages(relay, IN, body)

    restart_body_clock(relay)
    assert relay.route is not None
    if head.is_chunked:
        limit = relay.route.max_body_bytes
        if 0 < limit < exchange.request_body.size:
            reject(relay, "body_too_large", f"body over the limit of {limit} bytes", close=True)
            return

    takes_any = head.is_chunked or relay.is_http2
    kept = _kept_trailers(exchange, relay.route, trailers, takes_any=takes_any) if trailers else b""
    if is_last:
        relay.is_request_complete = True
        exchange.flags |= FLAG_REQUEST_COMPLETE
        if not relay.is_responding:
            relay.phase = Phase.WAITING if relay.connecting is None else Phase.CONNECTING
            relay.since_ns = time.monotonic_ns()

    if not relay.is_answered:
        if relay.is_http2:
            relay.request_trailers = kept
            _forward_on_stream(relay, body, is_last=is_last)
        else:
            forward(relay, _framed(body, kept, is_last=is_last) if head.is_chunked else body)
    elif is_last or is_rest_unneeded(relay):
        end_answered(relay)


def _framed(body: bytes, trailers: bytes, *, is_last: bool) -> bytes:
    framed = frame(body) if body else b""
    if is_last:
        framed += last_chunk(trailers) if trailers else LAST_CHUNK
    return framed


def _kept_trailers(exchange: Exchange, route: Route, trailers: bytes, *, takes_any: bool) -> bytes:
    """Note the trailers of a request; return the trailers for its upstream."""
    without = route.request_trailers_without
    kept, dropped = forwarded_trailers(
        trailers, exchange.request_head, without, takes_any=takes_any
    )
    exchange.note_trailers(NOTES_REQUEST_TRAILERS, trailers, dropped)
    return kept


def is_clients_turn(relay: RelayState) -> bool:
    """Return True if the client is to send more of its body, and does not wait for a 100."""
    if relay.is_request_complete:
        return False
    body = None if relay.exchange is None else relay.exchange.request_body
    return not relay.is_continue_due or (body is not None and body.size > 0)


def restart_body_clock(relay: RelayState) -> None:
    """Restart the client's time for the next part of its body, if the client is to send it.

    It is not the client's turn while the upstream takes no more, or while the client waits for a
    100; it may stop waiting for that at any time (RFC 9110 §10.1.1). An upstream that responds
    meanwhile may be waiting for that part.
    """
    if relay.phase == Phase.WAITING and not relay.is_upload_paused and is_clients_turn(relay):
        relay.phase = Phase.BODY
    if relay.phase in (Phase.BODY, Phase.STREAMING):
        relay.since_ns = time.monotonic_ns()


def forward(relay: RelayState, data: bytes) -> None:
    """Send bytes to an upstream of HTTP/1.1, or keep them until it is connected."""
    if relay.upstream is not None:
        assert isinstance(relay.upstream, UpstreamConnection)
        # A lost connection may still be reading its last bytes.
        if not relay.upstream.transport.is_closing():
            relay.upstream.write(data)
    elif relay.connecting is not None:
        keep_unsent(relay, data)


def _forward_on_stream(relay: RelayState, data: bytes, *, is_last: bool) -> None:
    if relay.upstream is not None:
        assert isinstance(relay.upstream, Http2Lane)
        relay.upstream.send(data, relay.request_trailers, is_last=is_last)
    elif relay.connecting is not None:
        keep_unsent(relay, data)


def keep_unsent(relay: RelayState, data: bytes) -> None:
    """Keep bytes until an upstream is connected; above a limit, stop reading from the client."""
    relay.unsent.append(data)
    relay.unsent_bytes += len(data)
    if relay.unsent_bytes > MAX_READ_AHEAD_BYTES:
        relay.client.pause(BY_UNSENT)
        relay.phase = Phase.CONNECTING


def take_unsent(relay: RelayState) -> bytes:
    """Return the bytes that waited for an upstream."""
    unsent = b"".join(relay.unsent)
    relay.unsent = []
    relay.unsent_bytes = 0
    return unsent


def is_awaited(relay: RelayState) -> bool:
    """Return True if this exchange holds an upstream connection that other requests wait for."""
    route = relay.route
    if relay.upstream is None or route is None:
        return False

    if relay.is_http2:
        return relay.engine.http2_pools[route.place].is_awaited
    return relay.engine.pools[route.place].is_awaited


def delays_others(relay: RelayState, now_ns: int) -> bool:
    """Return True if a slow request body holds an upstream connection that others wait for (P17)."""
    exchange = relay.exchange
    if (
        exchange is None
        or exchange.request_body is None
        or relay.is_continue_due
        or not is_awaited(relay)
    ):
        return False

    # Its time begins when it may send.
    since_ns = max(exchange.started_ns + exchange.sent_ns, relay.continued_ns)
    size = exchange.request_body.size + relay.arriving_bytes
    return is_trickle(size, now_ns - since_ns)


def untaken_bytes(relay: RelayState) -> int:
    """Return how many bytes of the request the upstream has yet to read (P17).

    Called by the tick. While the client is to send more of its body, a few bytes under way are not
    a sign of a stall.
    """
    upstream = relay.upstream
    exchange = relay.exchange
    if upstream is None or exchange is None or exchange.request_body is None:
        return 0
    if relay.phase == Phase.WAITING or relay.is_upload_paused:
        return upstream.untaken_bytes()
    return 0
