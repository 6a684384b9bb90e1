"""Where a value in a text ends that is quoted, bracketed, or goes to the end of its line."""

import re
from typing import Final

OPENERS: Final = (b"{", b"[")
QUOTES: Final = (b'"', b"'")


def closing(text: bytes, start: int, parts: re.Pattern[bytes]) -> int:
    """Return where what is opened by a quote, brace or bracket is closed, behind it; the text's end where it is not.

    `parts` finds whole strings, whole comments, and single braces and brackets.
    """
    depth = 0
    for found in parts.finditer(text, start):
        mark = found[0]
        depth += mark in OPENERS
        depth -= mark in (b"}", b"]")
        if depth <= 0 and not mark.startswith(b"#"):
            return found.end()
    return len(text)


def line_end(text: bytes, start: int) -> int:
    """Return where a line ends, before what breaks it."""
    newline = text.find(b"\n", start)
    stop = len(text) if newline < 0 else newline
    return stop - 1 if newline >= 0 and text[stop - 1 : stop] == b"\r" and stop > start else stop
