"""Align two sequences by patience diff, in nearly linear time.

Strategy: a common prefix, a common suffix, and the anchors between them are common runs. An anchor
is an element that occurs once on either side, in the same order as the other anchors. The spans
between anchors are aligned in the same way, a few rounds deep. The rest is paired by position.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from typing import Final, NamedTuple

MAX_ROUNDS: Final = 8
"""Limit of the depth. A round costs the length of its spans, so without a limit a crafted text
could take the square of its length.
"""


class CommonRun(NamedTuple):
    """Consecutive elements that are equal on both sides."""

    old: int
    new: int
    size: int


def common_runs(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[CommonRun]:
    """Return the common runs, increasing on both sides.

    The last run is empty and at the ends of both, so that callers can treat the rest as any other
    gap.
    """
    found: list[CommonRun] = []
    spans = [(0, len(old), 0, len(new), MAX_ROUNDS)]
    while spans:
        i, i_end, j, j_end, rounds = spans.pop()

        prefix = 0
        while i < i_end and j < j_end and old[i] == new[j]:
            i += 1
            j += 1
            prefix += 1
        found.append(CommonRun(i - prefix, j - prefix, prefix))

        suffix = 0
        while i < i_end and j < j_end and old[i_end - 1] == new[j_end - 1]:
            i_end -= 1
            j_end -= 1
            suffix += 1
        found.append(CommonRun(i_end, j_end, suffix))

        if not rounds or i == i_end or j == j_end:
            continue

        anchors = _anchors(_unique(old, i, i_end), _unique(new, j, j_end))
        if anchors:
            found += anchors
            for at, to, _ in (*anchors, CommonRun(i_end, j_end, 0)):
                spans.append((i, at, j, to, rounds - 1))
                i = at + 1
                j = to + 1

    return [*sorted(run for run in found if run.size), CommonRun(len(old), len(new), 0)]


def unmatched(
    old: Sequence[Hashable], new: Sequence[Hashable]
) -> Iterator[tuple[int | None, int | None]]:
    """Yield the indices between the common runs, paired by position. None means no counterpart."""
    i = 0
    j = 0
    for at, to, size in common_runs(old, new):
        paired = min(at - i, to - j)
        yield from ((i + step, j + step) for step in range(paired))
        yield from ((place, None) for place in range(i + paired, at))
        yield from ((None, place) for place in range(j + paired, to))
        i = at + size
        j = to + size


def longest_increasing(numbers: Sequence[int]) -> list[int]:
    """Return the indices of a longest increasing subsequence of distinct numbers."""
    # Smallest last number of a subsequence of each length, and its index.
    tails: list[int] = []
    places: list[int] = []
    before: list[int] = []
    for place, number in enumerate(numbers):
        length = bisect_left(tails, number)
        tails[length : length + 1] = [number]
        places[length : length + 1] = [place]
        before.append(places[length - 1] if length else -1)

    found: list[int] = []
    at = places[-1] if places else -1
    while at >= 0:
        found.append(at)
        at = before[at]
    return found[::-1]


def _anchors(ours: dict[Hashable, int], theirs: dict[Hashable, int]) -> list[CommonRun]:
    """Return a longest list of common elements in the same order, given the unique ones."""
    common = [CommonRun(at, theirs[key], 1) for key, at in ours.items() if key in theirs]
    return [common[place] for place in longest_increasing([run.new for run in common])]


def _unique(keys: Sequence[Hashable], start: int, end: int) -> dict[Hashable, int]:
    """Return the elements of a span that occur once, with their increasing indices."""
    places: dict[Hashable, int] = {}
    for at in range(start, end):
        places[keys[at]] = -1 if keys[at] in places else at
    return {key: at for key, at in places.items() if at >= 0}
