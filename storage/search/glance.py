r"""Whether stored bytes can have words, decided without decoding them: patterns of all ways to
write a word. Pure.

Strategy: each letter of a word is looked for as any character that folds to it, and as the escapes
of those: `k`, `K`, a wide letter, the Kelvin sign, `\u006b`, `%6B`. One pattern of google-re2 goes
over many texts at once, in linear time (500 MB/s). Escapes that only the reading of other escapes
makes are looked for in general.

Invariant: bytes have what a pattern looks for wherever a reading of a text in them, folded, has the
word.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Final, Protocol, cast

import re2

from storage.search.disguises import joiners, ligatures, sources
from storage.search.words import is_unspaced

_MAX_CHARACTERS: Final = 160
"""Of all words of a pattern together: 100 ms to make it."""
_MAX_OF_WORD: Final = 16
"""Hardly a text has the first sixteen characters of a word and not the word."""
_LEAST_OF_WORD: Final = 3
_MAX_BYTES: Final = 16 << 20
"""Of the automaton of a pattern, whose states are made as they are met: some hundred kilobytes."""
_ESCAPE_MADE_OF_ESCAPES: Final = r"\\+u005[cC]|\\{3,}u0075|\\\\+u[0-9a-fA-F]{0,3}\\+u00[346]"
"""Those of JSON in JSON: a backslash, its `u`, or one of the digits behind is written as an escape
itself.
"""
_GAP: Final = r"(?:[^0-9A-Za-z_]|\\+(?:[nrtbf]|u[0-9a-fA-F]{4})|%[0-9a-fA-F]{2})*"
"""What may stand between words: what is not of ASCII may be a sign. Words of ASCII, and escapes,
are kept apart.
"""
_BEYOND: Final = r"[\xc2-\xf4][\x80-\xbf]{1,3}|\\+u[0-9a-fA-F]{4}|(?:%[0-9a-fA-F]{2})+"
"""A character beyond ASCII, roughly."""
_ANY: Final = f"(?:[0-9A-Za-z]|{_BEYOND})"
_SHARP: Final = ("\u00df", "\u1e9e")
"""Fold to `ss`; the other that does is in hardly a text."""
_BESIDE: Final = 3
_LAST_OF_PLANE: Final = 0xFFFF


class Found(Protocol):
    """Where a pattern was found."""

    def start(self) -> int:
        """Return the first place."""
        ...


class Pattern(Protocol):
    """A pattern of google-re2 over bytes."""

    def search(self, text: bytes, pos: int = ..., endpos: int = ...) -> Found | None:
        """Find the first place from one on."""
        ...


@lru_cache(maxsize=64)
def pattern(words: tuple[str, ...]) -> Pattern:
    """Compile the pattern of what has one of some words.

    Args:
        words: folded, each a run of characters that are in words. Of a script without spaces, of which each character
            is a word, other signs may stand between them.
    """
    length = min(_MAX_OF_WORD, max(_LEAST_OF_WORD, _MAX_CHARACTERS // len(words)))
    parts = chain.from_iterable(_ways_to_write(word[:length]) for word in words)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = _MAX_BYTES
    options.log_errors = False
    whole = "|".join(dict.fromkeys((*parts, _ESCAPE_MADE_OF_ESCAPES)))
    return cast("Pattern", re2.compile(whole.encode("ascii"), options))


def _ways_to_write(word: str) -> Iterable[str]:
    """List patterns: of the word letter by letter, and of the ligatures that may be a part of it."""
    has_gaps = any(map(is_unspaced, word))
    letters = [_letter(character) for character in word]
    yield (_GAP if has_gaps else "").join(letters)
    rare: list[str] = []

    for character, folded in ligatures().items():
        if set(word).isdisjoint(folded):
            continue
        # Between characters of scripts without spaces may stand signs, of a ligature as well.
        kept = "".join(filter(_is_in_word, folded)) if has_gaps else folded
        spans = list(_overlaps(word, kept))
        if spans and character in _SHARP and not has_gaps:
            yield from (_sharp_s(word, letters, *span) for span in spans)
        elif spans:
            rare.append(character)

    if rare:
        yield _written(rare)
    for character in dict.fromkeys(word):
        # The last letter of a ligature may be joined by what is behind it.
        if marks := joiners(character):
            ends = [
                each for each, folded in ligatures().items() if _ends_with(folded, _base(character))
            ]
            if ends:
                yield _written(ends) + _composed(marks)


def _base(character: str) -> str:
    return unicodedata.normalize("NFKD", character)[0]


def _ends_with(folded: str, base: str) -> bool:
    """Whether a base is the last character that is no mark."""
    apart = unicodedata.normalize("NFKD", folded)
    bases = [each for each in apart if not unicodedata.combining(each)]
    return bool(bases) and bases[-1] == base


def _overlaps(word: str, folded: str) -> Iterable[tuple[int, int]]:
    """Find where the beginning or the end of a word, or a part within, is the end, the beginning or
    all of a text.
    """
    if word in folded:
        yield 0, len(word)
    for start in range(1 - len(folded), len(word)):
        first = max(start, 0)
        end = min(start + len(folded), len(word))
        if word[first:end] == folded[first - start : end - start] and (first, end) != (
            0,
            len(word),
        ):
            yield first, end


def _sharp_s(word: str, letters: Sequence[str], start: int, end: int) -> str:
    """Write the pattern of what folds to `ss`, which is frequent, and of what of a word stands
    beside it.
    """
    sharp = _written(_SHARP)
    before: list[str] = []
    for place in range(start - 1, max(start - 1 - _BESIDE, -1), -1):
        before.insert(0, f"(?:{letters[place]}|{sharp})" if word[place] == "s" else letters[place])
        if word[place] == "s":  # it may be a part of another, and what is before it, too
            break

    behind: list[str] = []
    for place in range(end, min(end + _BESIDE, len(word))):
        behind.append(f"(?:{letters[place]}|{sharp})" if word[place] == "s" else letters[place])
        if word[place] == "s":
            break

    return "".join((*before, sharp, *behind))


@cache
def _letter(character: str) -> str:
    """Write the pattern of what folds to one character."""
    marks = joiners(character)
    composed = f"|{_ANY}{_composed(marks)}" if marks else ""
    return f"(?:{_written(sources(character))}{composed})"


def _composed(marks: Sequence[str]) -> str:
    """Write the pattern of marks that join, and of others before them: they may be sorted behind."""
    return f"(?:{_BEYOND})*{_written(marks)}"


def _written(characters: Sequence[str]) -> str:
    """Write the pattern of one of some characters, as they are, as escapes of JSON, or as those of
    addresses.
    """
    raw = [_bytes(character) for character in characters]
    escaped = [_escape(character) for character in characters]
    percent = ["".join(f"%{byte:02x}" for byte in character.encode()) for character in characters]
    return f"(?:{'|'.join(raw)}|(?i:{'|'.join((*escaped, *percent))}))"


def _bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def _escape(character: str) -> str:
    code = ord(character)
    if code <= _LAST_OF_PLANE:
        return rf"\\+u{code:04x}"
    high, low = divmod(code - _LAST_OF_PLANE - 1, 0x400)
    return rf"\\+u{0xD800 + high:04x}\\+u{0xDC00 + low:04x}"


def _is_in_word(character: str) -> bool:
    return character.isalnum() or character == "_"
