"""Where a value in a text ends that is quoted, bracketed, or goes to the end of its line; and how
each is taken out.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from proxy.enrich.redact.edits import Edit, Hits, edited, rule_of_name
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.naming.anchors import anchors_of
from proxy.enrich.redact.naming.named import Named, NameFinder, Naming
from proxy.enrich.redact.scanner import Scanner

Value = tuple[int, int, bytes]
"""Where a value begins and ends, and what stands in for it: nothing, where it stays."""

LINE_STARTS: Final = rb"^(?:\xef\xbb\xbf)?"
"""Begins a pattern: programs of Windows put a mark before the first line."""
OPENERS: Final = (b"{", b"[")
QUOTES: Final = (b'"', b"'")
_NOTHING: Final = re.compile(rb"\s*\Z")


class ValueRedactor(ABC):
    """Redacts the values of a set of names. Pure and reusable; compiled once."""

    __slots__ = ("_hits", "_names", "_namings", "_scanner")

    def __init__(
        self,
        names: SecretNames,
        namings: Sequence[Naming],
        hits: Hits | None = None,
        scanner: Scanner | None = None,
    ) -> None:
        """Redact what has one of some names by one of some ways to give them, and count it in
        `hits`.
        """
        self._names = names
        self._namings = namings
        self._hits = hits
        self._scanner = scanner or Scanner((), anchors_of(names.spelled))

    @abstractmethod
    def _value(self, text: bytes, found: Named) -> Value:
        """Find the value of a name."""

    def _finder(self, text: bytes) -> NameFinder:
        return NameFinder(text, self._names, self._namings, self._scanner)

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace the value of each secret name; the same object comes back when there is none.

        Returns:
            The text, and whether it ended within what may be a secret value.
        """
        edits: list[Edit] = []
        end = End.OUTSIDE
        finder = self._finder(text)
        found = finder.search(0)

        while found is not None:
            start, stop, stands_in = self._value(text, found)
            if stands_in:
                edits.append(Edit(start, stop, stands_in, rule_of_name(found.name)))
            if _NOTHING.match(text, stop) is not None:
                end = End.IN_CONTAINER
            found = finder.search(max(stop, start))

        return edited(text, edits, self._hits), end


def closing(text: bytes, start: int, parts: re.Pattern[bytes]) -> int:
    """Return where what is opened by a quote, brace or bracket is closed, behind it; the text's end
    where it is not.

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
    if newline >= 0 and text[stop - 1 : stop] == b"\r" and stop > start:
        return stop - 1
    return stop
