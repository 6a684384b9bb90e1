"""Statements over the three tables of the index of words: cells, segments and parts of segments.

Enough consecutive cells are merged into a segment (`cells`), whose parts are searched by hash
(`storage.search.index.segment`).

Invariant: no two entries cover the same record. A search reads records without an entry one by one.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from storage.purge import TextIndex
from storage.relational.reads.text_index.cells import Cell, Segment, part_key
from storage.relational.session import Session
from storage.relational.slices import Range
from storage.search.index.segment import PARTS

_DROPPED_AT_ONCE: Final = 2
"""Entries that one transaction of retention drops: 5 ms of the writer for a segment."""


async def covered(session: Session, within: Range) -> list[Range]:
    """List the rows of the entries that overlap a range, in order."""
    sql = " UNION ALL ".join(
        f"SELECT first_seq, last_seq {_overlapping(session, table, place)}"
        for table, place in (("text_segments", 1), ("text_cells", 4))
    )
    rows = await session.fetch(f"{sql} ORDER BY 1", _ends(within) * 2)
    return [Range(first, last) for first, last in rows]


async def read_segments(session: Session, within: Range) -> list[Segment]:
    """Read the segments that overlap a range, in order, without their parts."""
    sql = (
        f"SELECT first_seq, last_seq, starts {_overlapping(session, 'text_segments')} ORDER BY "
        "first_seq"
    )
    rows = await session.fetch(sql, _ends(within))
    return [Segment(Range(first, last), bytes(starts)) for first, last, starts in rows]


async def read_cells(session: Session, within: Range) -> list[Cell]:
    """Read the cells that overlap a range, in order; those in segments are gone."""
    sql = (
        "SELECT first_seq, last_seq, signature, newest_body_us "
        f"{_overlapping(session, 'text_cells')} ORDER BY first_seq"
    )
    rows = await session.fetch(sql, _ends(within))
    return [
        Cell(Range(first, last), bytes(signature), newest_us)
        for first, last, signature, newest_us in rows
    ]


async def read_parts(session: Session, keys: Sequence[int]) -> dict[int, bytes]:
    """Read parts of segments by their keys (`part_key`)."""
    dialect = session.dialect
    among = dialect.among.format("id", dialect.placeholder(1))
    sql = f"SELECT id, data FROM {_table(session, 'text_parts')} WHERE {among}"
    return {
        key: bytes(data)
        for key, data in await session.fetch(sql, [dialect.number_list(list(keys))])
    }


async def add_cell(session: Session, cell: Cell) -> None:
    sql = f"INSERT INTO {_table(session, 'text_cells')} VALUES ({_marks(session, 4)})"
    await session.execute_many(sql, [cell_row(cell)])


def cell_row(cell: Cell, first_seq: int = 0) -> tuple[int, int, int, bytes]:
    """Return the table's row of a cell whose rows are counted from `first_seq`."""
    rows = cell.rows
    return rows.first + first_seq, rows.last + first_seq, cell.newest_body_us, cell.signature


async def add_parts(session: Session, first_seq: int, parts: Sequence[tuple[int, bytes]]) -> None:
    """Write consecutive parts of the segment that begins at a row. It is not readable yet."""
    table = _table(session, "text_parts")
    dialect = session.dialect
    first, last = (part_key(first_seq, part) for part, _ in (parts[0], parts[-1]))
    where = f"id BETWEEN {dialect.placeholder(1)} AND {dialect.placeholder(2)}"
    await session.fetch(f"DELETE FROM {table} WHERE {where}", (first, last))
    # One statement: a database beyond a network answers once.
    marks = [
        f"({dialect.number_mark(2 * row + 1)}, {dialect.placeholder(2 * row + 2)})"
        for row in range(len(parts))
    ]
    values = [value for part, data in parts for value in (part_key(first_seq, part), data)]
    await session.fetch(f"INSERT INTO {table} VALUES {', '.join(marks)}", values)


async def add_segment(
    session: Session, segment: Segment, newest_body_us: int, size_bytes: int
) -> None:
    """Replace the cells of consecutive records in the word index by one segment, whose parts are
    stored already.
    """
    rows = segment.rows
    mark = session.dialect.placeholder
    where = f"first_seq >= {mark(1)} AND last_seq <= {mark(2)}"
    sql = f"DELETE FROM {_table(session, 'text_cells')} WHERE {where}"
    await session.execute_many(sql, [(rows.first, rows.last)])

    sql = f"INSERT INTO {_table(session, 'text_segments')} VALUES ({_marks(session, 5)})"
    await session.execute_many(
        sql, [(rows.first, rows.last, newest_body_us, size_bytes, segment.starts)]
    )


async def drop(session: Session, gone: Sequence[Range]) -> None:
    """Delete cells and segments of the text index that cover these rows, with the segments' parts."""
    mark = session.dialect.placeholder
    # A merge may have written parts of a segment that begins at any of the cells.
    cells = await session.fetch(f"SELECT first_seq FROM {_table(session, 'text_cells')}")
    firsts = {rows.first for rows in gone} | {first for (first,) in cells}
    sql = f"DELETE FROM {_table(session, 'text_parts')} WHERE id BETWEEN {mark(1)} AND {mark(2)}"
    await session.execute_many(
        sql, [(part_key(first, 0), part_key(first, PARTS - 1)) for first in sorted(firsts)]
    )

    for table in ("text_cells", "text_segments"):
        sql = f"DELETE FROM {_table(session, table)} WHERE first_seq = {mark(1)}"
        await session.execute_many(sql, [(rows.first,) for rows in gone])


async def drop_holders(session: Session, seqs: Sequence[int]) -> None:
    """Drop the entries that cover erased rows, given in rising order.

    No answer may depend on the words of an erased row.
    """
    gone = []
    for rows in await covered(session, Range(seqs[0], seqs[-1])):
        place = bisect_left(seqs, rows.first)
        if place < len(seqs) and seqs[place] <= rows.last:
            gone.append(rows)

    if gone:
        await drop(session, gone)


async def expired(session: Session) -> list[Range]:
    """List the rows of some cells and segments with a record or body past its retention, to drop
    them.
    """
    mark = session.dialect.number_mark
    schema = session.dialect.schema
    state = await session.state()
    sql = " UNION ALL ".join(
        f"SELECT first_seq, last_seq FROM {schema}{table} WHERE last_seq <= {mark(place)} OR "
        f"(newest_body_us > 0 AND (newest_body_us < {mark(place + 1)} "
        f"OR last_seq <= {mark(place + 2)}))"
        for table, place in (("text_segments", 1), ("text_cells", 4))
    )
    limits = (state.purged_through_seq, state.body_floor_us, state.bodies_through_seq)
    rows = await session.fetch(f"{sql} ORDER BY 1", limits * 2)
    return [Range(first, last) for first, last in rows[:_DROPPED_AT_ONCE]]


async def lock_erasures(session: Session) -> int:
    """Return the count of erasures, which no other transaction changes before this one ends."""
    [(erasures,)] = await session.fetch(session.dialect.erasures)
    return int(erasures)


async def describe(session: Session) -> TextIndex:
    """Return how many rows the text index does not cover yet, and its size."""
    whole = await session.seq_ends()
    indexed = 0
    for rows in await covered(session, whole):
        indexed += min(rows.last, whole.last) - max(rows.first, whole.first) + 1

    schema = session.dialect.schema
    sql = (
        f"SELECT (SELECT coalesce(sum(size_bytes), 0) FROM {schema}text_segments) + "
        f"(SELECT coalesce(sum(length(signature)), 0) FROM {schema}text_cells)"
    )
    [(size_bytes,)] = await session.fetch(sql)
    waiting = max(0, whole.last - whole.first + 1 - indexed)
    return TextIndex(waiting=waiting, size_bytes=int(size_bytes))


def _table(session: Session, name: str) -> str:
    return f"{session.dialect.schema}{name}"


def _overlapping(session: Session, name: str, number: int = 1) -> str:
    """Write FROM and WHERE for entries that overlap a range; the parameters are `_ends`.

    Entries do not overlap each other. So the scan begins at the last one that begins before the
    range: an earlier one ends before it.
    """
    mark = session.dialect.placeholder
    table = _table(session, name)
    return (
        f"FROM {table} WHERE first_seq <= {mark(number)} "
        f"AND last_seq >= {mark(number + 1)} AND first_seq >= "
        f"coalesce((SELECT max(first_seq) FROM {table} WHERE first_seq <= {mark(number + 2)}), 0)"
    )


def _ends(within: Range) -> tuple[int, int, int]:
    return within.last, within.first, within.first


def _marks(session: Session, count: int) -> str:
    return ", ".join(session.dialect.placeholder(number) for number in range(1, count + 1))
