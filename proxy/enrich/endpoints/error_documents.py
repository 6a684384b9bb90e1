"""Recognise JSON documents that report a failure, by their shape.

A document is a failure if it contains nothing else: an error and members that accompany errors, but
no result. A job that reports its own failure, a log and a list of findings are results. An empty
list, null or `"ok": false` alone is not an error. GraphQL reports failures under status 200 in
`errors`, with the code in `extensions` (GraphQL §7.1; GraphQL over HTTP §6; incremental delivery).
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.cut_json import members_at_start
from proxy.enrich.formats.frames import split_lines, split_of
from proxy.enrich.formats.json_parts import count_of, decode, decode_text, text_of
from proxy.enrich.http.exchange import DecodedBody

ANY: Final = msgspec.json.Decoder()
MAX_BYTES: Final = 65_536
"""Size of the largest document that counts as an error."""
_RPC_CODES: Final = (
    "parse_error",
    "invalid_request",
    "method_not_found",
    "invalid_params",
    "internal_error",
)
_RPC_NUMBERS: Final = dict(
    zip(("-32700", "-32600", "-32601", "-32602", "-32603"), _RPC_CODES, strict=True)
)
_CODED: Final = ("error_code", "errcode", "errorCode", "errno", "errorType", "error")
_CODES: Final = ("code", *_CODED, "statusCode", "status", "__type", "type")
_WORDS: Final = (
    "message",
    "msg",
    "detail",
    "description",
    "error_description",
    "error_msg",
    "errmsg",
    "errorMessage",
    "reason",
    "title",
)
_ANSWERS: Final = ("data", "result", "value")
_COMPANIONS: Final = {
    *_CODES,
    *_WORDS,
    *_ANSWERS,
    "errors",
    "errorDetail",
    "ok",
    "success",
    "error_uri",
    "stackTrace",
    "messages",
    "details",
    "instance",
    "meta",
    "links",
    "jsonapi",
    "path",
    "version",
    "extensions",
    "responseHeader",
    "request_id",
    "requestId",
    "trace_id",
    "traceId",
    "timestamp",
    "parameters",
    "warning",
    "needed",
    "provided",
    "response_metadata",
}
_OF_ERRORS: Final = {"code", "status", "title", "detail", "extensions", "locations"}
"""Members of errors that findings lack."""
_NOTHING: Final = frozenset(("", "0", "false", "no", "none", "null", "ok", "success"))
_CALLERS: Final = re.compile(
    r"(?i)\b4\d\d(?:\d\d)?\b|abort|already|bad_|cancel|client|denied|exhaust|expired|forbidden|invalid|limit|missing"
    r"|no_?such|not_?auth|not_?found|out_of_range|parse_|precondition|required|resolution|sender|supported|throttl|unauth|validat"
)
"""Matches codes of failures caused by the caller, like statuses from 400 to 499."""


class Failure(NamedTuple):
    """The failure of a request, as the response reports it."""

    message: str
    """Message, after its code if it has one."""
    is_callers: bool
    code: str
    """Error type of the record."""


def failure(code: str, *places: object) -> Failure:
    """Make a failure of the error type `code`, with the first error code and the first text in the
    given objects.
    """
    number = _first(_CODES, *places)
    said = dict.fromkeys(
        filter(None, (number and number.rpartition("#")[2], _first((*_WORDS, "error"), *places)))
    )
    return Failure(
        ": ".join(said) or "no message", _CALLERS.search(f"{code} {number}") is not None, code
    )


def rpc_failure(data: bytes) -> Failure | None:
    """Return the first JSON-RPC error in a message or a batch; None without one."""
    if b'"jsonrpc"' in data and b'"error"' in data:
        return _rpc_failure(decode(ANY, data))
    return None


def _rpc_failure(found: object) -> Failure | None:
    roots: list[Any] = found if isinstance(found, list) else [found]
    for root in roots:
        if isinstance(root, dict):
            error = root.get("error")
        else:
            error = None
        if isinstance(error, dict) and (
            "jsonrpc" in root or root.keys() == {"id", "error", "result"}
        ):
            return failure(f"jsonrpc_{_RPC_NUMBERS.get(str(error.get('code')), 'error')}", error)

    return None


def document_failure(data: bytes) -> Failure | None:
    """Return the failure if a document, or the only one of a list, is nothing but an error; else
    None.
    """
    if len(data) <= MAX_BYTES:
        found = decode(ANY, data)
    else:
        found = None
    if isinstance(found, list) and len(found) == 1:
        root = found[0]
    else:
        root = found
    if isinstance(root, dict):
        error = _error_in(root)
    else:
        error = None
    return _rpc_failure(found) or (
        None if error is None else failure("error_response", error, root)
    )


def _first(names: tuple[str, ...], *places: object) -> str | None:
    known = [place for place in places if isinstance(place, dict)]
    return next(
        (text for place in known for name in names if (text := text_of(place.get(name)))), None
    )


def _error_in(root: dict[str, Any]) -> dict[str, Any] | None:
    """Return the object that describes the error of a document; None if it is not an error."""
    # Kubernetes reports errors of a watch this way.
    if root.get("type") == "ERROR" and isinstance(status := root.get("object"), dict):
        return status
    error = root.get("error")
    errors = root.get("errors")
    is_success = root.get("ok") is True or root.get("success") is True
    if is_success or not root.keys() <= _COMPANIONS or any(root.get(name) for name in _ANSWERS):
        return None

    if isinstance(errors, list) and errors:
        first = errors[0]
    else:
        first = None
    is_denied = root.get("ok") is False or root.get("success") is False or "data" in root
    if isinstance(first, dict) and not (is_denied or first.keys() & _OF_ERRORS):
        first = None
    for found in (error, root.get("errorDetail"), first):
        if isinstance(found, dict) and _first((*_CODES, *_WORDS), found):
            return found
    coded = [name for name in _CODED if str(root.get(name) or "").strip().lower() not in _NOTHING]
    is_coded = (
        coded
        or (count_of(root.get("status")) or 0) >= 400
        or str(root.get("__type")).endswith(("Exception", "Error"))
    )
    has_words = ("error" in coded and isinstance(error, str)) or _first(_WORDS, root) is not None
    if is_coded and has_words and not isinstance(error, dict | list):
        return root

    return None


GRAPHQL_ERROR: Final = "graphql_error"
_MAX_DOCUMENTS: Final = 256
_MAX_CUT_BYTES: Final = 16_384
_MEMBERS: Final = (b"message", b"extensions")
_MARK: Final = b'"errors"'
_CUT: Final = re.compile(rb'\s*\{\s*"errors"\s*:\s*\[\s*(?=\{)')


def failure_of(body: DecodedBody | None) -> Failure | None:
    """Return the first error in the response to a GraphQL request; None if there is none.

    `errors` may be in a single document, in one of a batch, or in a part of a response sent in
    parts (multipart or event stream). Of a body that was cut, only whole documents are read, and a
    document that begins with its errors.
    """
    if body is None or (body.head.find(_MARK) < 0 and body.tail.find(_MARK) < 0):
        return None
    for document in _documents(body):
        found = answer_failure(document)
        if found is not None:
            return found

    if body.is_truncated:
        cut = _CUT.match(body.head)
    else:
        cut = None
    if cut is None:
        return None

    return _failure(_read_cut(body.head[cut.end() :]))


def message_failure(data: bytes) -> Failure | None:
    """Return the error in a message of a GraphQL subscription over a WebSocket; None without one.

    Protocols: graphql-ws, subscriptions-transport-ws.
    """
    if data.find(b'"payload"') < 0 or (data.find(_MARK) < 0 and data.find(b'"error"') < 0):
        return None
    message = decode(ANY, data)
    if not isinstance(message, dict):
        return None

    kind = message.get("type")
    payload = message.get("payload")
    if kind == "error":
        return _failure(payload[0] if isinstance(payload, list) and payload else payload)
    if kind in ("next", "data"):
        return _failure(_first_of(payload))

    return None


def _documents(body: DecodedBody) -> Iterator[bytes]:
    is_one = body.head[:1] in (b"{", b"[") and split_of(b"", body.head) is None
    if is_one and not body.is_truncated:
        yield body.head
        return
    for number, line in enumerate(body.frames(split_lines)):
        if number > _MAX_DOCUMENTS:
            return
        data = line.data.removeprefix(b"data:").strip()
        if data.startswith(b"{") and data.find(_MARK) >= 0:
            yield data


def answer_failure(document: bytes) -> Failure | None:
    """Return the first error in a GraphQL response or a batch of them; None without one."""
    found = decode(ANY, document)
    for answer in found if isinstance(found, list) else [found]:
        if isinstance(answer, dict):
            parts = answer.get("incremental")  # a subscription over multipart has `payload`
            for part in (
                answer,
                answer.get("payload"),
                *(parts if isinstance(parts, list) else ()),
            ):
                if (failed := _failure(_first_of(part))) is not None:
                    return failed

    return None


def _first_of(part: object) -> object:
    if isinstance(part, dict):
        errors = part.get("errors")
    else:
        errors = None
    if isinstance(errors, list) and errors:
        return errors[0]
    return None


def _read_cut(data: bytes) -> object:
    """Read the object, or its captured part, at the beginning of a text."""
    error = next(iter(members_at_start(data[:_MAX_CUT_BYTES], _MEMBERS)), {})
    return {
        "message": decode_text(error.get(b"message")),
        "extensions": decode(ANY, error.get(b"extensions", b"")),
    }


def _failure(error: object) -> Failure | None:
    if not isinstance(error, dict):
        return None
    extensions = error.get("extensions")
    return failure(
        GRAPHQL_ERROR,
        {"code": extensions.get("code")} if isinstance(extensions, dict) else None,
        error,
    )
