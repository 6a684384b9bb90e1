"""Requests in a normal form: equal for requests with the same meaning.

Strategy: method, path, query and body become one JSON document, with path segments unescaped, the
query as a multiset, and the body by its kind (`content.py`). Header fields are kept apart from it:
the recorded response decides which of them count (`match.py`). All redacted values are equal.
Standards: RFC 3986 §6.2.2 (escapes), RFC 9110 §5.3 (fields in several lines), GraphQL over HTTP
§6.1.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from api.compare.json_changes import parse
from api.identity.content import by_name, content_of, graphql_value
from api.identity.places import NO_PLACES, RequestPlaces, without_places
from api.native.projection import split_head
from storage.record import Payload, Record

_MARK: Final = re.compile(r"(?:\[|%5[Bb])REDACTED(?::[0-9a-f]+)?(?:\]|%5[Dd])")
"""Mark of a redacted value, with or without a fingerprint."""
_PLAIN_MARK: Final = "[REDACTED]"

Document = dict[str, Any]


class Request(NamedTuple):
    """A request in its normal form."""

    endpoint: str
    """Template of the path."""
    document: Document
    """Members `method`, `path`, `query`, `kind` and `body`."""
    fields: Mapping[str, str]
    """Header fields by lower-case name, several lines joined."""


def request_of(
    record: Record, payload: Payload | None, places: RequestPlaces = NO_PLACES
) -> Request:
    """Return the request of an exchange, without the ignored places."""
    head = b""
    body = None
    if payload is not None:
        head = payload.request_head
        body = payload.request_body
    fields = header_fields(head)
    content = content_of(body, fields.get("content-type", ""))

    segments = _without_fingerprints(record.path or "").split("/")
    document: Document = {
        "method": record.method or "",
        "path": [unquote(segment, errors="surrogateescape") for segment in segments],
        "query": _query(_without_fingerprints(record.query or "")),
        "kind": content.kind,
        "body": _without_fingerprints(content.value),
    }
    for name in places.headers:
        fields.pop(name, None)
    return Request(
        record.endpoint or record.path or "",
        without_places(document, places),
        _without_fingerprints(fields),
    )


def header_fields(head: bytes) -> dict[str, str]:
    """Return the header fields of a stored head by lower-case name, in one spelling.

    Several lines are joined to one list (RFC 9110 §5.3), with a space after each comma.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in split_head(head)[1]:
        found[name.lower()] += [element.strip() for element in value.split(",")]
    return {name: ", ".join(elements) for name, elements in found.items()}


def _query(text: str) -> Document:
    """Return the values of each name, sorted. Values that are JSON are parsed."""
    values = by_name(text)
    if len(values.get("query", ())) == 1 and ("variables" in values or "operationName" in values):
        # GraphQL over HTTP §6.1: a request in the query of a GET.
        asked = {name: _json_or_text(each[0]) for name, each in values.items() if len(each) == 1}
        if isinstance(asked["query"], str):
            return {**values, **graphql_value(asked)}

    return {name: sorted(map(_json_or_text, found), key=repr) for name, found in values.items()}


def _json_or_text(text: str) -> Any:
    try:
        if text.startswith(("{", "[")):
            return parse(text)
        return text
    except ValueError:
        return text


def _without_fingerprints(value: Any) -> Any:
    """Return a JSON value with the plain mark for all redacted values in it."""
    if isinstance(value, str):
        return _MARK.sub(_PLAIN_MARK, value)
    if isinstance(value, dict):
        return {
            _MARK.sub(_PLAIN_MARK, name): _without_fingerprints(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_fingerprints(each) for each in value]
    return value
