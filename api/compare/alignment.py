"""Which elements of two sequences stand for each other. Pure, and close to linear in whatever is
compared.

Strategy: patience. A common beginning and end, then what occurs once on either side and in the same
order, hold the sequences together; between those it goes on, a few rounds deep. What is left
between two runs is paired by position.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from typing import Final, NamedTuple

MAX_ROUNDS: Final = 8
"""Each costs the length of what is left: without a limit, a text made for it would take the square
of its length.
"""


class CommonRun(NamedTuple):
    """Equal elements that follow each other on both sides."""

    old: int
    new: int
    size: int


def runs(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[CommonRun]:
    """Find the runs that hold two sequences together: rising on both sides, the last one empty and
    at their ends.
    """
    found: list[CommonRun] = []
    spans = [(0, len(old), 0, len(new), MAX_ROUNDS)]
    while spans:
        i, i_end, j, j_end, rounds = spans.pop()
        start = i
        last = i_end
        while i < i_end and j < j_end and old[i] == new[j]:
            i = i + 1
            j = j + 1
        while i < i_end and j < j_end and old[i_end - 1] == new[j_end - 1]:
            i_end = i_end - 1
            j_end = j_end - 1
        found += [CommonRun(start, j - i + start, i - start), CommonRun(i_end, j_end, last - i_end)]
        if rounds and i < i_end and j < j_end:
            ours = _once(old, i, i_end)
            theirs = _once(new, j, j_end)
            common = [CommonRun(at, theirs[key], 1) for key, at in ours.items() if key in theirs]
            anchors = [common[place] for place in rising([run.new for run in common])]
            found += anchors

            for at, to, _ in [*anchors, CommonRun(i_end, j_end, 0)] if anchors else []:
                spans.append((i, at, j, to, rounds - 1))
                i = at + 1
                j = to + 1

    return [*sorted(run for run in found if run.size), CommonRun(len(old), len(new), 0)]


def differing(
    old: Sequence[Hashable], new: Sequence[Hashable]
) -> Iterator[tuple[int | None, int | None]]:
    """Pair what is between the runs, in order; None: there is no counterpart."""
    i = 0
    j = 0
    for at, to, size in runs(old, new):
        common = min(at - i, to - j)
        yield from ((i + step, j + step) for step in range(common))
        yield from ((place, None) for place in range(i + common, at))
        yield from ((None, place) for place in range(j + common, to))
        i = at + size
        j = to + size


def rising(numbers: Sequence[int]) -> list[int]:
    """Return the places of a longest rising run of distinct numbers."""
    tails: list[int] = []  # the smallest last number of a run of each length, and where it is
    places: list[int] = []
    before: list[int] = []

    for place, number in enumerate(numbers):
        length = bisect_left(tails, number)
        tails[length : length + 1] = [number]
        places[length : length + 1] = [place]
        before.append(places[length - 1] if length else -1)

    run: list[int] = []
    at = places[-1] if places else -1
    while at >= 0:
        run.append(at)
        at = before[at]
    return run[::-1]


def _once(keys: Sequence[Hashable], start: int, end: int) -> dict[Hashable, int]:
    """Return the places of what occurs once, rising."""
    places: dict[Hashable, int] = {}
    for at in range(start, end):
        places[keys[at]] = -1 if keys[at] in places else at
    return {key: at for key, at in places.items() if at >= 0}
