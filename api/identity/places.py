"""Places of a request that are left out: `body.requested_at`, `query.t`, `header:accept`. Pure.

A place is written as comparisons show it: steps behind dots, `[3]` for an element, `[*]` or nothing
for all of them, quotes around an odd name. `.requested_at`, without the part of the request, is a
place of the body.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

_HEADER: Final = re.compile(r"header[: .]\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)")
_STEP: Final = re.compile(r'\.?"((?:[^"\\]|\\.)+)"|\.?([^.\[\]"]+)|\[(\*|\d+)\]')
_PARTS: Final = ("body", "query", "path")
_ALL: Final = "*"
_BODY: Final = ("body",)
_KIND: Final = ("kind",)
"""What kind of body it is, which is no place of its own."""

Path = tuple[str, ...]


class Places(NamedTuple):
    """What is left out."""

    paths: tuple[Path, ...] = ()
    """Beginning with the part of the request."""
    headers: frozenset[str] = frozenset()
    """Lower-case names."""


def read_places(texts: Iterable[str]) -> Places:
    """Read places.

    Raises:
        ValueError: one is malformed; the message names it.
    """
    paths: list[Path] = []
    headers: set[str] = set()
    for text in texts:
        if (header := _HEADER.fullmatch(text.strip())) is not None:
            headers.add(header[1].lower())
        else:
            paths.append(_path(text.strip()))

    return Places(tuple(paths), frozenset(headers))


def _path(text: str) -> Path:
    steps: list[str] = []
    at = 0
    while (found := _STEP.match(text, at)) is not None:
        quoted, plain, index = found.groups()
        steps.append(quoted or plain or index)
        at = found.end()

    if not steps or at < len(text):
        raise ValueError(
            f"{text!r} is no place; expected one such as body.user.id, items[*].id, query.t, "
            "header:accept"
        )
    if steps[0] in _PARTS:
        return tuple(steps)

    return ("body", *steps)


def without_places(document: dict[str, Any], places: Places) -> dict[str, Any]:
    """Return a document without these places."""
    for path in places.paths:
        document = _without(document, path)
        if path == _BODY:
            document = _without(document, _KIND)
    return document


def _without(value: Any, path: Sequence[str]) -> Any:
    if not path:
        return None
    step, *rest = path
    if isinstance(value, dict):
        if step not in value:
            return value
        if not rest:
            return {name: each for name, each in value.items() if name != step}
        return value | {step: _without(value[step], rest)}

    if not isinstance(value, list):
        return value
    if step == _ALL:
        return [_without(each, rest) for each in value]
    if step.isdecimal():
        return [
            _without(each, rest) if place == int(step) else each for place, each in enumerate(value)
        ]

    return [_without(each, path) for each in value]
