"""Cells made of what is stored: the first rows of a gap, their texts decoded a block at a time.

Invariant: everything that a search looks for words in is read, or is gone.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from storage.query import Filter
from storage.relational.blocks.portions import portions
from storage.relational.blocks.read import contents
from storage.relational.blocks.searched import body_texts, head_texts
from storage.relational.reads.text_index.cells import Cell
from storage.relational.reads.text_index.narrow import BODIES, COLUMNS, HEADS, RowTexts
from storage.relational.session import BlockSession
from storage.relational.slices import Range
from storage.relational.sql import Rows
from storage.search.index.terms import Terms
from storage.search.searched_text import without_long_runs

_SEQ, _ERROR, _STARTED = (
    f"{COLUMNS}, started_at_us".split(", ").index(name)
    for name in ("seq", "error_type", "started_at_us")
)
_BLOCKS: Final = itemgetter(HEADS, BODIES)
_LENGTHS: Final = [COLUMNS.split(", ").index(name) for name in ("heads_length", "bodies_length")]
_TEXTS: Final = [COLUMNS.split(", ").index(name) for name in ("path", "query", "data")]


async def first_rows(
    session: BlockSession, gap: Range, max_bytes: int, max_rows: int
) -> tuple[Rows, bool]:
    """Read the first rows of a gap with so much text, one at least, and whether these are all there
    are.
    """
    selected = await session.rows_by_seq(Filter(kind="all"))
    where = None if selected is None else await selected.within(gap)
    assert selected is not None, "bug: all rows can be selected"
    assert where is not None, "bug: all rows can be selected without a budget"
    rows = (
        f"{session.dialect.schema}records WHERE {where.text} {selected.order_by('asc')} LIMIT "
        f"{max_rows}"
    )
    found = await session.fetch(f"SELECT {COLUMNS}, started_at_us FROM {rows}", where.parameters)
    some = next(portions(found, max_rows, text_bytes, max_bytes), ())
    return some, len(some) == len(found) < max_rows


def text_bytes(row: Sequence[Any]) -> int:
    return sum(row[place] or 0 for place in _LENGTHS) + sum(
        len(row[place] or "") for place in _TEXTS
    )


async def cell_of_rows(session: BlockSession, rows: Rows, whole: Range) -> Cell:
    """Make the cell of all rows of a range."""
    state = await session.state()
    unescape = session.dialect.unescape
    errors = await session.text_of({row[_ERROR] for row in rows if row[_ERROR]})
    shown = []
    newest_body_us = 0

    for seq, path, query, *row in rows:
        texts = [text and unescape(text) for text in (path, query)]
        if row[BODIES - 3] and row[-1] >= state.body_floor_us and seq > state.bodies_through_seq:
            newest_body_us = max(newest_body_us, row[-1])
        else:  # older ones are not shown, and go
            row[BODIES - 3] = 0
        shown.append((seq, *texts, *row))

    groups = [list(group) for _, group in groupby(shown, _BLOCKS)]
    blocks = await contents(
        session, {block for group in groups for block in _BLOCKS(group[0]) if block}
    )
    return Cell(
        whole, await session.aside(partial(_signature, groups, blocks, errors)), newest_body_us
    )


def _signature(
    groups: Sequence[Rows], blocks: Mapping[int, bytes], errors: Mapping[Any, str | None]
) -> bytes:
    terms = Terms()
    for group in groups:
        texts = RowTexts(group, blocks, errors)
        others = {text for some in texts.others for text in some if text}
        terms.add(text.encode("utf-8", "replace") for text in others)
        terms.add(without_long_runs(bytes(data)) for data in texts.data if data)
        terms.add(head_texts(texts.heads))
        terms.add(map(without_long_runs, body_texts(texts.bodies)))

    return terms.signature()
