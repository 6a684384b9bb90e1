"""The texts of a range of rows, read for the index: whole blocks at a time, and paths, queries and errors of all rows.

Strategy: rows are not read one by one. The database groups them by the blocks that they have something in, and joins
their paths; what is theirs in a block is one piece of it, which is decoded as one list.

Invariant: everything that a search looks for words in is read, or is gone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeVar

import msgspec

from storage.relational.blocks.payloads import Place
from storage.relational.blocks.read import contents
from storage.relational.blocks.searched import Bodies, Heads, body_texts, head_texts, read_bodies, read_heads
from storage.relational.reads.text_index.tables import every_row
from storage.relational.session import BlockSession, Session, State
from storage.relational.slices import Range
from storage.search.index.terms import Terms

T = TypeVar("T")

_COLUMNS: Final = (
    "heads_block, bodies_block, error_type, count(*), min(heads_offset), max(heads_offset + heads_length), "
    "min(bodies_offset), max(bodies_offset + bodies_length), "
    "coalesce(sum(heads_length), 0) + coalesce(sum(bodies_length), 0) + coalesce(sum(length(data)), 0), "
    "max(started_at_us), max(seq), {paths}, {queries}"
)


@dataclass(slots=True)
class _Piece:
    """What some rows have in one block."""

    start: int
    end: int
    count: int

    def add(self, start: int, end: int, count: int) -> None:
        self.start, self.end, self.count = min(self.start, start), max(self.end, end), self.count + count


@dataclass(slots=True)
class Texts:
    """Where the texts of a range of rows are, and how much."""

    rows: Range
    count: int = 0
    size_bytes: int = 0
    newest_body_us: int = 0
    heads: dict[int, _Piece] = field(default_factory=dict)
    bodies: dict[int, _Piece] = field(default_factory=dict)
    errors: set[int] = field(default_factory=set)
    others: list[str] = field(default_factory=list)

    def add(self, row: Sequence[Any], state: State) -> None:
        heads, bodies, error, count, *places, size, newest_us, last_seq, paths, queries = row
        heads_start, heads_end, bodies_start, bodies_end = places
        self.count += count
        self.size_bytes += int(size)
        if heads:
            self.heads.setdefault(heads, _Piece(heads_start, heads_end, 0)).add(heads_start, heads_end, count)
        # Older ones are not shown, and go.
        if bodies and newest_us >= state.body_floor_us and last_seq > state.bodies_through_seq:
            self.newest_body_us = max(self.newest_body_us, newest_us)
            self.bodies.setdefault(bodies, _Piece(bodies_start, bodies_end, 0)).add(bodies_start, bodies_end, count)
        if error:
            self.errors.add(error)
        self.others += [text for text in (paths, queries) if isinstance(text, str)]


async def find_texts(session: Session, rows: Range) -> Texts:
    """Find where the texts of some rows are."""
    found = Texts(rows)
    _, where = await every_row(session, rows)
    dialect = session.dialect
    columns = _COLUMNS.format(paths=dialect.joined.format("path"), queries=dialect.joined.format("query"))
    sql = (
        f"SELECT {columns} FROM {dialect.schema}records WHERE {where.text} "
        "GROUP BY heads_block, bodies_block, error_type"
    )
    state = await session.state()
    for row in await session.fetch(sql, where.parameters):
        found.add(row, state)
    found.others = [dialect.unescape(text) for text in found.others]
    return found


async def read_terms(session: BlockSession, texts: Texts) -> bytes:
    """Read the texts, and return the hashes of the words in them."""
    errors = await session.text_of(texts.errors)
    _, where = await every_row(session, texts.rows)
    sql = f"SELECT data FROM {session.dialect.schema}records WHERE {where.text} AND data IS NOT NULL"
    data = [bytes(row[0]) for row in await session.fetch(sql, where.parameters)]
    blocks = await contents(session, texts.heads.keys() | texts.bodies.keys())

    def gathered(heads: Iterable[list[Heads]], bodies: Iterable[list[Bodies]]) -> bytes:
        terms = Terms()
        terms.add_texts([*texts.others, *(text for text in errors.values() if text)])
        terms.add_bodies(data)
        for some in heads:
            terms.add_heads(head_texts(some))
        for each in bodies:
            terms.add_bodies(body_texts(each))
        return terms.signature()

    try:
        return await session.aside(
            lambda: gathered(_whole(blocks, texts.heads, read_heads), _whole(blocks, texts.bodies, read_bodies))
        )
    except msgspec.DecodeError:
        # Rows between the others are purged: the pieces hold more than what is counted.
        heads_at, bodies_at = [await _places(session, texts, name) for name in ("heads", "bodies")]
        return await session.aside(
            lambda: gathered(_single(blocks, heads_at, read_heads), _single(blocks, bodies_at, read_bodies))
        )


def _whole(
    blocks: Mapping[int, bytes], pieces: Mapping[int, _Piece], read: Callable[[bytes, int], list[T]]
) -> Iterator[list[T]]:
    """Decode pieces of blocks, one after the other."""
    for number, piece in pieces.items():
        if number in blocks:
            yield read(blocks[number][piece.start : piece.end], piece.count)


async def _places(session: Session, texts: Texts, name: str) -> list[Place]:
    _, where = await every_row(session, texts.rows)
    sql = (
        f"SELECT {name}_block, {name}_offset, {name}_length FROM {session.dialect.schema}records WHERE {where.text} "
        f"ORDER BY {name}_block"
    )
    return [(block, offset, length) for block, offset, length in await session.fetch(sql, where.parameters) if block]


def _single(
    blocks: Mapping[int, bytes], places: Iterable[Place], read: Callable[[bytes, int], list[T]]
) -> Iterator[list[T]]:
    """Decode single values of blocks, block by block."""
    for number, some in groupby(places, itemgetter(0)):
        if number in blocks:
            block = blocks[number]
            values = [block[offset : offset + length] for _, offset, length in some]
            yield read(b"".join(values), len(values))
