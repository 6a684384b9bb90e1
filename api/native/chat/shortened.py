"""Shortens several texts to a total number of characters; long ones lose more."""

from collections.abc import Sequence
from typing import Final

MIN_CHARACTERS: Final = 120
"""Number of characters that every text keeps."""
MARK_CHARACTERS: Final = len(" [… 1,000,000 characters …] ")
"""Length of the mark in a cut text, in addition to the kept characters."""


def share_of(lengths: Sequence[int], characters: int) -> int:
    """Return the length to which texts must be cut to fit a total, if possible."""
    left = characters
    for number, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - number)
        if length > share:
            return max(share, MIN_CHARACTERS)
        left -= length

    return max(lengths, default=0)


def cut(text: str, characters: int) -> str:
    """Cut a text in its middle and state how much is missing, which adds a few characters."""
    if len(text) <= characters:
        return text
    tail = characters // 3
    missing = len(text) - characters
    return f"{text[: characters - tail]} [… {missing:,} characters …] {text[len(text) - tail :]}"
