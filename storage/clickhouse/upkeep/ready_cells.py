"""Cells of what this sidecar has just stored, made before the index comes to their rows: none of it is read again.

Strategy: a commit hands its entries over. When they are enough for a cell it is made, and they are let go; cells wait
until a segment is made of their rows. Where sidecars commit by turns their runs are shorter than a cell, and all of
them are left to the store.

Invariant: who uses a cell has compared the ids of its records with those that the store shows: they may be erased, or,
behind a server that lost what it had not synced, others by now.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from storage.record import Entry
from storage.relational.reads.text_index.batch_cells import cell_of
from storage.relational.reads.text_index.fresh import FreshRecords, Portion
from storage.relational.search.holders import Cell
from storage.relational.slices import Range

MAX_BYTES: Final = 8 << 20
"""Of what waits; of bodies that repeat their words some 400 000 records. The oldest go first, and are read."""
_AT_ONCE_BYTES: Final = 1 << 20
"""Text of what is made in one step: some milliseconds."""


@dataclass(frozen=True, slots=True)
class ReadyCell:
    """A cell, and what it was made of."""

    cell: Cell
    ids: bytes
    """Of its records, one behind the other."""

    @property
    def rows(self) -> Range:
        return self.cell.rows

    @property
    def size_bytes(self) -> int:
        return len(self.cell.signature) + len(self.ids)


class ReadyCells:
    """Cells of one store, the oldest first."""

    def __init__(self) -> None:
        self._fresh = FreshRecords()
        self._cells: deque[ReadyCell] = deque()
        self._size_bytes = 0

    @property
    def newest_rows(self) -> Range:
        """The rows of the last cells that follow each other; empty without any."""
        run = Range(1, 0)
        for each in reversed(self._cells):
            if not run.is_empty and each.rows.last + 1 != run.first:
                break
            run = Range(each.rows.first, each.rows.last if run.is_empty else run.last)
        return run

    def offer(self, entries: Sequence[Entry]) -> None:
        """Take what was committed together."""
        self._fresh.offer(entries)

    async def make(self, cell_bytes: int, cell_rows: int) -> bool:
        """Make some cells; False where there are not records enough."""
        portions = self._fresh.portions(cell_bytes, cell_rows, _AT_ONCE_BYTES)
        if not portions:
            if self._fresh.is_ended:
                self._fresh.clear()
            return False
        made = await asyncio.to_thread(lambda: [_ready(portion) for portion in portions])
        self._fresh.drop_before(made[-1].rows.last + 1)
        for each in made:
            self._cells.append(each)
            self._size_bytes += each.size_bytes
        while self._size_bytes > MAX_BYTES:
            self._size_bytes -= self._cells.popleft().size_bytes
        return True

    def within(self, rows: Range) -> list[ReadyCell]:
        """List the cells from the beginning of some rows on that follow each other and end in them."""
        found: list[ReadyCell] = []
        first = rows.first
        for each in self._between(rows):
            if each.rows.first != first:
                break
            found.append(each)
            first = each.rows.last + 1
        return found

    def first_within(self, rows: Range) -> int | None:
        """Find where the first cell begins that is in some rows."""
        return next((each.rows.first for each in self._between(rows)), None)

    def drop(self, taken: Collection[Range]) -> None:
        """Let go of what has a row in ranges."""
        if not self._cells:
            return
        first = self._cells[0].rows.first
        near = [rows for rows in taken if rows.last >= first]
        self._cells = deque(
            each
            for each in self._cells
            if not any(rows.first <= each.rows.last and each.rows.first <= rows.last for rows in near)
        )
        self._size_bytes = sum(each.size_bytes for each in self._cells)

    def _between(self, rows: Range) -> Iterator[ReadyCell]:
        return (each for each in self._cells if each.rows.first >= rows.first and each.rows.last <= rows.last)


def _ready(portion: Portion) -> ReadyCell:
    return ReadyCell(
        cell_of(portion.entries, portion.entries[0].record.seq),
        b"".join([entry.record.id for entry in portion.entries]),
    )
