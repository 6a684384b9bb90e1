"""Secret names in text other than JSON, with the syntax that assigns values to them.

Strategy: for each anchor of the scanner, one expression matches the bytes after it, and another one
the bytes in front of it. The complete name lies between.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.scanner import Scanner

_NEAR_BYTES: Final = 512
"""Maximum distance in front of a name, name included."""
_BEHIND_BYTES: Final = 4096
"""Maximum distance after a name."""
_BLANK: Final = re.compile(rb"\s")


class Named(NamedTuple):
    """A name with the syntax that assigns a value to it: start, end, and the name."""

    start: int
    stop: int
    name: bytes


class Naming:
    """One syntax that gives a name to a value."""

    __slots__ = ("_after", "_before")

    def __init__(
        self, before: bytes, after: bytes, part: bytes, *, has_blanks: bool = False
    ) -> None:
        """Compile the expressions in front of a name and after it; case is ignored.

        A name consists of `part`, and may have single blanks between words if `has_blanks`.
        """
        if has_blanks:
            rest = b"(?:%b| (?=%b))" % (part, part)
        else:
            rest = part
        self._before: Final = re.compile(
            rb"(?im)%b((?:%b)*)\Z" % (before, b"%b| " % part if has_blanks else part)
        )
        self._after: Final = re.compile(rb"(?im)(%b{0,128}+)%b" % (rest, after))

    def around(self, text: bytes, start: int, stop: int, low: int) -> Named | None:
        """Match the syntax around an anchor, not before `low`; None without a match."""
        after = self._after.match(text, stop, stop + _BEHIND_BYTES)
        if after is None:
            return None

        before = self._before.search(text, max(low, start - _NEAR_BYTES), start)
        if before is None:
            return None

        return Named(before.start(), after.end(), text[before.start(1) : after.end(1)])


_start_of: Final = attrgetter("start")


class NameFinder:
    """Finds the secret names that have a value in one text, from its beginning on."""

    __slots__ = ("_at", "_names", "_namings", "_places", "_text")

    def __init__(
        self, text: bytes, names: SecretNames, namings: Sequence[Naming], scanner: Scanner
    ) -> None:
        self._text = text
        self._names = names
        self._namings = namings
        self._places = scanner.names(text)
        self._at = 0

    def search(self, low: int) -> Named | None:
        """Return the first one at or after `low`, which must never decrease.

        If several syntaxes match at one anchor, the one that begins first is returned.
        """
        self._at = max(self._at, bisect_left(self._places, (low, low)))
        while self._at < len(self._places):
            start, stop = self._places[self._at]
            ways = (naming.around(self._text, start, stop, low) for naming in self._namings)
            found = [way for way in ways if way is not None and self._is_secret(way.name)]
            if found:
                return min(found, key=_start_of)
            self._at += 1

        return None

    def _is_secret(self, name: bytes) -> bool:
        name = name.strip()
        if _BLANK.search(name) is not None:
            return self._names.has_phrase(name)
        return self._names.has(name)
