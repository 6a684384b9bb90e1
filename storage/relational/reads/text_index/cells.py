"""Cells and segments, the two kinds of entries in the index of words. Pure.

A cell covers some hundred consecutive records. A segment covers consecutive cells, whose hashes it
holds inverted: hash → rows of cells. It is stored in `PARTS` parts, each with the hashes of one
range.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from storage.record import Payload
from storage.relational.slices import Range
from storage.search.index.segment import (
    MASK_BITS,
    MASK_BYTES,
    PARTS,
    WHOLE_CELL,
    offsets_of,
    packed_offsets,
)
from storage.search.searched_text import lines_of, readable_windows


class Searched(NamedTuple):
    """The texts of a record that are searched."""

    row: int
    """Its number within the cell."""
    started_at_us: int
    own: list[bytes]
    """Texts of its columns."""
    payload: Payload | None


@dataclass(frozen=True, slots=True)
class Cell:
    """The hashes of all words in some hundred consecutive records, with the rows that have them."""

    rows: Range
    signature: bytes
    newest_body_us: int
    """Start of the newest record with a body; 0 when none has one."""

    @classmethod
    def of(cls, rows: Range, records: Iterable[Searched]) -> Self:
        """Make the cell that covers a range, from all records in it."""
        # Imported late: it loads numpy, 20 MB, which only processes that make an index need.
        from storage.search.index.terms import Terms

        terms = Terms()
        newest_body_us = 0

        for row, started_at_us, own, payload in records:
            texts = own
            windows: list[bytes] = []
            if payload is not None:
                texts = own + lines_of(payload.request_head) + lines_of(payload.response_head)
                for body in (payload.request_body, payload.response_body):
                    if body is not None:
                        windows += readable_windows(body)
                        newest_body_us = max(newest_body_us, started_at_us)
            terms.add(row, texts, windows)

        return cls(rows, terms.signature(), newest_body_us)

    def named(self, mask: int) -> list[Range]:
        """Return the rows whose bits are set (`storage.search.index.segment`), in order."""
        return _named(self.rows, mask)


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive cells. Its parts, stored apart, map each hash to the rows that have it."""

    rows: Range
    starts: bytes
    """First row of each cell, relative to the first row of the segment. Packed: a search reads
    those of all segments and unpacks few.
    """

    @classmethod
    def of(cls, rows: Range, offsets: Sequence[int]) -> Self:
        """Make a segment of cells, given the offset of each cell's first row in `rows`."""
        return cls(rows, packed_offsets(offsets))

    def cells(self) -> list[Range]:
        """Return the range of rows of each cell in the segment, in order."""
        firsts = [self.rows.first + offset for offset in offsets_of(self.starts)]
        ends = [*firsts[1:], self.rows.last + 1]
        return [Range(first, end - 1) for first, end in zip(firsts, ends, strict=True)]

    def named(self, mask: int) -> list[Range]:
        """Return the rows whose bits are set, in order. Bits beyond the last cell are ignored."""
        if not mask:
            return []

        cells = self.cells()
        mask &= (1 << MASK_BITS * len(cells)) - 1
        masks = mask.to_bytes(MASK_BYTES * len(cells), "little")
        found = []
        for number, cell in enumerate(cells):
            some = masks[MASK_BYTES * number : MASK_BYTES * (number + 1)]
            found += _named(cell, int.from_bytes(some, "little"))
        return found


IndexEntry = Segment | Cell
"""An entry of the index. No two cover the same row."""


def _named(cell: Range, mask: int) -> list[Range]:
    """Return the rows of a cell whose bits are set; all of them where all bits are."""
    if mask == WHOLE_CELL:
        return [cell]

    found = []
    while mask:
        lowest = mask & -mask
        seq = cell.first + lowest.bit_length() - 1
        if seq <= cell.last:
            found.append(Range(seq, seq))
        mask ^= lowest
    return found


def part_key(first_seq: int, part: int) -> int:
    """Return the key of a part of the segment that begins at a row."""
    return first_seq * PARTS + part
