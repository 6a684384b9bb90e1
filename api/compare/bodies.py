"""Changes between two bodies.

Strategy: the form of a body is recognised by its content. JSON is compared by path under any media
type, an event stream event by event (without comments and pings, which only keep a connection
open), a multipart body part by part, other text by lines, and other bytes by the first difference.
Only browser forms are recognised by their media type.
Of a cut body, as many of the first and of the last bytes are compared as both sides have. Members
and elements that may be missing because of the cut are not a difference.
"""

import re
from contextlib import suppress
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from api.compare.ignored import NOTHING_IGNORED, Ignored
from api.compare.json_changes import Change, Changes, Path, json_changes, parse
from api.compare.multipart import read_multipart
from api.compare.part import Part, make_part
from api.compare.text_changes import text_changes
from api.native.chat.document import closed_at
from api.native.files.cut_bodies import describe_body
from api.native.projection import decode_window
from storage.record import Body
from storage.search.subject import readable

SAME_VALUE: Final = "written differently, with the same meaning"
NOT_COMPARED: Final = "redacted on both sides, so not compared"
DOCUMENTS: Final = frozenset(("json", "events", "multipart"))
"""Forms that are compared by path."""
_REDACTED: Final = "[REDACTED"
_PING: Final = "ping"
_EVENT: Final = re.compile(r"(?:data|event|id|retry)?:")
_BLOCK_END: Final = re.compile(r"\r\n\r\n|\n\n|\r\r")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_SHOWN_BYTES: Final = 16

Fields = list[tuple[str, str]]
Expected = Literal["document", "form", "text"]
"""Preferred form of a body; `document` stands for any of `DOCUMENTS`."""


def body_parts(
    name: str, old: Body, new: Body, *, is_form: bool = False, ignored: Ignored = NOTHING_IGNORED
) -> list[Part]:
    """Compare two bodies. An empty body stands for a missing one.

    The tails of cut bodies become a part of their own if they differ.
    """
    try:
        heads = _compare_heads(name, old, new, "form" if is_form else "document", ignored)
    except RecursionError:
        # JSON may be readable and yet be nested too deep to be compared, or written.
        heads = _compare_heads(name, old, new, "text", ignored)
    return [heads, *_compare_tails(name, old, new)]


def _compare_heads(name: str, old: Body, new: Body, expected: Expected, ignored: Ignored) -> Part:
    """Compare as many of the first bytes as both sides have."""
    is_cut = old.truncated or new.truncated
    is_gone = bool(old.omitted or new.omitted)
    size = min((len(body.head) for body in (old, new) if body.truncated), default=None)
    ours = b"" if is_gone else old.head[:size]
    theirs = b"" if is_gone else new.head[:size]
    form, changes = _compare(ours, theirs, expected, is_cut=is_cut)

    # Sizes are those on the wire, so with a content coding they do not tell the size of the
    # content.
    is_coded = old.coding or new.coding
    if (is_cut or is_gone or form == "bytes") and old.size != new.size and not is_coded:
        changes.add("changed", ("size",), f"{old.size} bytes", f"{new.size} bytes")

    losses = ("a", describe_body(old)), ("b", describe_body(new))
    notes = [f"{side}: {loss}" for side, loss in losses if loss]
    if ours != theirs and not is_cut and not changes.kept:
        notes.append(SAME_VALUE)
    if is_redacted(readable(ours), readable(theirs)):
        notes.append(NOT_COMPARED)

    set_apart = ignored.take(name, changes)
    return make_part(
        "events" if form == "events" else name,
        changes,
        notes,
        is_json=form in DOCUMENTS,
        is_complete=not (is_cut or is_gone),
        set_apart=set_apart,
    )


def _compare_tails(name: str, old: Body, new: Body) -> list[Part]:
    """Compare the last bytes of cut bodies. A whole body has them at the end of its head."""
    size = min((len(body.tail) for body in (old, new) if body.truncated), default=0)
    ours, theirs = ((body.tail if body.truncated else body.head)[-size:] for body in (old, new))
    if not size or ours == theirs or old.omitted or new.omitted:
        return []

    changes = Changes()
    texts = (decode_window(tail, cut_start=True) or readable(tail) for tail in (ours, theirs))
    changes.add("changed", (f"the last {size} bytes",), *texts)
    return [make_part(f"{name}_end", changes, is_complete=False)]


def fields_changes(old: Fields, new: Fields) -> Changes:
    """Compare fields by name. The order counts within a name."""
    # Each side has a list for every name, so that every value is a change of its own.
    ours: dict[str, list[str]] = {name: [] for name, _ in (*new, *old)}
    theirs: dict[str, list[str]] = {name: [] for name in ours}
    for values, fields in ((ours, old), (theirs, new)):
        for name, value in fields:
            values[name].append(value)

    changes = json_changes(ours, theirs)
    changes.kept = [
        change._replace(
            path=_field_path(change.path),
            old_path=_field_path(change.old_path),
            old=_field_value(change.old),
            new=_field_value(change.new),
        )
        for change in changes.kept
    ]
    return changes


def _field_path(path: Path) -> Path:
    """Return name and index as one step: `tag`, `tag[1]`; for all values of a name, the name."""
    name, *index = path
    return (f"{name}[{index[0]}]" if any(index) else name,)


def _field_value(value: str | list[str] | None) -> str | None:
    """Return a value, or all values of a name joined: if only their order differs, they are one
    change.
    """
    if isinstance(value, list):
        return ", ".join(value)
    return value


def read_form(text: str) -> Fields:
    """Read a query or a form; bytes that are not UTF-8 stay distinct."""
    return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")


def is_json_sent_as_form(text: str) -> bool:
    """Return True if a body with the media type of a form is JSON, as curl sends it by default."""
    return text.lstrip().startswith(("{", "["))


def is_redacted(old: str, new: str) -> bool:
    return _REDACTED in old and _REDACTED in new


def _compare(old: bytes, new: bytes, expected: Expected, *, is_cut: bool) -> tuple[str, Changes]:
    """Return the form in which two bodies are compared, and the changes."""
    changes = Changes()
    if old == new:
        return "text", changes
    if expected == "document" and not is_cut:
        with suppress(ValueError):
            return "multipart", json_changes(read_multipart(old), read_multipart(new))

    ours = decode_window(old, cut_end=is_cut)
    theirs = decode_window(new, cut_end=is_cut)
    if ours is None or theirs is None:
        return "bytes", _byte_changes(old, new)
    if not old or not new:
        changes.add("removed" if old else "added", ("all of it",), ours, theirs)
        return "text", changes

    if expected == "form" and not is_json_sent_as_form(ours):
        return "form", fields_changes(read_form(ours), read_form(theirs))
    if expected != "text":
        for form, read in _READERS:
            with suppress(ValueError):
                return form, _document_changes(read(ours, is_cut), read(theirs, is_cut), is_cut)
    return "text", text_changes(ours, theirs)


def _byte_changes(old: bytes, new: bytes) -> Changes:
    """Return the first byte that differs, with the following ones, as one change."""
    pairs = enumerate(zip(old, new, strict=False))
    at = next((place for place, (one, other) in pairs if one != other), min(len(old), len(new)))
    pieces = (side[at : at + _SHOWN_BYTES].hex(" ") for side in (old, new))
    changes = Changes()
    changes.add("changed", (f"byte {at}",), *pieces)
    return changes


def _document_changes(old: Any, new: Any, is_cut: bool) -> Changes:
    changes = json_changes(old, new)
    if is_cut:
        old_end = _last_path(old)
        new_end = _last_path(new)
        changes.take(lambda change: _may_be_cut_off(change, old_end, new_end))
    return changes


def _last_path(value: Any) -> Path:
    """Return the path of the last value of a document. A cut document was cut there."""
    path: Path = ()
    while isinstance(value, dict | list) and value:
        if isinstance(value, dict):
            last = next(reversed(value))
        else:
            last = len(value) - 1
        path = (*path, last)
        value = value[last]
    return path


def _may_be_cut_off(change: Change, old_end: Path, new_end: Path) -> bool:
    """Return True if a change may be due to the cut: the missing part could have been equal."""
    kind, path, old_path, old, new = change
    if kind == "added":
        return old_end[: len(old_path) - 1] == old_path[:-1]
    if kind == "removed":
        return new_end[: len(path) - 1] == path[:-1]
    if not (isinstance(old, str) and isinstance(new, str)):
        return False

    is_old_cut = old_path == old_end and new.startswith(old)
    is_new_cut = path == new_end and old.startswith(new)
    return is_old_cut or is_new_cut


def read_body(content: bytes) -> tuple[str, Any]:
    """Return the form of a whole body, and its value.

    The form is one of `DOCUMENTS`, `text` or `bytes`. The value of events is a list, of text the
    text, of bytes None.
    """
    with suppress(ValueError):
        return "multipart", read_multipart(content)
    text = decode_window(content)
    if text is None:
        return "bytes", None

    for form, read in _READERS:
        with suppress(ValueError):
            return form, read(text, False)
    return "text", text


def _read_json(text: str, is_cut: bool) -> Any:
    return parse(closed_at(text.encode())[0].decode() if is_cut else text)


def _read_events(text: str, is_cut: bool) -> Any:
    """Read server-sent events (WHATWG HTML, 9.2), or JSON by lines. A cut last one is left out.

    Raises:
        ValueError: there is no event, or a line is not JSON.
    """
    is_stream = _EVENT.match(text) is not None
    if is_stream:
        blocks = _BLOCK_END.split(text)
    else:
        blocks = text.split("\n")
    blocks = [block for block in blocks if block.strip()]
    if is_cut:
        blocks = blocks[:-1]
    if not blocks:
        raise ValueError("there is no event")
    if not is_stream:
        return [parse(block) for block in blocks]

    events = [_read_event(block) for block in blocks]
    return [event for event in events if event and event.get("event") != _PING]


def _read_event(block: str) -> dict[str, Any]:
    """Return the fields of an event, with its data parsed if it is JSON.

    A comment has no fields.
    """
    event: dict[str, Any] = {}
    for line in _LINE_END.split(block):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name:
            event[name] = f"{event[name]}\n{value}" if name in event else value

    if "data" in event:
        with suppress(ValueError):
            event["data"] = parse(event["data"])
    return event


_READERS: Final = (("json", _read_json), ("events", _read_events))
