"""The terms of one cell: words of its texts in every reading, and other keys of look-ups. Pure.

Strategy: texts are joined and processed as one array, 200 KB at a time
(`storage.search.index.text_terms`), so that many small ones cost no more than a large one. A text
that more than `FEW` rows have, like most lines of heads, is processed once for all rows of the
cell; a large one that other cells have, like a script, is processed once for all cells.

Invariant: if `storage.search.phrase` finds a phrase in a text, the text has the phrase's terms. The
reverse need not hold.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from storage.search.index.segment import FEW, MANY
from storage.search.index.text_terms import signature_of, terms_of, terms_of_repeated
from storage.search.index.word_arrays import Terms32
from storage.search.searched_text import without_long_runs

_BETWEEN: Final = b"\n"
_MAX_JOINED_BYTES: Final = 192 * 1024
_CUT: Final = re.compile(rb'[\s"][0-9A-Za-z]')
"""Start of a word where a long text may be cut: it is not part of an escape, and does not pair with
the word before.
"""


class Terms:
    """The terms of one cell, gathered row by row."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}
        """Text → number of rows that have it, up to `FEW`."""
        self._common: dict[bytes, None] = {}
        """Texts of more rows."""
        self._texts: list[bytes] = []
        """Texts to process next, with their rows."""
        self._rows: list[int] = []
        self._size_bytes = 0
        self._found: list[Terms32] = []

    def add(self, row: int, texts: Iterable[bytes], windows: Iterable[bytes] = ()) -> None:
        """Add all texts of a row, by its number within the cell, and the windows of its bodies, of
        which long runs are shortened.
        """
        row = min(row, MANY)
        rest = [*texts]
        for window in windows:
            found = terms_of_repeated(window, row)
            if found is None:
                rest.append(without_long_runs(window))
            else:
                self._found.append(found)

        common = self._common
        seen = self._seen
        own = dict.fromkeys([text for text in rest if text not in common])
        for text in own:
            seen[text] = count = seen.get(text, 0) + 1
            if count > FEW:
                common[text] = None
        self._take(row, _BETWEEN.join(own))

    def signature(self) -> bytes:
        """Return the hashes of all terms with their rows (`storage.search.index.segment`): sorted
        numbers of 32 bits, little-endian.
        """
        self._take(MANY, _BETWEEN.join(self._common))
        self._look()
        return signature_of(self._found)

    def _take(self, row: int, text: bytes) -> None:
        """Queue a text, a long one in pieces, and process the queue when it is large enough."""
        for part in _cut(text) if len(text) > 2 * _MAX_JOINED_BYTES else (text,):
            self._texts.append(part)
            self._rows.append(row)
            self._size_bytes += len(part)
            if self._size_bytes >= _MAX_JOINED_BYTES:
                self._look()

    def _look(self) -> None:
        """Find the terms of the queued texts."""
        self._found.append(terms_of(self._texts, self._rows))
        self._texts = []
        self._rows = []
        self._size_bytes = 0


def _cut(text: bytes) -> Iterator[bytes]:
    """Yield the pieces of a long text, cut between words."""
    start = 0
    while len(text) - start > 2 * _MAX_JOINED_BYTES and (
        found := _CUT.search(text, start + _MAX_JOINED_BYTES)
    ):
        end = found.start() + 1
        yield text[start:end]
        start = end

    yield text[start:]
