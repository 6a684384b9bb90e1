"""Why a tool call failed, as the MCP logs API words it: by the transport, by JSON-RPC, or by the tool itself.

The tool's own failure is a result with `isError` and HTTP 200, so the status alone is not enough. In a result whose
middle is missing, `isError` is looked for at its depth in both windows.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import decode, text_of, value_at
from proxy.enrich.mcp.jsonrpc import RpcResponse
from proxy.enrich.redact.redactor import Redactor
from storage.record import Outcome, Record, ToolCall

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
"""Those of JSON-RPC, and those that revisions of MCP give a meaning."""
CALLER_ERRORS: Final = frozenset(_CODES.values()) - {"internal_error"}
"""Failures that are the caller's own, as statuses from 400 to 499 are."""
_TOOL_ERROR: Final = "tool_error"
_NO_ANSWER: Final = "no_answer"
_SERVER_ERROR: Final = "server_error"
_REPORTED: Final = (frozenset(_CODES.values()) | {_TOOL_ERROR, _SERVER_ERROR}) - {"cancelled"}
"""What a call that has ended says of the exchange that ended it: an error of a task stands in its state."""
MAX_MESSAGE_CHARACTERS: Final = 1000

Failure = dict[str, object]


class _Content(msgspec.Struct, gc=False):
    text: Any = None


class _Result(msgspec.Struct, gc=False):
    is_error: Any = msgspec.field(default=None, name="isError")
    content: list[_Content] | None = None


_RESULT: Final = msgspec.json.Decoder(_Result)
_WORDS: Final = msgspec.json.Decoder()


def failure_of(response: RpcResponse, http_status: int | None, redactor: Redactor) -> Failure | None:
    """Return the failure that a response reports; None when it succeeded."""
    if response.error and response.error != b"null":
        if response.error[:1] != b"{":  # no JSON-RPC, but a server's own words
            words = _message(decode(_WORDS, response.error), redactor)
            return _by_status(http_status, words) or details_of(http_status, _SERVER_ERROR, None, words)
        code, message = value_at(response.error, "code"), value_at(response.error, "message")
        return details_of(http_status, _kind_of(code), text_of(code), _message(message, redactor))
    result = decode(_RESULT, response.result) if response.is_whole else None
    if result is None:
        return details_of(http_status, _TOOL_ERROR) if response.is_error else _by_status(http_status)
    if result.is_error is True:
        text = next((part.text for part in result.content or () if isinstance(part.text, str)), None)
        return details_of(http_status, _TOOL_ERROR, None, _message(text, redactor))
    return _by_status(http_status)


def transport_failure(record: Record) -> Failure | None:
    """Return how the exchange itself failed; None when it did not."""
    if record.error_type is not None:
        return details_of(record.status, record.error_type)
    if record.outcome != Outcome.OK:
        return details_of(record.status, record.outcome)
    return _by_status(record.status)


def missing_response(record: Record, *, is_seen: bool) -> Failure:
    """Return the failure of a call in whose response there is none for it, or none that was seen."""
    if not is_seen:
        return details_of(record.status, "not_captured", None, "the answer was not captured")
    return details_of(record.status, _NO_ANSWER, None, "the answer holds no response")


def reported_failure(record: Record, calls: Iterable[ToolCall], responses: Iterable[RpcResponse]) -> str | None:
    """Return the kind of failure that an exchange's messages report, whatever its status; None without one."""
    for call in calls:
        kind: str | None = value_at(call.error_details or b"", "error", "type")
        if kind in _REPORTED or (kind == _NO_ANSWER and call.record_id == record.id):
            return kind
    errors = (response.error for response in responses if response.error and response.error != b"null")
    return next((_kind_of(value_at(error, "code")) for error in errors), None)


def without_message(failure: Failure) -> Failure:
    """Return the kind of a failure, without the server's text."""
    error = failure["error"]
    assert isinstance(error, dict)
    return failure | {"error": {name: value for name, value in error.items() if name != "message"}}


def _kind_of(code: object) -> str:
    return _CODES.get(code, _SERVER_ERROR) if isinstance(code, int) else _SERVER_ERROR


def _by_status(status: int | None, message: str | None = None) -> Failure | None:
    return details_of(status, f"http_{status}", None, message) if status is not None and status >= 400 else None


def _message(value: object, redactor: Redactor) -> str | None:
    if not isinstance(value, str):
        return None
    return redactor.redact_text(value[:MAX_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode())


def details_of(status: int | None, kind: str, code: str | None = None, message: str | None = None) -> Failure:
    error = {"type": kind, "code": code, "message": message}
    details: Failure = {"is_bifrost_error": False}
    if status is not None:
        details["status_code"] = status
    return details | {"error": {name: value for name, value in error.items() if value is not None}}
