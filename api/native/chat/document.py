"""Reads the JSON of a stored LLM call, whole or cut. Bodies are untrusted input."""

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from storage import json_text
from storage.record import Body

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[{}\[\],]', re.DOTALL)
_CUT_ESCAPE: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*+)"
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u?[0-9a-fA-F]{0,3})?|\\u[0-9a-fA-F]{0,3})\Z"
)
"""A partial escape at the end, after complete backslash pairs."""
_MAX_DEPTH: Final = 100
_WRAPPERS: Final = ("request", "response")
"""Members that contain the request: in Gemini CLI and in the realtime API."""

Path = list[str | int | None]
"""Names and indexes from the outside in; None for a name that was cut."""


class Beginning(NamedTuple):
    """A document whose end may be missing."""

    value: Any
    path: Path
    """Path of the cut; empty if it is whole."""


@dataclass(slots=True)
class _Open:
    """An object or list without its end."""

    end: bytes
    at: str | int | None
    """The current member; None before its name."""


def document_in(body: Body | None) -> Beginning | None:
    """Return the JSON object in a body, cut or whole; None if the body has no object."""
    if body is None or not body.head:
        return None
    if body.truncated:
        found = beginning_of(body.head)
    else:
        found = Beginning(read_json(body.head), [])
    if isinstance(found.value, dict):
        return found
    return None


def request_in(body: Body | None) -> Beginning | None:
    """Return the document of a request, which another may contain."""
    found = document_in(body)
    if found is None:
        return None

    value, path = found
    for name in _WRAPPERS:
        if isinstance(value.get(name), dict):
            value = value[name]
            path = path[1:]
    return Beginning(value, path)


def read_json(data: bytes) -> Any:
    """Parse JSON; None if it is invalid."""
    try:
        return json_text.read_json(data)
    except ValueError:
        return None


def beginning_of(head: bytes) -> Beginning:
    """Read a cut JSON document as far as it goes; the value is None if it is not JSON.

    A name, number or word that may be incomplete is left out; a text ends at the cut.
    """
    closed, path = closed_at(head)
    return Beginning(read_json(closed), path)


def closed_at(head: bytes) -> tuple[bytes, Path]:
    """Return a cut JSON document up to its last value with all open brackets closed, and the path
    of the cut; empty if it is not JSON or nested too deeply.
    """
    head = head.decode(errors="ignore").encode()
    open_: list[_Open] = []
    end = 0
    quote = b""

    for found in _TOKEN.finditer(head):
        token = found.group()
        inside = open_[-1] if open_ else None
        if token[:1] == b'"':
            is_whole = bool(found[1])
            if inside is None or inside.at is not None:
                end = found.end()
                quote = b"" if is_whole else b'"'
            elif is_whole:
                inside.at = read_json(token) or ""
        elif token in (b"{", b"["):
            open_.append(_Open(b"}", None) if token == b"{" else _Open(b"]", 0))
            end = found.end()
            if len(open_) > _MAX_DEPTH:
                return b"", []
        elif token == b",":
            if inside is not None:
                inside.at = inside.at + 1 if isinstance(inside.at, int) else None
                end = found.start()
        elif inside is None:
            return b"", []
        else:
            open_.pop()
            end = found.end()

    last = _CUT_ESCAPE.sub(rb"\1", head[:end]) if quote else head[:end]
    ends = b"".join(each.end for each in reversed(open_))
    return last + quote + ends, [each.at for each in open_]
