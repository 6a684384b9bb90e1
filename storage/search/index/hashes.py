"""The hashes of words: of one word here, of all words of a text in
`storage.search.index.word_arrays`. Pure.

A word is hashed as its bytes in UTF-8, folded (`storage.search.words`), eight at a time: so arrays
of machine words are hashed at once, and texts of ASCII and others in the same way. Bytes beyond 64
do not count: words that agree in their first 64 characters agree in them, too.

Invariant: both forms give the same hash.
"""

from typing import Final

PREFIX_CHARACTERS: Final = 4
"""The first characters of a longer word are a term as well, so that what begins with them is found:
a sixth more terms of JSON with ids, of which most are there anyway, and half as many more where
words of four had them, too.
"""
MAX_WORD_BYTES: Final = 64
PIECE_BYTES: Final = 8

FIRST: Final = 0x9E3779B97F4A7C15
NEXT: Final = 0xC2B2AE3D27D4EB4F
WORD: Final = 0x9FB21C651E98DF25
PREFIX: Final = 0xD6E8FEB86659FD93
PAIR: Final = 0xA0761D6478BD642F
JOINT: Final = 0xE7037ED1A0B428DB
"""Odd numbers without a pattern. The last four keep apart a word, what begins with it, two that are
written so, and a joint.
"""
SHIFT: Final = 32
BITS: Final = 24
"""Of a hash: of the words of a cell, one in some thousand has the hash of another word."""
END_SHIFT: Final = 64 - BITS
_MASK: Final = (1 << 64) - 1


def term(word: str) -> int:
    """Hash a word to `BITS`."""
    return _finished(_mixed(word.encode()), WORD)


def prefix_term(prefix: str) -> int | None:
    """Hash what stands for all longer words that begin with some characters; None when these are
    too few.
    """
    start = prefix[:PREFIX_CHARACTERS]
    if len(start) == PREFIX_CHARACTERS:
        return _finished(_mixed(start.encode()), PREFIX)
    return None


def pair_term(first: str, second: str) -> int:
    """Hash two words that follow each other in a script without spaces, which are one character
    each.
    """
    both = (
        int.from_bytes(first.encode(), "little")
        | int.from_bytes(second.encode(), "little") << SHIFT
    )
    return _finished(_first(both), PAIR)


def joint_term(joint: str) -> int:
    """Hash the letters about a sign, in lower case (`storage.search.index.joints`)."""
    return _finished(_mixed(joint.encode()), JOINT)


def _mixed(word: bytes) -> int:
    mixed = _first(int.from_bytes(word[:PIECE_BYTES], "little"))
    for start in range(PIECE_BYTES, min(len(word), MAX_WORD_BYTES), PIECE_BYTES):
        mixed = (mixed ^ int.from_bytes(word[start : start + PIECE_BYTES], "little")) * NEXT & _MASK
        mixed ^= mixed >> SHIFT
    return mixed


def _first(piece: int) -> int:
    mixed = piece * FIRST & _MASK
    return mixed ^ mixed >> SHIFT


def _finished(mixed: int, kind: int) -> int:
    return (mixed * kind & _MASK) >> END_SHIFT
