"""A segment tells of every cell that has a term, and of few others."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.search.index.segment import MAX_CELLS, PARTS, cells_with, has, joined, merged, part_of
from storage.search.index.terms import packed

TERMS = st.integers(0, 0xFFFFFFFF)


@given(st.lists(st.sets(TERMS, max_size=30), min_size=1, max_size=MAX_CELLS), st.lists(TERMS, max_size=5))
@settings(max_examples=30)
def test_no_cell_is_missing(cells: list[set[int]], others: list[int]) -> None:
    """Whatever the terms of the cells are, each is found; what is not there nearly never."""
    parts = list(merged([packed(sorted(terms)) for terms in cells]))
    assert len(parts) == PARTS
    for wanted in {*others, *(each for terms in cells for each in terms)}:
        told = cells_with(parts[part_of(wanted)], wanted)
        assert all(told >> number & 1 for number, terms in enumerate(cells) if wanted in terms)


@given(st.lists(st.lists(st.sets(TERMS, max_size=9), min_size=1, max_size=5), min_size=1, max_size=5))
@settings(max_examples=30)
def test_segments_that_are_joined_tell_the_same(several: list[list[set[int]]]) -> None:
    """Of each term the cells that have it, numbered on."""
    parts = [list(merged([packed(sorted(terms)) for terms in cells])) for cells in several]
    counts = [len(cells) for cells in several]
    together = [terms for cells in several for terms in cells]
    for wanted in set[int]().union(*together):
        part = joined([each[part_of(wanted)] for each in parts], counts)
        told = cells_with(part, wanted)
        assert all(told >> cell & 1 for cell, terms in enumerate(together) if wanted in terms)


def test_few_cells_are_told_that_have_not() -> None:
    """Of cells of 4 000 terms less than one in a thousand is told of a term that it has not."""
    chosen = random.Random(5)
    cells = [packed(sorted(chosen.randrange(1 << 32) for _ in range(4000))) for _ in range(MAX_CELLS)]
    parts = list(merged(cells))
    told = 0
    for _ in range(2000):
        wanted = chosen.randrange(1 << 32)
        told += cells_with(parts[part_of(wanted)], wanted).bit_count()
    assert told / (2000 * MAX_CELLS) < 0.001
    assert sum(map(len, parts)) < 1.8 * 4000 * MAX_CELLS


def test_a_cell_alone_tells_of_its_terms() -> None:
    """Before it is in a segment."""
    signature = packed([1, 5, 0xFFFFFFFF])
    assert [has(signature, term) for term in (0, 1, 5, 6, 0xFFFFFFFF)] == [False, True, True, False, True]
    assert not has(b"", 7)
