"""Repeated text that is remembered: bounded in bytes, as a client may send a new User-Agent of 8
KiB each time.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Final

MAX_REMEMBERED_BYTES: Final = 16 << 20
"""Of one direction: ids of texts, or texts of ids. Room for 50 000 ordinary values."""
_ENTRY_BYTES: Final = 150
"""Beside the text: its place, key and number."""


def entry_bytes(text: str) -> int:
    """Return what a text takes that is remembered."""
    return _ENTRY_BYTES + sys.getsizeof(text)


class RememberedNames:
    """Number to text, for readers."""

    __slots__ = ("_texts", "_texts_bytes")

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._texts_bytes = 0

    def known(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the texts that are remembered, of these numbers."""
        return {number: text for number in numbers if (text := self._texts.get(number)) is not None}

    def add(self, found: Mapping[int, str]) -> None:
        """Remember texts, or nothing any more where that is too much."""
        self._texts.update(found)
        self._texts_bytes += sum(map(entry_bytes, found.values()))
        if self._texts_bytes > MAX_REMEMBERED_BYTES:
            self._texts = {}
            self._texts_bytes = 0
