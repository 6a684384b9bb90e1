"""What differs between two bodies. Pure.

Strategy: what they are is seen by their content: JSON under any media type by path, streams of
events event by event (without comments and pings, which only keep a connection open), multipart
bodies part by part, other text by lines, the rest by its first byte that differs; only forms are
known by their media type. Of a cut body the same number of first, and of last, bytes is compared on
both sides; what only the cut has parted from its container is no difference.
"""

import re
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl

from api.compare.apart import NOTHING_APART, Apart
from api.compare.json_changes import Change, Changes, Path, json_changes, parse
from api.compare.multipart import read_multipart
from api.compare.part import Part, shown
from api.compare.text_changes import text_changes
from api.native.chat.document import closed
from api.native.files.cut_bodies import describe_body
from api.native.projection import decode_window
from storage.record import Body
from storage.search.subject import readable

SAME_VALUE: Final = "written differently, with the same meaning"
NOT_COMPARED: Final = "redacted on both sides, so not compared"
DOCUMENTS: Final = frozenset(("json", "events", "multipart"))
"""What is compared by path."""
_REDACTED: Final = "[REDACTED"
_PING: Final = "ping"
_EVENT: Final = re.compile(r"(?:data|event|id|retry)?:")
_BLOCK_END: Final = re.compile(r"\r\n\r\n|\n\n|\r\r")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_SHOWN_BYTES: Final = 16

Fields = list[tuple[str, str]]


def body_parts(
    part: str, old: Body, new: Body, *, is_form: bool = False, apart: Apart = NOTHING_APART
) -> list[Part]:
    """Compare two bodies, an empty one for none; of cut ones, the ends are a part of their own
    where they differ.
    """
    try:
        whole = _whole(part, old, new, "form" if is_form else "json", apart)
    except RecursionError:  # JSON that can be read, and is nested too deep for the rest
        whole = _whole(part, old, new, "text", apart)
    return [whole, *_ends(part, old, new)]


def _whole(part: str, old: Body, new: Body, expected: str, apart: Apart) -> Part:
    notes = [
        f"{side}: {note}"
        for side, body in (("a", old), ("b", new))
        if (note := describe_body(body))
    ]
    is_cut = old.truncated or new.truncated
    is_gone = bool(old.omitted or new.omitted)
    size = min([len(body.head) for body in (old, new) if body.truncated], default=None)
    head, other = (b"", b"") if is_gone else (old.head[:size], new.head[:size])

    form, changes = _compare(head, other, expected, is_cut=is_cut)
    if (
        (is_cut or is_gone or form == "bytes")
        and old.size != new.size
        and not (old.coding or new.coding)
    ):
        changes.add("changed", ("size",), ("size",), f"{old.size} bytes", f"{new.size} bytes")

    if head != other and not is_cut and not changes.kept:
        notes.append(SAME_VALUE)
    if is_redacted(readable(head), readable(other)):
        notes.append(NOT_COMPARED)
    set_apart = apart.take(part, changes)
    is_complete = not (is_cut or is_gone)
    name = "events" if form == "events" else part
    return shown(
        name, changes, notes, is_json=form in DOCUMENTS, is_complete=is_complete, apart=set_apart
    )


def fields_changes(old: Fields, new: Fields) -> Changes:
    """Compare fields by name; the order counts within a name."""
    ours: dict[str, list[str]] = {name: [] for name, _ in (*new, *old)}
    theirs: dict[str, list[str]] = {name: [] for name in ours}
    for side, fields in ((ours, old), (theirs, new)):
        for name, value in fields:
            side[name].append(value)
    found = json_changes(ours, theirs)
    found.kept = [
        change._replace(
            path=_field_path(change.path),
            old_path=_field_path(change.old_path),
            old=_field_value(change.old),
            new=_field_value(change.new),
        )
        for change in found.kept
    ]
    return found


def _field_path(path: Path) -> Path:
    """Write name and index as one step: `tag`, `tag[1]`; for all values of a name, the name."""
    name, *index = path
    return (f"{name}[{index[0]}]" if any(index) else name,)


def _field_value(value: str | list[str] | None) -> str | None:
    """Write a value, or all values of a name, which are one change if only their order differs."""
    return ", ".join(value) if isinstance(value, list) else value


def fields_of(text: str) -> Fields:
    """Read a query or a form; bytes that are no UTF-8 stay apart."""
    return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")


def is_redacted(old: str, new: str) -> bool:
    return _REDACTED in old and _REDACTED in new


def _compare(old: bytes, new: bytes, expected: str, *, is_cut: bool) -> tuple[str, Changes]:
    """Return what the bodies are taken for, and what differs."""
    ours = decode_window(old, cut_end=is_cut)
    theirs = decode_window(new, cut_end=is_cut)
    changes = Changes()
    if old == new:
        return "text", changes

    if expected == "json" and not is_cut:
        with suppress(ValueError):
            return "multipart", json_changes(read_multipart(old), read_multipart(new))
    if ours is None or theirs is None:
        pairs = enumerate(zip(old, new, strict=False))
        at = next((place for place, (one, other) in pairs if one != other), min(len(old), len(new)))
        pieces = (side[at : at + _SHOWN_BYTES].hex(" ") for side in (old, new))
        changes.add("changed", (f"byte {at}",), (f"byte {at}",), *pieces)
        return "bytes", changes

    if not (old and new):
        changes.add("removed" if old else "added", ("all of it",), ("all of it",), ours, theirs)
        return "text", changes
    # Curl labels JSON as a form by default.
    if expected == "form" and not ours.lstrip().startswith(("{", "[")):
        return expected, fields_changes(fields_of(ours), fields_of(theirs))

    for name, read in _READERS if expected != "text" else ():
        try:
            documents = read(ours, is_cut), read(theirs, is_cut)
        except ValueError:
            continue

        changes = json_changes(*documents)
        if is_cut:
            ends = _end_of(documents[0]), _end_of(documents[1])
            changes.kept = [change for change in changes.kept if not _is_parted(change, *ends)]
        return name, changes

    return "text", text_changes(ours, theirs)


def _document_of(text: str, is_cut: bool) -> Any:
    return parse(closed(text.encode()).decode() if is_cut else text)


def _events_of(text: str, is_cut: bool) -> Any:
    """Read server-sent events (WHATWG HTML, 9.2), or JSON line by line; those that are whole."""
    is_stream = _EVENT.match(text) is not None
    blocks = [
        block
        for block in (_BLOCK_END.split(text) if is_stream else text.split("\n"))
        if block.strip()
    ]
    whole = blocks[:-1] if is_cut else blocks
    if not whole:
        raise ValueError("there is none")
    if not is_stream:
        return [parse(block) for block in whole]

    return [event for event in map(_event_of, whole) if event and event.get("event") != _PING]


_READERS: Final = (("json", _document_of), ("events", _events_of))


def read_whole(body: Body) -> tuple[str, Any]:
    """Return what a whole body is taken for, and its content.

    One of `DOCUMENTS`, `text` or `bytes`; of events a list, of multipart bodies their parts.
    """
    with suppress(ValueError):
        return "multipart", read_multipart(body.head)
    text = decode_window(body.head)
    if text is None:
        return "bytes", None

    for name, read in _READERS:
        with suppress(ValueError):
            return name, read(text, False)
    return "text", text


def _event_of(block: str) -> dict[str, Any]:
    """Return the fields of an event, with JSON in its data read; empty for a comment."""
    event: dict[str, Any] = {}
    for line in _LINE_END.split(block):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name:
            event[name] = f"{event[name]}\n{value}" if name in event else value

    try:
        return event | {"data": parse(event["data"])}
    except (KeyError, ValueError):
        return event


def _end_of(value: Any) -> Path:
    """Return the path of the last value of a document: where it was cut."""
    path: Path = ()
    while isinstance(value, dict | list) and value:
        if isinstance(value, dict):
            last = next(reversed(value))
        else:
            last = len(value) - 1
        path = (*path, last)
        value = value[last]
    return path


def _is_parted(change: Change, old_end: Path, new_end: Path) -> bool:
    """Whether a side may have what it lacks here behind the cut."""
    kind, path, old_path, old, new = change
    if kind == "added":
        return old_end[: len(old_path) - 1] == old_path[:-1]
    if kind == "removed":
        return new_end[: len(path) - 1] == path[:-1]

    is_text = isinstance(old, str) and isinstance(new, str)
    return is_text and (
        (old_path == old_end and new.startswith(old)) or (path == new_end and old.startswith(new))
    )


def _ends(part: str, old: Body, new: Body) -> list[Part]:
    """Compare what was kept of the end of cut bodies."""
    size = min([len(body.tail) for body in (old, new) if body.truncated], default=0)
    ours, theirs = ((body.tail if body.truncated else body.head)[-size:] for body in (old, new))
    if not size or ours == theirs or old.omitted or new.omitted:
        return []

    changes = Changes()
    place = (f"the last {size} bytes",)
    texts = (decode_window(side, cut_start=True) or readable(side) for side in (ours, theirs))
    changes.add("changed", place, place, *texts)
    return [shown(f"{part}_end", changes, is_complete=False)]
