"""What makes one text of another, as edits: which place of one is which of the other. Pure.

Percent-encoded texts are read and written as `unquote_to_bytes` and `quote_plus` do (WHATWG URL §5,
form-urlencoded).
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote_plus

from proxy.enrich.redact.edits import MARK, Edit, rule_of_name

_ENCODED: Final = re.compile(rb"\+|%([0-9a-fA-F]{2})")
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_.~\[\]-]")


def unquoting(text: bytes) -> Iterator[Edit]:
    """Yield what reads a text, plus signs as blanks."""
    for found in _ENCODED.finditer(text):
        yield Edit(*found.span(), b" " if found[1] is None else bytes.fromhex(found[1].decode()))


def quoting(text: bytes) -> Iterator[Edit]:
    """Yield what writes a text, blanks as plus signs, and brackets as they are, which stand for
    secrets.
    """
    for found in _UNSAFE.finditer(text):
        yield Edit(*found.span(), quote_plus(found[0]).encode())


def differing(before: bytes, after: bytes, name: bytes) -> Iterator[Edit]:
    """Yield what was taken out of the value of a name, where only the two texts are known: what
    stands between marks.

    Where that cannot be said, it is all that differs.
    """
    rule = rule_of_name(name)
    edits = [Edit(start, stop, MARK, rule) for start, stop in _between_marks(before, after)]
    if not edits:
        start = _shared(before, after)
        behind = _shared(before[start:][::-1], after[start:][::-1])
        edits = [Edit(start, len(before) - behind, after[start : len(after) - behind], rule)]

    yield from edits


def _shared(one: bytes, other: bytes) -> int:
    """Count the bytes that two texts begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (byte, beside) in pairs if byte != beside), min(len(one), len(other)))


def _between_marks(before: bytes, after: bytes) -> list[tuple[int, int]]:
    """Return what marks stand for, where all else is in both texts, and in that order; nothing
    where it is not.
    """
    first, *others, last = after.split(MARK) if MARK in after else (b"", b"", b"")
    if not before.startswith(first) or not before.endswith(last) or not all(others):
        return []

    spans: list[tuple[int, int]] = []
    at = len(first)
    for piece in others:
        start = before.find(piece, at)
        if start < 0:
            return []
        spans.append((at, start))
        at = start + len(piece)

    stop = len(before) - len(last)
    return [*spans, (at, stop)] if at <= stop else []
