"""One page of a list, and single records with their payloads.

Strategy: a filter is walked in slices, of `seq` or of ids, in the order of the query
(`storage.relational.slices`). Bounds on time become bounds on `seq`, or on ids, first. The time
budget may end the walk at any slice; the cursor then stands before that slice.

Invariant: the first slice is searched whatever the budget. An incomplete answer has a cursor to go
on. Rows that are committed while a read runs are left to the next one.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from storage.query import Filter, Page, RecordQuery
from storage.record import Payload, Record
from storage.relational.by_id import FIRST_SLICE_MS, ID_BYTES, id_number, id_slices
from storage.relational.reads.scan import seq_range
from storage.relational.reads.text_index.walk import Slices
from storage.relational.reads.totals import count_hours
from storage.relational.session import Selection, Session, Sifted, within_int
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT, Dialect, Rows, Where
from storage.relational.time_ranges import hours_inside
from storage.relational.writes.packing import COLUMNS

_SEQ: Final = COLUMNS.index("seq")
_SHORT_OFFSET: Final = 1000
"""Offset up to which rows are counted, rather than the filter checked for `_is_dense`."""


@dataclass(frozen=True, slots=True)
class _Walk:
    selected: Selection
    slices: AsyncIterable[Range]
    cursor: Callable[[Record], int]
    """Returns the cursor that stands behind a record."""
    expect: Callable[[int], None]
    """Takes how many rows should have the missing matches, to set the width of the next slice."""
    offset: int
    """Matching rows that are left out first."""


async def read_page(session: Session, query: RecordQuery) -> Page:
    filter = (await session.state()).visible(query.filter)
    if query.limit <= 0:
        return Page([], complete=True, next_after=None)

    walk = await (_by_id if query.by == "id" else _by_seq)(session, filter, query)
    if walk is None:
        return Page([], complete=True, next_after=None)
    return await _gather(session, query, walk)


async def _by_seq(session: Session, filter: Filter, query: RecordQuery) -> _Walk | None:
    """Prepare to read the records of a page by `seq`, the order in which they were stored."""
    selected = await session.rows_by_seq(filter)
    if selected is None:
        return None

    offset = _offset(query)
    whole = (await seq_range(session, filter)).following(query.after, query.order)
    if offset > _SHORT_OFFSET and await _is_dense(session, filter):
        whole = whole.without(offset, query.order)
        offset = 0
    slices = Slices(session, selected, whole, query.order)
    return _Walk(selected, slices, lambda record: record.seq, slices.expect, offset)


async def _by_id(session: Session, filter: Filter, query: RecordQuery) -> _Walk | None:
    """Prepare to read the records of a page by id, the order in which requests were received."""
    whole = await seq_range(session, filter)
    whole = Range(within_int(whole.first), within_int(whole.last))
    selected = await session.rows_by_id(filter, whole)
    if selected is None:
        return None

    whole_ms = await session.id_ends(whole)
    first_slice_ms = FIRST_SLICE_MS
    if session.dialect.scan_rows:
        # As many milliseconds as have about the rows of a first slice.
        first_rows = selected.first_rows or 0
        rows_ms = (whole_ms.last - whole_ms.first) * first_rows // max(whole.last - whole.first, 1)
        first_slice_ms = max(FIRST_SLICE_MS, rows_ms)
    slices = _each(id_slices(whole_ms, query.order, query.after, first_slice_ms))
    # The widths of slices of ids are fixed.
    return _Walk(
        selected, slices, lambda record: id_number(record.id), lambda _: None, _offset(query)
    )


async def _each(parts: Iterable[Range]) -> AsyncIterator[Range]:
    for part in parts:
        yield part


async def _gather(session: Session, query: RecordQuery, walk: _Walk) -> Page:
    """Read the rows of a page, one slice after the other."""
    rows: list[Sequence[Any]] = []
    limit = min(query.limit, MAX_INT - 1)
    offset = walk.offset
    # Behind the slices that have been read. It cannot say how many rows are still to be left out.
    cursor = query.after

    async for part in walk.slices:
        where = await walk.selected.within(part)
        if where is None:
            next_after = None if offset else cursor
            return Page(await session.records(rows), complete=False, next_after=next_after)

        if offset:
            left_out = await _count(session, where, offset)
            if left_out is None:
                return Page([], complete=False, next_after=None)
            if left_out < offset:
                offset -= left_out
                continue

        # One row more than wanted tells whether there is a next page.
        missing = limit + 1 - len(rows)
        found = await _read(session, walk, where, query, offset, missing)
        if found is None:
            return Page(await session.records(rows), complete=False, next_after=cursor)

        rows += found
        offset = 0
        if len(rows) > limit:
            page = await session.records(rows[:limit])
            return Page(page, complete=True, next_after=walk.cursor(page[-1]))

        if found:
            walk.expect(part.size * (missing - len(found)) // len(found))
        if query.order == "asc":
            cursor = part.last
        else:
            cursor = part.first

    return Page(await session.records(rows), complete=True, next_after=None)


async def _count(session: Session, where: Where, most: int) -> int | None:
    """Count the rows of a slice, up to a number; None when the budget ended it."""
    schema = session.dialect.schema
    mark = session.dialect.placeholder(len(where.parameters) + 1)
    counted = f"SELECT seq FROM {schema}records WHERE {where.text} LIMIT {mark}"
    sql = f"SELECT count(*) FROM ({counted}) AS counted"
    found = await session.fetch_in_budget(sql, (*where.parameters, most))
    if found is None:
        return None
    return int(found[0][0])


async def _read(
    session: Session, walk: _Walk, where: Where, query: RecordQuery, offset: int, count: int
) -> Rows | None:
    """Read some rows of a slice, in order, from an offset; None when the budget ended it."""
    if isinstance(where, Sifted) and query.by == "seq":
        # The rows are here already. This counts as the first query: the next is within the budget.
        session.budget.begin_query(is_part=False)
        rows = sorted(where.rows, key=itemgetter(_SEQ), reverse=query.order == "desc")
        return rows[offset : offset + count]

    dialect = session.dialect
    number = len(where.parameters) + 1
    limits = f"LIMIT {dialect.placeholder(number)} OFFSET {dialect.placeholder(number + 1)}"
    chosen = dialect.page(where.text, walk.selected.order_by(query.order), limits)
    return await session.fetch_in_budget(
        f"{_select(dialect)} {chosen}", (*where.parameters, count, offset)
    )


async def _is_dense(session: Session, filter: Filter) -> bool:
    """Whether every `seq` in the range of a filter is one of its rows: then an offset is a
    difference of `seq`.
    """
    floor_us = (await session.state()).purge_floor_us
    if session.numbers_per_row > 1 or filter != Filter(kind=filter.kind, since_us=floor_us or None):
        return False

    whole = await seq_range(session, filter)
    hours = hours_inside(filter.since_us, None)
    counted = await count_hours(session, Filter(kind="all"), hours)
    if filter.kind == "exchange" and counted.events:
        return False
    if filter.kind == "event" and counted.exchanges:
        return False
    return counted.exchanges + counted.events == whole.last - whole.first + 1


async def read_record(session: Session, record_id: bytes) -> Record | None:
    if len(record_id) != ID_BYTES:
        return None

    dialect = session.dialect
    floor_us = (await session.state()).purge_floor_us or -MAX_INT - 1
    where = f"id = {dialect.placeholder(1)} AND started_at_us >= {dialect.placeholder(2)}"
    sql = f"{_select(dialect)} WHERE {dialect.of_commits(where)}"
    rows = await session.fetch(sql, (record_id, floor_us))
    if rows:
        return (await session.records(rows))[0]
    return None


async def read_payloads(session: Session, seqs: Sequence[int]) -> dict[int, Payload]:
    wanted = sorted({seq for seq in seqs if 0 < seq <= MAX_INT})
    if wanted:
        return await session.payloads(wanted)
    return {}


def _offset(query: RecordQuery) -> int:
    return min(max(query.offset, 0), MAX_INT)


def _select(dialect: Dialect) -> str:
    return f"SELECT {dialect.record_columns} FROM {dialect.schema}records"
