"""A path of the admin port: who answers, who may ask, and its description for OpenAPI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp.typedefs import Handler

Schema = dict[str, Any]

JSON: Final = "application/json"
HTML: Final = ("text/html",)


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of one operation."""

    answer: Any = None
    """Type of the JSON response; None if it is not JSON, or has no fixed members."""
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    """Query parameters of this operation alone."""
    has_filters: bool = False
    """True if it accepts the native filters as well."""
    repeated: frozenset[str] = frozenset()
    """Lists whose values are given only by repeating the parameter: they may contain commas."""
    media_types: tuple[str, ...] = (JSON,)
    status: int = 200
    errors: tuple[int, ...] = (400,)
    """Besides 401, 403 and 503."""
    body: Any = None
    """Type of the body of a request."""
    body_types: tuple[str, ...] = (JSON,)
    """Media types of that body; plain text is described as text."""
    headers: Mapping[str, Schema] = field(default_factory=dict)
    """Request headers that mean something here."""
    is_maybe_empty: bool = False
    """Whether some requests need no response, and get 202."""
    notes: str = ""
    """Facts that a reader needs and that are not in the schema or the summary."""


PAGE: Final = Operation(media_types=HTML, errors=())
"""Pages of the UI."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the admin port."""

    method: str
    path: str
    handler: Handler
    operation: Operation = PAGE
    is_open: bool = False
    """True if no token is needed."""
    is_global: bool = False
    """True if it shows the whole sidecar; then callers with a restricted scope are refused."""
    for_readers: bool | None = None
    """True if readers may use it; None for a GET only."""

    @property
    def needs_admin(self) -> bool:
        """Return True if only an unrestricted admin may use the route."""
        return not (self.method == "GET" if self.for_readers is None else self.for_readers)
