"""Making the index of words: cell after cell, behind the commits, and of enough cells a segment.

Strategy: the place to go on is found in the tables themselves: the first rows that nothing covers.
So a process that was killed goes on where the tables end, and what an erasure has dropped is made
anew by and by. A step reads in one transaction and writes in another, which is short; between them
an erasure may have run, or another sidecar have been quicker: then the step comes to nothing.
Batches that are large enough bring their cells with them (`batch_cells`): what is read here came in
small ones, took too long (`making`), was stored before there was an index, or lost its cells to an
erasure.

Invariant: what is written covers rows as they are. Who erases drops what covers them, in the same
transaction, and counts it; nothing is written that was read before an erasure.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from storage.purge import TextStep
from storage.record import Entry
from storage.relational.blocks.portions import data_bytes
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
    add_cells,
    covered,
    drop,
    expired,
    lock_erasures,
)
from storage.relational.reads.text_index.texts import cell_of_rows, first_rows, text_bytes
from storage.relational.session import BlockSession, Session
from storage.relational.slices import Range

T = TypeVar("T")

CELL_BYTES: Final = 512 * 1024
"""Text of a cell, about: a larger one repeats less of its neighbour, and takes longer to look
through (1 ms).
"""
_SMALL_CELL_BYTES: Final = CELL_BYTES // 4
"""The same where records have few words that others lack: 6 bytes of index more a record, a third
of the time.
"""
_SMALL_AT_ONCE: Final = 2
"""Of small ones a step makes so many: neighbours share blocks, and a step has two transactions."""
_REPETITIVE: Final = 40
"""So many bytes of text for one of the signature, and more: bodies of JSON with some values have
80, prose has 19.
"""
CELL_ROWS: Final = 1024
_PARTS_AT_ONCE: Final = 64
"""Parts of a segment written in one transaction: 2 ms of the writer."""


class Transactions(Protocol):
    """How work gets its session."""

    async def __call__(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do work in a transaction of its own."""
        ...


@dataclass(frozen=True, slots=True)
class _Made:
    """Cells, neighbours, and of which state of the store they were made."""

    cells: Sequence[Cell]
    records: int
    erasures: int
    """How often records were erased when the cells were made."""

    @property
    def rows(self) -> Range:
        return Range(self.cells[0].rows.first, self.cells[-1].rows.last)


class TextIndexer:
    """Makes the index of one store, step by step. One step at a time."""

    def __init__(self, read: Transactions, write: Transactions) -> None:
        self._read = read
        self._write = write
        self._rows = 0
        """Of the cell before: so many of the next are read that it may have twice as many."""
        self._is_repetitive = False
        """Whether the cell before was of records that have few words others lack."""
        self._from_seq = 0
        """Where the next cell is looked for; what is missing before it is made when there is
        nothing behind it.
        """
        self._untidied = LEAST_CELLS
        """Cells made since it was looked for some that make a segment, and for what has to go."""
        self._is_wanted = False
        """Whether the index is made: the first step says so."""
        self._making = CellMaking()

    @property
    def _cell_bytes(self) -> int:
        if self._is_repetitive:
            return _SMALL_CELL_BYTES
        return CELL_BYTES

    async def prepare(self, entries: Sequence[Entry]) -> PreparedCells:
        """Make the cells that a batch brings with it: none of a small one, and no more than are
        ready in time.
        """
        if not self._is_wanted or not has_cells(entries, self._cell_bytes, CELL_ROWS):
            return PreparedCells()
        cells = await self._making.make(cells_of(entries, self._cell_bytes, CELL_ROWS))
        if cells:
            rows = cells[-1].rows
            self._note(cells[-1], sum(map(data_bytes, entries[rows.first : rows.last + 1])))
            self._untidied += len(cells)

        return PreparedCells.of(cells)

    def rest(self) -> None:
        """Prepare no cells of batches to come."""
        self._is_wanted = False

    async def step(self) -> TextStep:
        """Make a cell or some, or one segment."""
        self._is_wanted = True
        if self._untidied >= LEAST_CELLS and await self._tidy():
            return TextStep(0, is_done=False)

        made = await self._read(self._make_cells)
        if made is None:
            return TextStep(0, is_done=not await self._tidy())
        if not await self._write(partial(_keep_cells, made=made)):
            self._from_seq = 0
            return TextStep(0, is_done=False, is_lost=True)

        self._from_seq = made.rows.last + 1
        self._untidied += len(made.cells)
        return TextStep(made.records, is_done=False)

    async def _tidy(self) -> bool:
        """Drop what tells of nothing any more, or make one segment; False when there is nothing to
        do.
        """
        gone = await self._read(expired)
        if gone:
            await self._write(partial(drop, gone=gone))
            return True

        run = await self._read(mergeable)
        if run is not None:
            await self._merge(run)
            return True

        self._untidied = 0
        return False

    async def _make_cells(self, session: BlockSession) -> _Made | None:
        made = await self._make_behind(session)
        if made is None and self._from_seq:
            self._from_seq = 0
            made = await self._make_behind(session)
        return made

    async def _make_behind(self, session: BlockSession) -> _Made | None:
        gap, is_last = await _first_gap(session, self._from_seq)
        cells: list[Cell] = []
        records = 0

        while not gap.is_empty and len(cells) < (_SMALL_AT_ONCE if self._is_repetitive else 1):
            max_rows = min(CELL_ROWS, 2 * self._rows or CELL_ROWS)
            found, is_all = await first_rows(session, gap, self._cell_bytes, max_rows)
            size_bytes = sum(map(text_bytes, found))
            if is_last and is_all and size_bytes < self._cell_bytes * 3 // 4:
                break  # It still grows.

            rows = gap if is_all else Range(gap.first, found[-1][0])
            cells.append(await cell_of_rows(session, found, rows))
            self._note(cells[-1], size_bytes)
            self._rows = len(found)
            records += len(found)
            gap = Range(rows.last + 1, gap.last)

        if not cells:
            self._from_seq = gap.first
            return None

        return _Made(cells, records, (await session.state()).erasures)

    def _note(self, cell: Cell, text_bytes: int) -> None:
        self._is_repetitive = len(cell.signature) * _REPETITIVE < text_bytes

    async def _merge(self, run: Run) -> None:
        # It brings numpy along, which only who makes an index needs.
        from storage.search.index.merging import merged

        signatures = await self._read(partial(read_run, run=run))

        parts = await asyncio.to_thread(lambda: list(merged(signatures)))
        for first in range(0, len(parts), _PARTS_AT_ONCE):
            some = list(enumerate(parts[first : first + _PARTS_AT_ONCE], first))
            if not await self._write(partial(keep_parts, run=run, parts=some)):
                return  # An erasure came between, or another sidecar was quicker.

        await self._write(partial(keep_segment, run=run, size_bytes=sum(map(len, parts))))


async def _keep_cells(session: Session, made: _Made) -> bool:
    if await lock_erasures(session) != made.erasures or await covered(session, made.rows):
        return False
    await add_cells(session, made.cells)
    return True


async def _first_gap(session: Session, from_seq: int) -> tuple[Range, bool]:
    """Find the first rows from one on that nothing covers, and whether they go on to the newest."""
    whole = await session.seq_ends()
    state = await session.state()

    first = max(whole.first, state.purged_through_seq + 1, from_seq)
    for rows in await covered(session, Range(first, whole.last)):
        if rows.first > first:
            return Range(first, rows.first - 1), False
        first = rows.last + 1

    return Range(first, whole.last), True
