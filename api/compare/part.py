"""One part of a comparison, as it is shown; texts are compared by lines, strings by words. Pure.

Values and paths are text: of JSON as JSON and jq write them, else as sent. Whatever a service sent can be encoded. The
same change at many places of an array, such as the id of each event of a stream, is shown once, with how often.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from api.compare.alignment import differing, runs
from api.compare.json_changes import Change, Changes, Kind, Path
from api.http.responses import ApiObject

MAX_SHOWN_CHARACTERS: Final = 2000
"""Of a value, or of all segments of a string together; behind them stands `CUT`."""
CUT: Final = "…"
_AROUND: Final = 60
"""Characters that are shown of what is the same, on either side of a difference."""
_WORD: Final = re.compile(r"\w+|\s+|[^\w\s]")


class Segment(ApiObject):
    """A piece of a changed string; long ones that are the same are shortened."""

    change: Literal["same", "removed", "added"]
    text: str


def text_changes(old: str, new: str) -> Changes:
    """Return the lines that differ, by their number from 1 on either side."""
    ours, theirs = old.split("\n"), new.split("\n")
    found = Changes()
    for i, j in differing(ours, theirs):
        kind: Kind = "added" if i is None else "removed" if j is None else "changed"
        at, to = (i if i is not None else j or 0), (j if j is not None else i or 0)
        values = None if i is None else ours[i], None if j is None else theirs[j]
        found.add(kind, (f"line {to + 1}",), (f"line {at + 1}",), *values)
    return found


def segments(old: str, new: str) -> list[Segment]:
    """Return how a string became another, word by word; empty where they have no word in common."""
    ours, theirs = _WORD.findall(old), _WORD.findall(new)
    pieces: list[Segment] = []
    i = j = 0
    for at, to, size in runs(ours, theirs):
        pieces += [Segment("removed", "".join(ours[i:at])), Segment("added", "".join(theirs[j:to]))]
        i, j = at + size, to + size
        pieces.append(Segment("same", "".join(ours[at:i])))
    has_word = any(piece.change == "same" and re.search(r"\w", piece.text) for piece in pieces)
    return _shortened([piece for piece in pieces if piece.text]) if has_word else []


def _shortened(pieces: list[Segment]) -> list[Segment]:
    """Shorten long pieces that are the same, and all of them together."""
    left = MAX_SHOWN_CHARACTERS
    for place, piece in enumerate(pieces):
        if piece.change == "same" and len(piece.text) > 2 * _AROUND:
            before = piece.text[:_AROUND] if place else ""
            piece.text = before + CUT + (piece.text[-_AROUND:] if piece is not pieces[-1] else "")
        if len(piece.text) > left:
            piece.text = piece.text[:left] + CUT
            return pieces[: place + 1]
        left -= len(piece.text)
    return pieces


MAX_SHOWN: Final = 1000
"""Changes of one part."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_JSON: Final = json.JSONEncoder(ensure_ascii=False)


class ChangeShown(ApiObject):
    """One difference."""

    change: Kind
    """`type`: the value is of another JSON type; `moved`: an element with this name is at another index."""
    path: str
    """In b; of what b lacks, in a."""
    old_path: str | None
    """In a, where it differs."""
    a: str | None
    b: str | None
    """These two are null where there is none, and end with `…` where they were longer."""
    segments: list[Segment]
    """How a string became another; empty where there is nothing in common."""
    times: int
    """How often the same was found, at other indices."""


class Part(ApiObject):
    """One part of two records; one that neither has is left out."""

    part: str
    equal: bool
    complete: bool
    """Whether all of it was there to be compared; a note says what was not."""
    changes: list[ChangeShown]
    set_apart: list[ChangeShown]
    """What differs from request to request, and is no difference."""
    notes: list[str]
    more: int
    """Changes that are not shown."""


def shown(
    part: str,
    changes: Changes,
    notes: Sequence[str] = (),
    *,
    is_json: bool = False,
    is_complete: bool = True,
    apart: Iterable[Change] = (),
) -> Part:
    """Write what was found of a part."""
    found, more = _shown(changes.kept, is_json)
    return Part(part, not found, is_complete, found, _shown(apart, is_json)[0], [*notes], more + changes.more)


def write_path(path: Path) -> str:
    """Write a path in jq's notation: `.items[3].price`, `."odd name"`, `.` for the whole."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]" if text else f".[{step}]"
        else:
            text += f".{step if _NAME.fullmatch(step) else _JSON.encode(step)}"
    return text or "."


def _shown(changes: Iterable[Change], is_json: bool) -> tuple[list[ChangeShown], int]:
    found: dict[tuple[object, ...], ChangeShown] = {}
    more = 0
    for kind, path, old_path, old, new in changes:
        a, b = (_encodable(_JSON.encode(value) if is_json else str(value)) for value in (old, new))
        key = kind, tuple(None if isinstance(step, int) else step for step in path), a, b
        if key in found:
            found[key].times += 1
        elif len(found) == MAX_SHOWN:
            more += 1
        else:
            at, to = (_encodable(write_path(each) if is_json else str(each[0])) for each in (old_path, path))
            at, to = (at, at) if kind == "removed" else (to, to) if kind == "added" else (at, to)
            is_text = kind == "changed" and isinstance(old, str) and isinstance(new, str)
            pieces = segments(_encodable(old), _encodable(new)) if is_text else []
            values = None if kind == "added" else _cut(a), None if kind == "removed" else _cut(b)
            found[key] = ChangeShown(kind, to, None if at == to else at, *values, pieces, 1)
    return list(found.values()), more


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + CUT


def _encodable(text: str) -> str:
    """Write half a surrogate pair, which JSON may hold and UTF-8 not, as JSON escapes it."""
    return text.encode("utf-8", "backslashreplace").decode()
