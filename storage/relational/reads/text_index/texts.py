"""Makes cells from stored rows: the first rows of a gap, with their payloads.

Invariant: a cell has the words of every text of its rows that a search can still show.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from storage.query import Filter
from storage.record import Payload
from storage.relational.blocks.portions import portions
from storage.relational.reads.text_index.cells import Cell, Searched
from storage.relational.session import BlockSession
from storage.relational.slices import Range
from storage.relational.sql import Rows
from storage.search.searched_text import own_texts

_COLUMNS: Final = "seq, started_at_us, error_type, heads_length, bodies_length, path, query, data"
_SEQ: Final = 0
_ERROR: Final = 2


async def first_rows(
    session: BlockSession, gap: Range, max_bytes: int, max_rows: int
) -> tuple[Rows, bool]:
    """Read the first rows of a gap: up to so much text, but at least one row.

    Returns:
        The rows, and whether the gap has no others.
    """
    selected = await session.rows_by_seq(Filter(kind="all"))
    if selected is None:
        where = None
    else:
        where = await selected.within(gap)
    assert selected is not None, "bug: all rows can be selected"
    assert where is not None, "bug: all rows can be selected without a budget"
    sql = (
        f"SELECT {_COLUMNS} FROM {session.dialect.schema}records WHERE {where.text} "
        f"{selected.order_by('asc')} LIMIT {max_rows}"
    )
    rows = await session.fetch(sql, where.parameters)
    first = next(portions(rows, max_rows, text_bytes, max_bytes), ())
    return first, len(first) == len(rows) < max_rows


def text_bytes(row: Sequence[Any]) -> int:
    """Return how many bytes of searchable text a row has."""
    _, _, _, heads_bytes, bodies_bytes, *texts = row
    return (heads_bytes or 0) + (bodies_bytes or 0) + sum(len(text or "") for text in texts)


async def cell_of_rows(session: BlockSession, rows: Rows, whole: Range) -> Cell:
    """Make the cell that covers a range, from all rows in it."""
    errors = await session.text_of({row[_ERROR] for row in rows if row[_ERROR]})
    payloads = await session.payloads([row[_SEQ] for row in rows])
    return await session.aside(partial(_cell, whole, rows, errors, payloads))


def _cell(
    whole: Range,
    rows: Rows,
    errors: Mapping[Any, str | None],
    payloads: Mapping[int, Payload],
) -> Cell:
    searched = []
    for seq, started_at_us, error, _, _, path, query, data in rows:
        texts = own_texts((path, query, errors.get(error)), data)
        searched.append(Searched(seq - whole.first, started_at_us, texts, payloads.get(seq)))
    return Cell.of(whole, searched)
