"""Ignored places of a request: `body.requested_at`, `query.t`, `header:accept`.

A place is written as in comparisons (`api.compare.ignored`). `.requested_at`, without a part of the
request, is a place of the body. A member of an array means that member of each of its elements.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from api.compare.ignored import ANY, Steps, read_place

_PARTS: Final = ("body", "query", "path")
_BODY: Final = ("body",)
_KIND: Final = ("kind",)
"""The kind of the body, ignored together with it."""


class RequestPlaces(NamedTuple):
    """The ignored places of a request."""

    paths: tuple[Steps, ...] = ()
    """Paths. Each begins with the part of the request."""
    headers: frozenset[str] = frozenset()
    """Lower-case header names."""


NO_PLACES: Final = RequestPlaces()


def read_request_places(texts: Iterable[str]) -> RequestPlaces:
    """Read places of a request.

    Raises:
        ValueError: a text is not a place; the message names it.
    """
    paths: list[Steps] = []
    headers: set[str] = set()
    for place in map(read_place, texts):
        if place.is_header:
            headers.add(str(place.steps[0]))
        elif place.steps[0] in _PARTS:
            paths.append(place.steps)
        else:
            paths.append(("body", *place.steps))

    return RequestPlaces(tuple(paths), frozenset(headers))


def without_places(document: dict[str, Any], places: RequestPlaces) -> dict[str, Any]:
    """Return the document of a request without the given places, so that two requests compare equal
    despite them.
    """
    for path in places.paths:
        document = _without(document, path)
        if path == _BODY:
            document = _without(document, _KIND)
    return document


def _without(value: Any, path: Steps) -> Any:
    if not path:
        # An element becomes null instead of being removed, so that the others keep their indices.
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
    if step == ANY:
        return [_without(each, rest) for each in value]
    return [_without(each, path) for each in value]
