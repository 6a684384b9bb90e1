"""One part of a comparison, as it is shown. Pure.

Values and paths are text: of JSON as JSON and jq write them, else as sent. Whatever a service sent
can be encoded. The same change at many places of an array, such as the id of each event of a
stream, is shown once, with how often.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from api.compare.json_changes import Change, Changes, Kind, Path
from api.compare.text_changes import CUT, MAX_SHOWN_CHARACTERS, Segment, segments
from api.http.responses import ApiObject

MAX_SHOWN: Final = 1000
"""Changes of one part."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_JSON: Final = json.JSONEncoder(ensure_ascii=False)


class ChangeShown(ApiObject):
    """One difference."""

    change: Kind
    """`type`: the value is of another JSON type; `moved`: an element with this name is at another
    index.
    """
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
    return Part(
        part,
        not found,
        is_complete,
        found,
        _shown(apart, is_json)[0],
        [*notes],
        more + changes.more,
    )


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
            at, to = (
                _encodable(write_path(each) if is_json else str(each[0]))
                for each in (old_path, path)
            )
            at, to = (at, at) if kind == "removed" else (to, to) if kind == "added" else (at, to)
            is_text = kind == "changed" and isinstance(old, str) and isinstance(new, str)
            pieces = segments(_encodable(old), _encodable(new)) if is_text else []
            values = None if kind == "added" else _cut(a), None if kind == "removed" else _cut(b)
            found[key] = ChangeShown(kind, to, None if at == to else at, *values, pieces, 1)

    return list(found.values()), more


def _cut(text: str) -> str:
    if len(text) <= MAX_SHOWN_CHARACTERS:
        return text
    return text[:MAX_SHOWN_CHARACTERS] + CUT


def _encodable(text: str) -> str:
    """Write half a surrogate pair, which JSON may hold and UTF-8 not, as JSON escapes it."""
    return text.encode("utf-8", "backslashreplace").decode()
