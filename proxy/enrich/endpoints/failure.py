"""Why a GraphQL operation failed, which a status of 200 hides.

An answer has `errors`, a list of objects with a `message`, mostly beside a code in `extensions`: as one document, in
each of a batch, or in a part of what is sent piece by piece, as multipart or as an event stream. Of what was cut only
whole documents are read, and one that begins with its errors, as far as the first goes.

Standard: GraphQL §7.1; GraphQL over HTTP §6; incremental delivery; subscriptions as Apollo and graphql-sse send them.
"""

import re
from collections.abc import Iterator
from typing import Final

from proxy.enrich.endpoints.error_documents import ANY, Failure, failure
from proxy.enrich.formats.cut_json import members_at_start
from proxy.enrich.formats.frames import split_lines
from proxy.enrich.formats.json_parts import decode, decode_text
from proxy.enrich.http.decoded_body import DecodedBody

GRAPHQL_ERROR: Final = "graphql_error"
_MAX_DOCUMENTS: Final = 256
_MAX_CUT_BYTES: Final = 16_384
_MEMBERS: Final = (b"message", b"extensions")
_MARK: Final = b'"errors"'
_CUT: Final = re.compile(rb'\s*\{\s*"errors"\s*:\s*\[\s*(?=\{)')


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
    message = decode(ANY, data)
    if not isinstance(message, dict):
        return None
    kind, payload = message.get("type"), message.get("payload")
    if kind == "error":
        return _failure(payload[0] if isinstance(payload, list) and payload else payload)
    return _failure(_first_of(payload)) if kind in ("next", "data") else None


def _documents(body: DecodedBody) -> Iterator[bytes]:
    if not body.is_truncated and body.head[:1] in (b"{", b"["):
        yield body.head
        return
    for number, line in enumerate(body.frames(split_lines)):
        if number > _MAX_DOCUMENTS:
            return
        data = line.data.removeprefix(b"data:").strip()
        if data.startswith(b"{") and data.find(_MARK) >= 0:
            yield data


def _failure_in(document: bytes) -> Failure | None:
    found = decode(ANY, document)
    for answer in found if isinstance(found, list) else [found]:
        if isinstance(answer, dict):
            parts = answer.get("incremental")  # of a subscription over multipart, `payload`
            for part in (answer, answer.get("payload"), *(parts if isinstance(parts, list) else ())):
                if (failed := _failure(_first_of(part))) is not None:
                    return failed
    return None


def _first_of(part: object) -> object:
    errors = part.get("errors") if isinstance(part, dict) else None
    return errors[0] if isinstance(errors, list) and errors else None


def _read_cut(data: bytes) -> object:
    """Read the object, or its captured part, that a text begins with."""
    error = next(iter(members_at_start(data[:_MAX_CUT_BYTES], _MEMBERS)), {})
    return {"message": decode_text(error.get(b"message")), "extensions": decode(ANY, error.get(b"extensions", b""))}


def _failure(error: object) -> Failure | None:
    if not isinstance(error, dict):
        return None
    extensions = error.get("extensions")
    return failure(GRAPHQL_ERROR, {"code": extensions.get("code")} if isinstance(extensions, dict) else None, error)
