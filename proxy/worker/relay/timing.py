"""The deadlines of an exchange, enforced by the tick of the engine (P17)."""

from proxy.http1.errors import UpstreamError
from proxy.ring.capture_windows import CaptureWindows
from proxy.worker.deadlines import HALF_CLOSE_NS, TRICKLED, Phase
from proxy.worker.relay.ending import (
    CLIENT_CLOSED,
    end_answered,
    end_tunnel,
    fail,
    reject,
)
from proxy.worker.relay.grpc_messages import record_if_stream
from proxy.worker.relay.request_side import delays_others, is_upload_stalled
from proxy.worker.relay.state import RelayState


def check_deadlines(relay: RelayState, now_ns: int) -> None:
    """End the exchange, or a part of it, that has lasted too long."""
    deadlines = relay.deadlines
from proxy.worker.upstream.http2_lane import Http2Lane
    if is_upload_stalled(relay, now_ns):
        _time_out(relay, "the upstream stopped reading the request", deadlines.describe_stall())
    elif relay.tunnel is not None and 0 < relay.client.eof_ns <= now_ns - HALF_CLOSE_NS:
        end_tunnel(relay, CLIENT_CLOSED)
    elif relay.is_grpc and relay.phase != Phase.ENDING:
        _check_grpc_call(relay, now_ns)
    elif relay.phase == Phase.BODY and delays_others(relay, now_ns):
        reject(relay, "timeout_body", TRICKLED, close=True)
    elif deadlines.is_over(relay.phase, relay.since_ns, now_ns):
        if relay.phase == Phase.ENDING:
            end_answered(relay)
        elif relay.phase == Phase.BODY:
            message = (
                f"timed out waiting for more of the request body ({deadlines.describe(Phase.BODY)})"
            )
            reject(relay, "timeout_body", message, close=True)
        elif relay.phase == Phase.WAITING and not _is_thinking(relay, now_ns):
            limit = deadlines.describe_first_byte(is_llm=_is_llm_call(relay))
            _time_out(relay, "timed out waiting for the response", limit)
        elif relay.phase != Phase.WAITING:
            _time_out(
                relay,
                "timed out waiting for more of the response",
                deadlines.describe(Phase.STREAMING),
            )


def _check_grpc_call(relay: RelayState, now_ns: int) -> None:
    """End a gRPC call whose client has stopped waiting.

    No limit of silence applies: a stream may last for days.
    """
    if 0 < relay.expires_ns <= now_ns:
        if relay.stream is not None:
            relay.stream.is_expired = True
        _time_out(relay, "its client waits no more", "grpc-timeout and 5 s")
    else:
        record_if_stream(relay)


def _is_thinking(relay: RelayState, now_ns: int) -> bool:
    """Return whether an LLM call runs that may still take its longer time to respond."""
    return relay.deadlines.may_think(relay.since_ns, now_ns) and _is_llm_call(relay)


def _is_llm_call(relay: RelayState) -> bool:
    return relay.exchange is not None and CaptureWindows.is_call(relay.exchange.request_head)


def _time_out(relay: RelayState, message: str, limit: str) -> None:
    """Drop the upstream and end the exchange as `upstream_timeout`."""
    exchange = relay.exchange
    route = relay.route
    if exchange is not None and route is not None:
        relay.drop_upstream()
        fail(
            relay, exchange, route.index, UpstreamError("upstream_timeout", f"{message} ({limit})")
        )
        if isinstance(relay.upstream, Http2Lane):
            relay.upstream.give_up(relay.since_ns)
