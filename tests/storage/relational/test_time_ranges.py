"""Ranges of time are cut at hours and days without losing or doubling any moment."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.query import Filter, matches
from storage.relational.rollup_sql import can_count, reduced
from storage.relational.time_ranges import (
    DAY_HOURS,
    HOUR_US,
    Hours,
    Part,
    fold_before,
    has_whole_hours,
    hours_around,
    hours_inside,
    parts,
    split,
    steps,
    unused_before,
)
from tests.contract.test_storage_reading import make_dataset
from tests.support.filters import make_filter

DAY_US = DAY_HOURS * HOUR_US
_times = st.one_of(
    st.none(),
    st.integers(-3 * DAY_US, 9 * DAY_US),
    st.integers(-70, 200).map(lambda n: n * HOUR_US),
)
_hours = st.one_of(st.none(), st.integers(-80, 200))


def covers(hours: Hours | Part, hour: int) -> bool:
    """Whether a number lies in a half-open range."""
    return (hours.first is None or hours.first <= hour) and (
        hours.until is None or hour < hours.until
    )


@given(_hours, _hours, st.integers(-80, 200))
def test_days_and_hours_are_disjoint_and_complete(
    first: int | None, until: int | None, folded_until: int
) -> None:
    """Each hour of a range is in exactly one part, others in none; days hold hours that are folded."""
    hours = Hours(first, until)
    found = list(parts(hours, folded_until))
    for hour in range(-100, 220):
        in_days = hour < folded_until
        times = sum(
            covers(part, hour)
            if part.tier == "hour"
            else in_days and covers(part, hour // DAY_HOURS)
            for part in found
        )
        assert times == covers(hours, hour)

    assert sum(part.tier == "hour" for part in found) <= 2


@given(
    _times,
    _times,
    st.one_of(st.none(), st.integers(-DAY_US, 9 * DAY_US)),
    st.integers(-3 * DAY_US, 9 * DAY_US),
)
def test_a_split_is_the_whole_range(
    since: int | None, until: int | None, newest: int | None, moment: int
) -> None:
    """A moment of the range is either in the whole hours or in one of the edges; later ones than
    the newest may be.
    """
    if newest is not None and moment > newest:
        return
    cut = split(Filter(since_us=since, until_us=until), newest)
    in_edges = sum(
        (edge.since_us is None or moment >= edge.since_us)
        and (edge.until_us is None or moment < edge.until_us)
        for edge in cut.edges
    )
    is_inside = (since is None or moment >= since) and (until is None or moment < until)
    assert in_edges + covers(cut.hours, moment // HOUR_US) == is_inside


def test_hours_inside_and_around() -> None:
    """Inside leaves parts of hours out, around takes them whole; no bound stays none; any number
    can be asked.
    """
    assert hours_inside(1, 3 * HOUR_US - 1) == Hours(1, 2)
    assert hours_around(1, 3 * HOUR_US - 1) == Hours(0, 3)
    assert hours_inside(None, None) == hours_around(None, None) == Hours(None, None)
    assert hours_inside(-(1 << 70), 1 << 70).is_empty is False
    assert hours_inside(5, 6).is_empty


def test_an_hour_is_folded_when_the_next_is_over() -> None:
    """A clock that is ahead folds nothing that still runs."""
    assert fold_before(10 * HOUR_US + 5, 99 * HOUR_US) == 9
    assert fold_before(99 * HOUR_US, 10 * HOUR_US + 5) == 9


def test_text_is_unused_before_the_oldest_row() -> None:
    """Never that of yesterday, which a writer may still remember, unless age has passed it."""
    assert unused_before(3 * DAY_US, None, 20 * DAY_US) == 3
    assert unused_before(3 * DAY_US, 9 * DAY_US + 5, 20 * DAY_US) == 9
    assert unused_before(0, 25 * DAY_US, 20 * DAY_US + 5) == 19
    assert unused_before(20 * DAY_US, 25 * DAY_US, 20 * DAY_US + 5) == 20


def test_whole_hours() -> None:
    """A range that is not bounded has them, too."""
    assert has_whole_hours(make_filter(projects=("a",), since_us=HOUR_US, until_us=2 * HOUR_US))
    assert not has_whole_hours(Filter(since_us=HOUR_US + 1))
    assert has_whole_hours(Filter())


@pytest.mark.parametrize(
    "filter",
    [
        make_filter(statuses=(404,), status_classes=(5,), kind="all"),
        make_filter(methods=("GET", "BREW"), projects=("a",)),
        make_filter(path_contains="item", levels=("warn",), since_us=5, until_us=1 << 62),
        make_filter(hosts=("a",), seq_after=10, min_duration_us=3, trace_id="0"),
    ],
)
def test_a_reduced_filter_is_wider_and_countable(filter: Filter) -> None:
    """Whatever a filter matches, its reduced form matches too, and rollups know all of it."""
    wide = reduced(filter)
    assert can_count(wide, 0)
    assert has_whole_hours(wide)
    assert all(matches(wide, record) for record in make_dataset() if matches(filter, record))


@example(since=HOUR_US, length=23 * HOUR_US + 1, buckets=1, is_long=False)
@given(
    st.integers(0, 40 * DAY_US), st.integers(-5, 40 * DAY_US), st.integers(1, 200), st.booleans()
)
def test_steps_cover_the_range(since: int, length: int, buckets: int, is_long: bool) -> None:
    """Steps begin at or before the range, are equally long, reach its end, and are not many more
    than asked for.
    """
    step, starts = steps(since, since + length, buckets, is_long=is_long)
    assert step > 0
    if length <= 0:
        assert len(starts) <= 1
        return

    assert starts[0] <= since < starts[0] + step
    assert starts[-1] < since + length <= starts[-1] + step
    assert len(starts) <= buckets + 1
    if is_long or step >= HOUR_US:
        assert step % HOUR_US == 0
        assert starts[0] % HOUR_US == 0
    if step >= DAY_US:
        assert starts[0] % DAY_US == 0
