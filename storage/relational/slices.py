"""Ranges of rows by `seq`, and the slices of a walk over them: the time of one sets the width of
the next.

Strategy: a quick slice (an index served it) makes the next one wider, a slow one narrower. So an
indexed list costs one or two statements, and a search for a rare combination proceeds in steps that
fit a time budget. Several short ranges share one slice, so that a distant database answers once for
all of them.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from storage.query import Order

FIRST_SLICE: Final = 10_000
"""Rows; a few milliseconds of scanning."""
MAX_JOINED: Final = 2_500
"""Most rows of ranges that share a slice, to be multiplied by the patience: rows beyond a page
would be examined for nothing.
"""
SLICE_S: Final = 0.25
"""A slice that takes this time makes the next one as wide."""
_MOST_WIDER: Final = 8
_MOST_NARROWER: Final = 4
_AMPLE: Final = 2
"""The next slice has this many times the rows that should be enough: one more slice would cost more
than these rows.
"""


@dataclass(frozen=True, slots=True)
class Range:
    """Rows by `seq`, both ends inclusive; empty when `first` is above `last`."""

    first: int
    last: int

    @property
    def is_empty(self) -> bool:
        return self.first > self.last

    @property
    def size(self) -> int:
        """The number of rows that it can have, 0 if it is empty."""
        return max(0, self.last - self.first + 1)

    def following(self, after: int | None, order: Order) -> "Range":
        """Return the part after a row, in an order; without a row, the whole range."""
        if after is None:
            return self
        if order == "asc":
            return Range(max(self.first, after + 1), self.last)
        return Range(self.first, min(self.last, after - 1))

    def without(self, rows: int, order: Order) -> "Range":
        if order == "asc":
            return Range(self.first + rows, self.last)
        return Range(self.first, self.last - rows)


@dataclass(frozen=True, slots=True)
class Spread(Range):
    """The rows of some parts of a range, in rising order."""

    parts: tuple[Range, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


def spread(parts: Sequence[Range]) -> Range:
    """Join at least one range, in rising order."""
    if len(parts) == 1:
        return parts[0]
    return Spread(parts[0].first, parts[-1].last, tuple(parts))


@dataclass(frozen=True, slots=True)
class Window(Range):
    """All rows of a range, and the parts of it that can match by the index of words."""

    possible: tuple[Range, ...]


class Pace:
    """The width of the slices of a walk, set by the time of the previous slice."""

    def __init__(
        self,
        least: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        patience: float = 1.0,
    ) -> None:
        """Begin with slices of the least width, `FIRST_SLICE` unless given.

        `patience` multiplies the time of a slice, for stores with a high fixed cost of each slice.
        """
        self._least = self.width = FIRST_SLICE if least is None else least
        self._clock = clock
        self.max_joined = int(MAX_JOINED * patience)
        self._slice_s = SLICE_S * patience
        self._began_s = 0.0
        self._enough: int | None = None

    def restart(self) -> None:
        """Begin with narrow slices again, for rows of another kind."""
        self.width = self._least

    def start(self) -> None:
        """Begin a slice."""
        self._began_s = self._clock()
        self._enough = None

    def expect(self, rows: int) -> None:
        """Note how many rows should contain the missing matches, by their frequency in the current
        slice.
        """
        self._enough = rows * _AMPLE

    def finish(self, rows: int) -> None:
        """End a slice of so many rows, and set the width of the next.

        A slice may have had fewer rows than its width, so the next follows from its rows.
        """
        took_s = self._clock() - self._began_s
        wider = self._slice_s / max(took_s, self._slice_s / _MOST_WIDER)
        width = int(rows * max(wider, 1 / _MOST_NARROWER))
        if wider >= 1:
            width = max(width, self.width)
        if self._enough is not None:
            width = min(width, self._enough)
        self.width = max(self._least, width)


def slices(whole: Range, order: Order, pace: Pace) -> Iterator[Range]:
    """Cut a range, in order, into slices; the caller's time between two of them sets the width of
    the next.
    """
    return joint_slices([whole], order, pace)


def windows(whole: Range, possible: Sequence[Range], order: Order, pace: Pace) -> Iterator[Window]:
    """Cut a range as `slices` does; each slice includes its share of the possible ranges, which are
    in rising order.
    """
    for part in slices(whole, order, pace):
        first = bisect_left(possible, part.first, key=attrgetter("last"))
        last = bisect_right(possible, part.last, key=attrgetter("first"))
        within = (
            Range(max(rows.first, part.first), min(rows.last, part.last))
            for rows in possible[first:last]
        )
        yield Window(part.first, part.last, tuple(within))


def joint_slices(ranges: Sequence[Range], order: Order, pace: Pace) -> Iterator[Range]:
    """Cut ranges, given in the order of the walk, into slices: each a part of one range, or several
    whole ranges.
    """
    rest = [whole for whole in reversed(ranges) if not whole.is_empty]
    while rest:
        pace.start()
        part = _next(rest, pace.width, order, pace.max_joined)
        yield part
        pace.finish(part.size)


def _next(rest: list[Range], width: int, order: Order, max_joined: int) -> Range:
    """Take the next slice off some ranges; the last range is the next one."""
    part, left = _cut(rest.pop(), width, order)
    if not left.is_empty:
        rest.append(left)
    if not left.is_empty:
        return part

    parts = [part]
    room = min(width, max_joined) - part.size
    while rest and rest[-1].size <= room:
        parts.append(rest.pop())
        room -= parts[-1].size
    return spread(parts if order == "asc" else parts[::-1])


def _cut(whole: Range, width: int, order: Order) -> tuple[Range, Range]:
    if order == "asc":
        middle = min(whole.first + width - 1, whole.last)
        return Range(whole.first, middle), Range(middle + 1, whole.last)
    middle = max(whole.last - width + 1, whole.first)
    return Range(middle, whole.last), Range(whole.first, middle - 1)
