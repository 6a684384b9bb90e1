"""Measure JSON values lexically, at any depth of strings, and find the secrets within one.

Values are measured, not parsed, so that all other bytes stay as they are. In objects and lists,
every string is redacted unless `naming/values.py` keeps it, and so is text that is not JSON.

Standard: RFC 8259 §7 (string escapes). Inside d levels of strings a quote is written with 2^d - 1
backslashes.
"""

import re
from collections.abc import Callable
from enum import Enum
from typing import Final

from proxy.enrich.redact.edits import MARK, Edit


class End(Enum):
    """Position of the text's end relative to the last secret value."""

    OUTSIDE = "outside"
    IN_STRING = "in_string"
    IN_CONTAINER = "in_container"


BLANKS: Final = rb"(?:[ \t]|[\r\n](?:data:)?|\\+[nrt])*"
"""Inside strings, blanks are written as escapes. In an event of several lines each begins with
`data:`.
"""
_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C
_SINGLE_QUOTE: Final = 0x27
_OPENERS: Final = (b"{", b"[")
_CLOSERS: Final = (b"}", b"]")
_TOKEN: Final = re.compile(
    rb"""(?<!\\)\\+[nrt]|[\r\n](?:data:)?|["{}\[\]]|[^\s,:"{}\[\]\\]+(?:[ \t]+[^\s,:"{}\[\]\\]+)*"""
)
"""A run of backslashes is read once: either its first one begins an escape, or none does."""
_COLON: Final = re.compile(rb"%b:" % BLANKS)
_STRING_ENDS: Final = re.compile(rb'"[ \t\r\n]*(?:[,}\]]|\Z)')
_LITERAL: Final = re.compile(rb"""[^\s,}\]"\\]*(?:[ \t]+[^\s,}\]"\\]+)*""")
KEPT: Final = frozenset((b"", b"null", b"true", b"false"))
"""Values that are never secret, under any name."""
_SINGLE_QUOTED: Final = re.compile(rb"'(?:[^'\\]|\\.)*'?", re.DOTALL)


def run_in(key: bytes) -> int:
    """Count the backslashes in front of the quote that closes a matched key."""
    return _run_before(key, key.rindex(b'"'), 1)


def _run_before(text: bytes, index: int, lowest: int) -> int:
    start = index
    while start > lowest and text[start - 1] == _BACKSLASH:
        start -= 1
    return index - start


def _level(run: int, depth: int) -> int:
    """Count the backslashes in front of a quote after `depth` levels are decoded; -1 if it ends one
    of these strings.
    """
    for _ in range(depth):
        if run % 2 == 0:
            return -1
        run = (run - 1) // 2
    return run


def measure(text: bytes, start: int, run: int) -> tuple[int, bytes, End]:
    """Measure the value at `start`, whose key's closing quote had `run` backslashes.

    Returns:
        The end of the value, its replacement (empty if it stays), and the end of the text relative
            to it.
    """
    if start >= len(text):
        # The text ends after the key, so its value comes next.
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
            # The quote closes the string around the key, a piece of a stream. No value is here.
            return start, b"", End.OUTSIDE
        stop, is_open = _string_stop(text, opening + 1, depth)
        return stop, mark, End.IN_STRING if is_open else End.OUTSIDE

    if text[opening : opening + 1] in _OPENERS:
        _, stop, end = secrets_within(text, opening, run, lambda *_: True)
        return stop, mark, end

    if first == _SINGLE_QUOTE:  # Not JSON, but seen: a blank inside must not end it.
        found = _SINGLE_QUOTED.match(text, opening)
        assert found is not None
        is_open = found.end() == len(text)
        return found.end(), mark, End.IN_STRING if is_open else End.OUTSIDE

    found = _LITERAL.match(text, opening)
    assert found is not None
    is_kept = found.group() in KEPT
    # A value in a program: `b"…"`, `SecretStr("…")`.
    if not is_kept and text.startswith(escape + b'"', found.end()):
        stop, is_open = _string_stop(text, found.end() + len(escape) + 1, depth)
        return stop, mark, End.IN_STRING if is_open else End.OUTSIDE

    return found.end(), b"" if is_kept else mark, End.OUTSIDE


def _string_stop(text: bytes, start: int, depth: int) -> tuple[int, bool]:
    """Find the end of a string whose content begins at `start`, `depth` levels inside other
    strings.

    Returns:
        The index after its closing quote, or of the quote that closes an outer string; and True if
            the text ended first.
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
    """Find the secrets in the object or list at `opening`.

    Args:
        text: Text that contains it.
        opening: Index of its bracket.
        run: Number of backslashes in front of its quotes.
        is_kept: Returns True if a value stays. Arguments: its member name, empty in a list; the
            member name around that; its content; and True if it is quoted.

    Returns:
        The edits, the end of the value, and the end of the text relative to it.
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
                # The outer string ends, and this value with it.
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
