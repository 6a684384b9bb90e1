r"""A prefilter over stored bytes: patterns that find every way to write a word, without decoding
the text. Pure.

Strategy: each letter of a word is matched as any character that folds to it, and as the escapes of
those: `k`, `K`, a wide letter, the Kelvin sign, `\u006b`, `%6B`. One google-re2 pattern searches
many texts at once, in linear time (500 MB/s). Nested escapes appear only when other escapes are
decoded; they are matched by their general form.

Invariant: if a reading of a text, folded, has the word, the pattern matches the text's bytes. The
reverse need not hold.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Final, cast

import re2

from storage.search.case_variants import joiners, ligatures, sources
from storage.search.words import is_in_word, is_unspaced

_MAX_CHARACTERS: Final = 160
"""Total length of the words in a pattern; such a pattern takes 100 ms to compile."""
_MAX_OF_WORD: Final = 16
"""Characters of a word that are matched: few texts have the first sixteen without the whole word.
"""
_LEAST_OF_WORD: Final = 3
_MAX_BYTES: Final = 16 << 20
"""Memory limit of a pattern's automaton. Its states are made on demand and usually take a few
hundred kilobytes.
"""
_ESCAPE_MADE_OF_ESCAPES: Final = r"\\+u005[cC]|\\{3,}u0075|\\\\+u[0-9a-fA-F]{0,3}\\+u00[346]"
"""An escape in nested JSON whose backslash, `u` or digits are escaped themselves."""
_GAP: Final = r"(?:[^0-9A-Za-z_]|\\+(?:[nrtbf]|u[0-9a-fA-F]{4})|%[0-9a-fA-F]{2})*"
"""Characters that may stand between two words of a script without spaces. Characters beyond ASCII
may be punctuation. ASCII words and escapes are distinguished.
"""
_BEYOND: Final = r"[\xc2-\xf4][\x80-\xbf]{1,3}|\\+u[0-9a-fA-F]{4}|(?:%[0-9a-fA-F]{2})+"
"""Approximately one character beyond ASCII."""
_ANY: Final = f"(?:[0-9A-Za-z]|{_BEYOND})"
_SHARP: Final = ("\u00df", "\u1e9e")
"""The usual characters that fold to `ss`; the only other one is rare."""
_BESIDE: Final = 3
_LAST_OF_PLANE: Final = 0xFFFF


@lru_cache(maxsize=64)
def pattern(words: tuple[str, ...]) -> re.Pattern[bytes]:
    """Compile a pattern that matches every text with one of the words. google-re2 has the interface
    of `re`.

    Args:
        words: Folded, each a run of word characters. In scripts without spaces, punctuation may stand between them.
    """
    length = min(_MAX_OF_WORD, max(_LEAST_OF_WORD, _MAX_CHARACTERS // len(words)))
    parts = chain.from_iterable(_ways_to_write(word[:length]) for word in words)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = _MAX_BYTES
    options.log_errors = False
    whole = "|".join(dict.fromkeys((*parts, _ESCAPE_MADE_OF_ESCAPES)))
    return cast("re.Pattern[bytes]", re2.compile(whole.encode("ascii"), options))


def _ways_to_write(word: str) -> Iterable[str]:
    """Yield patterns for the word letter by letter, and for the ligatures that may be part of it."""
    has_gaps = any(map(is_unspaced, word))
    letters = [_letter(character) for character in word]
    yield (_GAP if has_gaps else "").join(letters)
    rare: list[str] = []

    for character, folded in ligatures().items():
        if set(word).isdisjoint(folded):
            continue
        # Punctuation may stand between characters of scripts without spaces, also in a ligature.
        if has_gaps:
            kept = "".join(filter(is_in_word, folded))
        else:
            kept = folded
        spans = list(_overlaps(word, kept))
        if spans and character in _SHARP and not has_gaps:
            yield from (_sharp_s(word, letters, *span) for span in spans)
        elif spans:
            rare.append(character)

    if rare:
        yield _written(rare)
    for character in dict.fromkeys(word):
        # A mark after a ligature may combine with its last letter.
        if marks := joiners(character):
            ends = [
                each for each, folded in ligatures().items() if _ends_with(folded, _base(character))
            ]
            if ends:
                yield _written(ends) + _composed(marks)


def _base(character: str) -> str:
    return unicodedata.normalize("NFKD", character)[0]


def _ends_with(folded: str, base: str) -> bool:
    """Whether a base letter is the last character before any marks."""
    apart = unicodedata.normalize("NFKD", folded)
    bases = [each for each in apart if not unicodedata.combining(each)]
    return bool(bases) and bases[-1] == base


def _overlaps(word: str, folded: str) -> Iterable[tuple[int, int]]:
    """Yield the parts of a word that overlap with a text: its beginning, its end, a part within, or
    all of it.
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
    """Return the pattern of a character that folds to `ss`, with the neighbouring letters of the
    word, since the character alone is frequent.
    """
    sharp = _written(_SHARP)
    before: list[str] = []
    for place in range(start - 1, max(start - 1 - _BESIDE, -1), -1):
        before.insert(0, f"(?:{letters[place]}|{sharp})" if word[place] == "s" else letters[place])
        if (
            word[place] == "s"
        ):  # the `s` may belong to another `ss`, and then so may the letter before it
            break

    behind: list[str] = []
    for place in range(end, min(end + _BESIDE, len(word))):
        behind.append(f"(?:{letters[place]}|{sharp})" if word[place] == "s" else letters[place])
        if word[place] == "s":
            break

    return "".join((*before, sharp, *behind))


@cache
def _letter(character: str) -> str:
    """Return the pattern of all characters that fold to one letter; cached, since it takes half of
    the time that a pattern takes.
    """
    marks = joiners(character)
    if marks:
        composed = f"|{_ANY}{_composed(marks)}"
    else:
        composed = ""
    return f"(?:{_written(sources(character))}{composed})"


def _composed(marks: Sequence[str]) -> str:
    """Return the pattern of combining marks, after any others: normalisation may sort them."""
    return f"(?:{_BEYOND})*{_written(marks)}"


def _written(characters: Sequence[str]) -> str:
    """Return the pattern of some characters, each as it is, as a JSON escape, or percent-encoded."""
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
