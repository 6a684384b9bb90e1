"""Unicode case variants: all characters that fold to a letter, and so may stand for it in a text.
Pure.

Strategy: `storage.search.words.fold` is applied once to all characters, in one text, when a search
first needs it, in 0.1 s. So the result follows the Unicode version that folds the texts. The tables
are cached, as a pattern (`storage.search.prefilter`) takes 5 ms with them.

Invariant: if a folded text has a character that the text does not have, the text has one of its
`sources`, one of the `ligatures` that fold to several characters, or another character followed by
one of its `joiners`.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from storage.search.words import fold

_BLOCKS: Final = (
    (0x21, 0x3400),
    (0xA000, 0xAC00),
    (0xD7A4, 0xD800),
    (0xF900, 0x20000),
    (0x2F800, 0x2FA20),
)
"""Ranges of code points to fold. Han and Hangul are left out because they do not change; none above
are assigned or fold.
"""
_SYLLABLES: Final = range(0xAC00, 0xD7A4)
_JAMO: Final = (range(0x1100, 0x1200), range(0x3130, 0x3190), range(0xFFA0, 0xFFDD))


def sources(character: str) -> tuple[str, ...]:
    """Return the characters that fold to one, including itself if it does."""
    found = _sources().get(character, ())
    if fold(character) != character:
        return found
    return (character, *found)


@cache
def ligatures() -> Mapping[str, str]:
    """Return the characters that fold to several → those."""
    return {character: folded for character, folded in _folded().items() if len(folded) > 1}


def joiners(character: str) -> tuple[str, ...]:
    """Return the characters that can combine with a preceding one into this one; empty if none can."""
    if ord(character) in _SYLLABLES:
        return tuple(chr(point) for points in _JAMO for point in points)
    marks = unicodedata.normalize("NFKD", character)[1:]
    return tuple(sorted({each for mark in marks for each in (mark, *_beginning().get(mark, ()))}))


def _characters() -> Iterable[str]:
    return (chr(point) for first, end in _BLOCKS for point in range(first, end))


@cache
def _folded() -> dict[str, str]:
    """Return the characters that fold to others → those."""
    characters = [each for each in _characters() if each != "\n"]
    folded = fold("\n".join(characters)).split("\n")
    return {each: other for each, other in zip(characters, folded, strict=True) if other != each}


@cache
def _sources() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for character, folded in _folded().items():
        if len(folded) == 1:
            found.setdefault(folded, []).append(character)
    return {folded: tuple(some) for folded, some in found.items()}


@cache
def _beginning() -> dict[str, tuple[str, ...]]:
    """Return each mark → the characters that decompose into it and more."""
    found: dict[str, list[str]] = {}
    for character in _characters():
        if unicodedata.decomposition(character):
            first = unicodedata.normalize("NFKD", character)[0]
            if unicodedata.combining(first):
                found.setdefault(first, []).append(character)

    return {first: tuple(some) for first, some in found.items()}
