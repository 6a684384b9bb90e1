"""The slices that a search walks: all rows, or only those that can have the words it needs.

Strategy: segments are asked some at a time, in the order of the walk, and the cells that they name
are walked before the next are asked, twice as many: a page that fills early asks few, and one that
finds nothing asks all, at 0.1 ms a segment and word, in few queries. Rows that nothing covers yet
are walked as they are. Where not all rows that are searched have one of the words, all are walked,
in slices that know which of their rows can have one.

Invariant: every row that fulfils the filter is in a slice; slices come in the order of the walk.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Final, Self

from storage.query import Order
from storage.relational.reads.text_index.tables import read_cells, read_parts, read_segments
from storage.relational.search.holders import Holder, Segment, part_key
from storage.relational.session import Selection, Session
from storage.relational.slices import Pace, Range, joint_slices, slices, windows
from storage.search.index.needs import cells_of, terms_of
from storage.search.index.segment import MAX_CELLS, cells_with, has, part_of

_SEGMENTS_AT_ONCE: Final = 8
_CELLS_AT_ONCE: Final = 256
"""Those that no segment has taken in yet, a millisecond."""
_MOST_AT_ONCE: Final = 16 * _CELLS_AT_ONCE
"""128 segments: half a megabyte of parts for each word, of prose."""
_ALL_CELLS: Final = (1 << MAX_CELLS) - 1


class Slices:
    """The slices of a range, one after the other."""

    def __init__(self, session: Session, selected: Selection, whole: Range, order: Order) -> None:
        """Walk the selected rows of a range, from the end at which the order begins."""
        self._session = session
        *wide, self._need = selected.needs
        self._has_windows = bool(wide)
        self._terms = sorted(terms_of(self._need))
        self._order: Order = order
        self._pace = Pace(selected.first_rows, patience=session.dialect.patience)
        self._slices: Iterator[Range] = iter(())
        if not self._terms:
            self._slices = slices(whole, order, self._pace)
        self._rest = whole
        self._holders: list[Holder] | None = None
        self._at_once = _CELLS_AT_ONCE

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Range:
        while True:
            for part in self._slices:
                return part
            if not self._terms or self._rest.is_empty:
                raise StopAsyncIteration

            here, ranges = await self._next_ranges()
            if self._has_windows:
                self._slices = windows(here, ranges, self._order, self._pace)
            else:
                joins = self._session.dialect.joins_ranges
                ordered = ranges if self._order == "asc" else ranges[::-1]
                self._slices = joint_slices(ordered, self._order, self._pace, joins=joins)

    def expect(self, rows: int) -> None:
        """About so many rows have what is still missing: the next slice need not be much wider."""
        self._pace.expect(rows)

    async def _next_ranges(self) -> tuple[Range, list[Range]]:
        """Find the next part of the rest, and what in it can match: rising."""
        if self._holders is None:
            self._holders = await self._all_holders()
        count = _how_many(self._holders, self._at_once)
        self._at_once = min(2 * self._at_once, _MOST_AT_ONCE)
        some = self._holders[:count]
        self._holders = self._holders[count:]
        here, self._rest = self._cut_rest(some)
        found = await self._masks([holder for holder in some if isinstance(holder, Segment)])
        covered: list[Range] = []
        possible: list[Range] = []

        for holder in sorted(some, key=lambda each: each.rows.first):
            covered.append(holder.rows)
            if isinstance(holder, Segment):
                possible += holder.cells(cells_of(self._need, found[holder.rows.first], _ALL_CELLS))
            elif cells_of(
                self._need, {term: int(has(holder.signature, term)) for term in self._terms}, 1
            ):
                possible.append(holder.rows)

        return here, _joined(
            sorted([*possible, *_between(covered, here)], key=lambda rows: rows.first), here
        )

    async def _all_holders(self) -> list[Holder]:
        holders: list[Holder] = list(await read_segments(self._session, self._rest))
        holders += await read_cells(self._session, self._rest)
        return sorted(holders, key=lambda each: each.rows.first, reverse=self._order == "desc")

    def _cut_rest(self, some: Sequence[Holder]) -> tuple[Range, Range]:
        """Cut off the rest what some holders, the next ones, cover, and what lies before them."""
        rest = self._rest
        if not self._holders:
            return rest, Range(rest.last + 1, rest.last)
        if self._order == "asc":
            end = max(holder.rows.last for holder in some)
            return Range(rest.first, min(end, rest.last)), Range(end + 1, rest.last)

        start = min(holder.rows.first for holder in some)
        return Range(max(start, rest.first), rest.last), Range(rest.first, start - 1)

    async def _masks(self, segments: Sequence[Segment]) -> dict[int, dict[int, int]]:
        """Find which cells of segments have which terms, by the first row of the segment."""
        keys = {
            (segment.rows.first, term): part_key(segment.rows.first, part_of(term))
            for segment in segments
            for term in self._terms
        }
        parts = await read_parts(self._session, sorted(set(keys.values())))
        found: dict[int, dict[int, int]] = {segment.rows.first: {} for segment in segments}

        def look() -> None:
            for (first, term), key in keys.items():
                # A replica may not have a part yet: then every cell may have the word.
                found[first][term] = cells_with(parts[key], term) if key in parts else _ALL_CELLS

        await self._session.aside(look)
        return found


def _how_many(holders: Sequence[Holder], at_once: int) -> int:
    """Find how many are asked together, where a segment counts as some cells."""
    each = _CELLS_AT_ONCE // _SEGMENTS_AT_ONCE
    asked = accumulate(each if isinstance(holder, Segment) else 1 for holder in holders)
    return sum(1 for _ in takewhile(lambda total: total <= at_once, asked))


def _between(covered: Sequence[Range], whole: Range) -> list[Range]:
    """List what nothing covers."""
    found = []
    first = whole.first
    for rows in covered:
        if rows.first > first:
            found.append(Range(first, rows.first - 1))
        first = max(first, rows.last + 1)

    if first <= whole.last:
        found.append(Range(first, whole.last))
    return found


def _joined(ranges: Sequence[Range], whole: Range) -> list[Range]:
    """Join neighbours, within bounds."""
    joined: list[Range] = []
    for rows in ranges:
        within = Range(max(rows.first, whole.first), min(rows.last, whole.last))
        if within.is_empty:
            continue
        if joined and joined[-1].last + 1 == within.first:
            joined[-1] = Range(joined[-1].first, within.last)
        else:
            joined.append(within)

    return joined
