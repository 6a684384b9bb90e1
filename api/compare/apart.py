"""What is set apart: places that are no difference, by their names or by evidence. Pure.

A place is written as changes are shown, in jq's notation: `.generated_at`, `items[*].id`, `."odd
name"`; `*` is any member or element, and `header:NAME` a header or a trailer. A place that was
named is set apart with all below it. One that is drawn anew each time is so only where a value
became another of the same type: if it is gone, or has another type, that is a difference.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from api.compare.json_changes import Change, Changes, Path

ANY: Final = "*"
"""A step that stands for each element, or each member."""
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
    """A place in bodies, or the name of a header."""

    is_header: bool
    steps: Steps


class Apart(NamedTuple):
    """What is set apart from a comparison."""

    named: frozenset[Place] = frozenset()
    drawn: frozenset[Place] = frozenset()
    """Where a value is drawn anew each time."""

    def take(self, part: str, changes: Changes) -> list[Change]:
        """Take what is set apart out of the changes of a part, and return it."""
        kept: list[Change] = []
        taken: list[Change] = []
        for change in changes.kept:
            (taken if self.has(part, change) else kept).append(change)
        changes.kept = kept
        return taken

    def has(self, part: str, change: Change) -> bool:
        """Whether a change of a part is set apart."""
        if not (self.named or self.drawn):
            return False
        is_header = part.endswith(("_headers", "_trailers"))
        for path in {change.path, change.old_path}:
            steps = header_steps(path) if is_header else path
            beginnings = (steps[:size] for size in range(1, len(steps) + 1))
            if any(_is_in(self.named, is_header, each) for each in beginnings):
                return True
            if change.kind == "changed" and _is_in(self.drawn, is_header, steps):
                return True

        return False


NOTHING_APART: Final = Apart()


def read_places(texts: Iterable[str]) -> frozenset[Place]:
    """Read places as they are written.

    Raises:
        ValueError: one is no place, or there are too many; the message says which, or the limit.
    """
    places = frozenset(map(read_place, texts))
    if len(places) > MAX_PLACES:
        raise ValueError(f"{len(places):,} places to ignore, at most {MAX_PLACES:,}")
    return places


def general(path: Path) -> Steps:
    """Return a path with all indices left open."""
    return tuple(ANY if isinstance(step, int) else step for step in path)


def header_steps(path: Path) -> Steps:
    """Return the name of a header of which a change may number the values: `set-cookie[1]`."""
    return (_INDEX.sub("", str(path[0])),) if path else ()


def read_place(text: str) -> Place:
    """Read a place as it is written.

    Raises:
        ValueError: it is none; the message names it.
    """
    if not _PLACE.fullmatch(text):
        expected = "expected .generated_at, items[*].id or header:x-runtime"
        raise ValueError(f"{text!r} is no place; {expected}")
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


def _is_in(places: frozenset[Place], is_header: bool, steps: Sequence[str | int]) -> bool:
    """Whether one of the places has these steps, whichever of its own are left open."""
    if Place(is_header, tuple(steps)) in places:
        return True
    return any(
        place.is_header == is_header
        and len(place.steps) == len(steps)
        and all(ours in (ANY, theirs) for ours, theirs in zip(place.steps, steps, strict=True))
        for place in places
    )
