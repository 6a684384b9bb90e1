"""A segment tells of every row that has a term, and of few others."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.search.index.merging import merged
from storage.search.index.segment import (
    MANY,
    MASK_BITS,
    MAX_CELLS,
    PARTS,
    ROW_BITS,
    WHOLE_CELL,
    offsets_of,
    packed_offsets,
    part_of,
    rows_in,
    rows_with,
)

CELLS = 256
"""As many as are numbered with 8 bits."""
MOST = (1 << 24) - 1
TERMS = st.integers(0, MOST)
NAMED = st.tuples(TERMS, st.integers(0, MANY))


def signature(named: Iterable[tuple[int, int]]) -> bytes:
    """Write terms with their rows."""
    numbers = sorted({term << ROW_BITS | row for term, row in named})
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def mask(rows: Iterable[int]) -> int:
    """Set the bits of rows of one cell."""
    found = 0
    for row in rows:
        found |= WHOLE_CELL if row == MANY else 1 << row
    return found


def cell_of(told: int, number: int) -> int:
    """Return the bits of one cell."""
    return told >> MASK_BITS * number & WHOLE_CELL


@given(
    st.lists(st.sets(NAMED, max_size=30), min_size=1, max_size=CELLS), st.lists(TERMS, max_size=5)
)
@settings(max_examples=30)
def test_no_row_is_missing(cells: list[set[tuple[int, int]]], others: list[int]) -> None:
    """Whatever the terms of the cells are, each is found; what is not there nearly never."""
    parts = list(merged([signature(named) for named in cells]))
    assert len(parts) == PARTS
    for wanted in {*others, *(term for named in cells for term, _ in named)}:
        told = rows_with(parts[part_of(wanted)], wanted)
        for number, named in enumerate(cells):
            rows = mask(row for term, row in named if term == wanted)
            assert cell_of(told, number) & rows == rows
            assert rows_in(signature(named), wanted) == rows


@pytest.mark.parametrize("count", [256, 257, 700, MAX_CELLS])
def test_segments_of_many_cells_tell_of_each(count: int) -> None:
    """Whatever bits the number of a cell takes."""
    chosen = random.Random(count)
    cells = [{7, MOST, *(chosen.randrange(MOST) for _ in range(3))} for _ in range(count)]
    parts = list(
        merged(
            [signature((term, number % MANY) for term in cells[number]) for number in range(count)]
        )
    )
    for wanted in (7, MOST):
        told = rows_with(parts[part_of(wanted)], wanted)
        assert all(cell_of(told, number) >> number % MANY & 1 for number in range(count))
    for number in range(0, count, 17):
        for wanted in cells[number] - {7, MOST}:
            told = rows_with(parts[part_of(wanted)], wanted)
            assert cell_of(told, number) == 1 << number % MANY
            assert told.bit_count() <= 3  # There may be a place between, that is another's.


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=40, unique=True))
def test_offsets_are_read_as_they_were_packed(offsets: list[int]) -> None:
    """Whatever they are."""
    assert offsets_of(packed_offsets(sorted(offsets))) == sorted(offsets)


def test_a_term_that_no_cell_has_is_told_of_none() -> None:
    """Neither before the first number of a part, nor between two, nor behind the last."""
    part = next(merged([signature([(16, 3)]), signature([(16, 4), (16, 200), (32, MANY)])]))
    assert [rows_with(part, wanted) for wanted in (0, 8, 16, 32, 64)] == [
        0,
        0,
        1 << 3 | 1 << MASK_BITS + 4 | 1 << MASK_BITS + 200,
        WHOLE_CELL << MASK_BITS,
        0,
    ]


def test_few_rows_are_told_that_have_not() -> None:
    """Of cells of 4 000 terms less than one in a thousand is told of a term that it has not."""
    chosen = random.Random(5)
    cells = [
        signature((chosen.randrange(MOST), chosen.randrange(MANY)) for _ in range(4000))
        for _ in range(CELLS)
    ]
    parts = list(merged(cells))
    told = 0
    for _ in range(2000):
        wanted = chosen.randrange(MOST)
        told += rows_with(parts[part_of(wanted)], wanted).bit_count()
    assert told / (2000 * CELLS) < 0.001
    assert sum(map(len, parts)) < 2.9 * 4000 * CELLS


def test_a_cell_alone_tells_of_its_terms() -> None:
    """Before it is in a segment."""
    alone = signature([(1, 0), (5, 2), (5, 254), (MOST, MANY)])
    assert [rows_in(alone, term) for term in (0, 1, 5, 6, MOST)] == [
        0,
        1,
        1 << 2 | 1 << 254,
        0,
        WHOLE_CELL,
    ]
    assert not rows_in(b"", 7)
