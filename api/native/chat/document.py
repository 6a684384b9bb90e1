"""The JSON of a stored call of a language model, whole or cut. Pure; bodies are untrusted input."""

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
"""Half a character at the end, and before it the backslashes that are no part of it."""
_MAX_DEPTH: Final = 100
_WRAPPERS: Final = ("request", "response")
"""Members that have the request inside: of Gemini CLI, and of the realtime API."""

Path = list[str | int | None]
"""Names and numbers from the outside; None where a name was cut."""


class Beginning(NamedTuple):
    """A document, of which the end may be missing."""

    value: Any
    path: Path
    """Where it was cut; empty where nothing is missing."""


@dataclass(slots=True)
class _Open:
    """An object or a list that has not ended."""

    end: bytes
    at: str | int | None
    """The member that is read; None before the name of one."""


def document_in(body: Body | None) -> Beginning | None:
    """Return the object of a body, of which the end may be missing; None where there is none."""
    if body is None or not body.head:
        return None
    if body.truncated:
        found = beginning_of(body.head)
    else:
        found = Beginning(read_json(body.head), [])
    return found if isinstance(found.value, dict) else None


def request_in(body: Body | None) -> Beginning | None:
    """Return the document of a request, which may stand within another."""
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
    """Read JSON; None of what is none."""
    try:
        return json_text.read_json(data)
    except ValueError:
        return None


def beginning_of(head: bytes) -> Beginning:
    """Read a JSON document that was cut off, as far as it goes; the value is None where it is none.

    A name, number or word that may go on is left out, a text ends where it was cut.
    """
    closed, path = closed_at(head)
    return Beginning(read_json(closed), path)


def closed_at(head: bytes) -> tuple[bytes, Path]:
    """Return a JSON document that was cut off up to its last value, with what is open closed, and
    the path to the cut; nothing of what is no JSON, or nested too deeply.
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
