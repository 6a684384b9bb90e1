"""What of a text is in the index: its words, in every reading, and what else is looked up by. Pure.

Strategy: to take a text apart word by word costs 100 ns a word, and a cell of records says the same again and again. So
it is cut at quotes or line ends first, which is quick, equal pieces fall together, and only what is left is cut into
words: by a translation table where it is plain ASCII, by `storage.search.words` where it is not. A body of 1 KB that
repeats its words costs 1 µs so instead of 9, and one of prose without a quote as much as before.

Invariant: what `storage.search.phrase` finds in a text, its terms tell; never the other way round.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Final
from zlib import crc32

from storage.search.words import MAX_WORD_CHARACTERS, decoded, has_unspaced, is_plain, is_unspaced, readings, words

PREFIX_CHARACTERS: Final = 4
"""The first letters of a word are a term as well, so that what begins with them is found: 16 % more terms of prose."""
_PREFIX: Final = b"\x00"
_start: Final = itemgetter(slice(PREFIX_CHARACTERS))
_WORDS_ONLY: Final = bytes(
    (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) if chr(byte).isalnum() or byte == 0x5F else 0x20
    for byte in range(128)
) + bytes(range(128, 256))
"""ASCII in lower case, and a space for what is in no word."""
_BEHIND_ESCAPE: Final = re.compile(rb"\\[nrtbf](\w+)")
"""A word of ASCII behind an escape of JSON, whose letter is not the word's first."""
_MAX_PIECE: Final = 64 * 1024
_ENDS: Final = (b'"', b" ", b"\n", b",", b":")


class Terms:
    """The terms of one cell, gathered text by text."""

    def __init__(self) -> None:
        self._terms: set[bytes] = set()

    def add_heads(self, heads: Sequence[bytes]) -> None:
        """Add heads of messages, whose lines repeat; those of a block, so that steps are few, and short."""
        whole = b"\n".join(heads)
        are_plain = is_plain(whole)
        if not are_plain:
            self._add_pairs(heads)
        self._add(set(whole.split(b"\n")), are_plain=are_plain)

    def add_bodies(self, bodies: Sequence[bytes]) -> None:
        """Do the same with bodies, whose strings repeat where they are JSON."""
        whole = b'"'.join(bodies)
        are_plain = is_plain(whole)
        if not are_plain:
            self._add_pairs(bodies)
        for part in _cut(whole):
            self._add(set(part.split(b'"')), are_plain=are_plain)

    def add_texts(self, texts: Iterable[str]) -> None:
        """Add texts of other kinds."""
        some = set(texts)
        whole = "\n".join(some).encode("utf-8", "replace")
        if is_plain(whole):
            self._add({whole}, are_plain=True)
        else:
            pieces = {text.encode("utf-8", "replace") for text in some}
            self._add_pairs(pieces)
            self._add(pieces, are_plain=False)

    def signature(self) -> bytes:
        """Write the hashes of all terms: sorted numbers of 32 bits, little-endian."""
        starts = filter(bytes.isalpha, set(map(_start, self._terms)))
        self._terms.update([_PREFIX + start for start in starts if len(start) == PREFIX_CHARACTERS])
        # Two that have the same hash, one in a thousand cells, are less than a set of all costs.
        return packed(sorted(map(crc32, self._terms)))

    def _add_pairs(self, texts: Iterable[bytes]) -> None:
        """Add what spans the pieces that texts are cut into: neighbours in scripts without spaces."""
        for text in texts:
            if not is_plain(text):
                for reading in readings(decoded(text)):
                    if has_unspaced(reading):
                        self._terms.update(pair.encode() for pair in pairs(words(reading)))

    def _add(self, pieces: set[bytes], *, are_plain: bool) -> None:
        if not are_plain:
            odd = {piece for piece in pieces if not is_plain(piece)}
            for piece in odd:
                self._terms.update(_terms_of(piece))
            pieces = pieces - odd
        plain = b" ".join(pieces)
        self._add_plain(plain)
        if b"\\" in plain:
            # Only those differ from the words as they are written, be they escaped once or twice.
            self._add_plain(b" ".join(_BEHIND_ESCAPE.findall(plain)))

    def _add_plain(self, text: bytes) -> None:
        found = set(text.translate(_WORDS_ONLY).split())
        if max(map(len, found), default=0) > MAX_WORD_CHARACTERS:
            found = {word[:MAX_WORD_CHARACTERS] for word in found}
        self._terms |= found


def term(word: str) -> int:
    """Hash a word, or two that follow each other in a script without spaces."""
    return crc32(word.encode())


def prefix_term(prefix: str) -> int | None:
    """Hash what stands for all words that begin with some characters; None when nothing does."""
    start = prefix[:PREFIX_CHARACTERS]
    return crc32(_PREFIX + start.encode()) if len(start) == PREFIX_CHARACTERS and start.isalpha() else None


def pairs(found: list[str]) -> Iterator[str]:
    """List the pairs of neighbours in scripts without spaces: a character alone is in most cells."""
    for first, second in pairwise(found):
        if is_unspaced(first) and is_unspaced(second):
            yield first + second


def packed(numbers: Iterable[int]) -> bytes:
    return array("I", numbers).tobytes()


def _terms_of(piece: bytes) -> Iterator[bytes]:
    for reading in readings(decoded(piece)):
        for word in words(reading):
            yield word.encode()
            # Those of ASCII are made all at once, in the end.
            if not word.isascii() and len(word) >= PREFIX_CHARACTERS and word[:PREFIX_CHARACTERS].isalpha():
                yield _PREFIX + word[:PREFIX_CHARACTERS].encode()


def _cut(text: bytes) -> Iterator[bytes]:
    """Cut a large text between words."""
    start = 0
    while len(text) - start > 2 * _MAX_PIECE:
        end = max(text.rfind(end, start, start + _MAX_PIECE) for end in _ENDS) + 1
        if end <= start:
            break
        yield text[start:end]
        start = end
    yield text[start:] if start else text
