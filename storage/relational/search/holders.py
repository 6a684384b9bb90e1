"""What the index of words covers rows with: cells, and segments of some cells. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.relational.slices import Range
from storage.search.index.segment import PARTS


@dataclass(frozen=True, slots=True)
class Cell:
    """Some hundred neighbouring records with the hashes of all words in them."""

    rows: Range
    signature: bytes
    newest_body_us: int
    """Start of the newest record with bodies in it; 0 without one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Cells that follow each other, whose parts say of each hash which of them have it."""

    rows: Range
    offsets: Sequence[int]
    """Of the first row of each cell from that of the segment: a search reads those of all, and asks for few."""

    def cell(self, number: int) -> Range:
        """Return the rows of a cell."""
        first, end = self.rows.first, number + 1
        last = first + self.offsets[end] - 1 if end < len(self.offsets) else self.rows.last
        return Range(first + self.offsets[number], last)

    def cells(self, mask: int) -> list[Range]:
        """Return the rows of the cells whose bits are set, in order."""
        found = []
        while mask:
            lowest = mask & -mask
            found.append(self.cell(lowest.bit_length() - 1))
            mask ^= lowest
        return found


Holder = Segment | Cell
"""What covers some rows."""


def part_key(first_seq: int, part: int) -> int:
    """Number a part of the segment that begins with a row."""
    return first_seq * PARTS + part


def first_and_part(key: int) -> tuple[int, int]:
    """Read the number of a part."""
    return divmod(key, PARTS)
