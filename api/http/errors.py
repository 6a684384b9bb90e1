"""What a reader did wrong, and how the native API says so (RFC 9457 problem details).

Handlers and parameter readers raise; `api/middleware.py` turns what was raised into the shape of the dialect whose
path was asked. A message names the parameter, the value and the limit, and shows at most `MAX_SHOWN_CHARACTERS` of a
value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

MAX_SHOWN_CHARACTERS: Final = 100
"""Longest part of a client's value that is repeated in an answer."""


class Refused(Exception):
    """A request that is answered with an error: the status, why, and members of the problem object beside them."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


class BadParameter(Refused):
    """A query parameter that cannot be read: always 400."""

    def __init__(self, parameter: str, value: str, limit: str) -> None:
        shown = value if len(value) <= MAX_SHOWN_CHARACTERS else value[:MAX_SHOWN_CHARACTERS] + "…"
        super().__init__(
            400, f"{parameter} is {shown!r}, expected {limit}", parameter=parameter, value=shown, limit=limit
        )


def problem(status: int, detail: str, members: Mapping[str, str]) -> dict[str, object]:
    """Describe an error as RFC 9457 §3 does, `about:blank` being implied by the absent `type`."""
    return {"title": phrase(status), "status": status, "detail": detail, **members}


def phrase(status: int) -> str:
    """Name a status as the registry does; `Error` for one it does not know."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


class OutOfScope(Refused):
    """What the caller may not see: 403, or 404 in a dialect that does not tell that it exists."""

    def __init__(self) -> None:
        super().__init__(403, "Caller is not permitted to read logs for this scope")  # seed 001's words


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How one dialect words its errors."""

    body: Callable[[Refused], object]
    """The JSON object of an answer."""
    media_type: str = "application/json"
    unauthorized_status: int = 401
    """What a missing or wrong token is answered with."""
    unauthorized_detail: str = "a valid token is required"
    hides_what_is_foreign: bool = False
    """Whether what is out of scope is answered as if it did not exist."""


PROBLEM: Final = Shape(
    body=lambda refused: problem(refused.status, refused.detail, refused.members),
    media_type="application/problem+json",
)
"""The native API's shape."""
