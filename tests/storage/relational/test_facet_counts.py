"""What is remembered of facets is true, and bounded."""

from storage.relational.facet_counts import Counts, KnownCounts, merged
from storage.relational.time_ranges import TimeRange

ONE: TimeRange = ("day", 1)
TWO: TimeRange = ("hour", 30)


def test_a_period_is_known_as_long_as_its_stamp_is_the_same() -> None:
    """Counts are answered for the stamp they were learned with, and for no other."""
    known = KnownCounts()
    known.learn("q", ONE, (7, 0), {"route": {1: 7}})
    assert known.find("q", {ONE: (7, 0), TWO: (1, 0)}) == ([{"route": {1: 7}}], [TWO])
    assert known.find("q", {ONE: (8, 0)}) == ([], [ONE])
    assert known.find("q", {ONE: (7, 1)}) == ([], [ONE])
    assert known.find("other", {ONE: (7, 0)}) == ([], [ONE])


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    """The number of values is bounded; a period that was asked for lately outlives the others."""
    known = KnownCounts(max_values=8)
    known.learn("q", ONE, (1, 0), {"route": {1: 1, 2: 1}})
    known.learn("q", TWO, (1, 0), {"route": {1: 1, 2: 1}})
    assert known.find("q", {ONE: (1, 0)})[1] == []
    known.learn("other", ONE, (1, 0), {"route": {1: 1, 2: 1}})
    assert known.find("q", {ONE: (1, 0), TWO: (1, 0)})[1] == [TWO]
    for records in range(100):
        known.learn("q", ONE, (records, 0), {"route": {1: records}})
    assert known.find("other", {ONE: (1, 0)})[1] == []


def test_a_period_larger_than_the_bound_is_not_kept() -> None:
    """Counts of more values than may be remembered are simply counted again."""
    known = KnownCounts(max_values=3)
    known.learn("q", ONE, (1, 0), {"route": dict.fromkeys(range(9), 1)})
    assert known.find("q", {ONE: (1, 0)}) == ([], [ONE])


def test_counts_are_added_without_touching_what_is_remembered() -> None:
    """Sums are new dictionaries; every facet asked for is in them."""
    part: Counts = {"route": {1: 1, 2: 5}}
    assert merged(("route", "level"), (part, {"route": {2: 1}})) == {
        "route": {1: 1, 2: 6},
        "level": {},
    }
    assert part == {"route": {1: 1, 2: 5}}
