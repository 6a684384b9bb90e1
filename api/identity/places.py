"""Places of a request that are left out: `body.requested_at`, `query.t`, `header:accept`. Pure.

A place is written as comparisons show it (`api.compare.ignored`). `.requested_at`, without the part
of the request, is a place of the body. A member of an array is that of each of its elements.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from api.compare.ignored import ANY, Steps, read_place

_PARTS: Final = ("body", "query", "path")
_BODY: Final = ("body",)
_KIND: Final = ("kind",)
"""What kind of body it is, which is no place of its own."""


class Places(NamedTuple):
    """What is left out."""

    paths: tuple[Steps, ...] = ()
    """Beginning with the part of the request."""
    headers: frozenset[str] = frozenset()
    """Lower-case names."""


def read_places(texts: Iterable[str]) -> Places:
    """Read places.

    Raises:
        ValueError: one is malformed; the message names it.
    """
    places = [read_place(text) for text in texts]
    return Places(
        tuple(
            place.steps if place.steps[0] in _PARTS else ("body", *place.steps)
            for place in places
            if not place.is_header
        ),
        frozenset(str(place.steps[0]) for place in places if place.is_header),
    )


def without_places(document: dict[str, Any], places: Places) -> dict[str, Any]:
    """Return a document without these places."""
    for path in places.paths:
        document = _without(document, path)
        if path == _BODY:
            document = _without(document, _KIND)
    return document


def _without(value: Any, path: Steps) -> Any:
    if not path:
        return None
    step = path[0]
    rest = path[1:]

    if isinstance(value, dict):
        found = value.keys() if step == ANY else value.keys() & {step}
        if not rest:
            return {name: each for name, each in value.items() if name not in found}
        return value | {name: _without(value[name], rest) for name in found}

    if not isinstance(value, list):
        return value
    if isinstance(step, int):
        return [_without(each, rest) if place == step else each for place, each in enumerate(value)]
    return [_without(each, rest if step == ANY else path) for each in value]
