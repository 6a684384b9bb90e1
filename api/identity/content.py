"""What a body says, whatever way it is written. Pure.

Strategy: each kind becomes a value of JSON that is equal for bodies that mean the same. JSON is its
own value, under any media type. Forms and multipart are objects by name, without boundary. A
document of GraphQL is its tokens, so that spaces, commas and comments do not count. Other text is
itself; bytes are named by their digest.

Standards: RFC 7578 (multipart/form-data), the WHATWG URL standard (urlencoded forms), GraphQL §2.1.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple

from api.compare.bodies import fields_of, read_whole
from api.compare.multipart import FILENAME, NAME, Part, split_parts
from storage.record import Body
from storage.search.subject import readable

_FORM: Final = "application/x-www-form-urlencoded"
_GRAPHQL: Final = "application/graphql"
_MULTIPART: Final = "multipart/"
_JSON_OPENS: Final = ("{", "[")
_DOCUMENT: Final = re.compile(
    r"(?:[\s,\ufeff]|#[^\n\r]*)*+(?:(?:query|mutation|subscription|fragment)\b|\{)"
)
_TOKEN: Final = re.compile(
    r'#[^\n\r]*+|"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?+|"(?:[^"\\\n]|\\.)*+"?+|\.\.\.|\w++|[^\s,\ufeff]',
    re.DOTALL,
)
_OPTIONAL: Final = ("variables", "operationName", "extensions")
"""Members of a request of GraphQL that may as well be empty as absent."""


class Content(NamedTuple):
    """What a body says."""

    kind: str
    """`none`, `json`, `events`, `form`, `multipart`, `graphql`, `text`, `bytes`; `cut`: known by
    its size.
    """
    value: Any
    """Of JSON."""


NOTHING: Final = Content("none", None)


def content_of(body: Body | None, content_type: str) -> Content:
    """Read a body as it is stored."""
    if body is None or not body.size:
        return NOTHING
    if body.truncated or body.omitted or body.coding_error:
        return Content("cut", body.size)
    try:
        return _content(body.head, content_type)
    except RecursionError:  # JSON that can be read, and is nested too deep for the rest
        return Content("text", readable(body.head))


def _content(raw: bytes, content_type: str) -> Content:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith(_MULTIPART):
        with suppress(ValueError):
            return Content("multipart", _by_name(split_parts(raw)))

    text = readable(raw)
    # Curl labels JSON as a form by default.
    if media_type == _FORM and not text.lstrip().startswith(_JSON_OPENS):
        return Content("form", by_name(text))
    if media_type == _GRAPHQL:
        return Content("graphql", {"query": _tokens(text)})

    kind, value = read_whole(Body(raw, b"", len(raw), False, None, None))
    if kind == "json" and _is_graphql(value):
        return Content("graphql", graphql_value(value))
    if kind == "bytes":
        return Content(kind, f"{len(raw)} bytes, sha256 {sha256(raw).hexdigest()}")

    return Content(kind, value)


def by_name(text: str) -> dict[str, list[str]]:
    """Read a form: the values of each name in their order."""
    values: dict[str, list[str]] = {}
    for name, value in fields_of(text):
        values.setdefault(name, []).append(value)
    return values


def _by_name(parts: Iterable[Part]) -> dict[str, list[dict[str, Any]]]:
    """Return what the parts of each name say, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        content_type = part.headers.get("content-type", "")
        shown: dict[str, Any] = {"content": _content(part.content, content_type).value}
        if filename := part.parameter(FILENAME):
            shown["filename"] = filename
        found.setdefault(part.parameter(NAME), []).append(shown)

    return found


def _is_graphql(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) and _is_graphql(each) for each in value)
    query = value.get("query") if isinstance(value, dict) else None
    return isinstance(query, str) and _DOCUMENT.match(query) is not None


def graphql_value(request: Any) -> Any:
    """Return a request of GraphQL, or a batch of them, without what does not count."""
    if isinstance(request, list):
        return [graphql_value(each) for each in request]
    kept = {name: value for name, value in request.items() if value or name not in _OPTIONAL}
    return kept | {"query": _tokens(request["query"])}


def _tokens(document: str) -> str:
    return " ".join(token for token in _TOKEN.findall(document) if not token.startswith("#"))
