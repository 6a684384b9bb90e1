"""Which time of an exchange is up, and what that ends (P17). Asked by the tick of the engine."""

from proxy.http1.errors import UpstreamError
from proxy.ring.capture_windows import CaptureWindows
from proxy.worker.deadlines import HALF_CLOSE_NS, TRICKLED, Phase
from proxy.worker.relay.call import Call
from proxy.worker.relay.call_messages import record_if_open
from proxy.worker.relay.ending import (
    CLIENT_CLOSED,
    end_answered,
    end_tunnel,
    end_with_error,
    fail,
)
from proxy.worker.relay.request_side import holds_others, is_upload_stalled


def check_deadlines(call: Call, now_ns: int) -> None:
    """End the exchange, or a part of it, that has lasted too long."""
    deadlines = call.deadlines
    if is_upload_stalled(call, now_ns):
        _time_out(call, "the upstream stopped reading the request", deadlines.describe_stall())
    elif call.tunnel is not None and 0 < call.client.eof_ns <= now_ns - HALF_CLOSE_NS:
        end_tunnel(call, CLIENT_CLOSED)
    elif call.is_grpc and call.phase != Phase.ENDING:
        _check_call(call, now_ns)
    elif call.phase == Phase.BODY and holds_others(call, now_ns):
        end_with_error(call, "timeout_body", TRICKLED, close=True)
    elif deadlines.is_over(call.phase, call.since_ns, now_ns):
        if call.phase == Phase.ENDING:
            end_answered(call)
        elif call.phase == Phase.BODY:
            message = (
                f"timed out waiting for more of the request body ({deadlines.describe(Phase.BODY)})"
            )
            end_with_error(call, "timeout_body", message, close=True)
        elif call.phase == Phase.WAITING and not _is_thinking(call, now_ns):
            limit = deadlines.describe_first_byte(is_llm=_is_llm_call(call))
            _time_out(call, "timed out waiting for the response", limit)
        elif call.phase != Phase.WAITING:
            _time_out(
                call,
                "timed out waiting for more of the response",
                deadlines.describe(Phase.STREAMING),
            )


def _check_call(call: Call, now_ns: int) -> None:
    if 0 < call.expires_ns <= now_ns:
        if call.stream is not None:
            call.stream.is_expired = True
        _time_out(call, "its client waits no more", "grpc-timeout and 5 s")
    else:
        record_if_open(call)


def _is_thinking(call: Call, now_ns: int) -> bool:
    """Whether what runs is an LLM call that may take longer than others to be answered."""
    return call.deadlines.may_think(call.since_ns, now_ns) and _is_llm_call(call)


def _is_llm_call(call: Call) -> bool:
    return call.exchange is not None and CaptureWindows.is_call(call.exchange.request_head)


def _time_out(call: Call, message: str, limit: str) -> None:
    exchange = call.exchange
    route = call.route
    if exchange is not None and route is not None:
        call.drop_upstream()
        fail(call, exchange, route.index, UpstreamError("upstream_timeout", f"{message} ({limit})"))
