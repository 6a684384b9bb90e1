"""The ends of an exchange: complete, refused, failed, cut short; possibly before its request is
read (P14, P24).

Functions over the state of a relay. Each records the exchange. If the rest of the request is still
to come, the exchange enters the phase `ENDING` instead, and `end_answered` records it later.

| event | function |
|---|---|
| the response is complete | `end` |
| sidelog responds instead of an upstream | `refuse`, `refuse_unread`, `reject` |
| the upstream fails | `fail` |
| the client leaves, or breaks a rule of HTTP/2 | `lose_client`, `cut_off`, `reject_stream` |
| the process stops | `shut_down` |
| a tunnel ends | `end_tunnel` |
"""

import time
from functools import partial
from typing import Final, cast

from proxy.http1.errors import KEEPS_CONNECTION, STATUS_OF, Refused, UpstreamError
from proxy.http1.request_reader import RequestReader
from proxy.http2.errors import ErrorCode
from proxy.http2.grpc import UNAVAILABLE, status_lines
from proxy.network.pacing import BY_UNSENT, BY_UPSTREAM
from proxy.ring import http2_notes
from proxy.ring.body_window import Window
from proxy.ring.exchange import (
    ERROR_INDEX,
    FLAG_OWN_RESPONSE,
    MAX_REFUSED_HEAD_BYTES,
    NOTE_MESSAGE,
    NOTE_REFUSED_HEAD,
    NOTES_RESPONSE_TRAILERS,
    OK,
    OUTCOME_INDEX,
    Exchange,
)
from proxy.worker.admission.admission import Admission
from proxy.worker.deadlines import MAX_LINGER_BYTES, Phase
from proxy.worker.engine import Engine
from proxy.worker.exits.http2 import Http2Exit
from proxy.worker.relay.state import RelayState
from proxy.worker.routes import settle_unrouted
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.http2_lane import Http2Lane
from storage.record import Outcome

CLIENT_CLOSED: Final = OUTCOME_INDEX[Outcome.CLIENT_CLOSED]
REJECTED: Final = OUTCOME_INDEX[Outcome.REJECTED]
SHUTDOWN: Final = OUTCOME_INDEX[Outcome.SHUTDOWN]
TRUNCATED: Final = OUTCOME_INDEX[Outcome.TRUNCATED]
UPSTREAM_ERROR: Final = OUTCOME_INDEX[Outcome.UPSTREAM_ERROR]
OUTCOME_OF: Final = {
    "upstream_timeout": OUTCOME_INDEX[Outcome.UPSTREAM_TIMEOUT],
    "egress_denied": REJECTED,
}
"""Code of an upstream's failure → the outcome on record; others are `UPSTREAM_ERROR`."""


# The response is complete, possibly before its request.


def end(relay: RelayState, exchange: Exchange, now_ns: int) -> None:
    """Record the exchange, then send the last of its response; if the request is still coming, the
    record waits for it (P24).

    Both wait, in the phase `STREAMING`, for a client that receives nothing: it may leave without
    having all of the response (P15).

    Most clients send head and body in two writes: without the wait, a record would have the body
    only by chance. A client that waits for a 100 sends no body.
    """
    if relay.is_paused:
        relay.phase = Phase.STREAMING
        return

    exit = relay.exit
    if relay.is_request_complete or relay.is_continue_due or is_rest_unneeded(relay):
        relay.record(exchange, now_ns)
        exit.release()
        relay.client.exchange_ended(now_ns, linger=not relay.is_request_complete)
        return

    relay.phase = Phase.ENDING
    relay.since_ns = now_ns
    exit.release()
    if not exit.is_keep_alive:
        exit.half_close()
    relay.client.resume(BY_UPSTREAM | BY_UNSENT)


def end_answered(relay: RelayState) -> None:
    """Record an exchange whose response is complete, with the part of its request received so far."""
    exchange = relay.exchange
    if exchange is not None:
        relay.record(exchange, relay.since_ns)
        relay.client.exchange_ended(time.monotonic_ns(), linger=not relay.is_request_complete)


def is_rest_unneeded(relay: RelayState) -> bool:
    """Return True if the rest of the body is not needed.

    That is so when its window is full and the connection serves no further request.
    """
    exchange = relay.exchange
    if exchange is None or exchange.request_body is None:
        return True
    return not relay.exit.is_keep_alive and exchange.request_body.is_head_full


def may_keep_alive(relay: RelayState) -> bool:
    """Return True if the client's connection may serve another request: the rest of this one is
    here, or is short enough to be read.

    Otherwise the response says `Connection: close`, so that the client need not send the rest.
    """
    if relay.is_request_complete:
        return relay.exit.is_keep_alive
    exchange = relay.exchange
    if exchange is None or exchange.request_body is None or relay.is_continue_due:
        return False

    return (
        relay.exit.is_keep_alive
        and 0 <= relay.body_bytes - exchange.request_body.size <= MAX_LINGER_BYTES
    )


def end_early(relay: RelayState, outcome: int, status: int) -> None:
    """Record the running exchange, if any, as cut short.

    `status` goes on record if the head of a response was not sent.
    """
    exchange = relay.exchange
    relay.drop_upstream()
    if exchange is None:
        return

    if relay.tunnel is not None:
        relay.tunnel.finish()
        relay.tunnel = None
    exchange.outcome = outcome
    if not relay.is_responding:
        exchange.status = status
    elif outcome == CLIENT_CLOSED:
        exchange.leave_out_unsent(relay.exit.unsent_bytes)
    relay.record(exchange, _ended_ns(relay, exchange))


def _ended_ns(relay: RelayState, exchange: Exchange) -> int:
    """Return the end of an exchange: now, or the time its client left, even if sidelog went on
    waiting for the response.
    """
    if exchange.outcome != CLIENT_CLOSED or not relay.client.eof_ns:
        return time.monotonic_ns()
    return max(
        relay.client.eof_ns, exchange.started_ns + max(exchange.sent_ns, exchange.first_byte_ns, 0)
    )


def lose_client(relay: RelayState) -> None:
    """End an exchange whose client is gone: cancel the upstream, record what is here (P15)."""
    if relay.tunnel is not None:
        end_tunnel(relay, CLIENT_CLOSED)
    elif relay.is_answered:
        end_answered(relay)
    else:
        outcome = OK if _has_sent_content(relay) else CLIENT_CLOSED
        end_early(relay, outcome, 499)


def _has_sent_content(relay: RelayState) -> bool:
    """Return True if the client was sent all of the content, and only the end of the upstream's
    stream is missing.

    Many servers send END_STREAM in a separate frame, and a client that knows the length does not
    wait for it.
    """
    lane = relay.upstream
    is_taken = relay.phase == Phase.STREAMING and not relay.is_paused
    return is_taken and isinstance(lane, Http2Lane) and lane.has_whole_content


def cut_off(relay: RelayState) -> None:
    """End the exchange of a flooding client. Its bodies would fill the ring, so they are not
    recorded (F11).
    """
    exchange = relay.exchange
    if exchange is not None:
        for window in (exchange.request_body, exchange.response_body):
            if window is not None:
                window.forget()

    lose_client(relay)


def shut_down(relay: RelayState) -> bool:
    """Record the running exchange, if any, because the time for draining is over.

    Returns:
        True if its response is cut off: the client has to be able to see that.
    """
    if relay.is_answered:
        end_answered(relay)
    exchange = relay.exchange
    is_cut = exchange is not None and relay.is_responding
    if exchange is not None:
        exchange.note(NOTE_MESSAGE, relay.engine.shutdown_reason)
        if relay.is_grpc:
            _end_grpc_call(relay, exchange)

    end_early(relay, SHUTDOWN, 503)
    return is_cut


def _end_grpc_call(relay: RelayState, exchange: Exchange) -> None:
    """Send the status of a gRPC call that a stop cuts off: UNAVAILABLE, so its client may try
    another server.
    """
    lines = status_lines(UNAVAILABLE, relay.engine.shutdown_reason.decode())
    exit = cast(Http2Exit, relay.exit)
    if relay.is_responding:
        exchange.note_trailers(NOTES_RESPONSE_TRAILERS, lines, ())
        exit.end_grpc_call(lines, exchange.id_text, has_begun=True)
        return

    exchange.response_head = exit.end_grpc_call(lines, exchange.id_text, has_begun=False)
    exchange.status = 200
    exchange.flags |= FLAG_OWN_RESPONSE
    exchange.response_body = Window(0, 0)
    relay.phase = Phase.STREAMING


# Failures.


def note_error(exchange: Exchange, code: str, message: str) -> None:
    """Note an error that cannot be sent to the client, as its response had begun."""
    exchange.error = ERROR_INDEX[code]
    exchange.note(NOTE_MESSAGE, message.encode())


def reject_stream(relay: RelayState, code: str, message: str) -> None:
    """Record the exchange of a stream that was reset because its client broke a rule."""
    if relay.exchange is not None:
        note_error(relay.exchange, code, message)
    end_early(relay, REJECTED, STATUS_OF[code])


def fail(relay: RelayState, exchange: Exchange, route: int, error: UpstreamError) -> None:
    """Send an error, or break off visibly, depending on how far the exchange got (P14)."""
    if relay.tunnel is not None:
        # A reset of a tunnel by its upstream after the client has left does not count as a failure.
        if relay.client.eof_ns and error.code == "upstream_reset":
            end_tunnel(relay, CLIENT_CLOSED)
        else:
            end_tunnel(relay, TRUNCATED, (route, error))
        return

    relay.engine.recorder.count_upstream_error(route, error.code)
    exchange.note(NOTE_MESSAGE, error.message.encode())
    if error.refused_head:
        exchange.note(NOTE_REFUSED_HEAD, error.refused_head[:MAX_REFUSED_HEAD_BYTES])
    if error.reset_code >= 0 and relay.stream is not None:
        relay.stream.note_reset(error.reset_code, http2_notes.BY_UPSTREAM)
        exchange.outcome = TRUNCATED if relay.is_responding else UPSTREAM_ERROR
        exchange.status = exchange.status or STATUS_OF[error.code]
        _break_off(relay, exchange, error.code)
    elif not relay.is_responding:
        outcome = OUTCOME_OF.get(error.code, UPSTREAM_ERROR)
        _respond(
            relay, exchange, error.code, error.message, outcome, close=not may_keep_alive(relay)
        )
        end(relay, exchange, time.monotonic_ns())
    else:
        exchange.outcome = TRUNCATED
        _break_off(relay, exchange, error.code)


def _break_off(relay: RelayState, exchange: Exchange, code: str) -> None:
    """Record an exchange whose response has begun, and break the response off visibly."""
    exchange.error = ERROR_INDEX[code]
    if relay.stream is not None:
        relay.stream.note_reset(ErrorCode.INTERNAL_ERROR, http2_notes.BY_US)
    relay.record(exchange, time.monotonic_ns())
    relay.exit.break_off()


def reject(relay: RelayState, code: str, message: str, *, close: bool) -> None:
    """End an exchange for a fault of its client; send an error response if no response has begun."""
    exchange = relay.exchange
    assert exchange is not None
    if relay.is_answered:
        # The fault is in the body, and the body is read only for the record.
        end_answered(relay)
        return

    relay.drop_upstream()
    if relay.is_responding:
        exchange.outcome = TRUNCATED
        exchange.note(NOTE_MESSAGE, message.encode())
        _break_off(relay, exchange, code)
        return

    # The body says why, but a response to HEAD has none.
    is_head = relay.method == b"HEAD"
    if is_head or code in ("timeout_headers", "timeout_body", "method_not_allowed"):
        exchange.note(NOTE_MESSAGE, message.encode())
    _respond(relay, exchange, code, message, REJECTED, close=close)
    now_ns = time.monotonic_ns()
    relay.record(exchange, now_ns)
    relay.exit.release()
    relay.client.exchange_ended(now_ns, linger=close)


def _respond(
    relay: RelayState, exchange: Exchange, code: str, message: str, outcome: int, *, close: bool
) -> None:
    """Prepare a response of our own, and note it on the exchange; the exit holds it until released."""
    if close:
        relay.exit.is_keep_alive = False
    head, body = relay.exit.refuse(code, message, exchange.id_text)
    exchange.outcome = outcome
    exchange.error = ERROR_INDEX[code]
    exchange.status = int(head.split(None, 2)[1])
    exchange.flags |= FLAG_OWN_RESPONSE
    exchange.response_head = head
    window = Window(len(body), 0)
    exchange.response_body = window
    window.add(body)


def refuse(relay: RelayState, refusal: Refused) -> None:
    """Send a refusal; keep the connection if the framing of the request is certain."""
    close = refusal.code not in KEEPS_CONNECTION or not relay.is_request_complete
    reject(relay, refusal.code, refusal.message, close=close)


def refuse_unread(relay: RelayState, request: RequestReader, refusal: Refused, now_ns: int) -> None:
    """Refuse a request with an unreadable or incomplete head."""
    _begin_unread(relay, request, now_ns)
    reject(relay, refusal.code, refusal.message, close=True)


def abandon_unread(relay: RelayState, request: RequestReader, now_ns: int) -> None:
    """Record a request whose client left before its head was complete."""
    _begin_unread(relay, request, now_ns)
    end_early(relay, CLIENT_CLOSED, 499)


def _begin_unread(relay: RelayState, request: RequestReader, now_ns: int) -> None:
    exchange = relay.engine.recorder.begin(now_ns, relay.peer)
    relay.exchange = exchange
    exchange.request_head = request.raw
    exchange.stream = relay.stream
    exchange.method = request.method
    exchange.flags = relay.flags
    settle_unrouted(exchange, relay.engine.level, relay.admission.unrouted)
    # A response to HEAD has no body, even if the rest of the head cannot be read (P6).
    relay.method = request.method or (b"HEAD" if request.raw.startswith(b"HEAD ") else b"")
    relay.exit.begin(relay.method, is_keep_alive=False, is_http10=False)


def record_fault(
    engine: Engine,
    admission: Admission,
    peer: bytes,
    flags: int,
    connection: int,
    code: str,
    reason: str,
    text: bytes,
) -> None:
    """Record a fault of an HTTP/2 client that belongs to no exchange: one of its connection, or of
    a head that did not become a request.
    """
    now_ns = time.monotonic_ns()
    exchange = engine.recorder.begin(now_ns, peer)
    exchange.request_head = text or b"PRI * HTTP/2\r\n\r\n"
    exchange.stream = http2_notes.StreamState(connection, 0)
    exchange.flags = flags
    settle_unrouted(exchange, engine.level, admission.unrouted)
    exchange.outcome = REJECTED
    exchange.error = ERROR_INDEX[code]
    exchange.status = STATUS_OF[code]
    exchange.note(NOTE_MESSAGE, reason.encode())
    engine.recorder.finish(exchange, now_ns)


# Tunnels.


def end_tunnel(
    relay: RelayState, outcome: int, failure: tuple[int, UpstreamError] | None = None
) -> None:
    """Record a WebSocket session, once the frames in hand are read.

    Args:
        relay: the relay of its handshake.
        outcome: the outcome on record, unless a close frame was seen: then it ended well.
        failure: the index of the route and the error, if the upstream cut it off.
    """
    if relay.tunnel is not None:
        if isinstance(relay.upstream, UpstreamConnection):
            relay.upstream.detach()
            relay.upstream = None
        relay.tunnel.end(partial(_record_tunnel, relay, outcome, failure))


def _record_tunnel(
    relay: RelayState, outcome: int, failure: tuple[int, UpstreamError] | None
) -> None:
    exchange = relay.exchange
    tunnel = relay.tunnel
    if exchange is None or tunnel is None:
        return

    relay.tunnel = None
    tunnel.finish()
    unsent = relay.exit.unsent_bytes
    exchange.leave_out_unsent(unsent)
    exchange.outcome = OK if tunnel.has_closed and not unsent else outcome

    if failure is not None and not tunnel.has_closed:
        route, error = failure
        relay.engine.recorder.count_upstream_error(route, error.code)
        note_error(exchange, error.code, error.message)

    ended_ns = _ended_ns(relay, exchange)
    exchange.done_ns = ended_ns - exchange.started_ns
    relay.record(exchange, ended_ns)
    relay.client.exchange_ended(time.monotonic_ns(), linger=True)
