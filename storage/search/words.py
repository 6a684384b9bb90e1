"""Split a text into words, for the index and for searches alike. Pure.

Strategy: a text is folded (Unicode NFKC and case folding); a word is a maximal run of letters,
digits and `_` in it. In scripts without spaces between words each character is a word, so that a
part of a sentence is found as a phrase. Stored text may be escaped, as in JSON strings or URLs,
while people search for the plain text. So a text has several readings, and matches if one of them
does.

Invariant: equal texts have equal words, and the index depends on nothing else.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

MAX_WORD_CHARACTERS: Final = 64
"""Longer words are cut: two that begin with the same 64 characters are equal."""

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
"""Two patterns instead of one, because each begins with a literal that is found quickly."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LONG_RUN: Final = re.compile("(?:[^\\w\x00-\x7f\u034f]|[\uff9e\uff9f]){30}(?!\u034f)")
_BREAK: Final = "\\g<0>\u034f"
"""Normalisation sorts the marks on one letter in quadratic time: 2 s for 64 KB of them. So every
thirty marks, or characters that may be marks, are followed by one that ends the sorting (Unicode
Annex 15, stream-safe text).
"""
LEVELS: Final = 2
"""Levels of JSON escapes that are read: the arguments of a tool are JSON in a JSON string."""


def words(text: str) -> list[str]:
    """Return the words of a text as written, in order, folded and cut."""
    if text.isascii():
        found = _ASCII_WORD.findall(text.lower())
    else:
        found = _WORD.findall(fold(text))
    return [word[:MAX_WORD_CHARACTERS] for word in found]


def fold(text: str) -> str:
    """Remove the differences that search ignores: case, and compatibility forms such as wide
    letters and ligatures.
    """
    if text.isascii():
        return text.lower()
    # Nearly every text is normalised, with its marks sorted; to check that takes a tenth of the
    # time.
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", _LONG_RUN.sub(_BREAK, text))
    # Folding may decompose letters, and the composed result may fold again (Unicode 3.13, D146).
    folded = text.casefold()
    if unicodedata.is_normalized("NFKC", folded):
        return folded

    return unicodedata.normalize("NFKC", folded)


def runs(folded: str) -> list[str]:
    """Return the words of a folded text without cutting them; adjacent words of scripts without
    spaces are one.
    """
    return _RUN.findall(folded)


def is_in_word(character: str) -> bool:
    """Whether a character of a folded text is part of a word."""
    return character.isalnum() or character == "_"


def is_unspaced(word: str) -> bool:
    """Whether a word is one character of a script without spaces between words."""
    return len(word) == 1 and _UNSPACED_WORD.match(word) is not None


def readings(text: str) -> list[str]:
    """Return the readings of a stored text: as written, and with the escapes of URLs or JSON
    decoded.
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
    """Whether the lower-case text contains every word of every reading: its other escapes only
    separate words.
    """
    # One character is found ten times as quickly as the beginning of a pattern.
    return (
        text.isascii()
        and ("%" not in text or _PERCENT.search(text) is None)
        and ("\\" not in text or _UNICODE.search(text) is None)
    )


def unescape(text: str) -> str:
    """Decode the escapes of JSON strings (RFC 8259 §7) in a text; invalid ones are left unchanged."""
    plain = _ESCAPE.sub(_unescaped, text)
    if _SURROGATE.search(plain):
        return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain


def decoded(data: bytes) -> str:
    """Decode stored bytes as UTF-8; invalid bytes separate words."""
    return data.decode("utf-8", "replace")


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code is None:
        return _ESCAPED[found[2]]
    return chr(int(code, 16))
