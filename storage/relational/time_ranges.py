"""Time in whole hours and days: the part of a range that rollups can answer, and the parts to be
scanned.

Strategy: rollups are kept by hour and by day; the last day has only the hours that were folded into
it. A filter's range is cut into whole hours and the two edges outside of them, and the hours into
days and their edges.

Invariant: the parts of a range are disjoint and together are the range.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from storage.query import Filter

HOUR_US: Final = 3_600_000_000
DAY_HOURS: Final = 24
DAY_US: Final = DAY_HOURS * HOUR_US
MAX_HOUR: Final = ((1 << 63) - 1) // HOUR_US
MIN_IN_HOURS_US: Final = 12 * HOUR_US
"""The shortest range that still shows its shape in steps of an hour."""

Tier = Literal["hour", "day"]
TimeRange = tuple[Tier, int]
"""An hour, or a day, since the epoch."""


class Hours(NamedTuple):
    """Whole hours since the epoch, half open; None at an end means no bound."""

    first: int | None
    until: int | None

    @property
    def is_empty(self) -> bool:
        return self.first is not None and self.until is not None and self.first >= self.until


class Part(NamedTuple):
    """Consecutive rows of one tier: numbers of hours, or of days, half open; None at an end means
    no bound.
    """

    tier: Tier
    first: int | None
    until: int | None

    def has(self, number: int) -> bool:
        return (self.first is None or self.first <= number) and (
            self.until is None or number < self.until
        )


@dataclass(frozen=True, slots=True)
class Split:
    """A filter's range of time: whole hours, and a separate filter for each of the other parts."""

    hours: Hours
    edges: list[Filter]

    def of(self, narrow: Callable[[Filter], Filter]) -> "Split":
        """Return the split of the filter that `narrow` makes; it does not change the time."""
        return Split(self.hours, list(map(narrow, self.edges)))


def hours_inside(since_us: int | None, until_us: int | None) -> Hours:
    return Hours(
        None if since_us is None else -(-_bounded(since_us) // HOUR_US),
        None if until_us is None else _bounded(until_us) // HOUR_US,
    )


def hours_around(since_us: int | None, until_us: int | None) -> Hours:
    return Hours(
        None if since_us is None else _bounded(since_us) // HOUR_US,
        None if until_us is None else -(-_bounded(until_us) // HOUR_US),
    )


def parts(hours: Hours, folded_until: int) -> Iterator[Part]:
    """Cut hours into days and edges; days have only the hours before `folded_until`."""
    if hours.is_empty:
        return
    first, until = hours
    if first is None:
        first_day = None
    else:
        first_day = -(-first // DAY_HOURS)
    if until is None or until >= folded_until:
        hours_until = folded_until
        until_day = -(-folded_until // DAY_HOURS)
    else:
        until_day = until // DAY_HOURS
        hours_until = until_day * DAY_HOURS

    if first_day is not None and first_day >= until_day:
        yield Part("hour", first, until)
        return

    if first is not None and first_day is not None and first < first_day * DAY_HOURS:
        yield Part("hour", first, first_day * DAY_HOURS)
    yield Part("day", first_day, until_day)
    if until is None or hours_until < until:
        yield Part("hour", hours_until, until)


def fold_before(newest_us: int, now_us: int) -> int:
    """Return the hour before which hours are folded into their days: all but the newest record's
    and the previous one.

    A record from the future has a wrong clock and does not count: otherwise all later records would
    be added to hour and day.
    """
    return min(newest_us, now_us) // HOUR_US - 1


def split(filter: Filter, newest_us: int | None) -> Split:
    """Cut a filter at whole hours.

    Bounds after the start of the newest record do not matter; it is None if unknown.
    """
    since = filter.since_us
    until = filter.until_us
    if until is not None and newest_us is not None and until > newest_us:
        until = None
    hours = hours_inside(since, until)
    if hours.is_empty:
        return Split(Hours(0, 0), [filter])

    edges = []
    if since is not None and hours.first is not None and since < hours.first * HOUR_US:
        edges.append(replace(filter, until_us=_least(hours.first * HOUR_US, filter.until_us)))
    if until is not None and hours.until is not None and hours.until * HOUR_US < until:
        edges.append(replace(filter, since_us=hours.until * HOUR_US))
    return Split(hours, edges)


def has_whole_hours(filter: Filter) -> bool:
    """Return True if a filter's range of time begins and ends with an hour, or has no bounds."""
    return all(
        bound is None or bound % HOUR_US == 0 for bound in (filter.since_us, filter.until_us)
    )


def steps(since_us: int, until_us: int, buckets: int, *, is_long: bool) -> tuple[int, list[int]]:
    """Choose the steps of a histogram from `since_us` to `until_us`, exclusive: `buckets`, and one
    more for whole hours.

    If the range is too long to be scanned, steps are whole hours or whole days. Returns the length
    of a step, and the beginning of each: the first at `since_us` or, with whole hours or days,
    before it.
    """
    length = max(until_us - since_us, 1)
    step = -(-length // max(buckets, 1))
    if not is_long and step < HOUR_US:
        return step, list(range(since_us, until_us, step))

    # A step that is rounded up to a day is a day: it begins at midnight like any other.
    if step > HOUR_US * (DAY_HOURS - 1):
        unit = HOUR_US * DAY_HOURS
    else:
        unit = HOUR_US
    step = -(-step // unit) * unit
    return step, list(range(since_us // unit * unit, until_us, step))


def is_in_hours(since_us: int, until_us: int) -> bool:
    """Return True if a range is counted in whole hours for each of many values, by rollups."""
    return until_us - since_us >= MIN_IN_HOURS_US


def _least(bound: int, other: int | None) -> int:
    if other is None:
        return bound
    return min(bound, other)


def _bounded(value: int) -> int:
    return max(min(value, MAX_HOUR * HOUR_US), -MAX_HOUR * HOUR_US)


def unused_before(floor_us: int, oldest_us: int | None, now_us: int) -> int:
    """Return a day such that repeated text last looked up before it is unused, also by rows to
    come.

    The oldest row started at `oldest_us` or later; None without rows. Writers remember the texts
    that they looked up today and, about midnight, yesterday.
    """
    floor_day = floor_us // DAY_US
    if oldest_us is None:
        return floor_day
    return max(floor_day, min(oldest_us, now_us - DAY_US) // DAY_US)
