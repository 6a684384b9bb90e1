"""Cells and segments of the index of words."""

from storage.relational.reads.text_index.cells import Cell, Segment
from storage.relational.slices import Range
from storage.search.index.segment import MASK_BITS, WHOLE_CELL

CELLS = [Range(100, 106), Range(107, 149), Range(150, 160)]
SEGMENT = Segment.of(Range(100, 160), (0, 7, 50))


def test_cells_of_a_segment() -> None:
    """Each cell ends before the next, the last one with the segment."""
    assert SEGMENT.cells() == CELLS


def test_rows_of_a_segment_are_named_by_the_bits_of_their_cells() -> None:
    """A cell all of whose bits are set is named as a whole."""
    first = 1 << 2 | 1 << 6
    second = WHOLE_CELL << MASK_BITS
    third = 1 << 2 * MASK_BITS + 10
    assert SEGMENT.named(first | second | third) == [
        Range(102, 102),
        Range(106, 106),
        CELLS[1],
        Range(160, 160),
    ]
    assert SEGMENT.named((1 << 3 * MASK_BITS) - 1) == CELLS
    assert SEGMENT.named(0) == []


def test_bits_beyond_the_rows_are_ignored() -> None:
    """Behind the last row of a cell, and behind the last cell."""
    beyond = 1 << 7 | 1 << 2 * MASK_BITS + 11 | 1 << 3 * MASK_BITS
    assert SEGMENT.named(beyond) == []
    assert SEGMENT.named(beyond | 1 << MASK_BITS) == [Range(107, 107)]


def test_rows_of_a_cell_alone_are_named_by_its_bits() -> None:
    """As those of a segment."""
    cell = Cell(Range(100, 106), b"", 0)
    assert cell.named(1 << 2 | 1 << 7) == [Range(102, 102)]
    assert cell.named(WHOLE_CELL) == [cell.rows]


def test_segments_are_small_where_cells_are_alike() -> None:
    """A search reads the offsets of every segment: 8 KB for a thousand cells without packing."""
    assert len(Segment.of(Range(1, 53_000), range(0, 53_000, 53)).starts) < 100
