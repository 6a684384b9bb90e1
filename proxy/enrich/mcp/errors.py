"""Errors of tool calls, in the words of the MCP logs API.

A call can fail in the transport, in JSON-RPC or in the tool itself. The tool's own failure is a
result with `isError` and HTTP 200, so the status alone is not enough. In a result with a gap in the
middle, `isError` is searched at its depth in both windows.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from proxy.enrich.formats.json_parts import decode, text_of, value_at, values_at
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.mcp.jsonrpc import RpcRequest, RpcResponse
from proxy.enrich.mcp.refusal import Refusal
from proxy.enrich.mcp.sessions import PENDING_US, RESUME_US
from proxy.enrich.redact.redactor import Redactor
from storage.record import Outcome, Record, ToolCall, now_us
from storage.tools import TOOL_ERROR, FailedTool, search_text

_CODES: Final = {
    -32700: "parse_error",
    -32600: "invalid_request",
    -32601: "method_not_found",
    -32602: "invalid_params",
    -32603: "internal_error",
    -32800: "cancelled",
    -32002: "resource_not_found",
    -32020: "header_mismatch",
    -32021: "missing_client_capability",
    -32022: "unsupported_protocol_version",
    -32042: "url_elicitation_required",
}
"""Error codes of JSON-RPC, and those defined by revisions of MCP."""
_FAILED: Final = 400
"""Lowest HTTP status of a failure."""
_NO_ANSWER: Final = "no_answer"
_SERVER_ERROR: Final = "server_error"
_REPORTED: Final = (frozenset(_CODES.values()) | {TOOL_ERROR, _SERVER_ERROR}) - {"cancelled"}
"""Kinds of failure that an ended call passes on to its exchange. The error of a task does not: it
is part of the task's state.
"""
MAX_MESSAGE_CHARACTERS: Final = 1000

Failure = dict[str, object]


_WORDS: Final = msgspec.json.Decoder()


def failure_of(
    response: RpcResponse, http_status: int | None, redactor: Redactor
) -> Failure | None:
    """Return the failure that a response reports; None if it succeeded."""
    if response.error and response.error != b"null":
        if response.error[:1] != b"{":  # not JSON-RPC, but the server's own text
            words = _message(decode(_WORDS, response.error), redactor)
            return _by_status(http_status, words) or details_of(
                http_status, _SERVER_ERROR, None, words
            )

        code = value_at(response.error, "code")
        message = value_at(response.error, "message")
        return details_of(http_status, _kind_of(code), text_of(code), _message(message, redactor))

    is_error = (
        value_at(response.result, "isError") is True if response.is_whole else response.is_error
    )
    if not is_error:
        return _by_status(http_status)

    texts = values_at(response.result, "content", "text") if response.is_whole else ()
    text = next((text for text in texts if isinstance(text, str)), None)
    return details_of(http_status, TOOL_ERROR, None, _message(text, redactor))


def transport_failure(record: Record, refusal: Refusal | None) -> Failure | None:
    """Return the failure of the exchange itself, with its reason if known; None if it succeeded."""
    noted = value_at(record.data or b"", "error_message")
    message = noted if isinstance(noted, str) else None
    if record.error_type:
        return details_of(record.status, record.error_type, None, message)
    if refusal is not None:
        return details_of(record.status, refusal.code, None, message or refusal.message)
    if record.outcome != Outcome.OK:
        return details_of(record.status, record.outcome)
    return _by_status(record.status)


def missing_response(record: Record, *, is_seen: bool) -> Failure:
    """Return the failure of a call without a response in its exchange, or with one that was not
    captured.
    """
    if not is_seen:
        return details_of(record.status, "not_captured", None, "the answer was not captured")
    return details_of(record.status, _NO_ANSWER, None, "the answer holds no response")


def reported_failure(
    record: Record, calls: Iterable[ToolCall], responses: Iterable[RpcResponse]
) -> str | None:
    """Return the kind of failure that the messages of an exchange report; None without one.

    The HTTP status does not matter. Text that is not JSON-RPC gets no kind if the status already
    reports a failure.
    """
    for call in calls:
        kind: str | None = value_at(call.error_details or b"", "error", "type")
        if kind in _REPORTED or (kind == _NO_ANSWER and call.record_id == record.id):
            return kind

    is_failed = record.status is not None and record.status >= _FAILED
    errors = (
        response.error for response in responses if response.error and response.error != b"null"
    )
    errors = (error for error in errors if error[:1] == b"{" or not is_failed)
    return next((_kind_of(value_at(error, "code")) for error in errors), None)


def failed_tool_of(call: ToolCall, *, keeps_text: bool) -> FailedTool:
    """Return the tool of a failed call, with the reason if text is kept."""
    message = value_at(call.error_details or b"", "error", "message")
    return FailedTool(call.tool_name, message if isinstance(message, str) and keeps_text else "")


def without_message(failure: Failure) -> Failure:
    """Return the kind of a failure, without the server's text."""
    error = failure["error"]
    assert isinstance(error, dict)
    return failure | {"error": {name: value for name, value in error.items() if name != "message"}}


def _kind_of(code: object) -> str:
    if isinstance(code, int):
        return _CODES.get(code, _SERVER_ERROR)
    return _SERVER_ERROR


def _by_status(status: int | None, message: str | None = None) -> Failure | None:
    if status is not None and status >= _FAILED:
        return details_of(status, f"http_{status}", None, message)
    return None


def _message(value: object, redactor: Redactor) -> str | None:
    if not isinstance(value, str):
        return None
    return redactor.redact_text(value[:MAX_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode())


def details_of(
    status: int | None, kind: str, code: str | None = None, message: str | None = None
) -> Failure:
    error = {"type": kind, "code": code, "message": message}
    details: Failure = {"is_bifrost_error": False}
    if status is not None:
        details["status_code"] = status
    return details | {"error": {name: value for name, value in error.items() if value is not None}}


_LISTEN: Final = "subscriptions/listen"
"""Requests a stream of notifications (revision 2026-07-28). The response comes only if the server
ends the stream.
"""


def wait_us(record: Record, exchange: DecodedExchange, *, has_others: bool) -> int:
    """Return the time in µs for which the response may still come on another stream; 0 if it
    cannot.
    """
    if record.status == 202:
        return PENDING_US
    response = exchange.response_body
    if has_others:
        return RESUME_US

    kind = exchange.response.content_type.lower()
    if not exchange.request.mcp_session and not exchange.response.mcp_session:
        # The session is in the query (revision 2024-11-05). Servers of that revision accept a call
        # with any text, or with an empty body.
        is_answer = response is not None and (b"html" in kind or b"json" in kind)
        if is_answer:
            return 0
        return PENDING_US
    if response is None:
        return 0

    has_ids = (
        response.head.startswith(b"id:") or b"\nid:" in response.head or b"\nid:" in response.tail
    )
    if b"event-stream" in kind and has_ids:
        return RESUME_US

    return 0


def without_response(call: ToolCall, *, is_seen: bool = True) -> ToolCall:
    """End a call without a response.

    Use `is_seen=False` if the response may be in an uncaptured part of the stream.
    """
    kind = "no_answer"
    message = "no answer was seen on any stream"
    if not is_seen:
        kind = "not_captured"
        message = "the stream was not captured whole, the answer may be in its gap"
    noted = call.error_details
    call = failed(
        call, max(0, now_us() - call.started_at_us), details_of(None, kind, None, message)
    )
    call.error_details = noted or call.error_details
    return call


def failed(call: ToolCall, latency_us: int, failure: Failure) -> ToolCall:
    call.status = "error"
    call.latency_us = latency_us
    call.error_details = msgspec.json.encode(failure)
    call.search = search_text(call.arguments)
    return call


def has_everything(
    record: Record, requests: list[RpcRequest], responses: list[RpcResponse], *, is_idle: bool
) -> bool:
    """Return True if a client that leaves has all responses, so the call was not interrupted.

    A client that stops listening to unrequested messages does not interrupt anything either: such a
    stream always ends this way. In a session this holds only if `is_idle`: no call is pending or
    was lost with the stream.
    """
    if record.outcome != Outcome.CLIENT_CLOSED:
        return False
    if record.method == "GET":
        return is_idle
    asked = {request.id for request in requests if request.method != _LISTEN}
    return bool(requests) and asked <= {response.id for response in responses}
