"""The name of a GraphQL operation, which tells more of a request than the one path that all of them are sent to.

GraphQL over HTTP, §5.4: a POST of a JSON object with `operationName`, or with a `query` document of one operation. What
was cut is looked at as far as it goes.
"""

import re
from typing import Final

_NAMED: Final = re.compile(rb'"operationName"\s*:\s*"([A-Za-z_]\w{0,63})"')
_DOCUMENT: Final = re.compile(
    rb'"query"\s*:\s*"(?:\\[nrt]|[\s,])*(?:query|mutation|subscription)\s+([A-Za-z_]\w{0,63})'
)
_MAX_BYTES: Final = 1 << 16


def is_graphql(method: str | None, path: str) -> bool:
    return method == "POST" and path.rstrip("/").lower().endswith(("graphql", "/gql"))


def operation_of(body: bytes) -> str | None:
    """Find the name of the operation that a body asks for; None when it has none."""
    found = _NAMED.search(body, 0, _MAX_BYTES) or _DOCUMENT.search(body, 0, _MAX_BYTES)
    return None if found is None else found[1].decode("ascii")
