"""Which sums count."""

from storage.clickhouse.upkeep import grids
from storage.clickhouse.upkeep.grids import Covered, Grid, covered
from storage.relational.slices import Range


def done(first: int, last: int, made: int = 1, erasures: int = 0) -> Grid:
    """Sums that are whole."""
    return Grid(first, last, made, erasures, "done")


def void(first: int, last: int, erasure: int) -> Grid:
    """An erasure."""
    return Grid(first, last, 0, erasure, "void")


def test_of_two_over_the_same_rows_one_counts() -> None:
    """Always the same one, whatever order they are read in; what is only begun never does."""
    pair = [done(1, 10, made=3), done(1, 10, made=4)]
    assert covered(pair).made == covered(pair[::-1]).made == [4]
    assert covered([*pair, done(5, 14, made=9), done(11, 20, made=2)]).made == [4, 2]
    assert covered([Grid(1, 10, 3, 0, "begun")]) == Covered()


def test_an_erasure_voids_what_was_begun_before_it() -> None:
    """Where it lies in them."""
    made = [done(1, 10, 1), done(11, 20, 2), done(1, 10, 3, erasures=2)]
    assert covered([*made, void(10, 10, 1)]).made == [3, 2]
    assert covered([*made, void(5, 12, 2)]).made == [3]
    assert covered([*made, void(-5, 50, 3)]).made == []


def test_neighbours_are_one_run() -> None:
    """And a grid that lies only in part in what is shown is left out."""
    found = covered([done(1, 10), done(11, 20), done(31, 40)])
    assert found.runs == [Range(1, 20), Range(31, 40)]
    assert found.within(Range(5, 40)).runs == [Range(11, 20), Range(31, 40)]
    assert found.within(Range(1, 39)).runs == [Range(1, 20)]


def test_of_many_runs_the_newest_are_read() -> None:
    """A condition names no more of them."""
    found = covered([done(number * 20 + 1, number * 20 + 10) for number in range(grids._MAX_RUNS + 3)])
    runs = found.within(Range(1, 10**6)).runs
    assert len(runs) == grids._MAX_RUNS
    assert runs[-1].last == (grids._MAX_RUNS + 2) * 20 + 10
