"""Find the end of a value that is quoted, bracketed or goes to the end of its line; and the base
class of redactors that replace such values.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from proxy.enrich.redact.edits import Edit, Hits, edited, rule_of_name
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.naming.named import Named, NameFinder, Naming
from proxy.enrich.redact.scanner import Scanner

Value = tuple[int, int, bytes]
"""Start and end of a value, and its replacement; empty if the value stays."""

LINE_STARTS: Final = rb"^(?:\xef\xbb\xbf)?"
"""Start of a line in a pattern. Windows programs write a byte order mark before the first line."""
OPENERS: Final = (b"{", b"[")
QUOTES: Final = (b'"', b"'")
_NOTHING: Final = re.compile(rb"\s*\Z")


class NameRedactor:
    """Redacts the values of a set of names. Reusable."""

    __slots__ = ("_hits", "_names", "_scanner")

    def __init__(self, names: SecretNames, hits: Hits, scanner: Scanner) -> None:
        """Redact the values with these names, and count them in `hits`."""
        self._names = names
        self._hits = hits
        self._scanner = scanner


class ValueRedactor(NameRedactor, ABC):
    """Redacts the values that one of some syntaxes gives to a secret name."""

    __slots__ = ()

    _namings: ClassVar[Sequence[Naming]]

    @abstractmethod
    def _value(self, text: bytes, found: Named) -> Value:
        """Return the value of a name."""

    def _finder(self, text: bytes) -> NameFinder:
        return NameFinder(text, self._names, self._namings, self._scanner)

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace the value of each secret name; return the same object if nothing changes.

        Returns:
            The text, and `End.IN_CONTAINER` if it ended within a possible secret.
        """
        edits: list[Edit] = []
        end = End.OUTSIDE
        finder = self._finder(text)
        found = finder.search(0)

        while found is not None:
            start, stop, replacement = self._value(text, found)
            if replacement:
                edits.append(Edit(start, stop, replacement, rule_of_name(found.name)))
            if _NOTHING.match(text, stop) is not None:
                end = End.IN_CONTAINER
            found = finder.search(max(stop, start))

        return edited(text, edits, self._hits), end


def closing(text: bytes, start: int, parts: re.Pattern[bytes]) -> int:
    """Return the index after the bracket or quote that closes the one at `start`; the text's end if
    it is open.

    `parts` matches complete strings, complete comments, and single braces and brackets.
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
    """Return the end of a line, before its line break."""
    newline = text.find(b"\n", start)
    stop = len(text) if newline < 0 else newline
    if newline >= 0 and text[stop - 1 : stop] == b"\r" and stop > start:
        return stop - 1
    return stop
