"""Runs and pairs of two sequences."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.compare.alignment import common_runs, longest_increasing, unmatched
from tests.support.cases import each_of

WORDS = st.lists(st.sampled_from("abcdef"), max_size=30)


@given(old=WORDS, new=WORDS)
def test_every_element_is_in_one_pair_or_one_run(old: list[str], new: list[str]) -> None:
    """Runs are equal and rise on both sides; pairs have all the rest, in order."""
    found = common_runs(old, new)
    for run in found:
        assert old[run.old : run.old + run.size] == new[run.new : run.new + run.size]
    for one, other in pairwise(found):
        assert one.old + one.size <= other.old
        assert one.new + one.size <= other.new
    pairs = list(unmatched(old, new))
    same = [(run.old + step, run.new + step) for run in found for step in range(run.size)]
    assert sorted([i for i, _ in (*pairs, *same) if i is not None]) == list(range(len(old)))
    assert sorted([j for _, j in (*pairs, *same) if j is not None]) == list(range(len(new)))


@given(numbers=st.lists(st.integers(), unique=True, max_size=12))
def test_the_run_is_a_longest_one(numbers: list[int]) -> None:
    """As the square of the work finds it."""
    lengths: list[int] = []
    for at, number in enumerate(numbers):
        lengths.append(1 + max((lengths[i] for i in range(at) if numbers[i] < number), default=0))
    run = [numbers[place] for place in longest_increasing(numbers)]
    assert run == sorted(run)
    assert len(run) == max(lengths, default=0)


@each_of(
    ("old", "new", "pairs"),
    [
        ("abc", "abc", []),
        ("abc", "abxc", [(None, 2)]),
        ("abcd", "bcd", [(0, None)]),
        ("abxcd", "abycd", [(2, 2)]),
        ("acb", "xabcy", [(None, 0), (1, None), (None, 3), (None, 4)]),
        ("aaaa", "aa", [(2, None), (3, None)]),
        ("", "a", [(None, 0)]),
    ],
)
def test_pairs_are_what_differs(
    old: str, new: str, pairs: list[tuple[int | None, int | None]]
) -> None:
    """By position between two runs; what is longer on one side has no counterpart."""
    assert list(unmatched(old, new)) == pairs
