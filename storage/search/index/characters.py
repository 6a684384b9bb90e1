"""Characters beyond ASCII: whether they are in words and how they fold, looked up for a whole text
at once. Pure but for the table.

Strategy: most characters determine by themselves whether they are in words, and how they fold. The
others are hard, because marks combine with them or their folded form has another length:
`storage.search.words.fold` folds the text around them. The table is filled as characters occur, 3
µs each; to fill it for all characters would take seconds.

Invariant: a text without hard characters has the words that the table gives.
"""

import unicodedata
from typing import Final

import numpy as np
import numpy.typing as npt

from storage.search.words import fold, is_in_word, is_unspaced

Kinds = npt.NDArray[np.uint8]
Points = npt.NDArray[np.uint32]

_SEEN: Final = 1
CHANGED: Final = 2
"""The word's bytes differ from the text's; none if the character is not in a word, or is one by
itself.
"""
ALONE: Final = 4
"""A word by itself, like each character of a script without spaces."""
HARD: Final = 8
"""Cannot be folded by itself. The other bits describe it for a text that is already folded."""
_POINTS: Final = 0x110000
_JAMO: Final = range(0x1100, 0x1200)

_kinds: Final = np.zeros(_POINTS, np.uint8)
_keys: Final = np.zeros(_POINTS, np.uint32)


def kinds_of(points: Points) -> Kinds:
    """Return the kinds of characters; a character that occurs for the first time is judged and
    stored.
    """
    kinds = _kinds[points]
    if not kinds.all():
        for point in np.unique(points[kinds == 0]).tolist():
            # Two threads that judge the same character write equal values.
            kind, key = _judged(chr(point))
            _keys[point] = key
            _kinds[point] = kind
        kinds = _kinds[points]

    return kinds


def keys_of(points: Points) -> Points:
    """Return the UTF-8 bytes that characters fold to, the first one lowest; 0 for a character
    outside of words.
    """
    return _keys[points]


def _judged(character: str) -> tuple[int, int]:
    folded = fold(character)
    if _may_join(character) or _may_join(folded[0]):
        return _hard(character, folded)
    if not any(map(is_in_word, folded)):
        return _SEEN | CHANGED, 0
    if is_unspaced(folded) and is_in_word(folded):
        return _SEEN | CHANGED | ALONE, _key(folded)

    is_as_long = len(folded.encode()) == len(character.encode())
    if not is_as_long or not all(is_in_word(each) and not is_unspaced(each) for each in folded):
        return _hard(character, folded)

    return _SEEN | (CHANGED if folded != character else 0), _key(folded)


def _hard(character: str, folded: str) -> tuple[int, int]:
    """Return the kind of a hard character in folded text, and whether its characters are words by
    themselves.
    """
    kind = _SEEN | HARD
    if any(is_in_word(each) and is_unspaced(each) for each in folded):
        kind |= CHANGED | ALONE
    if not is_in_word(character):
        kind |= CHANGED
    return kind, _key(character)


def _may_join(character: str) -> bool:
    """Whether normalisation may reorder it, or combine it with the character before."""
    return unicodedata.category(character).startswith("M") or ord(character) in _JAMO


def _key(text: str) -> int:
    if any(map(is_in_word, text)):
        return int.from_bytes(text.encode(), "little")
    return 0
