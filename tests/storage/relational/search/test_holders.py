"""Which rows the cells of a segment are."""

from storage.relational.search.holders import Segment
from storage.relational.slices import Range


def test_cells_of_a_segment() -> None:
    """From one first row to the next, the last cell to the end; of a mask, in order, whatever else
    is in it.
    """
    segment = Segment.of(Range(100, 160), (0, 7, 50))
    assert segment.cells(0b111) == [Range(100, 106), Range(107, 149), Range(150, 160)]
    assert segment.cells(0b101) == [Range(100, 106), Range(150, 160)]
    assert segment.cells(0b11000) == segment.cells(0) == []
    assert segment.cells(1 << 1000 | 2) == [Range(107, 149)]


def test_segments_are_small_where_cells_are_alike() -> None:
    """What a search reads of each: 8 KB of a thousand cells without packing."""
    assert len(Segment.of(Range(1, 53_000), range(0, 53_000, 53)).starts) < 100
