"""Values in JSON, lexically: where each ends, at whatever depth of strings, and what is secret
within one.

A value is measured, not parsed, so that all else stays byte for byte. Objects and lists are looked
into: each string goes that nothing says is none (`naming/values.py`), and so does what is not JSON.

Standard: RFC 8259 §7 (string escapes). Inside d levels of strings a quote is written with 2^d - 1
backslashes.
"""

import re
from collections.abc import Callable
from enum import Enum
from typing import Final

from proxy.enrich.redact.edits import MARK, Edit


class End(Enum):
    """Where the text ended with respect to the last secret value."""

    OUTSIDE = "outside"
    IN_STRING = "in_string"
    IN_CONTAINER = "in_container"


BLANKS: Final = rb"(?:[ \t]|[\r\n](?:data:)?|\\+[nrt])*"
"""Inside strings they are written as escapes; an event of several lines has `data:` before each."""
_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C
_SINGLE_QUOTE: Final = 0x27
_OPENERS: Final = (b"{", b"[")
_CLOSERS: Final = (b"}", b"]")
_TOKEN: Final = re.compile(
    rb"""(?<!\\)\\+[nrt]|[\r\n](?:data:)?|["{}\[\]]|[^\s,:"{}\[\]\\]+(?:[ \t]+[^\s,:"{}\[\]\\]+)*"""
)
"""Of a run of backslashes the first one begins an escape, or none does: it is read once."""
_COLON: Final = re.compile(rb"%b:" % BLANKS)
_STRING_ENDS: Final = re.compile(rb'"[ \t\r\n]*(?:[,}\]]|\Z)')
_LITERAL: Final = re.compile(rb"""[^\s,}\]"\\]*(?:[ \t]+[^\s,}\]"\\]+)*""")
KEPT: Final = frozenset((b"", b"null", b"true", b"false"))
"""Values that are no secret, whatever their name is."""
_SINGLE_QUOTED: Final = re.compile(rb"'(?:[^'\\]|\\.)*'?", re.DOTALL)


def run_in(key: bytes) -> int:
    """Count the backslashes before the quote that closes a matched key."""
    return _run_before(key, key.rindex(b'"'), 1)


def _run_before(text: bytes, index: int, lowest: int) -> int:
    start = index
    while start > lowest and text[start - 1] == _BACKSLASH:
        start -= 1
    return index - start


def _level(run: int, depth: int) -> int:
    """Count the backslashes before a quote once it is out of so many strings; -1 where it ends one
    of those.
    """
    for _ in range(depth):
        if run % 2 == 0:
            return -1
        run = (run - 1) // 2
    return run


def measure(text: bytes, start: int, run: int) -> tuple[int, bytes, End]:
    """Measure the value at `start`, whose key's closing quote had `run` backslashes.

    Returns:
        Where it stops, what stands in for it (empty: it stays), and where the text ended.
    """
    if start >= len(text):
        # The key was the last thing seen: its value comes next.
        return len(text), b"", End.IN_STRING
    escape = b"\\" * run
    mark = b"".join((escape, b'"', MARK, escape, b'"'))
    depth = (run + 1).bit_length() - 1
    opening = start
    while opening < len(text) and text[opening] == _BACKSLASH:
        opening += 1
    if opening == len(text):
        return opening, mark, End.IN_STRING

    first = text[opening]
    if first == _QUOTE:
        if opening - start < run and _STRING_ENDS.match(text, opening) is not None:
            # Of the string around the key, a piece of a stream: no value is here.
            return start, b"", End.OUTSIDE
        stop, is_open = _string_stop(text, opening + 1, depth)
        return stop, mark, End.IN_STRING if is_open else End.OUTSIDE

    if text[opening : opening + 1] in _OPENERS:
        _, stop, end = secrets_within(text, opening, run, lambda *_: True)
        return stop, mark, end

    if first == _SINGLE_QUOTE:  # not JSON, but seen; a blank inside must not end it
        found = _SINGLE_QUOTED.match(text, opening)
        assert found is not None
        is_open = found.end() == len(text)
        return found.end(), mark, End.IN_STRING if is_open else End.OUTSIDE

    found = _LITERAL.match(text, opening)
    assert found is not None
    is_kept = found.group() in KEPT
    # Of a program: `b"…"`, `SecretStr("…")`.
    if not is_kept and text.startswith(escape + b'"', found.end()):
        stop, is_open = _string_stop(text, found.end() + len(escape) + 1, depth)
        return stop, mark, End.IN_STRING if is_open else End.OUTSIDE

    return found.end(), b"" if is_kept else mark, End.OUTSIDE


def _string_stop(text: bytes, start: int, depth: int) -> tuple[int, bool]:
    """Find the end of a string whose content begins at `start`, `depth` levels inside other
    strings.

    Returns:
        The index after its closing quote, or of what closes a string around it; and whether the text ended first.
    """
    position = start
    while (quote := text.find(b'"', position)) >= 0:
        run = _run_before(text, quote, start)
        level = _level(run, depth)
        if level < 0:
            return quote - run, False
        if level % 2 == 0:
            return quote + 1, False

        position = quote + 1

    return len(text), True


def secrets_within(
    text: bytes, opening: int, run: int, is_kept: Callable[[bytes, bytes, bytes, bool], bool]
) -> tuple[list[Edit], int, End]:
    """Look into the object or list at `opening`, whose quotes have `run` backslashes before them.

    Args:
        text: Where it is.
        opening: Its bracket.
        run: Backslashes.
        is_kept: Whether a value stays: asked with the name that it has in there, empty in a list; with that of what is
            around it; with its content, or what stands there without quotes; and whether it has quotes.

    Returns:
        What goes; where it stops; and where the text ended.
    """
    depth = (run + 1).bit_length() - 1
    escape = b"\\" * run
    edits: list[Edit] = []
    frames: list[tuple[bytes, bytes]] = []

    position = opening
    while (found := _TOKEN.search(text, position)) is not None:
        begin = found.start()
        position = found.end()
        token = found[0]
        member, outer = frames[-1] if frames else (b"", b"")
        if token in _OPENERS:
            frames.append((b"", member) if token == b"{" else (member, outer))
            continue

        if token in _CLOSERS:
            frames.pop()
            if not frames:
                return edits, position, End.OUTSIDE
            continue

        if token == b'"':
            if _level(before := _run_before(text, begin, opening), depth) < 0:
                # The string around it ends: so does this, unclosed.
                return edits, begin - before, End.OUTSIDE
            position, _ = _string_stop(text, begin + 1, depth)
            content = text[begin + 1 : position]
            closing = escape + b'"'
            is_closed = content.endswith(closing)
            content = content.removesuffix(closing)
            edit = Edit(begin + 1, begin + 1 + len(content), MARK if is_closed else MARK + closing)
        elif token[:1] in b"\\\r\n":
            continue
        else:
            content = token
            is_closed = True
            edit = Edit(begin, position, b'%b"%b%b"' % (escape, MARK, escape))

        if (colon := _COLON.match(text, position)) is not None:
            frames[-1], position = (content, outer), colon.end()
        elif content != MARK and not (is_closed and is_kept(member, outer, content, token == b'"')):
            edits.append(edit)

    return edits, len(text), End.IN_CONTAINER
