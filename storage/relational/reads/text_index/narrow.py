"""Rules out rows that lack a word, by their stored bytes: no record is decoded.

Strategy: a pattern of all ways to write a word (`storage.search.prefilter`) searches a block,
undecoded, wherever rows that are asked for have heads or bodies in it: those that stand side by
side at once. The offset of a match is in the row. Bytes between the texts of a row may match too:
then it is decoded in vain.

Rows are named some blocks at a time, so that a read of these rows finds the blocks inflated.

Invariant: no row is ruled out that has a word of each clue (`storage.search.clues`).
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from storage.relational.blocks.read import contents
from storage.relational.session import BlockSession
from storage.relational.sql import Rows, Where
from storage.search.clues import PARTS, Clue, Part
from storage.search.prefilter import pattern
from storage.search.searched_text import own_texts

COLUMNS: Final = (
    "seq, path, query, error_type, heads_block, heads_offset, heads_length, bodies_block, "
    "bodies_offset, bodies_length, data"
)
HEADS: Final = 4
BODIES: Final = 7
"""Places in `COLUMNS` of the ids of the blocks; offset and length follow each."""
_SEQ, _ERROR = 0, 3
_OWN: Final = itemgetter(1, 2, _ERROR, 10)
"""Reads path, query, error and data of a row."""
_COLUMN_OF: Final[dict[Part, int]] = {"heads": HEADS, "bodies": BODIES}
_BLOCK_COLUMNS: Final = (
    "seq, NULL, NULL, NULL, heads_block, heads_offset, heads_length, bodies_block, "
    "bodies_offset, bodies_length, NULL"
)
"""The same columns without the texts that are in the rows themselves."""
_PORTION_BYTES: Final = 4 * 1024 * 1024
"""Bytes of blocks that are searched between two looks at the clock, 20 ms. A block of a
conversation has up to 2 MiB.
"""


class _Held(NamedTuple):
    """Where the heads or the bodies of a row are in a block."""

    offset: int
    end: int
    place: int
    """Of the row among those that are searched."""


async def can_have(
    session: BlockSession, where: Where, clues: Sequence[Clue], parts: AbstractSet[Part]
) -> AsyncIterator[list[Any] | None]:
    """Yield the keys (the dialect's `row_key`) of rows that can have a word of each clue in these
    parts, some at a time; None, and nothing more, when the budget ended it.

    Parameters of the conditions are numbered from 1.
    """
    key = session.dialect.row_key
    columns = COLUMNS if "row" in parts else _BLOCK_COLUMNS
    if key != "seq":
        columns = f"{columns}, {key}"
    sql = f"SELECT {columns} FROM {session.dialect.schema}records WHERE {where.text}"
    rows = await session.fetch_in_budget(sql, where.parameters, is_part=True)
    if rows is None:
        yield None
        return

    rows = sorted(rows, key=itemgetter(_SEQ))
    errors = await session.text_of({row[_ERROR] for row in rows if row[_ERROR]})
    block_columns = [column for part, column in _COLUMN_OF.items() if part in parts]
    keys = {row[_SEQ]: row[_SEQ if key == "seq" else -1] for row in rows}

    for some in _portions(rows, block_columns):
        if session.budget.ends_next:
            yield None
            return
        ids = {row[column] for column in block_columns for row in some if row[column]}
        blocks = await contents(session, ids)
        found = await session.aside(partial(_look, some, blocks, errors, clues, parts))
        if found:
            yield [keys[seq] for seq in found]


def _portions(rows: Rows, columns: Sequence[int]) -> Iterator[Rows]:
    """Cut rows into portions, by the bytes of the blocks that these columns name.

    Rows often share a block. It counts up to the end of the last text in it.
    """
    ends: dict[int, int] = {}
    first = 0
    size = 0

    for place, row in enumerate(rows, 1):
        for column in columns:
            block = row[column]
            if not block:  # 0 or null, as are offset and length then
                continue
            end = row[column + 1] + row[column + 2]
            size += max(0, end - ends.get(block, 0))
            ends[block] = max(end, ends.get(block, 0))

        if size >= _PORTION_BYTES:
            yield rows[first:place]
            first = place
            size = 0
            ends.clear()

    if first < len(rows):
        yield rows[first:]


def _look(
    rows: Rows,
    blocks: Mapping[int, bytes],
    errors: Mapping[Any, str | None],
    clues: Sequence[Clue],
    parts: AbstractSet[Part] = PARTS,
) -> list[int]:
    """Return the `seq` of the rows that can have a word of each clue in these parts."""
    texts = [*_block_texts(rows, blocks, parts)]
    if "row" in parts:
        texts.append(_own_texts(rows, errors))

    places = set(range(len(rows)))
    for wanted in map(pattern, clues):
        # Texts of rows that lack a word of one clue are not searched for the next.
        texts = [text for text in texts if not places.isdisjoint(text.places)]
        places &= set().union(*(text.places_of(wanted) for text in texts))
        if not places:
            break

    return [rows[place][_SEQ] for place in sorted(places)]


class _Texts:
    """Texts of rows that stand side by side, such as heads in one block."""

    def __init__(self, content: bytes, held: Sequence[_Held]) -> None:
        """Take the content, and where in it the rows are, in order."""
        self._content = content
        self._held = held
        self.places = [each.place for each in held]
        self._end = held[-1].end

    def places_of(self, wanted: re.Pattern[bytes]) -> Iterator[int]:
        """Yield the places of the rows in whose bytes a pattern matches."""
        first = 0
        while first < len(self._held):
            found = wanted.search(self._content, self._held[first].offset, self._end)
            if found is None:
                return
            at = found.start()
            # One match is enough for a row: go on behind it. Several may share one stored body.
            behind = bisect_right(self._held, at, key=attrgetter("offset"))
            yield from (each.place for each in self._held[first:behind] if at < each.end)
            first = behind


def _own_texts(rows: Rows, errors: Mapping[Any, str | None]) -> _Texts:
    """Join the searched texts that are in the rows themselves."""
    content = bytearray()
    held = []
    for place, row in enumerate(rows):
        path, query, error, data = _OWN(row)
        offset = len(content)
        content += b"\n".join([*own_texts((path, query, errors.get(error)), data), b""])
        held.append(_Held(offset, len(content), place))
    return _Texts(bytes(content), held)


def _block_texts(
    rows: Rows, blocks: Mapping[int, bytes], parts: AbstractSet[Part]
) -> Iterator[_Texts]:
    """Group the heads and bodies of rows, those that are asked for, by block."""
    for part, column in _COLUMN_OF.items():
        if part not in parts:
            continue

        held: defaultdict[int, list[_Held]] = defaultdict(list)
        for place, row in enumerate(rows):
            block, offset, length = row[column : column + 3]
            if block in blocks:
                held[block].append(_Held(offset, offset + length, place))

        for block, some in held.items():
            some.sort()
            for side_by_side in _runs(some):
                yield _Texts(blocks[block], side_by_side)


def _runs(held: Sequence[_Held]) -> Iterator[Sequence[_Held]]:
    """Cut what is held in a block, in order, where others stand between."""
    first = 0
    for place, (before, each) in enumerate(pairwise(held), 1):
        if each.offset > before.end:
            yield held[first:place]
            first = place
    yield held[first:]
