"""Makes the cells of a batch of records before its transaction, which writes them. No I/O.

The texts are at hand then: to read, inflate and decode them later takes twice as long as making the
cell. Batches too small for a cell are left to the indexer (`build`).
"""

from collections.abc import Iterator, Sequence
from typing import Self

from storage.base import Prepared
from storage.record import Batch, Body, Entry
from storage.relational.blocks.portions import data_bytes
from storage.relational.reads.text_index.cells import Cell
from storage.relational.slices import Range
from storage.search.index.terms import Terms
from storage.search.searched_text import searched_windows, without_long_runs


class PreparedCells(Prepared, frozen=True, gc=False):
    """The cells of a batch, or the first of them; rows are counted from 0."""

    cells: tuple[Cell, ...] = ()

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Self:
        return cls(sum([len(cell.signature) for cell in cells]), tuple(cells))


def cells_in(batch: Batch) -> Sequence[Cell]:
    """Return the cells that were prepared for a batch."""
    prepared = batch.prepared
    if isinstance(prepared, PreparedCells):
        return prepared.cells
    return ()


def has_cells(entries: Sequence[Entry], cell_bytes: int, max_rows: int) -> bool:
    """Whether records suffice for a cell, by their rows or by three quarters of its text."""
    return len(entries) >= max_rows or sum(map(data_bytes, entries)) >= cell_bytes * 3 // 4


def cells_of(entries: Sequence[Entry], cell_bytes: int, max_rows: int) -> Iterator[Cell]:
    """Make the cells of a batch for which `has_cells` is true; rows are counted from 0.

    A cell has about `cell_bytes` of text, and all have as many rows, but for the last.
    """
    count = len(entries)
    size_bytes = sum(map(data_bytes, entries))
    width = min(-(-count // max(1, size_bytes // cell_bytes)), max_rows)
    for first in range(0, count, width):
        yield cell_of(entries[first : first + width], first)


def cell_of(entries: Sequence[Entry], first: int) -> Cell:
    """Make the cell of consecutive records, numbered from `first` on."""
    texts: set[str] = set()
    lines: set[bytes] = set()
    bodies: list[Body] = []
    newest_body_us = 0

    for entry in entries:
        record = entry.record
        payload = entry.payload
        texts.update(filter(None, (record.path, record.query, record.error_type)))
        if payload is None:
            continue

        # Most lines of heads are also those of other records.
        lines.update(payload.request_head.split(b"\r\n"))
        lines.update(payload.response_head.split(b"\r\n"))
        for body in (payload.request_body, payload.response_body):
            if body is not None:
                bodies.append(body)
                newest_body_us = max(newest_body_us, record.started_at_us)

    terms = Terms()
    terms.add(text.encode("utf-8", "replace") for text in texts)
    terms.add(lines)
    terms.add(without_long_runs(entry.record.data) for entry in entries if entry.record.data)
    terms.add(text for body in bodies for text in searched_windows(body))
    return Cell(Range(first, first + len(entries) - 1), terms.signature(), newest_body_us)
