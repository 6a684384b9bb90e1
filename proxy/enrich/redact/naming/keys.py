r"""JSON keys, and strings, that are secret names, in their order in the text.

Strategy: around each anchor of the scanner, the quotes and the bytes after the second one are read.
A key with escapes (`"\\u0070assword"`) is decoded first.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.enrich.redact.json_values import BLANKS
from proxy.enrich.redact.names import SecretNames
from proxy.enrich.redact.naming.values import is_words
from proxy.enrich.redact.scanner import Scanner

_MAX_NAME_BYTES: Final = 1024
"""Maximum length of a name before its anchor."""
_REST: Final = re.compile(rb'[^"\\\r\n]{0,128}\\*"%b(?:[,}\]]|:%b)' % (BLANKS, BLANKS))
_ESCAPED_REST: Final = re.compile(
    rb'\\u00[2-7][0-9a-fA-F][^"\s]{0,128}?\\*"%b(?:[,}\]]|:%b)' % (BLANKS, BLANKS)
)
_BLANK: Final = re.compile(rb"\s")
_PROGRAM: Final = re.compile(rb"""(?:[\w)\]"'][?:]|\s\? |\b(case) ?)\Z""")
_PROGRAM_BYTES: Final = 8
_VALUE: Final = re.compile(rb'"([^"\\]{0,200})"')
_QUOTE: Final = b'"'
_ESCAPE: Final = re.compile(rb"(?<!\\)\\+u00([2-7][0-9a-fA-F])")


def unescaped(name: bytes) -> bytes:
    """Decode the escaped ASCII characters in a name."""
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), name)


def _is_of_program(text: bytes, quote: int, start: int) -> bool:
    """True if the string before a colon is not a key but one of two values in a program, or a case
    label.
    """
    found = _PROGRAM.search(text, max(0, quote - _PROGRAM_BYTES), quote)
    if found is None or text[start - 1] in b",}]":
        return False
    value = _VALUE.match(text, start)
    if value is None:
        return text[start : start + 1] not in (b'"', b"'", b"\\", b"{", b"[")
    return found[1] is None and is_words(value[1])


class Key(NamedTuple):
    """A quoted name: index of its first quote, index after the bytes that follow its second quote,
    and the name.
    """

    start: int
    stop: int
    name: bytes


class KeyFinder:
    """Finds the keys of one text, from its beginning on."""

    __slots__ = ("_keys", "_names", "_next", "_text")

    def __init__(self, text: bytes, names: SecretNames, scanner: Scanner) -> None:
        self._text = text
        self._names = names
        self._keys = self._find(scanner)
        self._next = next(self._keys, None)

    def search(self, start: int) -> Key | None:
        """Return the first key at or after `start`; `start` must never decrease.

        A quote that seemed to end a string may be the first of a key.
        """
        while self._next is not None and self._next.start < start:
            self._next = next(self._keys, None)
        return self._next

    def _find(self, scanner: Scanner) -> Iterator[Key]:
        text = self._text
        places = [(start, stop, False) for start, stop in scanner.names(text)]
        if escapes := scanner.escapes(text):
            places = sorted([*places, *((start, start, True) for start in escapes)])
        last = -1
        for start, stop, is_escaped in places:
            quote = text.rfind(_QUOTE, max(0, start - _MAX_NAME_BYTES), start)
            if quote <= last:
                continue

            rest = (_ESCAPED_REST if is_escaped else _REST).match(text, stop)
            if rest is None:
                continue

            end = text.index(_QUOTE, stop)
            name = text[quote + 1 : end].rstrip(b"\\")
            if is_escaped or b"\\" in name:
                name = unescaped(name)
            last = quote
            if self._is_secret(name) and not _is_of_program(text, quote, rest.end()):
                yield Key(quote, rest.end(), name)

    def _is_secret(self, name: bytes) -> bool:
        if _BLANK.search(name) is not None:
            has = self._names.has_phrase
        else:
            has = self._names.has
        return has(name)
