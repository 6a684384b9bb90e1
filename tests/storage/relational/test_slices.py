"""Slices cover a range once, in order, and their width follows how long they took."""

from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.query import Order
from storage.relational import slices as module
from storage.relational.slices import Range, slices

FIRST = module.FIRST_SLICE


def widths(seconds: list[float], whole: Range) -> list[int]:
    """Walk a range with slices that take so long, and answer how wide each was."""
    # The clock is read before and after each slice.
    times = iter(list(chain.from_iterable((0.0, took_s) for took_s in seconds)) + [0.0] * 1000)
    return [part.last - part.first + 1 for part in slices(whole, "asc", clock=lambda: next(times))]


def test_quick_slices_widen_and_slow_ones_narrow() -> None:
    """A quick slice is followed by one eight times as wide, a slow one by a quarter, never below the first width."""
    found = widths([0.001, 0.05, 0.5, 0.5, 0.5], Range(1, 100 * FIRST))
    assert [width // FIRST for width in found[:6]] == [1, 8, 8, 2, 1, 1]


@given(
    first=st.integers(-5, 5),
    length=st.integers(0, 500_000),
    order=st.sampled_from(("asc", "desc")),
    took_s=st.sampled_from((0.0, 0.05, 1.0)),
)
def test_slices_are_the_range(first: int, length: int, order: Order, took_s: float) -> None:
    """Slices follow each other without gap or overlap, in the order asked for."""
    whole, now_s = Range(first, first + length - 1), [0.0]

    def clock() -> float:
        now_s[0] += took_s
        return now_s[0]

    parts = list(slices(whole, order, clock=clock))
    if order == "desc":
        parts.reverse()
    assert sum(part.last - part.first + 1 for part in parts) == length
    for before, after in pairwise(parts):
        assert after.first == before.last + 1
    assert whole.is_empty == (not parts)


@pytest.mark.parametrize(
    ("after", "order", "left"),
    [
        (None, "asc", Range(3, 9)),
        (5, "asc", Range(6, 9)),
        (5, "desc", Range(3, 4)),
        (0, "asc", Range(3, 9)),
        (20, "desc", Range(3, 9)),
    ],
)
def test_a_cursor_is_exclusive(after: int | None, order: Order, left: Range) -> None:
    """What follows a row begins beyond it, in the direction of the order."""
    assert Range(3, 9).following(after, order) == left
    assert Range(3, 9).following(3, "desc").is_empty
