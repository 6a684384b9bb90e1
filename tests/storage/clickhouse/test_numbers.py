"""Numbers of records: they rise, whatever the clock says, and a batch has those of one day."""

from hypothesis import given
from hypothesis import strategies as st

from storage.clickhouse.numbers import DAY, DAY_MS, Numbers, milliseconds_of


def numbers_of(*lanes: int, server_ms: int = 1_000_000) -> Numbers:
    """Numbers that have heard of a clock, which then stands."""
    numbers = Numbers(clock=lambda: 0.0)
    numbers.lanes = lanes
    numbers.hear(server_ms)
    return numbers


@given(
    lanes=st.sets(st.integers(0, 4095), min_size=1, max_size=5),
    counts=st.lists(st.integers(1, 3000), min_size=1, max_size=8),
    clocks=st.lists(st.integers(0, 3 * DAY_MS), min_size=8, max_size=8),
)
def test_numbers_rise_and_a_batch_has_those_of_one_day(
    lanes: set[int], counts: list[int], clocks: list[int]
) -> None:
    """Along a batch and from batch to batch, also when the clock goes back; each in one of the
    lanes.
    """
    numbers = numbers_of(*sorted(lanes))
    last = 0
    for count, server_ms in zip(counts, clocks, strict=False):
        numbers.hear(server_ms)
        taken = list(numbers.take(count))
        assert [last, *taken] == sorted({last, *taken})
        assert len(taken) == count
        assert {seq & 4095 for seq in taken} <= lanes
        assert taken[0] // DAY == taken[-1] // DAY
        last = taken[-1]


def test_a_batch_that_would_cross_midnight_begins_there() -> None:
    """Its rows are one part of one partition."""
    taken = numbers_of(7, server_ms=DAY_MS - 3).take(10)
    assert milliseconds_of(taken[0]) == DAY_MS


def test_numbers_of_one_lane_run_ahead_of_the_clock() -> None:
    """One a millisecond, and of several lanes as many more."""
    one = numbers_of(7)
    four = numbers_of(1, 2, 3, 4)
    one.take(4000)
    four.take(4000)
    assert (one.ahead_ms, four.ahead_ms) == (4000, 1000)
