"""Ranges of rows by `seq`, and how a read walks them: in slices whose width follows how long the last one took. Pure.

Strategy: a slice that was quick (an index served it) makes the next one wider, a slow one narrower, so that an indexed
list costs one or two statements and a rare combination is searched in steps that fit a time budget. Of several ranges
that are short, some make one slice: a database that is far away answers once for all of them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
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

    @property
    def size(self) -> int:
        """How many rows there can be, 0 of an empty one."""
        return max(0, self.last - self.first + 1)

    def following(self, after: int | None, order: Order) -> "Range":
        """Leave what comes after a row, in an order; everything without one."""
        if after is None:
            return self
        if order == "asc":
            return Range(max(self.first, after + 1), self.last)
        return Range(self.first, min(self.last, after - 1))

    def without(self, rows: int, order: Order) -> "Range":
        return Range(self.first + rows, self.last) if order == "asc" else Range(self.first, self.last - rows)


@dataclass(frozen=True, slots=True)
class Spread(Range):
    """Some rows of a range: those of its parts, which rise, with others between them."""

    parts: tuple[Range, ...]


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
    return joint_slices([whole], order, first_rows, clock)


def joint_slices(
    ranges: Sequence[Range],
    order: Order,
    first_rows: int | None = None,
    clock: Callable[[], float] = time.monotonic,
    *,
    joins: bool = True,
) -> Iterator[Range]:
    """Cut ranges, which come in the order of the walk, into slices, each of one range or of some that are not cut.

    Without `joins` each is of one range.
    """
    least = FIRST_SLICE if first_rows is None else first_rows
    rest, width = [whole for whole in reversed(ranges) if not whole.is_empty], least
    while rest:
        began = clock()
        part = _next(rest, width, order, joins=joins)
        yield part
        took_s = clock() - began
        if took_s < QUICK_S and (joins or part.size == width):
            # Rows of many ranges are looked into one by one: the wider takes as much longer.
            width *= 2 if isinstance(part, Spread) else 8
        elif took_s > SLOW_S:
            width = max(least, width // 4)


def _next(rest: list[Range], width: int, order: Order, *, joins: bool) -> Range:
    """Take the next slice off some ranges, the last of which comes first."""
    part, left = _cut(rest.pop(), width, order)
    if not left.is_empty:
        rest.append(left)
    if not joins or not left.is_empty:
        return part
    parts, room = [part], min(width, FIRST_SLICE) - part.size
    while rest and rest[-1].size <= room:
        parts.append(rest.pop())
        room -= parts[-1].size
    if len(parts) == 1:
        return part
    if order == "desc":
        parts.reverse()
    return Spread(parts[0].first, parts[-1].last, tuple(parts))


def _cut(whole: Range, width: int, order: Order) -> tuple[Range, Range]:
    if order == "asc":
        middle = min(whole.first + width - 1, whole.last)
        return Range(whole.first, middle), Range(middle + 1, whole.last)
    middle = max(whole.last - width + 1, whole.first)
    return Range(middle, whole.last), Range(whole.first, middle - 1)
