"""A phrase, and the definition of when a text contains it. Every index is tested against this.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from storage.search.words import (
    MAX_WORD_CHARACTERS,
    fold,
    is_in_word,
    readings,
    reads_as_written,
    words,
)

BETWEEN: Final = "\n"
"""Separates the words of a line, and delimits it; words do not contain it."""


class SearchedText:
    """One text with cached results: a search has up to a hundred words and phrases."""

    __slots__ = ("_folded", "_lines", "_lower", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._lower: str | None = None
        self._lines: tuple[str, ...] | None = None
        self._folded: tuple[str, ...] | None = None

    def can_have(self, wanted: Sequence[str]) -> bool:
        """Whether the text may have the words; a quick check where it reads as written, else True."""
        if self._lower is None:
            # Takes 1 µs, where splitting into words takes 100.
            if reads_as_written(self._text):
                self._lower = self._text.lower()
            else:
                self._lower = ""
        return not self._lower or all(word in self._lower for word in wanted)

    def has_word(self, word: str) -> bool | None:
        """Whether the text has a word that is not cut; None where only all readings tell.

        A text that reads as written is looked at where the word stands, and not split.
        """
        if not self._lower:
            return None
        return _has_word(self._lower, word) or (None if "\\" in self._lower else False)

    @property
    def lines(self) -> tuple[str, ...]:
        """The words of each reading, as `line_of` joins them."""
        if self._lines is None:
            self._lines = tuple(line_of(words(reading)) for reading in readings(self._text))
        return self._lines

    @property
    def folded(self) -> tuple[str, ...]:
        """The readings, folded."""
        if self._folded is None:
            self._folded = tuple(map(fold, readings(self._text)))
        return self._folded


def _has_word(lower: str, word: str) -> bool:
    """Whether a word stands in a text of ASCII, which is in lower case."""
    at = lower.find(word)
    while at >= 0:
        end = at + len(word)
        if not _is_in_word(lower, at - 1) and not _is_in_word(lower, end):
            return True
        at = lower.find(word, end)

    return False


def _is_in_word(lower: str, place: int) -> bool:
    """Whether a character is part of a word; there is none before the first and behind the last."""
    return 0 <= place < len(lower) and is_in_word(lower[place])


def line_of(found: Sequence[str]) -> str:
    """Join words, so that a sequence of them is a substring and found in linear time."""
    return f"{BETWEEN}{BETWEEN.join(found)}{BETWEEN}"


MAX_TELLING: Final = 8
"""Words that are used to rule out texts: each is looked for in each text, and a phrase may have
thousands.
"""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Consecutive words, whatever separates them; at least one."""

    words: tuple[str, ...]
    """Folded and cut, as `storage.search.words.words` returns them."""
    is_prefix: bool = False
    """Whether the last word may continue."""
    telling: tuple[str, ...] = field(init=False, compare=False, repr=False)
    """The words that most texts lack: all of a short phrase, else the longest."""
    _line: str = field(init=False, compare=False, repr=False)
    _word: str | None = field(init=False, compare=False, repr=False)
    """The only word, where it is neither cut nor may continue."""

    def __post_init__(self) -> None:
        """Prepare the values used for every text."""
        line = line_of(self.words)
        is_one = len(self.words) == 1 and not self.is_prefix
        is_whole = is_one and len(self.words[0]) < MAX_WORD_CHARACTERS
        object.__setattr__(self, "_word", self.words[0] if is_whole else None)
        object.__setattr__(self, "telling", telling(self.words))
        object.__setattr__(self, "_line", line.removesuffix(BETWEEN) if self.is_prefix else line)

    @classmethod
    def of(cls, text: str, *, is_prefix: bool = False) -> Self | None:
        """Return the phrase of a search term; None if it has no word."""
        found = tuple(words(text))
        if found:
            return cls(found, is_prefix)
        return None

    def is_in(self, text: SearchedText) -> bool:
        """Whether a stored text contains the phrase in any of its readings."""
        if not text.can_have(self.telling):
            return False
        if self._word is None:
            has_word = None
        else:
            has_word = text.has_word(self._word)
        if has_word is not None:
            return has_word
        return any(self._line in line for line in text.lines)


def telling(found: Sequence[str]) -> tuple[str, ...]:
    """Return the words that most texts lack: the longest."""
    if len(found) <= MAX_TELLING:
        return tuple(found)
    return tuple(sorted(dict.fromkeys(found), key=len, reverse=True)[:MAX_TELLING])
