"""Makes cells from stored rows: the first rows of a gap, their texts decoded a block at a time.

Invariant: a cell has the words of every text of its rows that a search can still show.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby, repeat
from operator import add, eq, itemgetter
from typing import Any, Final, TypeVar

from storage.query import Filter
from storage.relational.blocks.portions import portions
from storage.relational.blocks.read import contents
from storage.relational.blocks.searched import body_texts, head_texts, read_bodies, read_heads
from storage.relational.reads.text_index.cells import Cell
from storage.relational.reads.text_index.narrow import BODIES, COLUMNS, HEADS
from storage.relational.session import BlockSession
from storage.relational.slices import Range
from storage.relational.sql import Rows
from storage.search.index.terms import Terms
from storage.search.searched_text import lines_of, own_texts

T = TypeVar("T")

_NAMES: Final = f"{COLUMNS}, started_at_us".split(", ")
_SEQ: Final = _NAMES.index("seq")
_ERROR: Final = _NAMES.index("error_type")
_STARTED_AT: Final = _NAMES.index("started_at_us")
_URL: Final = [_NAMES.index(name) for name in ("path", "query")]
_BLOCKS: Final = itemgetter(HEADS, BODIES)
_DATA: Final = _NAMES.index("data")
_LENGTHS: Final = [_NAMES.index(name) for name in ("heads_length", "bodies_length")]
_TEXTS: Final = [*_URL, _DATA]


async def first_rows(
    session: BlockSession, gap: Range, max_bytes: int, max_rows: int
) -> tuple[Rows, bool]:
    """Read the first rows of a gap: up to so much text, but at least one row.

    Returns:
        The rows, and whether the gap has no others.
    """
    selected = await session.rows_by_seq(Filter(kind="all"))
    where = None if selected is None else await selected.within(gap)
    assert selected is not None, "bug: all rows can be selected"
    assert where is not None, "bug: all rows can be selected without a budget"
    sql = (
        f"SELECT {', '.join(_NAMES)} FROM {session.dialect.schema}records WHERE {where.text} "
        f"{selected.order_by('asc')} LIMIT {max_rows}"
    )
    rows = await session.fetch(sql, where.parameters)
    first = next(portions(rows, max_rows, text_bytes, max_bytes), ())
    return first, len(first) == len(rows) < max_rows


def text_bytes(row: Sequence[Any]) -> int:
    """Return how many bytes of searchable text a row has."""
    stored_bytes = sum(row[place] or 0 for place in _LENGTHS)
    return stored_bytes + sum(len(row[place] or "") for place in _TEXTS)


async def cell_of_rows(session: BlockSession, rows: Rows, whole: Range) -> Cell:
    """Make the cell that covers a range, from all rows in it."""
    state = await session.state()
    errors = await session.text_of({row[_ERROR] for row in rows if row[_ERROR]})
    shown = []
    newest_body_us = 0

    for stored in rows:
        row = list(stored)
        started_us = row[_STARTED_AT]
        has_retained_body = (
            row[BODIES]
            and started_us >= state.body_floor_us
            and row[_SEQ] > state.bodies_through_seq
        )
        if has_retained_body:
            newest_body_us = max(newest_body_us, started_us)
        else:
            # A body past its retention is not shown, and will be deleted.
            row[BODIES] = 0
        shown.append(row)

    groups = [list(group) for _, group in groupby(shown, _BLOCKS)]
    ids = {block for group in groups for block in _BLOCKS(group[0]) if block}
    blocks = await contents(session, ids)
    signature = await session.aside(partial(_signature, whole.first, groups, blocks, errors))
    return Cell(whole, signature, newest_body_us)


def _signature(
    first_seq: int,
    groups: Sequence[Rows],
    blocks: Mapping[int, bytes],
    errors: Mapping[Any, str | None],
) -> bytes:
    """Return the signature of the cell that begins at a `seq`, of its rows, grouped by the blocks of
    their heads and bodies.
    """
    terms = Terms()
    for rows in groups:
        texts = [_own_texts(row, errors) for row in rows]
        for some, heads in zip(texts, _values(read_heads, blocks, rows, HEADS), strict=False):
            for head in head_texts(heads):
                some += lines_of(head)
        bodies = _values(read_bodies, blocks, rows, BODIES)
        windows = map(body_texts, bodies) if bodies else repeat(())
        for row, some, own_windows in zip(rows, texts, windows, strict=False):
            terms.add(row[_SEQ] - first_seq, some, own_windows)

    return terms.signature()


def _own_texts(row: Sequence[Any], errors: Mapping[Any, str | None]) -> list[bytes]:
    """List the texts in the columns of a row."""
    own = (*(row[place] for place in _URL), errors.get(row[_ERROR]))
    return own_texts(own, bytes(row[_DATA] or b""))


def _values(
    read: Callable[[bytes, int], list[T]], blocks: Mapping[int, bytes], rows: Rows, column: int
) -> list[T]:
    """Decode the values of rows in one block at once; none if there is no block."""
    block = blocks.get(rows[0][column])
    if block is None:
        return []

    starts = [row[column + 1] for row in rows]
    lengths = [row[column + 2] for row in rows]
    if all(map(eq, starts[1:], map(add, starts, lengths))):  # They are adjacent: one copy.
        return read(block[starts[0] : starts[-1] + lengths[-1]], len(rows))
    ends = map(add, starts, lengths)
    raw = b"".join([block[start:end] for start, end in zip(starts, ends, strict=True)])
    return read(raw, len(rows))
