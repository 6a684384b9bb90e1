"""Ranges of rows by `seq`, and how a read walks them: in slices whose width follows how long the last one took. Pure.

Strategy: a slice that was quick (an index served it) makes the next one wider, a slow one narrower, so that an indexed
list costs one or two statements and a rare combination is searched in steps that fit a time budget.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from storage.query import Order

FIRST_SLICE: Final = 10_000
"""Rows; a few milliseconds of scanning."""
QUICK_S: Final = 0.02
SLOW_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Range:
    """Rows by `seq`, both ends inclusive; empty when `first` is above `last`."""

    first: int
    last: int

    @property
    def is_empty(self) -> bool:
        return self.first > self.last

    def following(self, after: int | None, order: Order) -> "Range":
        """Leave what comes after a row, in an order; everything without one."""
        if after is None:
            return self
        if order == "asc":
            return Range(max(self.first, after + 1), self.last)
        return Range(self.first, min(self.last, after - 1))

    def without(self, rows: int, order: Order) -> "Range":
        return Range(self.first + rows, self.last) if order == "asc" else Range(self.first, self.last - rows)


def slices(
    whole: Range, order: Order, first_rows: int | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Range]:
    """Cut a range, in order, into slices; the time between two is how long the first of them took.

    Args:
        whole: What to cut.
        order: Which end comes first.
        first_rows: Width of the first slice, and the least there is; `FIRST_SLICE` unless given.
        clock: Monotonic seconds.
    """
    least = FIRST_SLICE if first_rows is None else first_rows
    rest, width = whole, least
    while not rest.is_empty:
        began = clock()
        part, rest = _cut(rest, width, order)
        yield part
        took_s = clock() - began
        if took_s < QUICK_S:
            width *= 8
        elif took_s > SLOW_S:
            width = max(least, width // 4)


def _cut(whole: Range, width: int, order: Order) -> tuple[Range, Range]:
    if order == "asc":
        middle = min(whole.first + width - 1, whole.last)
        return Range(whole.first, middle), Range(middle + 1, whole.last)
    middle = max(whole.last - width + 1, whole.first)
    return Range(middle, whole.last), Range(whole.first, middle - 1)
