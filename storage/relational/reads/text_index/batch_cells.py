"""The cells that a batch of records brings with it, written in its transaction. No I/O.

What is stored is at hand then; to look it up later, inflate and decode it takes twice as long as the cell itself. What
comes in batches too small for a cell is left to the indexer.
"""

from collections.abc import Callable, Sequence

from storage.record import Entry
from storage.relational.blocks.portions import data_bytes
from storage.relational.search.holders import Cell
from storage.relational.slices import Range
from storage.search.index.terms import Terms

CellsOf = Callable[[Sequence[Entry]], list[Cell]]


def cells_of(entries: Sequence[Entry], cell_bytes: int, max_rows: int) -> list[Cell]:
    """Make the cells of records that will be neighbours; none where they have less than most of a cell's text.

    Args:
        entries: Of a batch, in order.
        cell_bytes: Of the text of a cell, about.
        max_rows: Of a cell; so many are enough for one, however little text they have.

    Returns:
        Cells whose rows are counted from 0.
    """
    count, size_bytes = len(entries), sum(map(data_bytes, entries))
    if size_bytes < cell_bytes * 3 // 4 and count < max_rows:
        return []
    width = min(-(-count // max(1, size_bytes // cell_bytes)), max_rows)
    return [cell_of(entries[first : first + width], first) for first in range(0, count, width)]


def cell_of(entries: Sequence[Entry], first: int) -> Cell:
    """Make the cell of neighbouring records, numbered from `first` on."""
    terms = Terms()
    records = [entry.record for entry in entries]
    payloads = [entry.payload for entry in entries if entry.payload is not None]
    terms.add_texts({text for each in records for text in (each.path, each.query, each.error_type) if text})
    # Alike as a whole they are often, too: who asks the same again sends the same head, and gets the same body.
    terms.add_heads(list({head for payload in payloads for head in (payload.request_head, payload.response_head)}))
    bodies = [body for payload in payloads for body in (payload.request_body, payload.response_body) if body]
    terms.add_bodies([each.data for each in records if each.data])
    terms.add_bodies(list({text for body in bodies for text in (body.head, body.tail) if text}))
    newest_body_us = max((entry.record.started_at_us for entry in entries if _has_body(entry)), default=0)
    return Cell(Range(first, first + len(entries) - 1), terms.signature(), newest_body_us)


def _has_body(entry: Entry) -> bool:
    payload = entry.payload
    return payload is not None and (payload.request_body is not None or payload.response_body is not None)
