"""Slices become smaller when one takes long and larger when it does not, within bounds."""

import pytest

from storage.writer.slice_pace import MAX_ROWS, MIN_ROWS, SLICE_S, SlicePace


@pytest.mark.parametrize(
    ("took_s", "last"), [(1.2 * SLICE_S, MIN_ROWS), (0.0, MAX_ROWS), (0.6 * SLICE_S, MAX_ROWS // 5)]
)
def test_slices_fit_their_time(took_s: float, last: int) -> None:
    """By halves and doubles."""
    pace = SlicePace()
    for _ in range(12):
        pace.note(took_s)
    assert pace.max_rows == last
