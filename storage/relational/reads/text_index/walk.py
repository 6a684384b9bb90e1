"""The slices that a search reads: all rows, or only those that the index of words leaves.

Strategy: entries of the index are read in batches, in the order of the walk. The rows that a batch
leaves are walked before the next, twice as large, is read: a page that fills early reads few
entries, and one that finds nothing reads all, in few queries (0.1 ms a segment and word). Rows
without an entry are walked as they are. Where an alternative of the search needs no words, all rows
are walked, in slices that know which of their rows can have the words of the others (`Window`).

Invariant: every row that fulfils the filter is in a slice; slices come in the order of the walk.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Final, Self

from storage.query import Order
from storage.relational.reads.text_index.cells import IndexEntry, Segment, part_key
from storage.relational.reads.text_index.tables import read_cells, read_parts, read_segments
from storage.relational.session import Selection, Session
from storage.relational.slices import Pace, Range, joint_slices, slices, windows
from storage.search.index.needs import rows_of, terms_of
from storage.search.index.segment import (
    MASK_BITS,
    MAX_CELLS,
    WHOLE_CELL,
    part_of,
    rows_in,
    rows_with,
)

_SEGMENT_WEIGHT: Final = 32
"""Cells that a segment counts for."""
_FIRST_BATCH: Final = _SEGMENT_WEIGHT
"""Cells of the first batch: one segment has a page of a word in 1 % of the records."""
_MAX_BATCH: Final = 128 * _SEGMENT_WEIGHT
"""128 segments: half a megabyte of parts for each word, of prose."""
_ALL_ROWS: Final = (1 << MASK_BITS * MAX_CELLS) - 1


class Slices:
    """Iterates over the slices of a range."""

    def __init__(self, session: Session, selected: Selection, whole: Range, order: Order) -> None:
        """Walk the selected rows of a range, from the end at which the order begins."""
        self._session = session
        *others, self._need = selected.needs
        self._has_windows = bool(others)
        self._terms = sorted(terms_of(self._need))
        self._order: Order = order
        self._pace = Pace(selected.first_rows, patience=session.dialect.patience)
        self._slices: Iterator[Range] = iter(())
        if not self._terms:
            self._slices = slices(whole, order, self._pace)
        self._rest = whole
        """Rows behind the current batch."""
        self._entries: list[IndexEntry] | None = None
        """Entries behind the current batch, in the order of the walk; None before the first."""
        self._batch_cells = _FIRST_BATCH
        self._has_found = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Range:
        while True:
            for part in self._slices:
                return part
            if not self._terms or self._rest.is_empty:
                raise StopAsyncIteration

            batch, possible = await self._read_batch()
            if not self._has_found:
                # A row that the index names takes longer than one of the newest, which it lacks.
                self._pace.restart()
            if self._has_windows:
                self._slices = windows(batch, possible, self._order, self._pace)
            else:
                if self._order == "asc":
                    ordered = possible
                else:
                    ordered = possible[::-1]
                self._slices = joint_slices(ordered, self._order, self._pace)

    def expect(self, rows: int) -> None:
        """Limit the next slice: about so many rows should hold the missing matches."""
        self._has_found = True
        self._pace.expect(rows)

    async def _read_batch(self) -> tuple[Range, list[Range]]:
        """Return the rows of the next batch of entries, and ranges of those that can match."""
        if self._entries is None:
            self._entries = await self._all_entries()
        count = _batch_size(self._entries, self._batch_cells)
        self._batch_cells = min(2 * self._batch_cells, _MAX_BATCH)
        entries = self._entries[:count]
        self._entries = self._entries[count:]
        batch, self._rest = self._cut_rest(entries)

        masks = await self._masks([entry for entry in entries if isinstance(entry, Segment)])
        covered: list[Range] = []
        possible: list[Range] = []
        for entry in sorted(entries, key=lambda each: each.rows.first):
            covered.append(entry.rows)
            if isinstance(entry, Segment):
                mask = rows_of(self._need, masks[entry.rows.first], _ALL_ROWS)
            else:
                found = {term: rows_in(entry.signature, term) for term in self._terms}
                mask = rows_of(self._need, found, WHOLE_CELL)
            possible += entry.named(mask)

        possible += _gaps(covered, batch)
        possible.sort(key=lambda rows: rows.first)
        return batch, _joined(possible, batch)

    async def _all_entries(self) -> list[IndexEntry]:
        entries: list[IndexEntry] = list(await read_segments(self._session, self._rest))
        entries += await read_cells(self._session, self._rest)
        return sorted(entries, key=lambda each: each.rows.first, reverse=self._order == "desc")

    def _cut_rest(self, batch: Sequence[IndexEntry]) -> tuple[Range, Range]:
        """Cut the rest behind the rows of the next entries, or of the last ones at its end."""
        rest = self._rest
        if not self._entries:
            return rest, Range(rest.last + 1, rest.last)

        if self._order == "asc":
            end = max(entry.rows.last for entry in batch)
            return Range(rest.first, min(end, rest.last)), Range(end + 1, rest.last)
        start = min(entry.rows.first for entry in batch)
        return Range(max(start, rest.first), rest.last), Range(rest.first, start - 1)

    async def _masks(self, segments: Sequence[Segment]) -> dict[int, dict[int, int]]:
        """Return the rows that have terms: first row of the segment → term → bits of rows."""
        keys = {
            (segment.rows.first, term): part_key(segment.rows.first, part_of(term))
            for segment in segments
            for term in self._terms
        }
        parts = await read_parts(self._session, sorted(set(keys.values())))
        masks: dict[int, dict[int, int]] = {segment.rows.first: {} for segment in segments}

        def look() -> None:
            for (first, term), key in keys.items():
                part = parts.get(key)
                # A replica may not have a part yet: then every row may have the word.
                masks[first][term] = _ALL_ROWS if part is None else rows_with(part, term)

        await self._session.aside(look)
        return masks


def _batch_size(entries: Sequence[IndexEntry], max_cells: int) -> int:
    """Return how many of the first entries make up a batch."""
    cells = accumulate(_SEGMENT_WEIGHT if isinstance(entry, Segment) else 1 for entry in entries)
    return sum(1 for _ in takewhile(lambda total: total <= max_cells, cells))


def _gaps(covered: Sequence[Range], whole: Range) -> list[Range]:
    """List the rows between rising ranges, within bounds."""
    gaps = []
    first = whole.first
    for rows in covered:
        if rows.first > first:
            gaps.append(Range(first, rows.first - 1))
        first = max(first, rows.last + 1)

    if first <= whole.last:
        gaps.append(Range(first, whole.last))
    return gaps


def _joined(ranges: Sequence[Range], whole: Range) -> list[Range]:
    """Join adjacent ranges, within bounds."""
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
