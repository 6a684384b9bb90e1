"""A stored text as searches look at it: taken apart once, however many words are looked for in it. Pure."""

from collections.abc import Sequence
from typing import Final

from storage.search.words import fold, readings, reads_as_written, words

BETWEEN: Final = "\n"
"""Stands before and behind each word of a line; no word has one."""


class SearchedText:
    """One text. What is asked first is kept: a search has up to a hundred words and phrases."""

    __slots__ = ("_folded", "_lines", "_lower", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._lower: str | None = None
        self._lines: tuple[str, ...] | None = None
        self._folded: tuple[str, ...] | None = None

    def can_have(self, wanted: Sequence[str]) -> bool:
        """Whether it may have some words; quickly, where it reads as it is written."""
        if self._lower is None:
            # 1 µs where its words cost 100.
            self._lower = self._text.lower() if reads_as_written(self._text) else ""
        return not self._lower or all(word in self._lower for word in wanted)

    @property
    def lines(self) -> tuple[str, ...]:
        """The words of each of its readings, as `line_of` writes them."""
        if self._lines is None:
            self._lines = tuple(line_of(words(reading)) for reading in readings(self._text))
        return self._lines

    @property
    def folded(self) -> tuple[str, ...]:
        """Its readings, folded."""
        if self._folded is None:
            self._folded = tuple(map(fold, readings(self._text)))
        return self._folded


def line_of(found: Sequence[str]) -> str:
    """Write words so that some of them, in order, are a part of all: looked for in linear time, however many."""
    return f"{BETWEEN}{BETWEEN.join(found)}{BETWEEN}"
