"""Why a GraphQL operation failed, which a status of 200 hides.

An answer has `errors`, a list of objects with a `message`, mostly beside a code in `extensions`: as one document, in
each of a batch, or in a part of what is sent piece by piece, as multipart or as an event stream. Of what was cut only
whole documents are read, and one that begins with its errors, as far as the first goes.

Standard: GraphQL §7.1; GraphQL over HTTP §6; incremental delivery; subscriptions as Apollo and graphql-sse send them.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.cut_json import members_at_start
from proxy.enrich.formats.frames import LineSplitter
from proxy.enrich.formats.json_parts import decode, decode_text, text_of
from proxy.enrich.http.decoded_body import DecodedBody

GRAPHQL_ERROR: Final = "graphql_error"
_CALLER_CODES: Final = frozenset(
    (
        *("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT", "BAD_REQUEST"),
        *("OPERATION_RESOLUTION_FAILURE", "PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_NOT_SUPPORTED"),
        *("UNAUTHENTICATED", "FORBIDDEN"),
    )
)
"""What Apollo and those that follow it say of requests that are wrong themselves."""
_MAX_DOCUMENTS: Final = 256
_MAX_CUT_BYTES: Final = 16_384
_MEMBERS: Final = (b"message", b"extensions")
_MARK: Final = b'"errors"'
_CUT: Final = re.compile(rb'\s*\{\s*"errors"\s*:\s*\[\s*(?=\{)')


class Failure(NamedTuple):
    """The first error of an answer."""

    message: str
    """With its code before it, where it has one."""
    is_callers: bool
    code: str = GRAPHQL_ERROR
    """Of the record."""


class _Answer(msgspec.Struct, gc=False):
    errors: Any = None
    incremental: Any = None
    payload: Any = None
    """Of a subscription over multipart."""


class _Message(msgspec.Struct, gc=False):
    type: str
    payload: Any = None


_ANY: Final = msgspec.json.Decoder()
_MESSAGE: Final = msgspec.json.Decoder(_Message)
_ANSWER: Final = msgspec.json.Decoder(_Answer)
_BATCH: Final = msgspec.json.Decoder(list[_Answer])


def failure_of(body: DecodedBody | None) -> Failure | None:
    """Find the first error in the answer to a GraphQL request; None where there is none, or it cannot be read."""
    if body is None or (body.head.find(_MARK) < 0 and body.tail.find(_MARK) < 0):
        return None
    for document in _documents(body):
        found = _failure_in(document)
        if found is not None:
            return found
    cut = _CUT.match(body.head) if body.is_truncated else None
    return None if cut is None else _failure(_read_cut(body.head[cut.end() :]))


def message_failure(data: bytes) -> Failure | None:
    """Find the error in a message of a subscription over a WebSocket (graphql-ws, subscriptions-transport-ws)."""
    if data.find(b'"payload"') < 0 or (data.find(_MARK) < 0 and data.find(b'"error"') < 0):
        return None
    message = decode(_MESSAGE, data)
    if message is None:
        return None
    if message.type == "error":
        first = message.payload[0] if isinstance(message.payload, list) and message.payload else message.payload
        return _failure(first)
    return _failure(_first_of(message.payload)) if message.type in ("next", "data") else None


def _documents(body: DecodedBody) -> Iterator[bytes]:
    if not body.is_truncated and body.head[:1] in (b"{", b"["):
        yield body.head
        return
    for number, line in enumerate(body.frames(LineSplitter)):
        if number > _MAX_DOCUMENTS:
            return
        data = line.data.removeprefix(b"data:").strip()
        if data.startswith(b"{") and data.find(_MARK) >= 0:
            yield data


def _failure_in(document: bytes) -> Failure | None:
    answers = decode(_BATCH, document) if document.startswith(b"[") else [decode(_ANSWER, document)]
    for answer in answers or ():
        if answer is None:
            continue
        parts = answer.incremental if isinstance(answer.incremental, list) else []
        for errors in (answer.errors, _errors_of(answer.payload), *map(_errors_of, parts)):
            if isinstance(errors, list) and errors:
                return _failure(errors[0])
    return None


def _errors_of(part: object) -> object:
    return part.get("errors") if isinstance(part, dict) else None


def _first_of(part: object) -> object:
    errors = _errors_of(part)
    return errors[0] if isinstance(errors, list) and errors else None


def _read_cut(data: bytes) -> object:
    """Read the object that a text begins with, as far as it is there."""
    error = next(iter(members_at_start(data[:_MAX_CUT_BYTES], _MEMBERS)), {})
    return {"message": decode_text(error.get(b"message")), "extensions": decode(_ANY, error.get(b"extensions", b""))}


def _failure(error: object) -> Failure | None:
    if not isinstance(error, dict):
        return None
    message, extensions = text_of(error.get("message")), error.get("extensions")
    code = text_of(extensions.get("code")) if isinstance(extensions, dict) else None
    said = ": ".join(filter(None, (code, message)))
    return Failure(said or "no message", code in _CALLER_CODES)
