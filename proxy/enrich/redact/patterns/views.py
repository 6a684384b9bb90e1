r"""Views: a text with one level of its escapes decoded, and a map of positions to the original.

Strategy: escapes of JSON and similar (`\n`, `\"`, `\/`, `\u006e`), percent-encoding and markup
references (`&amp;`, `&#10;`) are decoded alike in any text, because a view is searched and never
kept. A view of a view decodes nested escapes, such as JSON in JSON in a form. Each escape becomes
one byte, so that positions can be mapped back by counting.
"""

import re
from bisect import bisect_right
from functools import lru_cache
from typing import Final

from proxy.enrich.redact.octets import AMPERSAND, BACKSLASH, PERCENT, SEMICOLON
from proxy.enrich.redact.patterns.escaped import BY_NUMBER, ESCAPED

Span = tuple[int, int]
_ESCAPE: Final = re.compile(
    rb"""\\(?:["'\\/bfnrtvae0]|%b)|%%[0-9a-fA-F]{2}|&(?:#(?:[xX][0-9a-fA-F]{1,6}|[0-9]{1,7})|[a-z]{2,4});"""
    % BY_NUMBER
)
_NAMED: Final = {b"\\" + letter: meaning for letter, meaning in ESCAPED.items()} | {
    b"\\\\": b"\\",
    b"&amp;": b"&", b"&quot;": b'"', b"&apos;": b"'", b"&lt;": b"<", b"&gt;": b">", b"&nbsp;": b" ",
}  # fmt: skip
SPACE: Final = rb"[\s+]"
"""A blank in a pattern; in a form it is a plus sign."""
_OTHER: Final = 0xFF
"""Replaces any character outside ASCII."""


def has_escapes(text: bytes) -> bool:
    """Return False if a text has no escapes. Cheap, because nearly all texts are tested."""
    return BACKSLASH in text or PERCENT in text or (SEMICOLON in text and AMPERSAND in text)


class View:
    """A text with its escapes decoded; `text` is the same object if nothing changes.

    In a form, recognised by its lack of blanks, a plus sign is decoded as a blank.
    """

    __slots__ = ("_behind", "_shorter", "text")

    def __init__(self, text: bytes) -> None:
        pieces: list[bytes] = []
        self._behind: list[int] = []
        self._shorter = [0]
        sent = text
        if PERCENT in text and b" " not in text:
            text = text.replace(b"+", b" ")
        kept = 0
        shorter = 0
        for found in _ESCAPE.finditer(text):
            start, stop = found.span()
            pieces += (text[kept:start], _read(found[0]))
            self._behind.append(start - shorter + 1)
            shorter += stop - start - 1
            self._shorter.append(shorter)
            kept = stop

        if pieces:
            self.text = b"".join((*pieces, text[kept:]))
        else:
            self.text = sent

    def place(self, at: int) -> int:
        """Return the position in the original text for a position in the view."""
        return at + self._shorter[bisect_right(self._behind, at)]


@lru_cache(1024)
def _read(escape: bytes) -> bytes:
    if (named := _NAMED.get(escape)) is not None:
        return named
    if escape[:1] == b"\\" and len(escape) == 2:
        return escape[1:]

    digits = escape.strip(b"\\uU{}%&#;xX")
    try:
        number = int(digits, 10 if escape[:2] == b"&#" and escape[2:3] not in b"xX" else 16)
    except ValueError:
        number = _OTHER  # A named character reference that is rarely used for secrets.

    return bytes((min(number, _OTHER),))
