"""One part of a comparison, in the form of the API.

Values and paths are text: for JSON as JSON and jq write them, otherwise as sent. All text can be
encoded, whatever a service sent. The same change at many indices of an array, such as the id of
each event of a stream, is shown once, with its number.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from api.compare.json_changes import Change, Changes, Kind, Path
from api.compare.text_changes import CUT, MAX_SHOWN_CHARACTERS, Segment, segments
from api.http.responses import ApiObject

MAX_SHOWN: Final = 1000
"""Limit of the shown changes of one part."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_JSON: Final = json.JSONEncoder(ensure_ascii=False)


class ChangeShown(ApiObject):
    """One difference."""

    change: Kind
    """`type`: the value is of another JSON type; `moved`: an identified element is at another
    index.
    """
    path: str
    """The path in b; for a removed value, in a."""
    old_path: str | None
    """The path in a, if it differs."""
    a: str | None
    """The value in a; null if there is none. A cut value ends with `…`."""
    b: str | None
    """The value in b; null if there is none. A cut value ends with `…`."""
    segments: list[Segment]
    """Word-by-word changes of a string; empty if both values have no word in common."""
    times: int
    """Number of equal changes at other indices, this one included."""


class Part(ApiObject):
    """One part of two records. Parts that neither record has are left out."""

    part: str
    equal: bool
    complete: bool
    """True if all of it could be compared; if not, a note names the missing part."""
    changes: list[ChangeShown]
    set_apart: list[ChangeShown]
    """Ignored differences."""
    notes: list[str]
    more: int
    """Number of changes that are not shown."""


def make_part(
    name: str,
    changes: Changes,
    notes: Sequence[str] = (),
    *,
    is_json: bool = False,
    is_complete: bool = True,
    set_apart: Iterable[Change] = (),
) -> Part:
    """Return the part with the given changes. Without any it is equal."""
    found, more = _show_all(changes.kept, is_json)
    ignored, _ = _show_all(set_apart, is_json)
    return Part(
        part=name,
        equal=not found,
        complete=is_complete,
        changes=found,
        set_apart=ignored,
        notes=[*notes],
        more=more + changes.more,
    )


def write_path(path: Path) -> str:
    """Return a path in jq's notation: `.items[3].price`, `."odd name"`, `.` for the whole."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]" if text else f".[{step}]"
        else:
            text += f".{step if _NAME.fullmatch(step) else _JSON.encode(step)}"

    return text or "."


def _show_all(changes: Iterable[Change], is_json: bool) -> tuple[list[ChangeShown], int]:
    """Return the changes in the form of the API, and the number of those beyond the limit."""
    found: dict[tuple[object, ...], ChangeShown] = {}
    more = 0
    for change in changes:
        old = _write_value(change.old, is_json)
        new = _write_value(change.new, is_json)
        steps = tuple(None if isinstance(step, int) else step for step in change.path)
        key = change.kind, steps, old, new
        if key in found:
            found[key].times += 1
        elif len(found) == MAX_SHOWN:
            more += 1
        else:
            found[key] = _show(change, old, new, is_json)

    return list(found.values()), more


def _show(change: Change, old: str, new: str, is_json: bool) -> ChangeShown:
    """Return a change in the form of the API, given its values as text."""
    kind = change.kind
    path = _write_place(change.old_path if kind == "removed" else change.path, is_json)
    old_path = None
    if kind not in ("added", "removed") and change.old_path != change.path:
        old_path = _write_place(change.old_path, is_json)
    pieces: list[Segment] = []
    if kind == "changed" and isinstance(change.old, str) and isinstance(change.new, str):
        pieces = segments(_encodable(change.old), _encodable(change.new))

    return ChangeShown(
        change=kind,
        path=path,
        old_path=old_path,
        a=None if kind == "added" else _cut(old),
        b=None if kind == "removed" else _cut(new),
        segments=pieces,
        times=1,
    )


def _write_place(path: Path, is_json: bool) -> str:
    return _encodable(write_path(path) if is_json else str(path[0]))


def _write_value(value: object, is_json: bool) -> str:
    return _encodable(_JSON.encode(value) if is_json else str(value))


def _cut(text: str) -> str:
    if len(text) <= MAX_SHOWN_CHARACTERS:
        return text
    return text[:MAX_SHOWN_CHARACTERS] + CUT


def _encodable(text: str) -> str:
    """Escape lone surrogates, which JSON allows and UTF-8 does not, as JSON does."""
    return text.encode("utf-8", "backslashreplace").decode()
