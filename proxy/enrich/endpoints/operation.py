"""The name of a GraphQL operation. It distinguishes requests that all share one path.

GraphQL over HTTP, §5.2 and §5.4: a POST of a JSON object with `operationName`, or with a `query`
document of one operation, or a GET with parameters of these names. A body that was cut is searched
as far as it goes.
"""

import re
from typing import Final
from urllib.parse import unquote_plus

_NAMED: Final = re.compile(rb'"operationName"\s*:\s*"([A-Za-z_]\w{0,63})"')
_DOCUMENT: Final = re.compile(
    rb'"query"\s*:\s*"(?:\\[nrt]|[\s,])*(?:query|mutation|subscription)\s+([A-Za-z_]\w{0,63})'
)
_NAMED_IN_QUERY: Final = re.compile(r"(?:^|&)operationName=([A-Za-z_]\w{0,63})(?:&|$)", re.ASCII)
_QUERY: Final = re.compile(r"(?:^|&)query=([^&]{1,1024})")
_BEGINNING: Final = re.compile(
    r"[\s,]*(?:query|mutation|subscription)\s+([A-Za-z_]\w{0,63})", re.ASCII
)
_ANY_DOCUMENT: Final = re.compile(
    rb'"query"\s*:\s*"(?:\\[nrt]|[\s,])*+'
    rb'(?:\{[^={}()"!~|]*+[{}(]|fragment\s|(?:query|mutation|subscription)(?:\\[nrt]|[\s,])*+(?:\w+\s*)?[({@])'
)
_ANY_BEGINNING: Final = re.compile(
    r'[\s,]*+(?:\{[^={}()"!~|]*+[{}(]|fragment\s|(?:query|mutation|subscription)[\s,]*+(?:\w+\s*)?[({@])'
)
"""Does not match queries of Loki, which are in braces as well, nor plain words."""
_ENDS: Final = ("l", "L", "/")
"""Last characters of GraphQL paths. Other paths are not examined further, which saves 0.3 µs."""
_MAX_BYTES: Final = 1 << 16


def is_graphql(method: str | None, path: str) -> bool:
    return (
        (path[-1:] in _ENDS)
        and method in ("POST", "GET")
        and path.rstrip("/").lower().endswith(("graphql", "/gql"))
    )


def asks_graphql(body: bytes, query: str | None) -> bool:
    """Return True if a request has a GraphQL document in its body or query, at any path."""
    if body.find(b'"query"', 0, _MAX_BYTES) >= 0:
        return _ANY_DOCUMENT.search(body, 0, _MAX_BYTES) is not None
    if query is None or (document := _QUERY.search(query)) is None:
        return False
    return _ANY_BEGINNING.match(unquote_plus(document[1])) is not None


def operation_of(body: bytes) -> str | None:
    """Return the name of the GraphQL operation in a request body; None if it has no name."""
    found = _NAMED.search(body, 0, _MAX_BYTES) or _DOCUMENT.search(body, 0, _MAX_BYTES)
    if found is None:
        return None
    return found[1].decode("ascii")


def operation_in_query(query: str | None) -> str | None:
    """Return the name of the GraphQL operation in a raw query; None if it has no name."""
    if not query:
        return None
    found = _NAMED_IN_QUERY.search(query)
    if found is None and (document := _QUERY.search(query)) is not None:
        found = _BEGINNING.match(unquote_plus(document[1]))
    if found is None:
        return None
    return found[1]
