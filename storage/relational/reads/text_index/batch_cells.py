"""The cells that a batch of records brings with it, made before its transaction and written in it.
No I/O.

What is stored is at hand then; to look it up later, inflate and decode it takes twice as long as
the cell itself. What comes in batches too small for a cell is left to the indexer.
"""

from collections.abc import Iterator, Sequence
from typing import Self

from storage.base import Prepared
from storage.record import Batch, Entry
from storage.relational.blocks.portions import data_bytes
from storage.relational.reads.text_index.cells import Cell
from storage.relational.slices import Range
from storage.search.index.terms import Terms
from storage.search.searched_text import searched_windows, without_long_runs


class PreparedCells(Prepared, frozen=True, gc=False):
    """The cells of the entries of a batch, or the first of them; rows are counted from 0."""

    cells: tuple[Cell, ...] = ()

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Self:
        return cls(sum([len(cell.signature) for cell in cells]), tuple(cells))


def cells_in(batch: Batch) -> Sequence[Cell]:
    """Return the cells that a batch brings with it."""
    prepared = batch.prepared
    if isinstance(prepared, PreparedCells):
        return prepared.cells
    return ()


def has_cells(entries: Sequence[Entry], cell_bytes: int, max_rows: int) -> bool:
    """Whether records are enough for a cell: they have most of its text, or as many rows as one has
    at most.
    """
    return len(entries) >= max_rows or sum(map(data_bytes, entries)) >= cell_bytes * 3 // 4


def cells_of(entries: Sequence[Entry], cell_bytes: int, max_rows: int) -> Iterator[Cell]:
    """Make the cells of records that will be neighbours, one after the other. They must be enough
    (`has_cells`).

    Args:
        entries: Of a batch, in order.
        cell_bytes: Of the text of a cell, about.
        max_rows: Of a cell.

    Yields:
        Cells whose rows are counted from 0.
    """
    count = len(entries)
    size_bytes = sum(map(data_bytes, entries))
    width = min(-(-count // max(1, size_bytes // cell_bytes)), max_rows)
    for first in range(0, count, width):
        yield cell_of(entries[first : first + width], first)


def cell_of(entries: Sequence[Entry], first: int) -> Cell:
    """Make the cell of neighbouring records, numbered from `first` on."""
    terms = Terms()
    records = [entry.record for entry in entries]
    payloads = [entry.payload for entry in entries if entry.payload is not None]
    others = {text for each in records for text in (each.path, each.query, each.error_type) if text}
    terms.add(text.encode("utf-8", "replace") for text in others)
    terms.add(
        head for payload in payloads for head in (payload.request_head, payload.response_head)
    )
    bodies = [
        body
        for payload in payloads
        for body in (payload.request_body, payload.response_body)
        if body
    ]
    terms.add(without_long_runs(each.data) for each in records if each.data)
    terms.add(text for body in bodies for text in searched_windows(body))
    newest_body_us = max(
        (entry.record.started_at_us for entry in entries if _has_body(entry)), default=0
    )
    return Cell(Range(first, first + len(entries) - 1), terms.signature(), newest_body_us)


def _has_body(entry: Entry) -> bool:
    payload = entry.payload
    return payload is not None and (
        payload.request_body is not None or payload.response_body is not None
    )
