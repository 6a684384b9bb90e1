"""How a walk by id is cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.query import Order
from storage.record import new_id
from storage.relational.by_id import FIRST_SLICE_MS, MAX_MS, id_ms, id_number, id_slices
from storage.relational.slices import Range

MS = st.integers(0, MAX_MS)
IDS = st.integers(-5, (1 << 128) + 5)


@given(st.integers(0, 1 << 47), st.integers(0, 1 << 42))
def test_the_milliseconds_of_an_id_are_its_upper_bits(ms: int, nonce: int) -> None:
    """What goes in comes out, and numbers are ordered as bytes are."""
    record_id = new_id(ms * 1_000_000, nonce, 1)
    assert id_ms(record_id) == ms == id_number(record_id) >> 80


@pytest.mark.parametrize("order", ["asc", "desc"])
@given(first=MS, last=MS, after=st.none() | IDS)
def test_slices_cover_the_range_once_in_order(
    order: Order, first: int, last: int, after: int | None
) -> None:
    """Neighbours touch, ends are the range's, or the cursor's where that is inside."""
    parts = list(id_slices(Range(first, last), order, after))
    if order == "desc":
        parts.reverse()
    for earlier, later in itertools.pairwise(parts):
        assert later.first == earlier.last + 1
    least = first << 80
    most = (last + 1 << 80) - 1
    if after is not None:
        least, most = (
            (max(least, after + 1), most) if order == "asc" else (least, min(most, after - 1))
        )

    if least > most:
        assert parts == []
    else:
        assert (parts[0].first, parts[-1].last) == (least, most)


def test_a_year_without_a_row_is_crossed_quickly() -> None:
    """Ten slices, each eight times as wide as the one before where there is nothing; some more on a
    busy machine.
    """
    assert len(list(id_slices(Range(0, 365 * 86_400_000), "desc", None))) <= 15
    assert FIRST_SLICE_MS == 1000
