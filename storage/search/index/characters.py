"""What characters beyond ASCII are to words: those of a text are looked up all at once. Pure but
for the table.

Strategy: most characters say by themselves whether they are in words, and what they fold to. Those
that do not, because marks join them or their folded form has another length, are hard:
`storage.search.words.fold` folds what stands around them. The table is filled as characters come, 3
µs each: all there are would take seconds, and are never seen.

Invariant: a text without hard characters has the words that the table says.
"""

import unicodedata
from typing import Final

import numpy as np
import numpy.typing as npt

from storage.search.words import fold, is_unspaced

Kinds = npt.NDArray[np.uint8]
Points = npt.NDArray[np.uint32]

_SEEN: Final = 1
CHANGED: Final = 2
"""Bytes of the word are others than those of the text; none when it is in no word, or one by
itself.
"""
ALONE: Final = 4
"""A word by itself, as each character of a script without spaces is."""
HARD: Final = 8
"""Cannot be folded by itself. The other bits say what it is where it is folded already."""
_POINTS: Final = 0x110000
_JAMO: Final = range(0x1100, 0x1200)

_kinds: Final = np.zeros(_POINTS, np.uint8)
_keys: Final = np.zeros(_POINTS, np.uint32)


def kinds_of(points: Points) -> Kinds:
    """Look up what characters are; those that never came before are looked at one by one."""
    kinds = _kinds[points]
    if not kinds.all():
        for point in np.unique(points[kinds == 0]).tolist():
            # Two threads that do the same at once write the same.
            kind, key = _judged(chr(point))
            _keys[point] = key
            _kinds[point] = kind
        kinds = _kinds[points]

    return kinds


def keys_of(points: Points) -> Points:
    """Look up the bytes in UTF-8 that characters fold to, the first one lowest; 0 for what is in no
    word.
    """
    return _keys[points]


def _judged(character: str) -> tuple[int, int]:
    folded = fold(character)
    if _may_join(character) or _may_join(folded[0]):
        return _hard(character, folded)
    if not any(map(_is_in_word, folded)):
        return _SEEN | CHANGED, 0
    if is_unspaced(folded) and _is_in_word(folded):
        return _SEEN | CHANGED | ALONE, _key(folded)

    is_as_long = len(folded.encode()) == len(character.encode())
    if not is_as_long or not all(_is_in_word(each) and not is_unspaced(each) for each in folded):
        return _hard(character, folded)

    return _SEEN | (CHANGED if folded != character else 0), _key(folded)


def _hard(character: str, folded: str) -> tuple[int, int]:
    """Say what a hard character is where it is folded already; whether it makes words by
    themselves, always.
    """
    kind = _SEEN | HARD
    if any(_is_in_word(each) and is_unspaced(each) for each in folded):
        kind |= CHANGED | ALONE
    if not _is_in_word(character):
        kind |= CHANGED
    return kind, _key(character)


def _may_join(character: str) -> bool:
    """Whether it may be sorted behind others, or be one with what stands before it."""
    return unicodedata.category(character).startswith("M") or ord(character) in _JAMO


def _is_in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _key(text: str) -> int:
    if any(map(_is_in_word, text)):
        return int.from_bytes(text.encode(), "little")
    return 0
