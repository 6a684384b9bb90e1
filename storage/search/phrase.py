"""A phrase, and what it means that a text has it: the one definition that every index is measured by. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from storage.search.searched_text import BETWEEN, SearchedText, line_of
from storage.search.words import words

MAX_TELLING: Final = 8
"""Words by which texts are told apart at a glance: each is looked for in each text, and a phrase may have thousands."""


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
        """Read what somebody wrote; None without a word in it."""
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
