"""The parts of the index of words: cells, and segments of some cells. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from storage.relational.slices import Range
from storage.search.index.segment import PARTS, offsets_of, packed_offsets


@dataclass(frozen=True, slots=True)
class Cell:
    """The hashes of all words in some hundred neighbouring records."""

    rows: Range
    signature: bytes
    newest_body_us: int
    """Start of the newest of its records with bodies; 0: none has any."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive cells; its parts list for each hash the cells that have it."""

    rows: Range
    starts: bytes
    """Offsets of the first row of each cell from that of the segment, packed, because a search
    reads those of all segments and unpacks few.
    """

    @classmethod
    def of(cls, rows: Range, offsets: Sequence[int]) -> Self:
        """Make a segment of cells that begin at some offsets."""
        return cls(rows, packed_offsets(offsets))

    def cells(self, mask: int) -> list[Range]:
        """Return the rows of the cells whose bits are set, in order; there may be more bits than
        cells.
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


Holder = Segment | Cell
"""A part of the index that covers some rows."""


def part_key(first_seq: int, part: int) -> int:
    """Number a part of the segment that begins with a row."""
    return first_seq * PARTS + part
