"""What of texts is in the index: their words, in every reading, and what else is looked up by.
Pure.

Strategy: texts are joined and looked at as one array, 200 KB at a time
(`storage.search.index.text_terms`): many small ones cost no more than a large one. A text that
`FEW` rows have already, as most lines of heads, is looked at once more, for all rows of the cell.

Invariant: what `storage.search.phrase` finds in a text, its terms tell; never the other way round.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from storage.search.index.segment import FEW, MANY

if TYPE_CHECKING:
    from storage.search.index.word_arrays import Terms32

_BETWEEN: Final = b"\n"
_MAX_JOINED_BYTES: Final = 192 * 1024
_CUT: Final = re.compile(rb'[\s"][0-9A-Za-z]')
"""A long text may be cut before this word: it is none of an escape, and what is before it has no
neighbour behind.
"""


class Terms:
    """The terms of one cell, gathered row by row."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}
        """Text → how many rows had it, up to `FEW`."""
        self._common: dict[bytes, None] = {}
        """Texts that more rows have."""
        self._texts: list[bytes] = []
        """Those that are looked at next, with their rows."""
        self._rows: list[int] = []
        self._size_bytes = 0
        self._found: list[Terms32] = []

    def add(self, row: int, texts: Iterable[bytes]) -> None:
        """Add all texts of a row, by its number within the cell."""
        common = self._common
        seen = self._seen
        own = dict.fromkeys([text for text in texts if text not in common])
        for text in own:
            seen[text] = count = seen.get(text, 0) + 1
            if count > FEW:
                common[text] = None
        self._take(min(row, MANY), _BETWEEN.join(own))

    def signature(self) -> bytes:
        """Write the hashes of all terms with their rows (`storage.search.index.segment`): sorted
        numbers of 32 bits, little-endian.
        """
        from storage.search.index.text_terms import signature_of

        self._take(MANY, _BETWEEN.join(self._common))
        self._look()
        return signature_of(self._found)

    def _take(self, row: int, text: bytes) -> None:
        """Put a text to those that are looked at next; of a long one, piece by piece."""
        for part in _cut(text) if len(text) > 2 * _MAX_JOINED_BYTES else (text,):
            self._texts.append(part)
            self._rows.append(row)
            self._size_bytes += len(part)
            if self._size_bytes >= _MAX_JOINED_BYTES:
                self._look()

    def _look(self) -> None:
        """Find the terms of the texts that were put together."""
        # It brings numpy along, 20 MB, which only who makes an index needs.
        from storage.search.index.text_terms import terms_of

        self._found.append(terms_of(self._texts, self._rows))
        self._texts = []
        self._rows = []
        self._size_bytes = 0


def _cut(text: bytes) -> Iterator[bytes]:
    """Cut a long text between words."""
    start = 0
    while len(text) - start > 2 * _MAX_JOINED_BYTES and (
        found := _CUT.search(text, start + _MAX_JOINED_BYTES)
    ):
        end = found.start() + 1
        yield text[start:end]
        start = end

    yield text[start:]
