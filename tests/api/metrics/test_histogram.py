"""Histograms count as Prometheus defines them."""

from hypothesis import given
from hypothesis import strategies as st

from api.metrics.histogram import Tally, durations

SCALE = durations((0.001, 0.1, 1.0, 2.5))


@given(st.lists(st.integers(0, 3_000_000)))
def test_buckets_count_as_prometheus_defines_them(values: list[int]) -> None:
    """A bucket holds the values up to and with its bound."""
    tally = Tally(SCALE)
    for value in values:
        tally.add(value)
    expected = [
        sum(value <= bound for value in values) for bound in (1000, 100_000, 1_000_000, 2_500_000)
    ]
    assert list(tally.cumulative()) == list(zip((0.001, 0.1, 1.0, 2.5), expected, strict=True))
    assert (sum(tally.counts), tally.total) == (len(values), sum(values))


def test_tallies_of_one_scale_are_merged() -> None:
    """Counts and sums are added."""
    one = Tally(SCALE)
    other = Tally(SCALE)
    one.add(10)
    other.add(10)
    other.add(4_000_000_000_000)
    one.merge(other)
    assert (one.total, sum(one.counts), one.counts[-1]) == (4_000_000_000_020, 3, 1)
