"""The JSON of a stored call of a language model, whole or cut. Pure; bodies are untrusted input."""

import re
from typing import Any, Final

from storage import json_text
from storage.record import Body

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[{}\[\]]', re.DOTALL)
_CUT_ESCAPE: Final = re.compile(rb"\\u[0-9a-fA-F]{0,3}\Z")
_BLANK: Final = b" \t\r\n"
_MAX_DEPTH: Final = 100
_WRAPPERS: Final = ("request", "response")
"""Members that have the request inside: of Gemini CLI, and of the realtime API."""


def request_in(body: Body | None) -> dict[str, Any] | None:
    """Return the document of a request, of which the end may be missing; None where there is none."""
    if body is None or not body.head:
        return None
    read = read_json(closed(body.head) if body.truncated else body.head)
    if not isinstance(read, dict):
        return None

    document: dict[str, Any] = read
    for name in _WRAPPERS:
        if isinstance(document.get(name), dict):
            document = document[name]
    return document


def read_json(data: bytes) -> Any:
    """Read JSON; None of what is none."""
    try:
        return json_text.read_json(data)
    except ValueError:
        return None


def closed(head: bytes) -> bytes:
    """Return a JSON document that was cut off up to its last value, cut as that may be, with what
    is open closed.
    """
    head = head.decode(errors="ignore").encode()
    open_: list[bytes] = []
    end = 0
    depth = 0
    quote = b""

    for found in _TOKEN.finditer(head):
        token = found.group()
        if token in (b"{", b"["):
            open_.append(b"}" if token == b"{" else b"]")
            if len(open_) > _MAX_DEPTH:
                return b""
        elif token in (b"}", b"]"):
            if not open_:
                return b""
            open_.pop()
            end = found.end()
            depth = len(open_)
        elif open_ and _is_value(head, found.start(), open_[-1]):
            end = found.end()
            depth = len(open_)
            quote = b"" if found[1] else b'"'

    last = head[:end] if not quote else _CUT_ESCAPE.sub(b"", head[:end])
    return last + quote + b"".join(reversed(open_[:depth]))


def _is_value(head: bytes, start: int, closer: bytes) -> bool:
    """Whether a string is a value, and no name."""
    if closer == b"]":
        return True
    before = start - 1
    while head[before] in _BLANK:
        before -= 1
    return head[before] == ord(":")
