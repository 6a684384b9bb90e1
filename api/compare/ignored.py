"""Ignored places: their changes are listed under `set_apart`, and do not count as a difference.

A place is written like the path of a change, in jq's notation: `.generated_at`, `items[*].id`,
`."odd name"`; `*` is any member or element, and `header:NAME` a header or a trailer. A named place
is ignored with everything below it. A volatile place, with a new value in each response, is ignored
only if its value became another one of the same type: a missing value, or another type, is a
difference.
"""

import json
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from api.compare.json_changes import Change, Changes, Path

ANY: Final = "*"
"""A step that matches each element, or each member."""
MAX_PLACES: Final = 1000
_HEADER: Final = "header:"
_MEMBER: Final = r'(?:"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"|[^.\[\]"]+)'
_ELEMENT: Final = r"\.?\[(?:[0-9]{1,9}|\*|)\]"
_PLACE: Final = re.compile(
    r"(?:header:[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    rf"|(?!header:)(?:\.?{_MEMBER}|{_ELEMENT})(?:\.{_MEMBER}|{_ELEMENT})*)"
)
_STEP: Final = re.compile(rf"\.?(?:\[(?P<index>[0-9]*|\*)\]|(?P<member>{_MEMBER}))")
_INDEX: Final = re.compile(r"\[[0-9]+\]\Z")

Steps = tuple[str | int, ...]


class Place(NamedTuple):
    """A path in bodies, or the name of a header."""

    is_header: bool
    steps: Steps


class Ignored(NamedTuple):
    """The places that a comparison ignores."""

    named: frozenset[Place] = frozenset()
    volatile: frozenset[Place] = frozenset()
    """Places with a new value in each response."""

    def take(self, part: str, changes: Changes) -> list[Change]:
        """Remove the ignored changes from the changes of a part, and return the removed ones."""
        if not (self.named or self.volatile):
            return []
        is_header = part.endswith(("_headers", "_trailers"))
        return changes.take(lambda change: self._covers(change, is_header=is_header))

    def _covers(self, change: Change, *, is_header: bool) -> bool:
        for path in {change.path, change.old_path}:
            steps = (header_name(path),) if is_header else path
            prefixes = (steps[:size] for size in range(1, len(steps) + 1))
            if any(_is_in(self.named, Place(is_header, each)) for each in prefixes):
                return True
            if change.kind == "changed" and _is_in(self.volatile, Place(is_header, steps)):
                return True

        return False


NOTHING_IGNORED: Final = Ignored()


def read_places(texts: Iterable[str]) -> frozenset[Place]:
    """Read places, up to `MAX_PLACES` texts; empty ones are skipped.

    Raises:
        ValueError: a text is not a place, or there are too many places.
    """
    given = list(texts)
    if len(given) > MAX_PLACES:
        raise ValueError(f"{len(given):,} places to ignore, at most {MAX_PLACES:,}")
    return frozenset(read_place(text) for text in given if text)


def any_element(path: Path) -> Steps:
    """Return a path with `ANY` for each index."""
    return tuple(ANY if isinstance(step, int) else step for step in path)


def header_name(path: Path) -> str:
    """Return the header name in the path of a change, which may be numbered: `set-cookie[1]`."""
    return _INDEX.sub("", str(path[0]))


def read_place(text: str) -> Place:
    """Parse the text of a place to ignore, such as `items[*].id` or `header:x-runtime`.

    Raises:
        ValueError: the text is not a place; the message names it.
    """
    if not _PLACE.fullmatch(text):
        expected = "expected .generated_at, items[*].id or header:x-runtime"
        raise ValueError(f"{text!r} is not a place; {expected}")
    if text.startswith(_HEADER):
        return Place(True, (text.removeprefix(_HEADER).strip().lower(),))

    steps: list[str | int] = []
    at = 0
    while (found := _STEP.match(text, at)) is not None:
        at = found.end()
        index, member = found.group("index", "member")
        if member is None:
            steps.append(int(index) if index.isdecimal() else ANY)
        else:
            steps.append(json.loads(member) if member.startswith('"') else member)

    return Place(False, tuple(steps))


def _is_in(places: frozenset[Place], place: Place) -> bool:
    """Return True if a place is among `places`, with `ANY` matching any step."""
    if place in places:
        return True
    return any(
        each.is_header == place.is_header
        and len(each.steps) == len(place.steps)
        and all(step in (ANY, own) for step, own in zip(each.steps, place.steps, strict=True))
        for each in places
    )
