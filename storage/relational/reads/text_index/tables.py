"""The three tables of the index of words, and what is in them.

A cell is some hundred neighbouring records with the hashes of all words in them. When there are
enough that follow each other they become a segment, whose parts say of each hash which cells have
it (`storage.search.index.segment`).

Invariant: no two of them cover the same record. Records that none covers are looked at one by one.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from storage.purge import TextIndex
from storage.relational.search.holders import Cell, Segment, part_key
from storage.relational.session import Session
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT
from storage.search.index.segment import PARTS

_DROPPED_AT_ONCE: Final = 2
"""Segments that go in one transaction of retention: 5 ms of the writer each."""


async def covered(session: Session, within: Range) -> list[Range]:
    """List which rows are covered, in order, by cells and segments that reach into a range."""
    sql = " UNION ALL ".join(
        f"SELECT first_seq, last_seq {_overlapping(session, table, place)}"
        for table, place in (("text_segments", 1), ("text_cells", 4))
    )
    rows = await session.fetch(f"{sql} ORDER BY 1", _ends(within) * 2)
    return [Range(first, last) for first, last in rows]


async def read_segments(session: Session, within: Range) -> list[Segment]:
    """Read what of the segments is read at once, in order."""
    sql = (
        f"SELECT first_seq, last_seq, starts {_overlapping(session, 'text_segments')} ORDER BY "
        "first_seq"
    )
    rows = await session.fetch(sql, _ends(within))
    return [Segment(Range(first, last), bytes(starts)) for first, last, starts in rows]


async def read_cells(session: Session, within: Range) -> list[Cell]:
    """Read the cells that are in no segment, in order."""
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


async def add_cells(session: Session, cells: Iterable[Cell]) -> None:
    sql = f"INSERT INTO {_table(session, 'text_cells')} VALUES ({_marks(session, 4)})"
    await session.execute_many(sql, [cell_row(cell) for cell in cells])


def cell_row(cell: Cell, first_seq: int = 0) -> tuple[int, int, int, bytes]:
    """Return the row of a cell whose rows are counted from `first_seq`."""
    rows = cell.rows
    return rows.first + first_seq, rows.last + first_seq, cell.newest_body_us, cell.signature


async def add_parts(session: Session, first_seq: int, parts: Sequence[tuple[int, bytes]]) -> None:
    """Write parts of a segment that begins with a row, neighbours; it is not there yet for readers."""
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
    """Put a segment, whose parts are there, in the place of its cells."""
    rows = segment.rows
    sql = (
        f"DELETE FROM {_table(session, 'text_cells')} WHERE first_seq >= {{}} AND last_seq <= {{}}"
    )
    mark = session.dialect.placeholder
    await session.execute_many(sql.format(mark(1), mark(2)), [(rows.first, rows.last)])
    sql = f"INSERT INTO {_table(session, 'text_segments')} VALUES ({_marks(session, 5)})"
    await session.execute_many(
        sql, [(rows.first, rows.last, newest_body_us, size_bytes, segment.starts)]
    )


async def drop(session: Session, gone: Sequence[Range]) -> None:
    """Drop cells and segments, each by its rows, with everything that is theirs."""
    mark = session.dialect.placeholder
    # Of a segment that is not finished there may be parts already, wherever among the cells it
    # begins.
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
    """Drop what covers some rows that are erased, in their order: their words must be in no answer
    any more.
    """
    holders = await covered(session, Range(seqs[0], seqs[-1]))
    gone = [
        rows
        for rows in holders
        if (place := bisect_left(seqs, rows.first)) < len(seqs) and seqs[place] <= rows.last
    ]
    if gone:
        await drop(session, gone)


async def drop_some(session: Session) -> int:
    """Drop some of all there is; returns how many cells and segments."""
    gone = (await covered(session, Range(0, MAX_INT)))[:_DROPPED_AT_ONCE]
    if gone:
        await drop(session, gone)
    return len(gone)


async def expired(session: Session) -> list[Range]:
    """Find what tells of words in records, or in bodies, that are gone."""
    mark = session.dialect.number_mark
    schema = session.dialect.schema
    state = await session.state()
    sql = " UNION ALL ".join(
        f"SELECT first_seq, last_seq FROM {schema}{table} WHERE last_seq <= {mark(place)} OR "
        f"(newest_body_us > 0 AND (newest_body_us < {mark(place + 1)} OR last_seq <= "
        f"{mark(place + 2)}))"
        for table, place in (("text_segments", 1), ("text_cells", 4))
    )
    limits = (state.purged_through_seq, state.body_floor_us, state.bodies_through_seq)
    rows = await session.fetch(f"{sql} ORDER BY 1", limits * 2)
    return [Range(first, last) for first, last in rows[:_DROPPED_AT_ONCE]]


async def lock_erasures(session: Session) -> int:
    """Read how often records were erased, and keep it so until the transaction ends."""
    [(erasures,)] = await session.fetch(session.dialect.erasures)
    return int(erasures)


async def describe(session: Session) -> TextIndex:
    """Tell how far the index has come, and how large it is."""
    whole = await session.seq_ends()
    schema = session.dialect.schema
    rows = await covered(session, whole)
    known = sum(min(each.last, whole.last) - max(each.first, whole.first) + 1 for each in rows)
    sql = (
        f"SELECT (SELECT coalesce(sum(size_bytes), 0) FROM {schema}text_segments) + "
        f"(SELECT coalesce(sum(length(signature)), 0) FROM {schema}text_cells)"
    )
    [(size_bytes,)] = await session.fetch(sql)
    return TextIndex(
        waiting=max(0, whole.last - whole.first + 1 - known), size_bytes=int(size_bytes)
    )


def _table(session: Session, name: str) -> str:
    return f"{session.dialect.schema}{name}"


def _overlapping(session: Session, name: str, number: int = 1) -> str:
    """Select from a table what reaches into a range, with parameters of `_ends` from a number on.

    As no two overlap, what begins before the last one that begins before the range does not: it is
    not read.
    """
    mark = session.dialect.placeholder
    table = _table(session, name)
    return (
        f"FROM {table} WHERE first_seq <= {mark(number)} AND last_seq >= {mark(number + 1)} AND "
        "first_seq >= "
        f"coalesce((SELECT max(first_seq) FROM {table} WHERE first_seq <= {mark(number + 2)}), 0)"
    )


def _ends(within: Range) -> tuple[int, int, int]:
    return within.last, within.first, within.first


def _marks(session: Session, count: int) -> str:
    return ", ".join(session.dialect.placeholder(number) for number in range(1, count + 1))
