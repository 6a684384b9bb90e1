"""Errors of callers, and their form in the native API (RFC 9457 problem details).

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
    """A request that gets an error response: status, reason, and further members of the problem
    object.
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
    """A request for data that the caller may not see: 403, or 404 in a dialect that hides its
    existence.
    """

    def __init__(self) -> None:
        # wording of the proxy logs
        super().__init__(403, "Caller is not permitted to read logs for this scope")


def phrase(status: int) -> str:
    """Return the name of a status in the registry; `Error` for one that is not registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFormat:
    """The form of one API's errors."""

    body: Callable[[Refused], object]
    """Returns the JSON object of a response."""
    schema: Any
    """Type of that object, for the API's description."""
    media_type: str = "application/json"
    unauthorized_status: int = 401
    """Status for a missing or wrong token."""
    unauthorized_detail: str = "a valid token is required"
    hides_what_is_foreign: bool = False
    """True if records out of scope are reported as nonexistent."""


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
"""Errors of the native API."""
