"""A phrase, and what it means that a text has it: the one definition that every index is measured
by. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

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
    """Write words so that some of them, in order, are a part of all: looked for in linear time,
    however many.
    """
    return f"{BETWEEN}{BETWEEN.join(found)}{BETWEEN}"


MAX_TELLING: Final = 8
"""Words that rule out most texts at a glance: each is looked for in each text, and a phrase may
have thousands.
"""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow each other, whatever stands between them; one word is the shortest."""

    words: tuple[str, ...]
    """Folded and cut, as `storage.search.words.words` lists them."""
    is_prefix: bool = False
    """Whether the last word may go on."""
    telling: tuple[str, ...] = field(init=False, compare=False, repr=False)
    """The words that most texts lack: all of a short phrase, the longest of others."""
    _line: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Tell once what is asked of each text."""
        line = line_of(self.words)
        object.__setattr__(self, "telling", telling(self.words))
        object.__setattr__(self, "_line", line.removesuffix(BETWEEN) if self.is_prefix else line)

    @classmethod
    def of(cls, text: str, *, is_prefix: bool = False) -> Self | None:
        """Read the text of a term; None without a word in it."""
        found = tuple(words(text))
        return cls(found, is_prefix) if found else None

    def is_in(self, text: SearchedText) -> bool:
        """Whether a stored text has it, in any of its readings."""
        return text.can_have(self.telling) and any(self._line in line for line in text.lines)


def telling(found: Sequence[str]) -> tuple[str, ...]:
    """Choose the words that most texts lack: the longest."""
    if len(found) <= MAX_TELLING:
        return tuple(found)
    return tuple(sorted(dict.fromkeys(found), key=len, reverse=True)[:MAX_TELLING])
