"""Ranges of time are cut at hours and days without losing or doubling any moment."""

from hypothesis import example, given
from hypothesis import strategies as st

from storage.query import Filter
from storage.relational.time_ranges import (
    DAY_HOURS,
    HOUR_US,
    Hours,
    Part,
    parts,
    split,
    steps,
)

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
