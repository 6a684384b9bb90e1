"""The words of a text, for search: written down once, for the index and for those who look into a
text. Pure.

Strategy: a text is folded (Unicode NFKC and case folding), and a word is a maximal run of letters,
digits and `_` in it. Scripts without spaces between words have a word per character, so that a part
of a sentence is found as a phrase. What is stored may be escaped, as JSON strings or as addresses
are; people write what they read, so a text has several readings, and has a phrase when one of them
does.

Invariant: the same text has the same words wherever it is asked; what the index holds follows from
nothing else.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

MAX_WORD_CHARACTERS: Final = 64
"""Longer words are cut: two that begin with the same 64 characters are one."""

_UNSPACED: Final = (
    "\u0e01-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_WORD: Final = re.compile(rf"(?=\w)[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_RUN: Final = re.compile(rf"(?:(?=\w)[{_UNSPACED}])+|[^\W{_UNSPACED}]+")
_UNSPACED_WORD: Final = re.compile(rf"[{_UNSPACED}]")
_ASCII_WORD: Final = re.compile(r"\w+")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_ESCAPED: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_PERCENT: Final = re.compile("%[0-9a-fA-F]{2}")
_UNICODE: Final = re.compile(r"\\u[0-9a-fA-F]{4}")
_PERCENT_SIGN: Final = 0x25
_BACKSLASH: Final = 0x5C
_PERCENT_BYTES: Final = re.compile(rb"%[0-9a-fA-F]{2}")
_UNICODE_BYTES: Final = re.compile(rb"\\u[0-9a-fA-F]{4}")
"""Two patterns, because each begins with what is looked for in one step."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LONG_RUN: Final = re.compile("(?:[^\\w\x00-\x7f\u034f]|[\uff9e\uff9f]){30}(?!\u034f)")
_BREAK: Final = "\\g<0>\u034f"
"""Marks upon one letter are sorted in a time that grows with their square: 2 s for 64 KB of them.
So each thirty in a row, or signs that may be marks, get one behind them that ends the sorting
(Unicode Annex 15, stream-safe text).
"""
LEVELS: Final = 2
"""How often JSON escapes are read: the arguments of a tool are JSON in a string of JSON."""


def words(text: str) -> list[str]:
    """List the words of a text as it is written, in their order, folded and cut."""
    if text.isascii():
        found = _ASCII_WORD.findall(text.lower())
    else:
        found = _WORD.findall(fold(text))
    return [word[:MAX_WORD_CHARACTERS] for word in found]


def fold(text: str) -> str:
    """Take away what search has no regard to: case, and compatibility forms such as wide letters
    and ligatures.
    """
    if text.isascii():
        return text.lower()
    # To look whether it is normalised takes a tenth of the time; it is, nearly always, and marks
    # are sorted then.
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", _LONG_RUN.sub(_BREAK, text))
    # Folding may take composed letters apart, and what is composed may fold again (Unicode 3.13,
    # D146).
    folded = text.casefold()
    if unicodedata.is_normalized("NFKC", folded):
        return folded

    return unicodedata.normalize("NFKC", folded)


def runs(folded: str) -> list[str]:
    """List the words of a folded text, not cut; those of scripts without spaces that touch are one."""
    return _RUN.findall(folded)


def is_unspaced(word: str) -> bool:
    """Whether a word is one character of a script that has no spaces between words."""
    return len(word) == 1 and _UNSPACED_WORD.match(word) is not None


def readings(text: str) -> list[str]:
    """List what a stored text reads as: as it is written, and without the escapes of JSON and of
    addresses in it.
    """
    found = [text]
    if _PERCENT.search(text):
        found.append(unquote(text, errors="replace"))
    for _ in range(LEVELS):
        if "\\" not in text:
            break
        escaped = text
        text = unescape(text)
        if text == escaped:
            break

        found.append(text)

    return found


def reads_as_written(text: str) -> bool:
    """Whether every word of every reading is a part of the text in lower case: other escapes only
    separate words.
    """
    return text.isascii() and _PERCENT.search(text) is None and _UNICODE.search(text) is None


def is_plain(text: bytes) -> bool:
    """Tell the same of stored bytes."""
    # One character is found ten times as quickly as two, and as a number it takes no error that is
    # thrown away.
    return (
        text.isascii()
        and (_PERCENT_SIGN not in text or _PERCENT_BYTES.search(text) is None)
        and (_BACKSLASH not in text or _UNICODE_BYTES.search(text) is None)
    )


def unescape(text: str) -> str:
    """Read the escapes of JSON strings (RFC 8259 §7) in a text; what is none is left as it is."""
    plain = _ESCAPE.sub(_unescaped, text)
    if _SURROGATE.search(plain):
        return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain


def decoded(data: bytes) -> str:
    """Read stored bytes as text; what is not UTF-8 is between words."""
    return data.decode("utf-8", "replace")


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code is None:
        return _ESCAPED[found[2]]
    return chr(int(code, 16))
