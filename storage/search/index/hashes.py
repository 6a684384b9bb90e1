"""Hash one word to a term of the index. `storage.search.index.word_arrays` does so for all words of
a text. Pure.

A word is folded (`storage.search.words`) and hashed as UTF-8, eight bytes at a time, so that arrays
of machine words are hashed at once, ASCII or not. Bytes beyond 64 are ignored: words that agree in
their first 64 characters agree in them too.

Invariant: both implementations return the same hash.
"""

from typing import Final

PREFIX_CHARACTERS: Final = 4
"""The first characters of a longer word are a term as well, so that prefixes are found. JSON with
ids gets a sixth more terms, most of which are there anyway; prefixes for words of four characters
would add half as many again.
"""
MAX_WORD_BYTES: Final = 64
PIECE_BYTES: Final = 8

FIRST: Final = 0x9E3779B97F4A7C15
NEXT: Final = 0xC2B2AE3D27D4EB4F
WORD: Final = 0x9FB21C651E98DF25
PREFIX: Final = 0xD6E8FEB86659FD93
PAIR: Final = 0xA0761D6478BD642F
JOINT: Final = 0xE7037ED1A0B428DB
"""Odd numbers without a pattern. The last four distinguish a word, a prefix, a pair and a joint
with the same bytes.
"""
SHIFT: Final = 32
BITS: Final = 24
"""Bits of a hash. Within a cell, about one word in a thousand shares the hash of another."""
END_SHIFT: Final = 64 - BITS
_MASK: Final = (1 << 64) - 1


def term(word: str) -> int:
    """Return the hash of a word, of `BITS` bits."""
    return _finished(_mixed(word.encode()), WORD)


def prefix_term(prefix: str) -> int | None:
    """Return the term that all longer words with these first characters share; None if there are
    too few characters.
    """
    start = prefix[:PREFIX_CHARACTERS]
    if len(start) == PREFIX_CHARACTERS:
        return _finished(_mixed(start.encode()), PREFIX)
    return None


def pair_term(first: str, second: str) -> int:
    """Return the term of two consecutive words of a script without spaces, one character each."""
    both = (
        int.from_bytes(first.encode(), "little")
        | int.from_bytes(second.encode(), "little") << SHIFT
    )
    return _finished(_first(both), PAIR)


def joint_term(joint: str) -> int:
    """Return the term of a joint in lower case (`storage.search.index.joints`)."""
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
