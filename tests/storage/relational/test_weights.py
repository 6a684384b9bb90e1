"""Weights as stores keep them."""

import pytest

from storage.relational.weights import first_code, last_code, weight_code, weight_of

SHARES = (1, 0.5, 0.1, 0.3, 0.7, 0.05, 0.001, 0.000001)


@pytest.mark.parametrize("weight", [round(1 / share, 6) for share in SHARES])
def test_a_weight_reads_back(weight: float) -> None:
    """To a millionth; a record that stands for itself takes no place."""
    code = weight_code(weight)
    assert weight_of(code) == weight
    assert (code == 0) == (weight == 1)
    assert (first_code(weight), last_code(weight)) == (code, code)


def test_bounds_lie_between_weights() -> None:
    """The lowest that is no less than a number, and the highest that is no more."""
    assert (first_code(0), first_code(1), first_code(1.0000000001), first_code(2.5)) == (
        0,
        0,
        1,
        1_500_000,
    )
    assert (last_code(1), last_code(1.9999999), last_code(0.5)) == (0, 999_999, -500_000)
    assert weight_of(None) == 1
