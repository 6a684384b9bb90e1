"""What of texts is in the index: their words, in every reading, and what else is looked up by.
Pure.

Strategy: texts are joined and looked at as one array, 200 KB at a time
(`storage.search.index.text_terms`): many small ones cost no more than a large one. What is alike as
a whole counts once, where it is in many rows.

Invariant: what `storage.search.phrase` finds in a text, its terms tell; never the other way round.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from storage.search.index.segment import FEW, MANY

_BETWEEN: Final = b"\n"
_MAX_JOINED_BYTES: Final = 192 * 1024
_CUT: Final = re.compile(rb'[\s"][0-9A-Za-z]')
"""A long text may be cut before this word: it is none of an escape, and what is before it has no
neighbour behind.
"""


class Terms:
    """The terms of one cell, gathered text by text."""

    def __init__(self) -> None:
        self._texts: dict[int, dict[bytes, None]] = {}
        """Row → its texts, those that are alike once, in their order."""

    def add(self, row: int, texts: Iterable[bytes]) -> None:
        """Add texts of a row, by its number within the cell."""
        self._texts.setdefault(min(row, MANY), {}).update(dict.fromkeys(texts))

    def signature(self) -> bytes:
        """Write the hashes of all terms with their rows (`storage.search.index.segment`): sorted
        numbers of 32 bits, little-endian.
        """
        # It brings numpy along, 20 MB, which only who makes an index needs.
        from storage.search.index.text_terms import signature_of, terms_of

        return signature_of([terms_of(*some) for some in _portions(self._text_of_each_row())])

    def _text_of_each_row(self) -> Iterator[tuple[int, bytes]]:
        """Join the texts of each row; those that many rows have are joined once, as of `MANY`."""
        counts = Counter(chain.from_iterable(self._texts.values()))
        yield MANY, _BETWEEN.join([text for text, count in counts.items() if count > FEW])
        for row, texts in self._texts.items():
            yield row, _BETWEEN.join([text for text in texts if counts[text] <= FEW])


def _portions(made: Iterable[tuple[int, bytes]]) -> Iterator[tuple[list[bytes], list[int]]]:
    """Put texts together, and cut long ones, so that about as much is looked at at once; of each
    its row.
    """
    texts: list[bytes] = []
    rows: list[int] = []
    size_bytes = 0
    for row, text in made:
        for part in _cut(text):
            texts.append(part)
            rows.append(row)
            size_bytes += len(part)
            if size_bytes >= _MAX_JOINED_BYTES:
                yield texts, rows
                texts = []
                rows = []
                size_bytes = 0

    if texts:
        yield texts, rows


def _cut(text: bytes) -> Iterator[bytes]:
    start = 0
    while len(text) - start > 2 * _MAX_JOINED_BYTES and (
        found := _CUT.search(text, start + _MAX_JOINED_BYTES)
    ):
        end = found.start() + 1
        yield text[start:end]
        start = end

    yield text[start:] if start else text
