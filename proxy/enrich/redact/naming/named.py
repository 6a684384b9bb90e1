"""Names of secrets in text that is no JSON: what stands before them, and what gives them a value
behind them.

Strategy: where the scanner has found what is in each name of a secret, one expression is matched
behind it, and another one before it, near. All of the name is between.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.scanner import Scanner

_NEAR_BYTES: Final = 512
"""How far what is before a name goes, name included."""
_BEHIND_BYTES: Final = 4096
"""And what is behind it."""
_BLANK: Final = re.compile(rb"\s")


class Named(NamedTuple):
    """What gives a name to a value: where it starts and stops, and the name."""

    start: int
    stop: int
    name: bytes


class Naming:
    """One way to give a name to a value. Pure."""

    __slots__ = ("_after", "_before")

    def __init__(
        self, before: bytes, after: bytes, part: bytes, *, has_blanks: bool = False
    ) -> None:
        """Compile what stands before a name and behind it, without regard to case.

        A name is made of `part`, and has single blanks where it may be several words.
        """
        rest = b"(?:%b| (?=%b))" % (part, part) if has_blanks else part
        self._before: Final = re.compile(
            rb"(?im)%b((?:%b)*)\Z" % (before, b"%b| " % part if has_blanks else part)
        )
        self._after: Final = re.compile(rb"(?im)(%b{0,128}+)%b" % (rest, after))

    def around(self, text: bytes, start: int, stop: int, low: int) -> Named | None:
        """Return what names a value by what is found at a place; nothing of it is before `low`."""
        after = self._after.match(text, stop, stop + _BEHIND_BYTES)
        if after is None:
            return None

        before = self._before.search(text, max(low, start - _NEAR_BYTES), start)
        if before is None:
            return None

        return Named(before.start(), after.end(), text[before.start(1) : after.end(1)])


_start_of: Final = attrgetter("start")


class NameFinder:
    """Finds what gives names of secrets to values in one text, from its beginning on."""

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
        """Return the first one that begins at a place or behind it; places are asked for in order.

        Of several ways that give the same name the one counts that begins first.
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
