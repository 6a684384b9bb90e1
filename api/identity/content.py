"""The content of a body in a normal form: equal for bodies with the same meaning.

Strategy: the content becomes a JSON value depending on its kind. JSON stays as it is, under any
media type. Forms and multipart bodies become objects by name, without boundary. A GraphQL document
becomes its tokens: spaces, commas and comments do not count. Other text stays text, and bytes
become their digest.
Standards: RFC 7578 (multipart/form-data), WHATWG URL (urlencoded forms), GraphQL §2.1.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple

from api.compare.bodies import is_json_sent_as_form, read_body, read_form
from api.compare.multipart import BodyPart, split_parts
from api.http.accept import media_type_of
from storage.record import Body
from storage.search.subject import readable

_FORM: Final = "application/x-www-form-urlencoded"
_GRAPHQL: Final = "application/graphql"
_MULTIPART: Final = "multipart/"
_DOCUMENT: Final = re.compile(
    r"(?:[\s,\ufeff]|#[^\n\r]*)*+(?:(?:query|mutation|subscription|fragment)\b|\{)"
)
_TOKEN: Final = re.compile(
    r'#[^\n\r]*+|"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?+|"(?:[^"\\\n]|\\.)*+"?+'
    r"|\.\.\.|\w++|[^\s,\ufeff]",
    re.DOTALL,
)
_OPTIONAL: Final = ("variables", "operationName", "extensions")
"""Members of a GraphQL request that mean the same empty and absent."""


class Content(NamedTuple):
    """The content of a body."""

    kind: str
    """`none`, `json`, `events`, `form`, `multipart`, `graphql`, `text`, `bytes`, or `cut`."""
    value: Any
    """JSON value of the content; for a cut body, its size."""


NOTHING: Final = Content("none", None)


def content_of(body: Body | None, content_type: str) -> Content:
    """Return the parsed content of a stored body, to compare whether two requests are the same."""
    if body is None or not body.size:
        return NOTHING
    if body.truncated or body.omitted or body.coding_error:
        return Content("cut", body.size)
    try:
        return _content(body.head, content_type)
    except RecursionError:
        # JSON may be readable and yet be nested too deep for further processing.
        return Content("text", readable(body.head))


def _content(raw: bytes, content_type: str) -> Content:
    media_type = media_type_of(content_type)
    if media_type.startswith(_MULTIPART):
        with suppress(ValueError):
            return Content("multipart", _parts_by_name(split_parts(raw)))

    text = readable(raw)
    if media_type == _FORM and not is_json_sent_as_form(text):
        return Content("form", by_name(text))
    if media_type == _GRAPHQL:
        return Content("graphql", {"query": _tokens(text)})

    kind, value = read_body(raw)
    if kind == "json" and _is_graphql(value):
        return Content("graphql", graphql_value(value))
    if kind == "bytes":
        value = f"{len(raw)} bytes, sha256 {sha256(raw).hexdigest()}"
    return Content(kind, value)


def by_name(text: str) -> dict[str, list[str]]:
    """Return the values of each name in the text of a query or a form, in the order of the text."""
    values: dict[str, list[str]] = {}
    for name, value in read_form(text):
        values.setdefault(name, []).append(value)
    return values


def _parts_by_name(parts: Iterable[BodyPart]) -> dict[str, list[dict[str, Any]]]:
    """Return the contents of the parts of each name, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        content_type = part.headers.get("content-type", "")
        shown: dict[str, Any] = {"content": _content(part.content, content_type).value}
        if part.filename:
            shown["filename"] = part.filename
        found.setdefault(part.name, []).append(shown)

    return found


def _is_graphql(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) and _is_graphql(each) for each in value)
    if isinstance(value, dict):
        query = value.get("query")
    else:
        query = None
    return isinstance(query, str) and _DOCUMENT.match(query) is not None


def graphql_value(request: Any) -> Any:
    """Return a GraphQL request, or a batch of them, in its normal form."""
    if isinstance(request, list):
        return [graphql_value(each) for each in request]
    kept = {name: value for name, value in request.items() if value or name not in _OPTIONAL}
    return kept | {"query": _tokens(request["query"])}


def _tokens(document: str) -> str:
    """Return the tokens of a GraphQL document, separated by spaces and without comments."""
    return " ".join(token for token in _TOKEN.findall(document) if not token.startswith("#"))
