"""The indexer of words: makes cells of stored rows, behind the commits, and merges them.

Strategy: large batches bring their cells with them (`batch_cells`). The indexer makes the others:
those of small batches, those not ready in time (`making`), those of rows stored before there was an
index, and those dropped by an erasure.

The tables say where to go on: at the first rows without a cell. So a killed process loses nothing,
and cells dropped by an erasure are made again. A step reads in one transaction and writes in
another, which is short. If an erasure ran between them, or another sidecar indexed the same rows,
the step writes nothing.

Invariant: entries of the index cover rows as they are. An erasure drops the entries of its rows in
its transaction, and is counted; nothing is written that was read before an erasure.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from storage.purge import TextStep
from storage.record import Entry
from storage.relational.reads.text_index.batch_cells import PreparedCells, cells_of, has_cells
from storage.relational.reads.text_index.cells import Cell
from storage.relational.reads.text_index.making import CellMaking
from storage.relational.reads.text_index.merge import (
    LEAST_CELLS,
    Run,
    keep_parts,
    keep_segment,
    mergeable,
    read_run,
)
from storage.relational.reads.text_index.tables import (
    add_cell,
    covered,
    drop,
    expired,
    lock_erasures,
)
from storage.relational.reads.text_index.texts import cell_of_rows, first_rows, text_bytes
from storage.relational.session import BlockSession, Session
from storage.relational.slices import Range
from storage.search.index.segment import MANY

T = TypeVar("T")

CELL_BYTES: Final = 512 * 1024
"""Text of a cell, about. A larger one repeats fewer words of the next."""
CELL_ROWS: Final = MANY
"""Most rows of a cell: each has a number of its own."""
_PARTS_AT_ONCE: Final = 64
"""Parts of a segment written in one transaction: 2 ms of the writer."""


class Transactions(Protocol):
    """Runs work in a transaction of its own."""

    async def __call__(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Call the work with the session of the transaction."""
        ...


@dataclass(frozen=True, slots=True)
class _Made:
    """A cell that is to be written."""

    cell: Cell
    records: int
    erasures: int
    """The store's count of erasures when the rows were read."""


class TextIndexer:
    """Makes the index of one store, step by step. One step at a time."""

    def __init__(self, read: Transactions, write: Transactions) -> None:
        self._read = read
        self._write = write
        self._last_cell_rows = 0
        """Rows of the last cell. For the next up to twice as many are read."""
        self._from_seq = 0
        """Where the search for rows without a cell begins. Those before it come last."""
        self._cells_since_upkeep = LEAST_CELLS
        """Cells made since expired entries and cells to merge were looked for."""
        self._is_enabled = False
        """Whether the index is made: set by the first step."""
        self._making = CellMaking()

    async def prepare(self, entries: Sequence[Entry]) -> PreparedCells:
        """Make the cells of a batch, those that are ready in time; none of a small batch."""
        if not self._is_enabled or not has_cells(entries, CELL_BYTES, CELL_ROWS):
            return PreparedCells()

        cells = await self._making.make(cells_of(entries, CELL_BYTES, CELL_ROWS))
        self._cells_since_upkeep += len(cells)
        return PreparedCells.of(cells)

    async def step(self) -> TextStep:
        """Do one step of the text index's upkeep: make a cell, merge cells to a segment, or drop
        expired entries.
        """
        self._is_enabled = True
        if self._cells_since_upkeep >= LEAST_CELLS and await self._upkeep():
            return TextStep(0, is_done=False)

        made = await self._read(self._make_cell)
        if made is None:
            return TextStep(0, is_done=not await self._upkeep())

        if not await self._write(partial(_keep_cell, made=made)):
            self._from_seq = 0
            return TextStep(0, is_done=False, is_lost=True)

        self._from_seq = made.cell.rows.last + 1
        self._cells_since_upkeep += 1
        return TextStep(made.records, is_done=False)

    async def _upkeep(self) -> bool:
        """Drop expired entries or merge some cells; False when there is nothing to do."""
        gone = await self._read(expired)
        if gone:
            await self._write(partial(drop, gone=gone))
            return True

        run = await self._read(mergeable)
        if run is not None:
            await self._merge(run)
            return True

        self._cells_since_upkeep = 0
        return False

    async def _make_cell(self, session: BlockSession) -> _Made | None:
        """Make the next cell, first behind the last one, then before it; None for none."""
        made = await self._make_from(session)
        if made is None and self._from_seq:
            self._from_seq = 0
            made = await self._make_from(session)
        return made

    async def _make_from(self, session: BlockSession) -> _Made | None:
        """Make a cell of the first rows from `_from_seq` on that lack one; None for none."""
        gap, is_newest = await _first_gap(session, self._from_seq)
        self._from_seq = gap.first
        if gap.is_empty:
            return None

        max_rows = min(CELL_ROWS, 2 * self._last_cell_rows or CELL_ROWS)
        rows, is_all = await first_rows(session, gap, CELL_BYTES, max_rows)
        if is_newest and is_all and sum(map(text_bytes, rows)) < CELL_BYTES * 3 // 4:
            return None  # Wait for more rows: the cell would be small.

        if is_all:
            covered_rows = gap
        else:
            covered_rows = Range(gap.first, rows[-1][0])
        cell = await cell_of_rows(session, rows, covered_rows)
        self._last_cell_rows = len(rows)
        return _Made(cell, len(rows), (await session.state()).erasures)

    async def _merge(self, run: Run) -> None:
        # Imported late: it loads numpy, which only processes that make an index need.
        from storage.search.index.merging import merged

        signatures = await self._read(partial(read_run, run=run))
        parts = await asyncio.to_thread(lambda: list(merged(signatures)))

        for first in range(0, len(parts), _PARTS_AT_ONCE):
            some = list(enumerate(parts[first : first + _PARTS_AT_ONCE], first))
            if not await self._write(partial(keep_parts, run=run, parts=some)):
                return  # An erasure ran meanwhile, or another sidecar was quicker.

        await self._write(partial(keep_segment, run=run, size_bytes=sum(map(len, parts))))


async def _keep_cell(session: Session, made: _Made) -> bool:
    """Write a cell; False if an erasure ran meanwhile, or its rows have entries."""
    if await lock_erasures(session) != made.erasures or await covered(session, made.cell.rows):
        return False
    await add_cell(session, made.cell)
    return True


async def _first_gap(session: Session, from_seq: int) -> tuple[Range, bool]:
    """Find the first rows from one on without an entry, and whether they end with the newest."""
    whole = await session.seq_ends()
    state = await session.state()
    first = max(whole.first, state.purged_through_seq + 1, from_seq)
    for rows in await covered(session, Range(first, whole.last)):
        if rows.first > first:
            return Range(first, rows.first - 1), False
        first = rows.last + 1

    return Range(first, whole.last), True
