"""Find the signs and joints of a text, as arrays. Pure.

Invariant: the joints are those of `storage.search.index.joints`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from storage.search.index.joints import BEFORE, BEHIND

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]

SIGNS: Final = b"-.:@"
_AT: Final = ord("@")


def _flags(characters: str) -> npt.NDArray[np.bool_]:
    flags = np.zeros(256, np.bool_)
    flags[list(characters.encode())] = True
    return flags


_IS_DIGIT: Final = _flags("0123456789")
_IS_LETTER: Final = _flags("abcdefghijklmnopqrstuvwxyz")
_IS_OTHER_LETTER: Final = _flags("ghijklmnopqrstuvwxyz")
_IS_WORD: Final = _flags("abcdefghijklmnopqrstuvwxyz0123456789_")


def are_signs(text: Bytes) -> npt.NDArray[np.bool_]:
    """Return a flag for each byte, set for signs. Four comparisons are quicker than a table."""
    found = np.zeros(text.size, np.bool_)
    for sign in SIGNS:
        found |= text == sign
    return found


def joints_in(text: Bytes, signs: Places) -> tuple[Places, Places]:
    """Return the offsets and lengths of the joints in a lower-case text that is padded with zeros,
    given the offsets of its signs.
    """
    signs = signs[_IS_WORD[text[signs - 1]]]
    last = text[signs - 1]
    next_ = text[signs + 1]
    tells = (text[signs] == _AT) & _IS_WORD[next_]
    tells |= (text[signs] != _AT) & _IS_LETTER[last] & _IS_DIGIT[next_]
    signs = signs[tells]

    before = [text[signs - distance] for distance in range(1, BEFORE + 1)]
    are_words = _IS_WORD[before[0]] & _IS_WORD[before[1]] & _IS_WORD[before[2]]
    others = _IS_OTHER_LETTER[before[0]] | _IS_OTHER_LETTER[before[1]] | _IS_OTHER_LETTER[before[2]]
    signs = signs[are_words & (others | (text[signs] == _AT))]

    goes_on = np.ones(signs.size, np.bool_)
    lengths = np.full(signs.size, BEFORE + 1, np.intp)
    for distance in range(1, BEHIND + 1):
        goes_on &= _IS_WORD[text[signs + distance]]
        lengths += goes_on
    return signs - BEFORE, lengths
