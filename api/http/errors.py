"""Errors of callers, and how the native API words them (RFC 9457 problem details).

Handlers and parameter readers raise; `api/middleware.py` writes the error in the format of the API
whose path was requested. A message names the parameter, the value and the limit, and shows at most
`MAX_SHOWN_CHARACTERS` of a value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec

from storage.search.language.errors import SearchError

MAX_SHOWN_CHARACTERS: Final = 100
"""Longest part of a client's value that is repeated in a response."""


class Refused(Exception):
    """A request that is answered with an error: the status, why, and members of the problem object
    beside them.
    """

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


class BadParameter(Refused):
    """A query parameter that cannot be read: always 400."""

    def __init__(self, parameter: str, value: str, limit: str) -> None:
        if len(value) <= MAX_SHOWN_CHARACTERS:
            cut = value
        else:
            cut = value[:MAX_SHOWN_CHARACTERS] + "…"
        super().__init__(
            400,
            f"{parameter} is {cut!r}, expected {limit}",
            parameter=parameter,
            value=cut,
            limit=limit,
        )


class BadSearch(Refused):
    """A search that cannot be read: always 400."""

    def __init__(self, error: SearchError) -> None:
        members: dict[str, Any] = {
            "parameter": "query",
            "position": error.position,
            "length": error.length,
        }
        if error.expected:
            members["expected"] = list(error.expected)
        super().__init__(400, f"query, {error}", **members)


class OutOfScope(Refused):
    """What the caller may not see: 403, or 404 in a dialect that hides its existence."""

    def __init__(self) -> None:
        # The proxy logs' words.
        super().__init__(403, "Caller is not permitted to read logs for this scope")


def phrase(status: int) -> str:
    """Return the name of a status in the registry; `Error` for one that is not registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFormat:
    """How one API words its errors."""

    body: Callable[[Refused], object]
    """The JSON object of a response."""
    schema: Any
    """Its type, for the API's description."""
    media_type: str = "application/json"
    unauthorized_status: int = 401
    """The status for a missing or wrong token."""
    unauthorized_detail: str = "a valid token is required"
    hides_what_is_foreign: bool = False
    """Whether the answer hides records out of scope as if they did not exist."""


class Problem(msgspec.Struct):
    """RFC 9457: an error of the native API."""

    title: str
    status: int
    detail: str


PROBLEM: Final = ErrorFormat(
    # `type` is left out: about:blank is implied (RFC 9457 §4.2.1).
    body=lambda e: {"title": phrase(e.status), "status": e.status, "detail": e.detail, **e.members},
    schema=Problem,
    media_type="application/problem+json",
)
"""The native API's."""
