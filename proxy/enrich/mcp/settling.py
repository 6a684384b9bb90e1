"""How a tool call ends without a response: how long one may come, and what is said when none did."""

from typing import Final

import msgspec

from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.mcp.errors import Failure, details_of
from proxy.enrich.mcp.jsonrpc import RpcRequest, RpcResponse
from proxy.enrich.mcp.sessions import PENDING_US, RESUME_US
from storage.record import Outcome, Record, ToolCall, level_of, now_us
from storage.tools import search_text

_LISTEN: Final = "subscriptions/listen"
"""Asks for such a stream (revision 2026-07-28); it is answered only where the server ends it."""


def wait_us(record: Record, exchange: DecodedExchange, *, has_others: bool) -> int:
    """Return how long the response of a call may come on another stream; 0: it cannot come any more."""
    if record.status == 202:
        return PENDING_US
    response = exchange.response_body
    if has_others:
        return RESUME_US
    kind = exchange.response.content_type.lower()
    if not exchange.request.mcp_session and not exchange.response.mcp_session:
        # The session is in the query: revision 2024-11-05, whose servers accept a call with any words, or none.
        is_answer = response is not None and (b"html" in kind or b"json" in kind)
        return 0 if is_answer else PENDING_US
    if response is None:
        return 0
    has_ids = response.head.startswith(b"id:") or b"\nid:" in response.head or b"\nid:" in response.tail
    return RESUME_US if b"event-stream" in kind and has_ids else 0


def without_response(call: ToolCall, *, is_seen: bool = True) -> ToolCall:
    """End a call whose response has not come, or may have come in a part of its stream that was not captured."""
    kind, message = "no_answer", "no answer was seen on any stream"
    if not is_seen:
        kind, message = "not_captured", "the stream was not captured whole, the answer may be in its gap"
    return failed(call, max(0, now_us() - call.started_at_us), details_of(None, kind, None, message))


def failed(call: ToolCall, latency_us: int, failure: Failure) -> ToolCall:
    call.status = "error"
    call.latency_us = latency_us
    call.error_details = msgspec.json.encode(failure)
    call.search = search_text(call.arguments)
    return call


def correct_outcome(record: Record, requests: list[RpcRequest], responses: list[RpcResponse], *, is_idle: bool) -> None:
    """A client that leaves when it has all responses was not interrupted.

    Neither is one that stops listening to what a server says unasked, which is how such a stream ends; of a session,
    where that `is_idle`: none of its calls waits, or was lost with the stream.
    """
    if record.outcome != Outcome.CLIENT_CLOSED:
        return
    asked = {request.id for request in requests if request.method != _LISTEN}
    if is_idle if record.method == "GET" else requests and asked <= {response.id for response in responses}:
        record.outcome = Outcome.OK.value
        record.level = level_of(record.status, record.outcome)
