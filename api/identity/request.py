"""What a request asks for, as a value that is equal for requests that mean the same. Pure.

Strategy: method, path, query and body become one document of JSON, whatever their spelling: escapes
of a path undone, a query as a multiset, the body by its kind (`content.py`). Header fields stand
beside it, because the recorded answer says which of them count (`match.py`). Redacted values are
equal to all others that were redacted.

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
from api.identity.places import Places, without_places
from api.native.projection import split_head
from storage.record import Payload, Record

_MARK: Final = re.compile(r"(?:\[|%5[Bb])REDACTED(?::[0-9a-f]+)?(?:\]|%5[Dd])")
"""A secret, also where its mark has a fingerprint."""
_PLAIN_MARK: Final = "[REDACTED]"

Document = dict[str, Any]


class Request(NamedTuple):
    """What is asked for."""

    endpoint: str
    """Template of the path."""
    document: Document
    """`method`, `path`, `query`, `kind` and `body`."""
    fields: Mapping[str, str]
    """Header fields by lower-case name, several lines as one."""


NO_PLACES: Final = Places()


def request_of(record: Record, payload: Payload | None, places: Places = NO_PLACES) -> Request:
    """Read the request of an exchange, without the places that are left out."""
    fields = _fields(b"" if payload is None else payload.request_head)
    content = content_of(
        None if payload is None else payload.request_body, fields.get("content-type", "")
    )
    document: Document = {
        "method": record.method or "",
        "path": [
            unquote(segment, errors="surrogateescape")
            for segment in _plain(record.path or "").split("/")
        ],
        "query": _query(_plain(record.query or "")),
        "kind": content.kind,
        "body": _without_marks(content.value),
    }
    kept = {name: _plain(value) for name, value in fields.items() if name not in places.headers}
    return Request(record.endpoint or record.path or "", without_places(document, places), kept)


def _fields(head: bytes) -> dict[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in split_head(head)[1]:
        found[name.lower()].append(value.strip())
    return {name: _listed(",".join(values)) for name, values in found.items()}


def _listed(value: str) -> str:
    """Write a list with one space behind each comma."""
    return ", ".join(part.strip() for part in value.split(","))


def _query(text: str) -> Document:
    """Return the values of each name, in the order of their text; documents in them are read."""
    values = by_name(text)
    if len(values.get("query", ())) == 1 and ("variables" in values or "operationName" in values):
        asked = {name: _json_or_text(each[0]) for name, each in values.items() if len(each) == 1}
        if isinstance(asked["query"], str):
            return {**values, **graphql_value(asked)}

    return {
        name: sorted((_json_or_text(each) for each in found), key=repr)
        for name, found in values.items()
    }


def _json_or_text(text: str) -> Any:
    try:
        return parse(text) if text.startswith(("{", "[")) else text
    except ValueError:
        return text


def _plain(text: str) -> str:
    return _MARK.sub(_PLAIN_MARK, text)


def _without_marks(value: Any) -> Any:
    """Take the fingerprints out of what was redacted."""
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, dict):
        return {_plain(name): _without_marks(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_marks(each) for each in value]

    return value
