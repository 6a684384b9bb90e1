"""Texts shortened to a number of characters for all of them together, long ones more than short
ones. Pure.
"""

from collections.abc import Sequence
from typing import Final

MIN_CHARACTERS: Final = 120
"""That any text keeps."""
MARK_CHARACTERS: Final = len(" [… 1,000,000 characters …] ")
"""Beside those that are kept, of a text that was cut."""


def share_of(lengths: Sequence[int], characters: int) -> int:
    """Return the length beyond which texts are cut for all to have so many characters together, if
    they can.
    """
    left = characters
    for number, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - number)
        if length > share:
            return max(share, MIN_CHARACTERS)
        left -= length

    return max(lengths, default=0)


def cut(text: str, characters: int) -> str:
    """Cut a text in its middle, and say how much is missing; it then has a few characters more."""
    if len(text) <= characters:
        return text
    tail = characters // 3
    missing = len(text) - characters
    return f"{text[: characters - tail]} [… {missing:,} characters …] {text[len(text) - tail :]}"
