"""Cells and segments, the two kinds of entries in the index of words. Pure.

A cell covers some hundred consecutive records. A segment covers consecutive cells, whose hashes it
holds inverted: hash → cells. It is stored in `PARTS` parts, each with the hashes of one range.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from storage.relational.slices import Range
from storage.search.index.segment import PARTS, offsets_of, packed_offsets


@dataclass(frozen=True, slots=True)
class Cell:
    """The hashes of all words in some hundred consecutive records."""

    rows: Range
    signature: bytes
    newest_body_us: int
    """Start of the newest record with a body; 0 when none has one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive cells. Its parts, stored apart, map each hash to the cells that have it."""

    rows: Range
    starts: bytes
    """First row of each cell, relative to the first row of the segment. Packed: a search reads
    those of all segments and unpacks few.
    """

    @classmethod
    def of(cls, rows: Range, offsets: Sequence[int]) -> Self:
        """Return the segment of cells that begin at these offsets."""
        return cls(rows, packed_offsets(offsets))

    def cells(self, mask: int) -> list[Range]:
        """Return the rows of the cells whose bits are set, in order.

        Bits beyond the last cell are ignored.
        """
        if not mask:
            return []

        first = self.rows.first
        offsets = offsets_of(self.starts)
        mask &= (1 << len(offsets)) - 1
        offsets.append(self.rows.size)
        found = []

        while mask:
            lowest = mask & -mask
            cell = lowest.bit_length() - 1
            found.append(Range(first + offsets[cell], first + offsets[cell + 1] - 1))
            mask ^= lowest

        return found


IndexEntry = Segment | Cell
"""An entry of the index. No two cover the same row."""


def part_key(first_seq: int, part: int) -> int:
    """Return the key of a part of the segment that begins at a row."""
    return first_seq * PARTS + part
