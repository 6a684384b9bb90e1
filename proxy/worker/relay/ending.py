"""How an exchange ends: whole, refused, failed, cut short; maybe before its request is read (P14,
P24).

Functions over the state of a call. Each records the exchange, or leaves that to a later one where
more of the request is waited for: the phase `ENDING`.
"""

import time
from functools import partial
from typing import Final, cast

from proxy.http1.errors import KEEPS_CONNECTION, STATUS_OF, Refused, UpstreamError
from proxy.http1.request_reader import RequestReader
from proxy.http2.errors import ErrorCode
from proxy.http2.grpc import UNAVAILABLE, status_lines
from proxy.network.fair_loop import BY_UNSENT, BY_UPSTREAM
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
from proxy.worker.admission.opt_out import lower_outside
from proxy.worker.deadlines import MAX_LINGER_BYTES, Phase
from proxy.worker.engine import Engine
from proxy.worker.exits.http2 import Http2Exit
from proxy.worker.relay.call import Call
from proxy.worker.upstream.connection import UpstreamConnection
from storage.record import Outcome

CLIENT_CLOSED: Final = OUTCOME_INDEX[Outcome.CLIENT_CLOSED]
_REJECTED: Final = OUTCOME_INDEX[Outcome.REJECTED]
_SHUTDOWN: Final = OUTCOME_INDEX[Outcome.SHUTDOWN]
_TRUNCATED: Final = OUTCOME_INDEX[Outcome.TRUNCATED]
_UPSTREAM_ERROR: Final = OUTCOME_INDEX[Outcome.UPSTREAM_ERROR]
_UPSTREAM_TIMEOUT: Final = OUTCOME_INDEX[Outcome.UPSTREAM_TIMEOUT]


# Ends, maybe of a response before its request.


def end(call: Call, exchange: Exchange, now_ns: int) -> None:
    """Release the last of a response, recorded first; the record of a request that is still coming
    waits for it (P24).

    Most clients send head and body in two writes: without this it would be chance whether the body
    is on record. A client that waits for a 100 sends none.
    """
    exit = call.exit
    if call.is_request_complete or call.is_continue_due or is_body_enough(call):
        call.record(exchange, now_ns)
        exit.release()
        call.client.exchange_ended(now_ns, linger=not call.is_request_complete)
        return

    call.phase = Phase.ENDING
    call.since_ns = now_ns
    exit.release()
    if not exit.is_keep_alive:
        exit.half_close()
    call.client.resume(BY_UPSTREAM | BY_UNSENT)


def end_answered(call: Call) -> None:
    """Record an exchange whose response is sent, with what is here of its request."""
    exchange = call.exchange
    if exchange is not None:
        call.record(exchange, call.since_ns)
        call.client.exchange_ended(time.monotonic_ns(), linger=not call.is_request_complete)


def is_body_enough(call: Call) -> bool:
    """Return whether nothing is gained by more of the body.

    Its window keeps no more, nor does the connection go on.
    """
    exchange = call.exchange
    if exchange is None or exchange.request_body is None:
        return True
    return not call.exit.is_keep_alive and exchange.request_body.is_head_full


def may_go_on(call: Call) -> bool:
    """Return whether the client's connection may serve another request: the rest of this one is
    here, or soon will be.

    Of a longer one the client reads that it need not send it.
    """
    if call.is_request_complete:
        return call.exit.is_keep_alive
    exchange = call.exchange
    if exchange is None or exchange.request_body is None or call.is_continue_due:
        return False

    return (
        call.exit.is_keep_alive
        and 0 <= call.body_bytes - exchange.request_body.size <= MAX_LINGER_BYTES
    )


def end_early(call: Call, outcome: int, status: int) -> None:
    """Record the running exchange, if any, as cut short; `status` counts when no head had been
    sent.
    """
    exchange = call.exchange
    call.drop_upstream()
    if exchange is None:
        return

    if call.tunnel is not None:
        call.tunnel.settle()
        call.tunnel = None
    exchange.outcome = outcome
    if not call.is_responding:
        exchange.status = status
    call.record(exchange, _ended_ns(call, exchange))


def _ended_ns(call: Call, exchange: Exchange) -> int:
    """Return when an exchange ended: now, or when its client left, even if sidelog went on waiting
    for the response.
    """
    if exchange.outcome != CLIENT_CLOSED or not call.client.eof_ns:
        return time.monotonic_ns()
    return max(
        call.client.eof_ns, exchange.started_ns + max(exchange.sent_ns, exchange.first_byte_ns, 0)
    )


def lose_client(call: Call) -> None:
    """End an exchange whose client is gone: cancel the upstream, record what there is (P15)."""
    if call.tunnel is not None:
        end_tunnel(call, CLIENT_CLOSED)
    elif call.is_answered:
        end_answered(call)
    else:
        end_early(call, CLIENT_CLOSED, 499)


def cut_off(call: Call) -> None:
    """End an exchange of a flooding client: the bodies that it asked for do not fill the ring
    (F11).
    """
    exchange = call.exchange
    for window in () if exchange is None else (exchange.request_body, exchange.response_body):
        if window is not None:
            window.forget()
    lose_client(call)


def shut_down(call: Call) -> bool:
    """Record the running exchange, if any, as the time for draining is over.

    Returns:
        Whether its response is cut off, which has to be visible to the client.
    """
    if call.is_answered:
        end_answered(call)
    exchange = call.exchange
    is_cut = exchange is not None and call.is_responding
    if exchange is not None:
        exchange.note(NOTE_MESSAGE, call.engine.shutdown_reason)
        if call.is_grpc:
            _end_grpc_call(call, exchange)

    end_early(call, _SHUTDOWN, 503)
    return is_cut


def _end_grpc_call(call: Call, exchange: Exchange) -> None:
    """Send the status of a gRPC call that a stop cuts off: unavailable here, so its client may try
    elsewhere.
    """
    lines = status_lines(UNAVAILABLE, call.engine.shutdown_reason.decode())
    exit = cast(Http2Exit, call.exit)
    if call.is_responding:
        exchange.note_trailers(NOTES_RESPONSE_TRAILERS, lines, ())
        exit.end_grpc_call(lines, exchange.id_text, has_begun=True)
        return

    exchange.response_head = exit.end_grpc_call(lines, exchange.id_text, has_begun=False)
    exchange.status = 200
    exchange.flags |= FLAG_OWN_RESPONSE
    exchange.response_body = Window(0, 0)
    call.phase = Phase.STREAMING


# Failures.


def note_error(exchange: Exchange, code: str, message: str) -> None:
    """Note an error that the client cannot be sent, as its response had begun."""
    exchange.error = ERROR_INDEX[code]
    exchange.note(NOTE_MESSAGE, message.encode())


def reject_stream(call: Call, code: str, message: str) -> None:
    """Record the exchange of a stream that was reset because its client broke a rule."""
    if call.exchange is not None:
        note_error(call.exchange, code, message)
    end_early(call, _REJECTED, STATUS_OF[code])


def fail(call: Call, exchange: Exchange, route: int, error: UpstreamError) -> None:
    """Answer, or break off visibly, depending on how far the exchange got (P14)."""
    if call.tunnel is not None:
        has_left = call.client.eof_ns and error.code == "upstream_reset"
        end_tunnel(
            call, CLIENT_CLOSED if has_left else _TRUNCATED, None if has_left else (route, error)
        )
        return

    call.engine.recorder.count_upstream_error(route, error.code)
    exchange.note(NOTE_MESSAGE, error.message.encode())
    if error.refused_head:
        exchange.note(NOTE_REFUSED_HEAD, error.refused_head[:MAX_REFUSED_HEAD_BYTES])
    if error.reset_code >= 0 and call.stream is not None:
        call.stream.note_reset(error.reset_code, http2_notes.BY_UPSTREAM)
        exchange.outcome = _TRUNCATED if call.is_responding else _UPSTREAM_ERROR
        exchange.status = exchange.status or STATUS_OF[error.code]
        _break_off(call, exchange, error.code)
    elif not call.is_responding:
        if error.code == "upstream_timeout":
            outcome = _UPSTREAM_TIMEOUT
        else:
            outcome = _UPSTREAM_ERROR
        _respond(call, exchange, error.code, error.message, outcome, close=not may_go_on(call))
        end(call, exchange, time.monotonic_ns())
    else:
        exchange.outcome = _TRUNCATED
        _break_off(call, exchange, error.code)


def _break_off(call: Call, exchange: Exchange, code: str) -> None:
    exchange.error = ERROR_INDEX[code]
    if call.stream is not None:
        call.stream.note_reset(ErrorCode.INTERNAL_ERROR, http2_notes.BY_US)
    call.record(exchange, time.monotonic_ns())
    call.exit.break_off()


def end_with_error(call: Call, code: str, message: str, *, close: bool) -> None:
    """End an exchange for a fault of its client: with a response that says so, where none has
    begun.
    """
    exchange = call.exchange
    assert exchange is not None
    if call.is_answered:  # its body turns out to be malformed, or too large
        end_answered(call)
        return

    call.drop_upstream()
    if call.is_responding:
        exchange.outcome = _TRUNCATED
        exchange.note(NOTE_MESSAGE, message.encode())
        _break_off(call, exchange, code)
        return

    _respond(call, exchange, code, message, _REJECTED, close=close)
    now_ns = time.monotonic_ns()
    call.record(exchange, now_ns)
    call.exit.release()
    call.client.exchange_ended(now_ns, linger=close)


def _respond(
    call: Call, exchange: Exchange, code: str, message: str, outcome: int, *, close: bool
) -> None:
    """Make a response of our own."""
    if close:
        call.exit.is_keep_alive = False
    head, body = call.exit.refuse(code, message, exchange.id_text)
    exchange.outcome = outcome
    exchange.error = ERROR_INDEX[code]
    exchange.status = int(head.split(None, 2)[1])
    if code in ("timeout_headers", "timeout_body"):
        exchange.note(NOTE_MESSAGE, message.encode())
    exchange.flags |= FLAG_OWN_RESPONSE
    exchange.response_head = head
    window = Window(len(body), 0)
    exchange.response_body = window
    window.add(body)


def refuse(call: Call, refusal: Refused) -> None:
    """Respond with a refusal, after which the connection goes on where its framing is beyond doubt."""
    close = refusal.code not in KEEPS_CONNECTION or not call.is_request_complete
    end_with_error(call, refusal.code, refusal.message, close=close)


def refuse_unread(call: Call, request: RequestReader, refusal: Refused, now_ns: int) -> None:
    """Refuse a request whose head could not be read, or did not become complete."""
    _begin_unread(call, request, now_ns)
    end_with_error(call, refusal.code, refusal.message, close=True)


def abandon_unread(call: Call, request: RequestReader, now_ns: int) -> None:
    """Record a request whose client left before its head was complete."""
    _begin_unread(call, request, now_ns)
    end_early(call, CLIENT_CLOSED, 499)


def _begin_unread(call: Call, request: RequestReader, now_ns: int) -> None:
    exchange = call.engine.recorder.begin(now_ns, call.peer)
    call.exchange = exchange
    exchange.request_head = request.raw
    exchange.stream = call.stream
    exchange.method = request.method
    exchange.flags = call.flags
    lower_outside(exchange, call.engine.level)
    # What it was meant to be shapes the response: none to HEAD has a body (P6).
    call.method = request.method or (b"HEAD" if request.raw.startswith(b"HEAD ") else b"")
    call.exit.begin(call.method, is_keep_alive=False, is_http10=False)


def record_fault(
    engine: Engine, peer: bytes, flags: int, connection: int, code: str, reason: str, text: bytes
) -> None:
    """Record what a client of HTTP/2 broke, where no exchange can say so."""
    now_ns = time.monotonic_ns()
    exchange = engine.recorder.begin(now_ns, peer)
    exchange.request_head = text or b"PRI * HTTP/2\r\n\r\n"
    exchange.stream = http2_notes.StreamState(connection, 0)
    exchange.flags = flags
    lower_outside(exchange, engine.level)
    exchange.outcome = _REJECTED
    exchange.error = ERROR_INDEX[code]
    exchange.status = STATUS_OF[code]
    exchange.note(NOTE_MESSAGE, reason.encode())
    engine.recorder.finish(exchange, now_ns)


# Tunnels.


def end_tunnel(call: Call, outcome: int, failure: tuple[int, UpstreamError] | None = None) -> None:
    """Record the session, once its frames are read; without a close frame it was cut off by the
    side named.

    Where that is the upstream, of a route by its index, the record says how, as of any response
    that is cut.
    """
    if call.tunnel is not None:
        if isinstance(call.upstream, UpstreamConnection):
            call.upstream.detach()
            call.upstream = None
        call.tunnel.end(partial(_record_tunnel, call, outcome, failure))


def _record_tunnel(call: Call, outcome: int, failure: tuple[int, UpstreamError] | None) -> None:
    exchange = call.exchange
    tunnel = call.tunnel
    if exchange is None or tunnel is None:
        return

    call.tunnel = None
    tunnel.settle()
    exchange.outcome = OK if tunnel.has_closed else outcome

    if failure is not None and not tunnel.has_closed:
        route, error = failure
        call.engine.recorder.count_upstream_error(route, error.code)
        note_error(exchange, error.code, error.message)

    ended_ns = _ended_ns(call, exchange)
    exchange.done_ns = ended_ns - exchange.started_ns
    call.record(exchange, ended_ns)
    call.client.exchange_ended(time.monotonic_ns(), linger=True)
