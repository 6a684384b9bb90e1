"""The request on its way up: its body, whose turn it is, and what waits while there is no upstream
yet.

Functions over the state of a call; the body of a request that is answered already is read for its
record only (P24).
"""

import time

from proxy.http1.chunked import LAST_CHUNK, frame, last_chunk
from proxy.http1.request_reader import RequestReader
from proxy.http1.trailers import forwarded_trailers
from proxy.network.fair_loop import BY_UNSENT
from proxy.ring.body_window import Window
from proxy.ring.exchange import FLAG_REQUEST_COMPLETE, NOTES_REQUEST_TRAILERS, Exchange
from proxy.ring.message import IN
from proxy.worker.deadlines import MAX_READ_AHEAD_BYTES, Phase, is_trickle
from proxy.worker.relay.call import Call
from proxy.worker.relay.call_messages import count_messages
from proxy.worker.relay.ending import end_answered, end_with_error, is_body_enough
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.http2_lane import Http2Lane


def begin_body(call: Call, exchange: Exchange, route: Route, request: RequestReader) -> bytes:
    """Return what came of the body together with its head."""
    body = request.body
    call.has_long_body = request.is_body_due or len(body) > MAX_READ_AHEAD_BYTES
    if not request.is_body_due:
        call.is_request_complete = True
        exchange.flags |= FLAG_REQUEST_COMPLETE
        if len(body) <= route.request_window_bytes:
            exchange.request_whole = body
            return body

    windows = route.windows.of(exchange.request_head)
    exchange.request_body = Window(windows.request_bytes, windows.request_tail_bytes)
    call.body_bytes = request.content_length
    if body:
        exchange.request_body.add(body)
    return body


def forward_body(call: Call, body: bytes, trailers: bytes, *, is_last: bool) -> None:
    """Take more of the body, and the trailer lines behind the last of it."""
    exchange = call.exchange
    head = call.head
    assert exchange is not None
    assert exchange.request_body is not None
    assert head is not None

    if body:
        exchange.request_body.add(body)
        if call.is_grpc:
            count_messages(call, IN, body)

    time_body(call)
    assert call.route is not None
    if head.is_chunked:
        limit = call.route.max_body_bytes
        if 0 < limit < exchange.request_body.size:
            end_with_error(
                call, "body_too_large", f"body over the limit of {limit} bytes", close=True
            )
            return

    takes_any = head.is_chunked or call.is_http2
    kept = _kept_trailers(exchange, call.route, trailers, takes_any=takes_any) if trailers else b""
    if is_last:
        call.is_request_complete = True
        exchange.flags |= FLAG_REQUEST_COMPLETE
        if not call.is_responding:
            call.phase = Phase.WAITING if call.connecting is None else Phase.CONNECTING
            call.since_ns = time.monotonic_ns()

    if not call.is_answered:
        if call.is_http2:
            call.request_trailers = kept
            _forward_on_stream(call, body, is_last=is_last)
        else:
            forward(call, _framed(body, kept, is_last=is_last) if head.is_chunked else body)
    elif is_last or is_body_enough(call):
        end_answered(call)


def _framed(body: bytes, trailers: bytes, *, is_last: bool) -> bytes:
    framed = frame(body) if body else b""
    if is_last:
        framed += last_chunk(trailers) if trailers else LAST_CHUNK
    return framed


def _kept_trailers(exchange: Exchange, route: Route, trailers: bytes, *, takes_any: bool) -> bytes:
    """Note trailers; return what of them goes on."""
    without = route.request_trailers_without
    kept, dropped = forwarded_trailers(
        trailers, exchange.request_head, without, takes_any=takes_any
    )
    exchange.note_trailers(NOTES_REQUEST_TRAILERS, trailers, dropped)
    return kept


def is_body_next(call: Call) -> bool:
    """Return whether it is the client's turn to send: a part of its body is to come, and it waits
    for no 100.
    """
    if call.is_request_complete:
        return False
    body = None if call.exchange is None else call.exchange.request_body
    return not call.is_continue_due or (body is not None and body.size > 0)


def time_body(call: Call) -> None:
    """Restart the client's time for the next part of its body, if it is the client's turn.

    It was not while the upstream took no more, or the client waited for a 100, without which it may
    go on (RFC 9110 §10.1.1).
    """
    if call.phase == Phase.WAITING and not call.is_upload_paused and is_body_next(call):
        call.phase = Phase.BODY
    if call.phase == Phase.BODY:
        call.since_ns = time.monotonic_ns()


def forward(call: Call, data: bytes) -> None:
    if call.upstream is not None:
        assert isinstance(call.upstream, UpstreamConnection)
        # Lost, while its last bytes are still being read.
        if not call.upstream.transport.is_closing():
            call.upstream.write(data)
    elif call.connecting is not None:
        keep_unsent(call, data)


def _forward_on_stream(call: Call, data: bytes, *, is_last: bool) -> None:
    if call.upstream is not None:
        assert isinstance(call.upstream, Http2Lane)
        call.upstream.send(data, call.request_trailers, is_last=is_last)
    elif call.connecting is not None:
        keep_unsent(call, data)


def keep_unsent(call: Call, data: bytes) -> None:
    call.unsent.append(data)
    call.unsent_bytes += len(data)
    if call.unsent_bytes > MAX_READ_AHEAD_BYTES:
        call.client.pause(BY_UNSENT)
        call.phase = Phase.CONNECTING


def take_unsent(call: Call) -> bytes:
    """Return what waited for an upstream, and read on."""
    unsent = b"".join(call.unsent)
    call.unsent = []
    call.unsent_bytes = 0
    return unsent


def is_awaited(call: Call) -> bool:
    """Return whether this exchange holds an upstream connection that other requests wait for."""
    route = call.route
    if call.upstream is None or route is None:
        return False

    if call.is_http2:
        return call.engine.http2_pools[route.index].is_awaited
    return call.engine.pools[route.index].is_awaited


def holds_others(call: Call, now_ns: int) -> bool:
    """Return whether others wait for an upstream connection that a trickling request body holds
    (P17).
    """
    exchange = call.exchange
    if (
        exchange is None
        or exchange.request_body is None
        or call.is_continue_due
        or not is_awaited(call)
    ):
        return False  # or it may not send yet

    since_ns = max(exchange.started_ns + exchange.sent_ns, call.continued_ns)
    return is_trickle(exchange.request_body.size, now_ns - since_ns)


def is_upload_stalled(call: Call, now_ns: int) -> bool:
    """Return whether the upstream has taken nothing for too long of what is on its way to it (P17).

    Asked by the tick, while nothing is added to it: whatever goes is progress and gives more time.
    An upstream that responds already may leave the rest alone (P16).
    """
    upstream = call.upstream
    exchange = call.exchange
    if upstream is None or exchange is None or exchange.request_body is None:
        return False
    if call.phase != Phase.WAITING and not (call.phase == Phase.TUNNEL and call.is_upload_paused):
        return False

    unsent = upstream.unsent_bytes()
    if unsent != call.upload_bytes:
        call.upload_bytes = unsent
        call.since_ns = now_ns
    limit_ns = call.deadlines.write_stall_ns
    return unsent > 0 and 0 < limit_ns <= now_ns - call.since_ns
