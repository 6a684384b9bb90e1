"""Percentiles are exact of values, and near the truth of buckets; values are sorted by frequency."""

import random
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.native.aggregates import fold
from storage.aggregates import (
    BOUNDS_US,
    FACETS,
    FIRST_STEP,
    MAX_FACET_LIMIT,
    ROLLUP_FACETS,
    TOPS,
    Latencies,
    Percentiles,
    class_name,
    most_frequent,
)
from storage.keys import MAX_KEYS
from storage.query import Filter
from storage.relational.rollups import DIMENSIONS
from storage.relational.tally import Tally, extent
from tests.support.cases import each_of
from tests.support.memory_aggregates import status_class

DISTRIBUTIONS: dict[str, Callable[[random.Random], float]] = {
    "constant": lambda chance: 1_020_000,
    "narrow": lambda chance: chance.uniform(1_000_000, 1_040_000),
    "uniform": lambda chance: chance.uniform(100, 2_000_000),
    "normal": lambda chance: max(1, chance.gauss(50_000, 9_000)),
    "exponential": lambda chance: chance.expovariate(1 / 20_000),
    "log-normal": lambda chance: chance.lognormvariate(9, 1.5),
    "heavy tail": lambda chance: 500 * chance.paretovariate(0.9),
    "two humps": lambda chance: (
        chance.gauss(900, 40) if chance.random() < 0.7 else chance.gauss(3_000_000, 200_000)
    ),
    "steps": lambda chance: chance.choice((250, 5_000, 5_001, 30_000_000)),
    "a few slow ones": lambda chance: (
        3_000_000_000 if chance.random() < 0.03 else chance.uniform(30, 60)
    ),
}


def exact(values: list[int]) -> Percentiles:
    return Latencies(values=sorted(values)).percentiles()


@each_of("name", DISTRIBUTIONS)
@each_of("number", [1, 7, 100, 20_000])
def test_an_estimate_is_at_most_5_per_cent_off(name: str, number: int) -> None:
    """Of any distribution from microseconds to an hour, and within what was measured."""
    chance = random.Random(f"{name} {number}")
    values = [round(DISTRIBUTIONS[name](chance)) for _ in range(number)]
    found = Latencies.of(values).percentiles()
    true = exact(values)
    assert found.is_estimated
    for estimate, value in zip(figures(found), figures(true), strict=True):
        assert abs(estimate - value) <= max(1, 0.05 * value)
        assert min(values) <= estimate <= max(values)


@given(st.lists(st.integers(0, 4_096_000_000), min_size=1, max_size=60))
def test_an_estimate_is_near_any_values(values: list[int]) -> None:
    """The same of values that nobody chose; and percentiles rise."""
    found = figures(Latencies.of(values).percentiles())
    true = figures(exact(values))
    assert found == sorted(found)
    assert all(
        abs(estimate - value) <= max(1, 0.05 * value) and min(values) <= estimate <= max(values)
        for estimate, value in zip(found, true, strict=True)
    )


def figures(found: Percentiles) -> list[int]:
    assert found.p50_us is not None
    assert found.p95_us is not None
    assert found.p99_us is not None
    return [found.p50_us, found.p95_us, found.p99_us]


@each_of(
    ("values", "expected"),
    [
        ([], Percentiles()),
        ([7], Percentiles(7, 7, 7)),
        ([2, 1], Percentiles(1, 2, 2)),
        (list(range(100, 0, -1)), Percentiles(50, 95, 99)),
        (list(range(1, 22)), Percentiles(11, 20, 21)),
    ],
)
def test_a_percentile_of_values_is_the_nearest_rank(
    values: list[int], expected: Percentiles
) -> None:
    """The least value that so many per cent do not exceed, whatever the order of the values."""
    assert exact(values) == expected


def test_forty_requests_of_a_second_take_a_second() -> None:
    """What was shown as 1,750 ms once."""
    values = [1_000_000 + 1000 * number for number in range(41)]
    assert exact(values).p50_us == 1_020_000
    estimate = Latencies.of(values).percentiles().p50_us
    assert estimate is not None
    assert 1_000_000 <= estimate <= 1_040_000


def test_beyond_an_hour_the_most_is_all_that_is_known() -> None:
    """The last bucket has no end."""
    assert Latencies.of([10, 5_000_000_000, 9_000_000_000]).percentiles() == Percentiles(
        9_000_000_000, 9_000_000_000, 9_000_000_000, is_estimated=True
    )
    assert Latencies({len(BOUNDS_US): 2}).percentiles().p50_us == BOUNDS_US[-1]


def test_nothing_measured_has_no_percentiles() -> None:
    """Neither of no values nor of empty buckets."""
    assert Latencies().percentiles() == Latencies({3: 0}).percentiles() == Percentiles()


def test_sums_are_those_of_all_values() -> None:
    """Adding two is counting both; values are known where both were."""
    both = Latencies.of([5, 900]).plus(Latencies.of([4, 4, 70_000]))
    assert both == Latencies.of([5, 900, 4, 4, 70_000])
    assert Latencies().plus(Latencies.of([3])) == Latencies.of([3])
    assert Latencies(values=[1]).plus(Latencies(values=[2])).values == [1, 2]
    assert Latencies(values=[1]).plus(Latencies.of([2])).values is None


def test_bounds_are_those_of_native_histograms() -> None:
    """Each is the whole part of an eighth of a doubling; a second is one of them, and belongs to
    its bucket.
    """
    assert (BOUNDS_US[0], BOUNDS_US[-1], len(BOUNDS_US)) == (1, 4_096_000_000, 255)
    assert BOUNDS_US[-FIRST_STEP] == 1_000_000
    assert all(low <= high <= (low + 1) * 2 ** (1 / 8) for low, high in pairwise(BOUNDS_US))
    assert bisect_left(BOUNDS_US, 1_000_000) + 1 == bisect_left(BOUNDS_US, 1_000_001)


def test_the_rows_of_a_heat_map_are_as_narrow_as_they_may_be() -> None:
    """Single buckets where there is room, whole doublings where there is not; the slowest row may
    have no end.
    """
    durations: tuple[list[int], ...] = ([1_000_000, 1_000_001], [], [1_900_000, 5 * 10**9])
    columns = [Tally(duration=Latencies.of(values)).bucket(0) for values in durations]
    bounds, counts = fold(columns, 200)
    assert (len(bounds), [sum(column) for column in counts]) == (98, [2, 0, 2])
    assert (bounds[0], bounds[-1]) == ((917_005, 1_000_000), (4_096_000_001, None))
    bounds, counts = fold(columns, 15)
    assert [bounds[0], bounds[1], bounds[-1]] == [
        (500_001, 1_000_000),
        (1_000_001, 2_000_000),
        (4_096_000_001, None),
    ]
    assert [column[:2] for column in counts] == [[1, 1], [0, 0], [0, 1]]
    assert fold([Tally().bucket(0)], 5) == ([], [[]])


def test_names_of_classes() -> None:
    """A status class is written as a filter takes it, and `none` without a status."""
    assert (status_class(404), status_class(None), class_name(2), class_name(0)) == (
        "4xx",
        "none",
        "2xx",
        "none",
    )


def test_most_frequent_first_then_by_name() -> None:
    """Values that do not occur are left out, ties are in order of their names."""
    assert most_frequent({"b": 1, "a": 1, "c": 5, "d": 0}, 2) == [("c", 5), ("a", 1)]


@each_of(
    ("asked", "oldest", "newest", "span", "rate"),
    [
        ((None, None), 0, 2_000_000, (0, 2_000_000), 5.0),
        ((-9_000_000, 8_000_000), 0, 2_000_000, (0, 2_000_000), 5.0),
        ((1_000_000, 1_500_000), 0, 2_000_000, (1_000_000, 1_500_000), 20.0),
        ((None, None), 5, 5, (None, None), None),
        ((None, None), None, None, (None, None), None),
        ((3, None), 0, 2, (None, None), None),
    ],
)
def test_a_rate_is_of_the_time_that_has_records(
    asked: tuple[int | None, int | None],
    oldest: int | None,
    newest: int | None,
    span: object,
    rate: float | None,
) -> None:
    """Exchanges per second of the range asked for, as far as there is anything in it; none without."""
    tally = Tally(status_classes={"2xx": 10})
    ends = extent(Filter(since_us=asked[0], until_us=asked[1]), oldest, newest)
    summary = tally.summary(*ends, {}, None, complete=True)
    assert (ends, summary.rate_per_s) == (span, rate)


def test_facets_that_are_counted_are_dimensions_of_rollups() -> None:
    """The closed tables fit together."""
    assert {FACETS[name] for name in ROLLUP_FACETS} == {*DIMENSIONS, "status_class"}
    assert set(TOPS) <= FACETS.keys()


def test_a_facet_may_list_all_keys() -> None:
    """Whose keys have records is asked by a facet."""
    assert MAX_KEYS <= MAX_FACET_LIMIT
