"""Which of some rows can have words, as what is stored of them shows without making records of them.

Strategy: neighbours whose heads and bodies are in the same blocks, some thirty, are looked into as one text; most lack
a word, or all alternatives to one, and are done with. The others are cut into parts until rows are left: two thirds of
the time of a search that looks into each row. A word of ASCII is looked for as bytes in any case; only text that may
read otherwise than it is written (escaped, or not of ASCII alone) is read.

Invariant: no row is left out that has a word of each clue (`storage.search.clues`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from operator import add, eq, itemgetter
from typing import Any, Final, TypeVar, cast

import re2

from storage.relational.blocks.read import contents
from storage.relational.blocks.searched import body_texts, head_texts, read_bodies, read_heads
from storage.relational.session import BlockSession, Rows
from storage.relational.sql import Where
from storage.search.clues import Clue
from storage.search.words import decoded, fold, is_plain, readings

T = TypeVar("T")

COLUMNS: Final = (
    "seq, path, query, error_type, heads_block, heads_offset, heads_length, bodies_block, bodies_offset, "
    "bodies_length, data"
)
_SEQ, _ERROR, _HEADS, _BODIES = 0, 3, 4, 7
blocks_of: Final = itemgetter(_HEADS, _BODIES)
_MAX_BYTES: Final = 4 * 1024 * 1024
"""Of blocks that are looked into between two looks at the clock, 20 ms; one of a conversation takes up to 2 MiB."""
_WAYS: Final = 4
"""Into how many parts rows are cut, again and again, until those are found that have the words."""


async def can_have(session: BlockSession, where: Where, clues: Sequence[Clue]) -> list[Any] | None:
    """Find which rows can have a word of each clue, by the dialect's `row_key`; None when the budget ended the search.

    The parameters of the conditions on the rows are numbered from 1.
    """
    key = session.dialect.row_key
    columns = COLUMNS if key == "seq" else f"{COLUMNS}, {key}"
    sql = f"SELECT {columns} FROM {session.dialect.schema}records WHERE {where.text}"
    rows = await session.fetch_in_budget(sql, where.parameters, is_part=True)
    if rows is None:
        return None
    rows = sorted(rows, key=itemgetter(_SEQ))
    errors = await session.text_of({row[_ERROR] for row in rows if row[_ERROR]})
    found: list[int] = []
    for groups in _portions(rows):
        if session.budget.ends_next:
            return None
        numbers = {block for group in groups for block in blocks_of(group[0]) if block}
        found += await session.aside(partial(_look, groups, await contents(session, numbers), errors, clues))
    if key == "seq":
        return found
    keys = {row[_SEQ]: row[-1] for row in rows}
    return [keys[seq] for seq in found]


def _portions(rows: Rows) -> Iterator[list[Rows]]:
    """Group rows by their blocks, and cut where what is to be read of them at once becomes much."""
    portion: list[Rows] = []
    ends: dict[int, int] = {}
    for _, neighbours in groupby(rows, blocks_of):
        group = list(neighbours)
        portion.append(group)
        for place in (_HEADS, _BODIES):
            block, offset, length = group[-1][place : place + 3]
            if block:
                ends[block] = offset + length
        if sum(ends.values()) >= _MAX_BYTES:
            yield portion
            portion, ends = [], {}
    if portion:
        yield portion


def _look(
    groups: Iterable[Rows], blocks: Mapping[int, bytes], errors: Mapping[Any, str | None], clues: Sequence[Clue]
) -> list[int]:
    """Find which of some rows can have a word of each clue."""
    found: list[int] = []
    for group in groups:
        texts = RowTexts(group, blocks, errors)
        found += [group[place][_SEQ] for place in _places(texts, 0, len(group), clues)]
    return found


def _places(texts: "RowTexts", first: int, last: int, clues: Sequence[Clue]) -> Iterator[int]:
    """Find which of some rows, the last one excluded, can have a word of each clue."""
    some = texts.between(first, last)
    if last - first == 1:
        if _can_have(some, clues):
            yield first
        return
    whole = b"\n".join(some)
    has_all = all(_pattern(clue).search(whole) for clue in clues)
    if has_all or not is_plain(whole):
        # What has to be read otherwise than it is written is so once, row by row.
        width = (last - first + _WAYS - 1) // _WAYS if has_all else 1
        for start in range(first, last, width):
            yield from _places(texts, start, min(start + width, last), clues)


class RowTexts:
    """The texts of rows whose heads are in one block, and whose bodies are in one."""

    def __init__(self, rows: Rows, blocks: Mapping[int, bytes], errors: Mapping[Any, str | None]) -> None:
        _, paths, queries, error_ids, heads, heads_at, heads_lengths, bodies, bodies_at, bodies_lengths, data, *_ = zip(
            *rows, strict=True
        )
        self.data = data
        self.others = (paths, queries, [errors.get(number) for number in error_ids] if any(error_ids) else ())
        self.heads = _values(read_heads, blocks.get(heads[0]), heads_at, heads_lengths)
        self.bodies = _values(read_bodies, blocks.get(bodies[0]), bodies_at, bodies_lengths)

    def between(self, first: int, last: int) -> list[bytes]:
        """List the texts of some rows, the last one excluded."""
        others = [text for texts in self.others for text in texts[first:last] if text]
        return [
            "\n".join(others).encode("utf-8", "replace"),
            *(bytes(data) for data in self.data[first:last] if data),
            *head_texts(self.heads[first:last]),
            *body_texts(self.bodies[first:last]),
        ]


def _values(
    read: Callable[[bytes, int], list[T]], block: bytes | None, starts: Sequence[int], lengths: Sequence[int]
) -> list[T]:
    """Decode some values of a block at once; none of a block that is not there."""
    if block is None:
        return []
    if all(map(eq, starts[1:], map(add, starts, lengths))):  # one directly after the other
        return read(block[starts[0] : starts[-1] + lengths[-1]], len(starts))
    raw = b"".join([block[start : start + length] for start, length in zip(starts, lengths, strict=True)])
    return read(raw, len(starts))


@lru_cache(maxsize=64)
def _pattern(clue: Clue) -> re.Pattern[bytes]:
    """Compile a pattern of google-re2 for words of ASCII in any case: it takes half the time of `lower` and `in`."""
    options = re2.Options()
    options.case_sensitive = False
    options.encoding = re2.Options.Encoding.LATIN1
    return cast("re.Pattern[bytes]", re2.compile(b"|".join(clue), options))


def _can_have(texts: Sequence[bytes], clues: Sequence[Clue]) -> bool:
    # Joined, they are looked at once: 0.92 of a whole search for a word that a thousandth has.
    whole = b"\n".join(texts)
    missing = [clue for clue in clues if not _pattern(clue).search(whole)]
    if not missing:
        return True
    return not is_plain(whole) and _can_read(texts, missing)


def _can_read(texts: Iterable[bytes], missing: Sequence[Clue]) -> bool:
    """Whether words of some clues are in the readings of texts, each text by itself: they may be coded differently."""
    for text in texts:
        if not is_plain(text):
            read = [fold(reading) for reading in readings(decoded(text))]
            missing = [clue for clue in missing if not any(word.decode() in each for each in read for word in clue)]
        if not missing:
            return True
    return False
