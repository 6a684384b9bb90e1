"""A phrase, and what it means that a text has it: the one definition that every index is measured by. Pure."""

from dataclasses import dataclass
from typing import Self

from storage.search.words import readings, reads_as_written, words


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow each other, whatever stands between them; one word is the shortest."""

    words: tuple[str, ...]
    """Folded and cut, as `storage.search.words.words` lists them."""
    is_prefix: bool = False
    """Whether the last word may go on."""

    @classmethod
    def of(cls, text: str, *, is_prefix: bool = False) -> Self | None:
        """Read what somebody wrote; None without a word in it."""
        found = tuple(words(text))
        return cls(found, is_prefix) if found else None

    def is_in(self, text: str) -> bool:
        """Whether a stored text has it, in any of its readings."""
        if reads_as_written(text):
            # 1 µs where its words cost 100.
            lower = text.lower()
            if any(word not in lower for word in self.words):
                return False
        return any(self.is_among(words(reading)) for reading in readings(text))

    def is_among(self, found: list[str]) -> bool:
        """Whether it is among the words of one reading."""
        *first, last = self.words
        count = len(first)
        for start in range(len(found) - count):
            if found[start : start + count] == first:
                word = found[start + count]
                if word == last or (self.is_prefix and word.startswith(last)):
                    return True
        return False
