"""The deadlines of an exchange, enforced by the tick of the engine (P17).

Strategy: at each moment the exchange waits for one side. That side's limit counts from the last
byte that it sent or received. Most progress is noted by the code that causes it. Progress without
an event is found here: bytes that the upstream's kernel took, and parts of a frame.
"""

from proxy.http1.errors import UpstreamError
from proxy.ring.capture_windows import CaptureWindows
from proxy.worker.deadlines import HALF_CLOSE_NS, TRICKLED, Deadlines, Phase
from proxy.worker.relay.ending import (
    CLIENT_CLOSED,
    end_answered,
    end_tunnel,
    fail,
    reject,
)
from proxy.worker.relay.grpc_messages import record_if_stream
from proxy.worker.relay.request_side import delays_others, is_clients_turn, untaken_bytes
from proxy.worker.relay.state import RelayState
from proxy.worker.upstream.http2_lane import Http2Lane


def check_deadlines(relay: RelayState, now_ns: int) -> None:
    """End the exchange, or a part of it, that has lasted too long."""
    deadlines = relay.deadlines
    untaken = untaken_bytes(relay)
    _note_progress(relay, untaken, now_ns)
    is_upload_due = untaken > 0 and relay.phase != Phase.STREAMING
    if is_upload_due and 0 < deadlines.write_stall_ns <= now_ns - relay.since_ns:
        _time_out(relay, "the upstream stopped reading the request", deadlines.describe_stall())
    elif relay.tunnel is not None and 0 < relay.client.eof_ns <= now_ns - HALF_CLOSE_NS:
        end_tunnel(relay, CLIENT_CLOSED)
    elif relay.is_grpc and relay.phase != Phase.ENDING:
        _check_grpc_call(relay, now_ns)
    elif relay.phase == Phase.BODY and delays_others(relay, now_ns):
        reject(relay, "timeout_body", TRICKLED, close=True)
    elif is_upload_due or _may_wait_for_client(relay, now_ns):
        return
    elif deadlines.is_over(relay.phase, relay.since_ns, now_ns):
        _end_late(relay, deadlines, now_ns)


def _end_late(relay: RelayState, deadlines: Deadlines, now_ns: int) -> None:
    """End an exchange whose phase has lasted too long."""
    if relay.phase == Phase.ENDING:
        end_answered(relay)
    elif relay.phase == Phase.BODY:
        limit = deadlines.describe(Phase.BODY)
        message = f"timed out waiting for more of the request body ({limit})"
        reject(relay, "timeout_body", message, close=True)
    elif relay.phase == Phase.STREAMING:
        limit = deadlines.describe(Phase.STREAMING)
        _time_out(relay, "timed out waiting for more of the response", limit)
    elif not _is_thinking(relay, now_ns):
        limit = deadlines.describe_first_byte(is_llm=_is_llm_call(relay))
        _time_out(relay, "timed out waiting for the response", limit)


def _note_progress(relay: RelayState, untaken: int, now_ns: int) -> None:
    """Restart the upstream's time if bytes moved since the last tick."""
    moving = untaken
    if relay.phase == Phase.STREAMING and relay.upstream is not None:
        moving += relay.upstream.arriving_bytes
    if moving != relay.moving_bytes:
        relay.moving_bytes = moving
        if relay.phase in (Phase.WAITING, Phase.STREAMING, Phase.TUNNEL):
            relay.since_ns = now_ns


def _may_wait_for_client(relay: RelayState, now_ns: int) -> bool:
    """Return True if the upstream may be silent in a response because of the client.

    That is so if the client receives nothing, or if it may still send more of its request within
    its own time for that.
    """
    if relay.phase != Phase.STREAMING:
        return False
    may_send = is_clients_turn(relay) and not relay.is_upload_paused
    return relay.is_paused or (
        may_send and not relay.deadlines.is_over(Phase.BODY, relay.since_ns, now_ns)
    )


def _check_grpc_call(relay: RelayState, now_ns: int) -> None:
    """End a gRPC call whose client has stopped waiting.

    There is no limit on silence: a stream may last for days.
    """
    if 0 < relay.expires_ns <= now_ns:
        if relay.stream is not None:
            relay.stream.is_expired = True
        _time_out(relay, "its client waits no more", "grpc-timeout and 5 s")
    else:
        record_if_stream(relay)


def _is_thinking(relay: RelayState, now_ns: int) -> bool:
    """Return True if an LLM call runs that may still take its longer time to respond."""
    return relay.deadlines.may_think(relay.since_ns, now_ns) and _is_llm_call(relay)


def _is_llm_call(relay: RelayState) -> bool:
    return relay.exchange is not None and CaptureWindows.is_call(relay.exchange.request_head)


def _time_out(relay: RelayState, message: str, limit: str) -> None:
    """Drop the upstream and end the exchange as `upstream_timeout`."""
    exchange = relay.exchange
    route = relay.route
    if exchange is not None and route is not None:
        if isinstance(relay.upstream, Http2Lane):
            relay.upstream.give_up(relay.since_ns)
        relay.drop_upstream()
        fail(
            relay, exchange, route.index, UpstreamError("upstream_timeout", f"{message} ({limit})")
        )
