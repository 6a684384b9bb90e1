"""Slices cover a range once, in order, and their width follows how long they took."""

from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from storage.query import Order
from storage.relational import slices as module
from storage.relational.slices import Pace, Range, Spread, joint_slices, slices, windows
from tests.support.cases import each_of

FIRST = module.FIRST_SLICE


def widths(seconds: list[float], whole: Range) -> list[int]:
    """Walk a range with slices that take so long, and answer how wide each was."""
    # The clock is read before and after each slice.
    times = iter(list(chain.from_iterable((0.0, took_s) for took_s in seconds)) + [0.0] * 1000)
    return [
        part.last - part.first + 1 for part in slices(whole, "asc", Pace(clock=lambda: next(times)))
    ]


def test_quick_slices_widen_and_slow_ones_narrow() -> None:
    """By how much too quick or too slow they were: eight times, or a quarter, at most, never below
    the first width.
    """
    found = widths([0.001, 0.05, 0.5, 2.0, 2.0, 2.0], Range(1, 100 * FIRST))
    assert [width // FIRST for width in found[:7]] == [1, 8, 40, 20, 5, 1, 1]


def test_a_patient_walk_widens_longer() -> None:
    """Where every slice costs much, one is slow that took so many times as long."""
    times = iter([0.0, 0.05, 0.05, 0.65, 0.65, 3.15, *[3.15] * 1000])
    found = slices(Range(1, 100 * FIRST), "asc", Pace(clock=lambda: next(times), patience=5.0))
    assert [part.size // FIRST for part in found][:4] == [1, 8, 16, 8]


def test_a_walk_that_has_nearly_enough_goes_on_in_few_rows() -> None:
    """Twice as many as should have the rest, never fewer than at first; where nothing is found it
    widens again.
    """
    pace = Pace(1000, lambda: 0.0)
    found = slices(Range(1, 100_000), "asc", pace)
    widths = []

    for part, rows in zip(found, (None, 1200, 10, None, None), strict=False):
        widths.append(part.size)
        if rows is not None:
            pace.expect(rows)

    assert widths == [1000, 8000, 2400, 1000, 8000]


def test_few_rows_say_nothing_of_many() -> None:
    """A slice that had fewer rows than its width, as behind the newest of the index, widens the next
    by what it had.
    """
    pace = Pace(16, lambda: 0.0)
    few = [part.size for part in joint_slices([Range(100, 100 + 52)], "asc", pace)]
    assert few == [16, 37]
    every_second = [Range(first, first) for first in range(1000, 9000, 2)]
    assert [part.size for part in joint_slices(every_second, "asc", pace)][:2] == [296, 2368]


def test_a_slow_slice_of_few_rows_narrows_the_next_by_them() -> None:
    times = iter([0.0, 0.0, 0.0, 1.0, *[1.0] * 1000])
    pace = Pace(16, lambda: next(times))
    list(joint_slices([Range(0, 15), Range(20, 99)], "asc", pace))
    assert pace.width == 20


@given(
    first=st.integers(-5, 5),
    length=st.integers(0, 500_000),
    order=st.sampled_from(("asc", "desc")),
    took_s=st.sampled_from((0.0, 0.05, 1.0)),
)
def test_slices_are_the_range(first: int, length: int, order: Order, took_s: float) -> None:
    """Slices follow each other without gap or overlap, in the order asked for."""
    whole = Range(first, first + length - 1)
    now_s = [0.0]

    def clock() -> float:
        now_s[0] += took_s
        return now_s[0]

    parts = list(slices(whole, order, Pace(clock=clock)))
    if order == "desc":
        parts.reverse()
    assert sum(part.last - part.first + 1 for part in parts) == length
    for before, after in pairwise(parts):
        assert after.first == before.last + 1
    assert whole.is_empty == (not parts)


def parts_of(part: Range) -> tuple[Range, ...]:
    """List the ranges of a slice."""
    return part.parts if isinstance(part, Spread) else (part,)


@given(
    lengths=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 50)), max_size=40),
    order=st.sampled_from(("asc", "desc")),
    took_s=st.sampled_from((0.0, 0.05, 1.0)),
    first_rows=st.sampled_from((10, 100, 1000)),
)
def test_slices_of_ranges_are_their_rows(
    lengths: list[tuple[int, int]], order: Order, took_s: float, first_rows: int
) -> None:
    """All rows of the ranges and no others, each once, in the order asked for; only one that is
    wide is cut.
    """
    ranges = []
    first = 1
    for length, gap in lengths:
        ranges.append(Range(first, first + length - 1))
        first += length + gap
    now_s = [0.0]

    def clock() -> float:
        now_s[0] += took_s
        return now_s[0]

    found: list[Range] = []
    for part in joint_slices(
        ranges if order == "asc" else ranges[::-1], order, Pace(first_rows, clock)
    ):
        parts = parts_of(part)
        assert (part.first, part.last) == (parts[0].first, parts[-1].last)
        walked = parts if order == "asc" else parts[::-1]
        assert all(each in ranges for each in walked[1:])
        found += walked

    assert all(not part.is_empty for part in found)
    if order == "desc":
        found.reverse()
    rows = [row for part in found for row in range(part.first, part.last + 1)]
    assert rows == [row for part in ranges for row in range(part.first, part.last + 1)]


def test_short_ranges_share_a_slice_within_bounds() -> None:
    """As many as the width has room for, more after a quick one, and never more than some."""
    ranges = [Range(number * 1000, number * 1000 + 99) for number in range(2000)]
    sizes = [part.size for part in joint_slices(ranges, "asc", Pace(1000, lambda: 0.0))]
    assert sizes[:2] == [1000, module.MAX_JOINED]
    assert max(sizes) == module.MAX_JOINED


def test_walks_at_one_pace_go_on_as_wide() -> None:
    """Who walks some ranges after others begins where those before have come to."""
    pace = Pace(16, lambda: 0.0)
    assert [part.size for part in slices(Range(1, 2000), "desc", pace)] == [16, 128, 1024, 832]
    assert next(slices(Range(1, 100_000), "desc", pace)).size == 8192


def test_rows_of_another_kind_begin_narrow() -> None:
    pace = Pace(16, lambda: 0.0)
    list(slices(Range(1, 2000), "desc", pace))
    pace.restart()
    assert next(slices(Range(1, 100_000), "desc", pace)).size == 16


@given(
    lengths=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 50)), max_size=40),
    first=st.integers(0, 500),
    order=st.sampled_from(("asc", "desc")),
)
def test_windows_tell_which_of_their_rows_are_in_ranges(
    lengths: list[tuple[int, int]], first: int, order: Order
) -> None:
    """They are the slices of the whole, and what they tell, together, is what is in it of the
    ranges.
    """
    told = []
    start = 1
    for length, gap in lengths:
        told.append(Range(start, start + length - 1))
        start += length + gap
    whole = Range(first, first + 5000)
    found = list(windows(whole, told, order, Pace(100)))
    assert {row for part in found for row in range(part.first, part.last + 1)} == set(
        range(first, first + 5001)
    )
    assert sum(part.size for part in found) == whole.size
    rows = [
        row for part in found for each in part.possible for row in range(each.first, each.last + 1)
    ]
    assert sorted(rows) == [
        row for each in told for row in range(each.first, each.last + 1) if 0 <= row - first <= 5000
    ]
    for part in found:
        assert all(part.first <= each.first <= each.last <= part.last for each in part.possible)


@each_of(
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
