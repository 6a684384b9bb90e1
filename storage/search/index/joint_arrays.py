"""Where the joints of a text are, as arrays. Pure.

Invariant: they are those of `storage.search.index.joints`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from storage.search.index.joints import BEFORE, BEHIND

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]

_SIGNS: Final = b"-.:@"
_AT: Final = ord("@")
LOWERED: Final = bytes(
    (byte | 0x20 if 0x41 <= byte <= 0x5A else byte)
    if byte < 0x80 and (chr(byte).isalnum() or byte == 0x5F or byte in _SIGNS)
    else 0
    for byte in range(256)
)
"""Translates a text to lower case, with zeros for what is in no joint."""


def _flags(characters: str) -> npt.NDArray[np.bool_]:
    flags = np.zeros(256, np.bool_)
    flags[list(characters.encode())] = True
    return flags


_SIGN_FLAGS: Final = bytes(byte in _SIGNS for byte in range(256))
_IS_DIGIT: Final = _flags("0123456789")
_IS_LETTER: Final = _flags("abcdefghijklmnopqrstuvwxyz")
_IS_OTHER_LETTER: Final = _flags("ghijklmnopqrstuvwxyz")
_IS_WORD: Final = _flags("abcdefghijklmnopqrstuvwxyz0123456789_")


def joints_in(text: Bytes) -> tuple[Places, Places]:
    """Find where joints begin in a text that is `LOWERED`, with zeros around it, and how many bytes
    they have.
    """
    signs = np.flatnonzero(np.frombuffer(text.tobytes().translate(_SIGN_FLAGS), np.bool_))
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
