"""Where a value in a text ends that is quoted, bracketed, or goes to the end of its line; and how each is taken out."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.json_values import MARK, MAX_HITS, Edit, End, edited
from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.naming.spelling import spelled_plainly

Value = tuple[int, int, bytes]
"""Where a value begins and ends, and what stands in for it: nothing, where it stays."""

LINE_BEGINS: Final = rb"^(?:\xef\xbb\xbf)?[ \t]*"
"""Begins a pattern: programs of Windows put a mark before the first line."""
OPENERS: Final = (b"{", b"[")
QUOTES: Final = (b'"', b"'")
_NOTHING: Final = re.compile(rb"\s*\Z")


class ValueRedactor(ABC):
    """Redacts the values of a set of names. Pure and reusable; compiled once."""

    __slots__ = ("_names", "_pattern")

    def __init__(self, names: SecretNames, kinds: Iterable[bytes], before_ending: bytes) -> None:
        """Find names by patterns in which `%b` stands for one, and `before_ending` may stand before its ending."""
        self._names = names
        name = b"(%b)" % spelled_plainly(names, before_ending)
        self._pattern = compile_bytes(b"(?im)" + b"|".join(kind.replace(b"%b", name) for kind in kinds))

    @abstractmethod
    def _value(self, text: bytes, found: re.Match[bytes]) -> Value:
        """Find the value of a name."""

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace the value of each secret name; the same object comes back when there is none.

        Returns:
            The text, and whether it ended within what may be a secret value.
        """
        edits: list[Edit] = []
        hits, end = 0, End.OUTSIDE
        found = self._pattern.search(text)
        while found is not None:
            if not self._names.has(name_of(found)):
                found = self._pattern.search(text, found.end())
                continue
            hits += 1
            if hits > MAX_HITS:
                edits.append((found.start(), len(text), MARK))
                return edited(text, edits), End.IN_CONTAINER
            start, stop, stands_in = self._value(text, found)
            if stands_in:
                edits.append((start, stop, stands_in))
            if _NOTHING.match(text, stop) is not None:
                end = End.IN_CONTAINER
            found = self._pattern.search(text, max(stop, start))
        return edited(text, edits), end


def name_of(found: re.Match[bytes]) -> bytes:
    """Return the name that is the only group of a match, of those its pattern has."""
    return next(filter(None, found.groups()), b"")


def closing(text: bytes, start: int, parts: re.Pattern[bytes]) -> int:
    """Return where what is opened by a quote, brace or bracket is closed, behind it; the text's end where it is not.

    `parts` finds whole strings, whole comments, and single braces and brackets.
    """
    depth = 0
    for found in parts.finditer(text, start):
        mark = found[0]
        depth += mark in OPENERS
        depth -= mark in (b"}", b"]")
        if depth <= 0:
            return found.end()
    return len(text)


def line_end(text: bytes, start: int) -> int:
    """Return where a line ends, before what breaks it."""
    newline = text.find(b"\n", start)
    stop = len(text) if newline < 0 else newline
    return stop - 1 if newline >= 0 and text[stop - 1 : stop] == b"\r" and stop > start else stop
