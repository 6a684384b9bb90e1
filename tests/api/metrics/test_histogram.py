"""Classic and native histograms out of one count."""

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.metrics.histogram import Tally, durations, sizes
from storage.aggregates import BOUNDS_US

SCALE = durations((0.001, 0.1, 1.0, 2.5))


@given(st.lists(st.integers(0, 3_000_000)))
def test_classic_buckets_count_as_prometheus_defines_them(values: list[int]) -> None:
    """A bucket holds the values up to and with its bound."""
    tally = Tally(SCALE)
    for value in values:
        tally.add(value)
    expected = [
        sum(value <= bound for value in values) for bound in (1000, 100_000, 1_000_000, 2_500_000)
    ]
    assert list(tally.classic()) == list(zip((0.001, 0.1, 1.0, 2.5), expected, strict=True))
    assert (sum(tally.counts), tally.total) == (len(values), sum(values))


@given(st.lists(st.integers(0, 8_000_000_000) | st.integers(0, 5_000_000) | st.integers(0, 40)))
def test_native_buckets_count_as_prometheus_defines_them(values: list[int]) -> None:
    """Bucket i of schema 3 holds what is above 2**((i-1)/8) and at most 2**(i/8) seconds; few have
    no bucket.
    """
    tally = Tally(SCALE)
    expected: dict[int, int] = {}
    for value in values:
        tally.add(value)
        if value > 1:
            step = min(ceil(8 * log2(value / 1_000_000)), 97)
            expected[step] = expected.get(step, 0) + 1

    native = tally.native()
    assert native.zero_count == sum(value <= native.zero_threshold * 1_000_000 for value in values)
    assert {
        step: count for step, count in unpacked(native.spans, native.deltas).items() if count
    } == expected


@given(st.lists(st.integers(0, 4000)))
def test_whole_numbers_have_native_buckets_from_one_on(values: list[int]) -> None:
    """None are in the zero bucket, one is in bucket 0."""
    tally = Tally(sizes((1, 3, 10, 3000)))
    expected: dict[int, int] = {}
    for value in values:
        tally.add(value)
        if value:
            step = ceil(8 * log2(value))
            expected[step] = expected.get(step, 0) + 1

    native = tally.native()
    assert native.zero_count == values.count(0)
    assert {
        step: count for step, count in unpacked(native.spans, native.deltas).items() if count
    } == expected


def test_the_buckets_are_those_of_rollups() -> None:
    """Every bound of one is a bound of the other, so that both tell the same percentiles."""
    assert set(BOUNDS_US) <= set(SCALE.bounds)


def test_short_gaps_are_bridged_and_long_ones_are_not() -> None:
    """What is sent stays small: a span for each gap would be more."""
    tally = Tally(SCALE)
    for step in (0, 1, 4, 20):
        tally.add(int(1_000_000 * 2 ** (step / 8)))
    native = tally.native()
    assert native.spans == [(0, 5), (15, 1)]
    assert native.deltas == [1, 0, -1, 0, 1, 0]


def test_nothing_counted_is_a_native_histogram_still() -> None:
    """A zero threshold says so."""
    native = Tally(SCALE).native()
    assert (native.zero_count, native.spans, native.deltas) == (0, [], [])
    assert native.zero_threshold == pytest.approx(1.13e-6, rel=0.01)


def test_tallies_of_one_scale_are_merged() -> None:
    """Counts and sums are added."""
    one = Tally(SCALE)
    other = Tally(SCALE)
    one.add(10)
    other.add(10)
    other.add(4_000_000_000_000)
    one.merge(other)
    assert (one.total, sum(one.counts), one.counts[-1]) == (4_000_000_000_020, 3, 1)


def unpacked(spans: list[tuple[int, int]], deltas: list[int]) -> dict[int, int]:
    """Return counts by step, as a reader of the exposition does."""
    found = dict[int, int]()
    step = 0
    count = 0
    left = iter(deltas)

    for offset, length in spans:
        step += offset
        for _ in range(length):
            count += next(left)
            found[step] = count
            step += 1

    assert next(left, None) is None
    return found
