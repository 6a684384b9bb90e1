"""Why a tool call failed, in the shape of seed 003: by the transport, by JSON-RPC, or by the tool itself.

The tool's own failure is a result with `isError` and HTTP 200, so the status alone tells nothing. In a result whose
middle is missing, `isError` is looked for in both windows.
"""

from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import decode, find_member, text_of
from proxy.enrich.mcp.jsonrpc import Answered
from proxy.enrich.redact.redactor import Redactor
from storage.record import Outcome, Record

_CODES: Final = {
    -32700: "parse_error",
    -32600: "invalid_request",
    -32601: "method_not_found",
    -32602: "invalid_params",
    -32603: "internal_error",
    -32800: "cancelled",
}
MAX_MESSAGE_CHARACTERS: Final = 1000

Failure = dict[str, object]


class _Error(msgspec.Struct, gc=False):
    code: Any = None
    message: Any = None


class _Content(msgspec.Struct, gc=False):
    text: Any = None


class _Result(msgspec.Struct, gc=False):
    failed: Any = msgspec.field(default=None, name="isError")
    content: list[_Content] | None = None


_ERROR: Final = msgspec.json.Decoder(_Error)
_RESULT: Final = msgspec.json.Decoder(_Result)


def failure_of(answer: Answered, http_status: int | None, redactor: Redactor) -> Failure | None:
    """Say what an answer says went wrong; None when nothing did."""
    if answer.error and answer.error != b"null":
        error = decode(_ERROR, answer.error) or _Error()
        code = error.code if isinstance(error.code, int) and not isinstance(error.code, bool) else None
        kind = _CODES.get(code, "server_error") if code is not None else "server_error"
        return _details(http_status, kind, text_of(error.code), _message(error.message, redactor))
    if not answer.is_whole:
        flag = find_member(answer.result, b"isError", last=True)
        return _details(http_status, "tool_error", None, None) if flag == b"true" else _by_status(http_status)
    result = decode(_RESULT, answer.result)
    if result is None:
        flag = find_member(answer.result, b"isError", last=True)
        return _details(http_status, "tool_error", None, None) if flag == b"true" else _by_status(http_status)
    if result.failed is True:
        text = next((part.text for part in result.content or () if isinstance(part.text, str)), None)
        return _details(http_status, "tool_error", None, _message(text, redactor))
    return _by_status(http_status)


def transport_failure(record: Record, *, is_answer_missing: bool = False) -> Failure | None:
    """Say how the exchange itself failed; None when it did not, unless an answer is known to be missing."""
    if record.error_type is not None:
        return _details(record.status, record.error_type, None, None)
    if record.outcome != Outcome.OK:
        return _details(record.status, record.outcome, None, None)
    if record.status is not None and record.status >= 400:
        return _by_status(record.status)
    return _details(record.status, "no_answer", None, "the answer holds no response") if is_answer_missing else None


def _by_status(status: int | None) -> Failure | None:
    return _details(status, f"http_{status}", None, None) if status is not None and status >= 400 else None


def _message(value: object, redactor: Redactor) -> str | None:
    if not isinstance(value, str):
        return None
    return redactor.redact_text(value[:MAX_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode())


def _details(status: int | None, kind: str, code: str | None, message: str | None) -> Failure:
    error = {"type": kind, "code": code, "message": message}
    details: Failure = {"is_bifrost_error": False}
    if status is not None:
        details["status_code"] = status
    return details | {"error": {name: value for name, value in error.items() if value is not None}}
