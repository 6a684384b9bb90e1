"""Percentiles are interpolated within buckets, and values are sorted by frequency."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.aggregates import (
    BOUNDS_US,
    BUCKETS,
    FACETS,
    ROLLUP_FACETS,
    TOPS,
    Percentiles,
    class_name,
    most_frequent,
    percentile_us,
    percentiles,
    rate_per_s,
    status_class,
)
from storage.relational.rollups import DIMENSIONS


def counts_of(*durations_us: int) -> list[int]:
    """Count durations by bucket."""
    counts = [0] * BUCKETS
    for duration_us in durations_us:
        counts[bisect_left(BOUNDS_US, duration_us)] += 1
    return counts


@pytest.mark.parametrize(
    ("durations_us", "share", "expected"),
    [
        ((), 0.5, None),
        ((1,), 0.5, 500),
        ((1, 1), 0.5, 500),
        ((1, 1), 1.0, 1000),
        ((1500, 1500), 0.5, 1750),
        ((1, 1500), 0.75, 1750),
        ((1, 1, 1, 400_000_000), 0.99, 300_000_000),
        ((400_000_000,), 0.5, 300_000_000),
        ((1, 30_000_000), 0.0, 0),
    ],
)
def test_a_percentile_is_interpolated(durations_us: tuple[int, ...], share: float, expected: int | None) -> None:
    """It lies in its bucket, in proportion to its rank; the open bucket answers its lower bound."""
    assert percentile_us(counts_of(*durations_us), share) == expected


@given(st.lists(st.integers(0, 400_000_000), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_percentile_lies_in_the_bucket_of_its_rank(durations_us: list[int], share: float) -> None:
    """The true percentile and the interpolated one share a bucket, the bounds included."""
    found = percentile_us(counts_of(*durations_us), share)
    rank = min(len(durations_us) - 1, max(0, -int(-share * len(durations_us) // 1) - 1))
    bucket = bisect_left(BOUNDS_US, sorted(durations_us)[rank])
    low = BOUNDS_US[bucket - 1] if bucket else 0
    assert found is not None
    assert low <= found <= BOUNDS_US[min(bucket, BUCKETS - 2)]


def test_percentiles_rise() -> None:
    """The three shown ones are in order, and absent without measurements."""
    found = percentiles(counts_of(*range(0, 2_000_000, 10_000)))
    assert found.p50_us is not None
    assert found.p95_us is not None
    assert found.p99_us is not None
    assert found.p50_us < found.p95_us < found.p99_us
    assert percentiles([0] * BUCKETS) == Percentiles(None, None, None)


def test_names_of_classes() -> None:
    """A status class is written as a filter takes it, and `none` without a status."""
    assert (status_class(404), status_class(None), class_name(2), class_name(0)) == ("4xx", "none", "2xx", "none")


def test_most_frequent_first_then_by_name() -> None:
    """Values that do not occur are left out, ties are in order of their names."""
    assert most_frequent({"b": 1, "a": 1, "c": 5, "d": 0}, 2) == [("c", 5), ("a", 1)]


@pytest.mark.parametrize(("start", "end", "rate"), [(0, 2_000_000, 5.0), (5, 5, None), (None, 5, None), (9, 5, None)])
def test_a_rate_needs_an_extent(start: int | None, end: int | None, rate: float | None) -> None:
    """Exchanges per second of an extent of time; none without one."""
    assert rate_per_s(10, start, end) == rate


def test_facets_that_are_counted_are_dimensions_of_rollups() -> None:
    """The closed tables fit together."""
    assert {FACETS[name] for name in ROLLUP_FACETS} == {*DIMENSIONS, "status_class"}
    assert set(TOPS) <= FACETS.keys()
