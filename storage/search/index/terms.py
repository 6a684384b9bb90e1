"""What of texts is in the index: their words, in every reading, and what else is looked up by.
Pure.

Strategy: texts are joined and looked at as one array, 200 KB at a time
(`storage.search.index.text_terms`): many small ones cost no more than a large one. What is alike as
a whole counts once.

Invariant: what `storage.search.phrase` finds in a text, its terms tell; never the other way round.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

_MAX_JOINED_BYTES: Final = 192 * 1024
_CUT: Final = re.compile(rb'[\s"][0-9A-Za-z]')
"""A long text may be cut before this word: it is none of an escape, and what is before it has no
neighbour behind.
"""


class Terms:
    """The terms of one cell, gathered text by text."""

    def __init__(self) -> None:
        self._texts: dict[bytes, None] = {}
        """Those that are alike once, in their order."""

    def add(self, texts: Iterable[bytes]) -> None:
        """Add texts."""
        self._texts.update(dict.fromkeys(texts))

    def signature(self) -> bytes:
        """Write the hashes of all terms: sorted numbers of 32 bits, little-endian."""
        # It brings numpy along, 20 MB, which only who makes an index needs.
        from storage.search.index.text_terms import packed_once, terms_of

        return packed_once([part for some in _portions(self._texts) for part in terms_of(some)])


def _portions(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Put texts together, and cut long ones, so that about as much is looked at at once."""
    portion: list[bytes] = []
    size_bytes = 0
    for text in texts:
        for part in _cut(text):
            portion.append(part)
            size_bytes += len(part)
            if size_bytes >= _MAX_JOINED_BYTES:
                yield portion
                portion = []
                size_bytes = 0

    if portion:
        yield portion


def _cut(text: bytes) -> Iterator[bytes]:
    start = 0
    while len(text) - start > 2 * _MAX_JOINED_BYTES and (
        found := _CUT.search(text, start + _MAX_JOINED_BYTES)
    ):
        end = found.start() + 1
        yield text[start:end]
        start = end

    yield text[start:] if start else text
