"""One part of a comparison, as the API shows it. Pure.

Values and paths are text: in JSON as JSON and jq write them, else as sent. All text can be encoded,
whatever a service sent. The same change at many indices of an array, such as the id of each event
of a stream, is shown once, with the number of times.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from api.compare.json_changes import Change, Changes, Kind, Path
from api.compare.text_changes import CUT, MAX_SHOWN_CHARACTERS, Segment, segments
from api.http.responses import ApiObject

MAX_SHOWN: Final = 1000
"""Changes of one part that are shown."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_JSON: Final = json.JSONEncoder(ensure_ascii=False)


class ChangeShown(ApiObject):
    """One difference."""

    change: Kind
    """`type`: the value is of another JSON type; `moved`: an identified element is at another
    index.
    """
    path: str
    """The place in b; of a removed value, in a."""
    old_path: str | None
    """The place in a, if it is another."""
    a: str | None
    """The value in a; null if there is none. A cut value ends with `…`."""
    b: str | None
    """The value in b, likewise."""
    segments: list[Segment]
    """How a string became another; empty if they have no word in common."""
    times: int
    """How often the same change was found, at other indices."""


class Part(ApiObject):
    """One part of two records; a part that neither record has is left out."""

    part: str
    equal: bool
    complete: bool
    """Whether all of it could be compared; if not, a note says what is missing."""
    changes: list[ChangeShown]
    set_apart: list[ChangeShown]
    """Differences that are ignored."""
    notes: list[str]
    more: int
    """Changes that are not shown."""


def make_part(
    name: str,
    changes: Changes,
    notes: Sequence[str] = (),
    *,
    is_json: bool = False,
    is_complete: bool = True,
    set_apart: Iterable[Change] = (),
) -> Part:
    """Return the part with the given changes; it is equal if there are none."""
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
    """Write a path in jq's notation: `.items[3].price`, `."odd name"`, `.` for the whole."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]" if text else f".[{step}]"
        else:
            text += f".{step if _NAME.fullmatch(step) else _JSON.encode(step)}"

    return text or "."


def _show_all(changes: Iterable[Change], is_json: bool) -> tuple[list[ChangeShown], int]:
    """Return the changes as shown, and the number of those beyond the limit."""
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
    """Return a change as shown, given its values as text."""
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
    """Write lone surrogates, which JSON may hold and UTF-8 may not, as JSON escapes them."""
    return text.encode("utf-8", "backslashreplace").decode()
