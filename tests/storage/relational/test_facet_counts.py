"""What is remembered of facets is true, and bounded."""

from storage.relational.facet_counts import KnownCounts
from storage.relational.time_ranges import TimeRange

ONE: TimeRange = ("day", 1)


def test_a_period_larger_than_the_bound_is_not_kept() -> None:
    """Counts of more values than may be remembered are simply counted again."""
    known = KnownCounts(max_values=3)
    known.learn("q", ONE, (1, 0), {"route": dict.fromkeys(range(9), 1)})
    assert known.find("q", {ONE: (1, 0)}) == ([], [ONE])
