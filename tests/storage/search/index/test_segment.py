"""A segment tells of every cell that has a term, and of few others."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.search.index.merging import merged
from storage.search.index.segment import (
    MAX_CELLS,
    PARTS,
    cells_with,
    has,
    offsets_of,
    packed,
    packed_offsets,
    part_of,
)

CELLS = 256
"""As many as are numbered with 8 bits."""
TERMS = st.integers(0, 0xFFFFFFFF)


@given(
    st.lists(st.sets(TERMS, max_size=30), min_size=1, max_size=CELLS), st.lists(TERMS, max_size=5)
)
@settings(max_examples=30)
def test_no_cell_is_missing(cells: list[set[int]], others: list[int]) -> None:
    """Whatever the terms of the cells are, each is found; what is not there nearly never."""
    parts = list(merged([packed(sorted(terms)) for terms in cells]))
    assert len(parts) == PARTS
    for wanted in {*others, *(each for terms in cells for each in terms)}:
        told = cells_with(parts[part_of(wanted)], wanted)
        assert all(told >> number & 1 for number, terms in enumerate(cells) if wanted in terms)


@pytest.mark.parametrize("count", [256, 257, 700, MAX_CELLS])
def test_segments_of_many_cells_tell_of_each(count: int) -> None:
    """Whatever bits the number of a cell takes."""
    chosen = random.Random(count)
    cells = [{7, 0xFFFFFFFF, *(chosen.randrange(1 << 32) for _ in range(3))} for _ in range(count)]
    signatures = [packed(sorted(terms)) for terms in cells]
    parts = list(merged(signatures))
    for wanted in (7, 0xFFFFFFFF):
        assert cells_with(parts[part_of(wanted)], wanted) & (1 << count) - 1 == (1 << count) - 1
    for number in range(0, count, 17):
        for wanted in cells[number] - {7, 0xFFFFFFFF}:
            told = cells_with(parts[part_of(wanted)], wanted)
            assert told >> number & 1
            assert told.bit_count() <= 3  # There may be a place between, that is another's.


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=40, unique=True))
def test_offsets_are_read_as_they_were_packed(offsets: list[int]) -> None:
    """Whatever they are."""
    assert offsets_of(packed_offsets(sorted(offsets))) == sorted(offsets)


def test_a_term_that_no_cell_has_is_told_of_none() -> None:
    """Neither before the first number of a part, nor between two, nor behind the last."""
    part = next(merged([packed([1 << 12]), packed([1 << 12, 1 << 13])]))
    assert [cells_with(part, wanted) for wanted in (0, 1 << 11, 1 << 12, 1 << 13, 1 << 14)] == [
        0,
        0,
        0b11,
        0b10,
        0,
    ]


def test_few_cells_are_told_that_have_not() -> None:
    """Of cells of 4 000 terms less than one in a thousand is told of a term that it has not."""
    chosen = random.Random(5)
    cells = [packed(sorted(chosen.randrange(1 << 32) for _ in range(4000))) for _ in range(CELLS)]
    parts = list(merged(cells))
    told = 0
    for _ in range(2000):
        wanted = chosen.randrange(1 << 32)
        told += cells_with(parts[part_of(wanted)], wanted).bit_count()
    assert told / (2000 * CELLS) < 0.001
    assert sum(map(len, parts)) < 1.8 * 4000 * CELLS


def test_a_cell_alone_tells_of_its_terms() -> None:
    """Before it is in a segment."""
    signature = packed([1, 5, 0xFFFFFFFF])
    assert [has(signature, term) for term in (0, 1, 5, 6, 0xFFFFFFFF)] == [
        False,
        True,
        True,
        False,
        True,
    ]
    assert not has(b"", 7)
