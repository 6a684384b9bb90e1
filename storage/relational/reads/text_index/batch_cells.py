"""Makes the cells of a batch of records before its transaction, which writes them. No I/O.

The texts are at hand then: to read, inflate and decode them later takes twice as long as making the
cell. Batches too small for a cell are left to the indexer (`build`).
"""

from collections.abc import Iterator, Sequence
from typing import Self

from storage.base import Prepared
from storage.record import Batch, Entry
from storage.relational.blocks.portions import data_bytes
from storage.relational.reads.text_index.cells import Cell, Searched
from storage.relational.slices import Range
from storage.search.searched_text import own_texts


class PreparedCells(Prepared, frozen=True, gc=False):
    """The cells of a batch, or the first of them; rows are counted from 0."""

    cells: tuple[Cell, ...] = ()

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Self:
        return cls(sum([len(cell.signature) for cell in cells]), tuple(cells))


def cells_in(batch: Batch) -> Sequence[Cell]:
    """Return the cells of the text index that were prepared for a batch before its transaction."""
    prepared = batch.prepared
    if isinstance(prepared, PreparedCells):
        return prepared.cells
    return ()


def has_cells(entries: Sequence[Entry], cell_bytes: int, max_rows: int) -> bool:
    """Return True if the records are enough for a cell of the text index, by their number or by
    three quarters of a cell's text.
    """
    return len(entries) >= max_rows or sum(map(data_bytes, entries)) >= cell_bytes * 3 // 4


def cells_of(entries: Sequence[Entry], cell_bytes: int, max_rows: int) -> Iterator[Cell]:
    """Make the cells of a batch for which `has_cells` is true; rows are counted from 0.

    A cell has about `cell_bytes` of text, and all have as many rows, but for the last.
    """
    size_bytes = sum(map(data_bytes, entries))
    count = max(1, size_bytes // cell_bytes, -(-len(entries) // max_rows))
    width = -(-len(entries) // count)
    for first in range(0, len(entries), width):
        yield cell_of(entries[first : first + width], first)


def cell_of(entries: Sequence[Entry], first: int) -> Cell:
    """Make the cell of consecutive records, numbered from `first` on."""
    searched = []
    for row, entry in enumerate(entries):
        record = entry.record
        own = own_texts((record.path, record.query, record.error_type), record.data)
        searched.append(Searched(row, record.started_at_us, own, entry.payload))
    return Cell.of(Range(first, first + len(entries) - 1), searched)
