"""Which rows the cells of a segment are."""

from storage.relational.search.holders import Segment
from storage.relational.slices import Range


def test_cells_of_a_segment() -> None:
    """From one first row to the next, the last cell to the end; of a mask, in order."""
    segment = Segment(Range(100, 160), (0, 7, 50))
    assert [segment.cell(number) for number in range(3)] == [Range(100, 106), Range(107, 149), Range(150, 160)]
    assert segment.cells(0b101) == [Range(100, 106), Range(150, 160)]
    assert segment.cells(0b111) == [segment.cell(number) for number in range(3)]
    assert segment.cells(0) == []
