"""Cells and segments of the index of words."""

from storage.relational.reads.text_index.cells import Segment
from storage.relational.slices import Range


def test_cells_of_a_segment() -> None:
    """Each cell ends before the next, the last one with the segment; bits beyond it are ignored."""
    segment = Segment.of(Range(100, 160), (0, 7, 50))
    assert segment.cells(0b111) == [Range(100, 106), Range(107, 149), Range(150, 160)]
    assert segment.cells(0b101) == [Range(100, 106), Range(150, 160)]
    assert segment.cells(0b11000) == segment.cells(0) == []
    assert segment.cells(1 << 1000 | 2) == [Range(107, 149)]


def test_segments_are_small_where_cells_are_alike() -> None:
    """A search reads the offsets of every segment: 8 KB for a thousand cells without packing."""
    assert len(Segment.of(Range(1, 53_000), range(0, 53_000, 53)).starts) < 100
