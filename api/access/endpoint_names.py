"""What endpoints are called: one that was learned to be a part of another has that one's name from then on.

Rows keep the name that they were stored with, so readers translate: names of rows to those of today, and what is asked
for to all names that it had: those of before in records of the route and project that it was learned of, where others
may have an endpoint of that name. What other tenants' paths taught is not used for it.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from storage.query import FormerEndpoints, Scope

Current = Callable[[str | None, str | None, str], str]
"""From route, project and the name that a row has to the name of today."""
Former = Callable[[str, Scope], Iterable[FormerEndpoints]]
"""From the name of today to all names before, as far as a scope's traffic taught them."""


def _current(route: str | None, project: str | None, name: str) -> str:
    return name


def _former(name: str, scope: Scope) -> Iterable[FormerEndpoints]:
    return ()


async def _forget() -> None:
    """Nothing was learned."""


@dataclass(frozen=True, slots=True)
class EndpointNames:
    current: Current = _current
    former: Former = _former
    forget: Callable[[], Awaitable[None]] = _forget
    """Called after an erasure: names that no record has any more are to be forgotten."""
