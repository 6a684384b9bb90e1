"""Error messages of failed exchanges, and the normalised line that groups failures of one kind.
Pure.

The message is a note of the record, or comes from the response: the member of a JSON document that
describes the error, or the first line of a plain text. In the line, parts that vary from request to
request (numbers, ids, addresses, paths) are `…`, so that one fault has one line. Invariant:
messages come from stored text, which is redacted.
"""

import re
from typing import Final, cast

from storage.json_text import read_json
from storage.record import Body, Payload, Record
from storage.search.reason import reason_of
from storage.search.subject import header_values

MAX_CHARACTERS: Final = 1000
"""Length of an error message."""
MAX_LINE_CHARACTERS: Final = 160
GONE: Final = "…"
"""Stands for a part that varies."""
_FIRST_REFUSAL: Final = 400
_SAYING: Final = (
    "detail",
    "message",
    "msg",
    "error_description",
    "error",
    "errors",
    "title",
    "reason",
)
"""Members of a JSON document that describe an error: of RFC 9457, model providers, OAuth, web
frameworks.
"""
_MAX_ITEMS: Final = 3
_WORD: Final = re.compile(r"[^\s'\"`()\[\]{}<>,:;=|…]+")
_DIFFERS: Final = re.compile(r"[0-9@\\]|\A[/~]|/[^/.]*[/.]|\.[^/.]*/")
"""A number or an id, an address, a path."""
_AGAIN: Final = re.compile(r"…(?:[ ,;:./&?=-]*…)+")


def error_message(record: Record, payload: Payload | None) -> str | None:
    """Return the error message of a failed exchange, up to `MAX_CHARACTERS`; None for a successful
    one or without a message.
    """
    if reason_of(record.error_type, record.outcome, record.status) is None:
        return None
    noted = _json_of(record.data or b"")
    said = _said(noted.get("error_message")) if isinstance(noted, dict) else ""
    if not said and payload is not None and payload.response_body is not None:
        said = _said_by(record, payload.response_head, payload.response_body)
    return said[:MAX_CHARACTERS] or None


def failure_line(record: Record, payload: Payload | None) -> str | None:
    """Return the normalised line of a failed exchange, preceded by the names of tools that failed
    before it.
    """
    said = error_message(record, payload) or ""
    tools = () if record.stream is None else record.stream.failed_tools or ()
    names = ", ".join(dict.fromkeys(tools))
    if not names or not said.startswith(names):
        return line_of(said)

    line = line_of(said.removeprefix(names).removeprefix(":"))
    return ": ".join(filter(None, (names[:MAX_LINE_CHARACTERS], line)))


def line_of(message: str) -> str | None:
    """Return the first line of a message with `…` for the parts that vary; None if the message is
    empty.
    """
    line = next(filter(None, map(str.strip, message.splitlines())), "")
    line = " ".join(line[: 4 * MAX_LINE_CHARACTERS].split())
    line = _WORD.sub(lambda word: GONE if _DIFFERS.search(word[0]) else word[0], line)
    return _AGAIN.sub(GONE, line)[:MAX_LINE_CHARACTERS].strip() or None


def _said_by(record: Record, head: bytes, body: Body) -> str:
    if body.head[:1] in (b"{", b"["):
        if body.truncated:
            return ""
        return _said(_json_of(body.head))
    kind = next(header_values(head, "content-type"), "")
    is_refusal = record.status is not None and record.status >= _FIRST_REFUSAL
    if not is_refusal or not kind.lower().startswith("text/plain"):
        return ""

    return (
        body.head[: 4 * MAX_CHARACTERS].decode(errors="replace").strip().partition("\n")[0].strip()
    )


def _json_of(data: bytes) -> object:
    try:
        return cast(object, read_json(data))
    except ValueError:
        return None


def _said(value: object, depth: int = 3) -> str:
    match value:
        case str():
            return value.strip()
        case list() if depth:
            return "; ".join(filter(None, (_said(each, depth - 1) for each in value[:_MAX_ITEMS])))
        case dict() if depth:
            return next(
                (text for name in _SAYING if (text := _said(value.get(name), depth - 1))), ""
            )
        case _:
            return ""
