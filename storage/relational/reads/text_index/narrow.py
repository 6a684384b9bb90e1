"""Which of some rows can have words, as what is stored of them shows without making records of
them.

Strategy: a pattern of all ways to write a word (`storage.search.glance`) goes over each block once,
as it is, for all rows that have heads or bodies in it: nothing is decoded, folded or cut. Where it
is found says in which rows. What stands beside the texts in a block may be taken for a part of
them, which costs a look at that row.

Invariant: no row is left out that has a word of each clue (`storage.search.clues`).
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from operator import add, eq, itemgetter
from typing import Any, Final, TypeVar

from storage.relational.blocks.read import contents
from storage.relational.blocks.searched import read_bodies, read_heads
from storage.relational.session import BlockSession
from storage.relational.sql import Rows, Where
from storage.search.clues import PARTS, Clue, Part
from storage.search.glance import Pattern, pattern

T = TypeVar("T")

COLUMNS: Final = (
    "seq, path, query, error_type, heads_block, heads_offset, heads_length, bodies_block, "
    "bodies_offset, bodies_length, data"
)
HEADS: Final = 4
BODIES: Final = 7
"""Places of the numbers of the blocks."""
_SEQ, _ERROR, _DATA = 0, 3, 10
_COLUMN_OF: Final[dict[Part, int]] = {"heads": HEADS, "bodies": BODIES}
_BLOCK_COLUMNS: Final = (
    "seq, NULL, NULL, NULL, heads_block, heads_offset, heads_length, bodies_block, "
    "bodies_offset, bodies_length, NULL"
)
"""The same columns, where what is in the rows themselves does not count."""
_MAX_BYTES: Final = 4 * 1024 * 1024
"""Of blocks that are looked into between two looks at the clock, 20 ms; one of a conversation takes
up to 2 MiB.
"""


async def can_have(
    session: BlockSession, where: Where, clues: Sequence[Clue], parts: AbstractSet[Part]
) -> list[Any] | None:
    """Find which rows can have a word of each clue in some of their parts, by the dialect's
    `row_key`; None when the budget ended the search.

    The parameters of the conditions on the rows are numbered from 1.
    """
    key = session.dialect.row_key
    columns = COLUMNS if "row" in parts else _BLOCK_COLUMNS
    if key != "seq":
        columns = f"{columns}, {key}"
    sql = f"SELECT {columns} FROM {session.dialect.schema}records WHERE {where.text}"
    rows = await session.fetch_in_budget(sql, where.parameters, is_part=True)
    if rows is None:
        return None

    rows = sorted(rows, key=itemgetter(_SEQ))
    errors = await session.text_of({row[_ERROR] for row in rows if row[_ERROR]})
    found: list[int] = []
    block_columns = [column for part, column in _COLUMN_OF.items() if part in parts]

    for some in _portions(rows, block_columns):
        if session.budget.ends_next:
            return None
        numbers = {row[column] for column in block_columns for row in some if row[column]}
        found += await session.aside(
            partial(_look, some, await contents(session, numbers), errors, clues, parts)
        )

    if key == "seq":
        return found

    keys = {row[_SEQ]: row[-1] for row in rows}
    return [keys[seq] for seq in found]


def _portions(rows: Rows, columns: Sequence[int]) -> Iterator[Rows]:
    """Cut rows where what is to be read at once of the blocks that some columns name becomes much."""
    ends: dict[int, int] = {}
    first = 0
    size = 0

    for place, row in enumerate(rows, 1):
        for column in columns:
            block = row[column]
            if not block:  # 0 or null, and so is where it is in it
                continue
            end = row[column + 1] + row[column + 2]
            size += max(0, end - ends.get(block, 0))
            ends[block] = max(end, ends.get(block, 0))

        if size >= _MAX_BYTES:
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
    """Find which of some rows can have a word of each clue in some of their parts."""
    texts: list[_Stretch | _Own] = [*_stretches(rows, blocks, parts)]
    if "row" in parts:
        texts.append(_Own(rows, errors))

    places = set(range(len(rows)))
    for wanted in map(pattern, clues):
        # What no row is left of is not looked into for the next clue.
        texts = [text for text in texts if not places.isdisjoint(text.places)]
        places &= set().union(*(text.places_of(wanted) for text in texts))
        if not places:
            break

    return [rows[place][_SEQ] for place in sorted(places)]


class _Stretch:
    """The part of a block that holds heads or bodies of some rows."""

    def __init__(
        self, content: bytes, places: Sequence[int], offsets: Sequence[int], lengths: Sequence[int]
    ) -> None:
        """Take the content of a block, the places of the rows among all, and where theirs is in it."""
        self._content = content
        self.places = places
        self._offsets = offsets
        self._lengths = lengths
        self._first = min(offsets)
        self._end = max(map(add, offsets, lengths))

    def places_of(self, wanted: Pattern) -> Iterator[int]:
        """Find the rows in whose part a pattern is found."""
        found = wanted.search(self._content, self._first, self._end)
        if found is None:  # as nearly always: nothing is made of the rows
            return

        order = sorted(range(len(self._offsets)), key=self._offsets.__getitem__)
        offsets = sorted(self._offsets)
        while found is not None:
            at = found.start()
            behind = bisect_right(offsets, at)
            # Bodies that are alike may be stored once, for several rows.
            for index in range(bisect_left(offsets, offsets[behind - 1]), behind):
                if at < offsets[index] + self._lengths[order[index]]:
                    yield self.places[order[index]]
            if behind == len(offsets):
                return

            found = wanted.search(self._content, offsets[behind], self._end)


class _Own:
    """What words are looked for in that is in the rows themselves."""

    def __init__(self, rows: Rows, errors: Mapping[Any, str | None]) -> None:
        """Take rows and the texts of their errors."""
        self._rows = rows
        self.places: Collection[int] = range(len(rows))
        self._errors = errors
        self._whole = _own_text(rows, errors)

    def places_of(self, wanted: Pattern) -> Iterator[int]:
        """Find the rows in which a pattern is found."""
        if wanted.search(self._whole) is not None:
            for place, row in enumerate(self._rows):
                if wanted.search(_own_text((row,), self._errors)) is not None:
                    yield place


def _stretches(
    rows: Rows, blocks: Mapping[int, bytes], parts: AbstractSet[Part]
) -> Iterator[_Stretch]:
    """List what some blocks hold of rows, of some of their parts."""
    for column in (column for part, column in _COLUMN_OF.items() if part in parts):
        held: defaultdict[int, list[int]] = defaultdict(list)
        for place, block in enumerate(map(itemgetter(column), rows)):
            held[block].append(place)
        for block in held.keys() & blocks.keys():
            places = held[block]
            some = [rows[place] for place in places]
            offsets = [row[column + 1] for row in some]
            lengths = [row[column + 2] for row in some]
            yield _Stretch(blocks[block], places, offsets, lengths)


def _own_text(rows: Rows, errors: Mapping[Any, str | None]) -> bytes:
    """Join path, query, error and data of rows."""
    _, paths, queries, error_ids, *_, data = zip(*(row[: _DATA + 1] for row in rows), strict=True)
    texts = [*paths, *queries, *(errors.get(number) for number in error_ids if number)]
    own = "\n".join(filter(None, texts)).encode("utf-8", "replace")
    if any(data):
        return b"\n".join((own, *map(bytes, filter(None, data))))
    return own


class RowTexts:
    """The texts of rows whose heads are in one block, and whose bodies are in one."""

    def __init__(
        self, rows: Rows, blocks: Mapping[int, bytes], errors: Mapping[Any, str | None]
    ) -> None:
        (
            _,
            paths,
            queries,
            error_ids,
            heads,
            heads_at,
            heads_lengths,
            bodies,
            bodies_at,
            bodies_lengths,
            data,
            *_,
        ) = zip(*rows, strict=True)
        self.data = data
        self.others = (
            paths,
            queries,
            [errors.get(number) for number in error_ids] if any(error_ids) else (),
        )
        self.heads = _values(read_heads, blocks.get(heads[0]), heads_at, heads_lengths)
        self.bodies = _values(read_bodies, blocks.get(bodies[0]), bodies_at, bodies_lengths)


def _values(
    read: Callable[[bytes, int], list[T]],
    block: bytes | None,
    starts: Sequence[int],
    lengths: Sequence[int],
) -> list[T]:
    """Decode some values of a block at once; none of a block that is not there."""
    if block is None:
        return []
    if all(map(eq, starts[1:], map(add, starts, lengths))):  # one directly after the other
        return read(block[starts[0] : starts[-1] + lengths[-1]], len(starts))

    raw = b"".join(
        [block[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    )
    return read(raw, len(starts))
