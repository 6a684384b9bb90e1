"""One page of a list, and single records with their payloads.

Strategy: a filter is walked in slices, of `seq` or of ids, in the order of the query
(`storage.relational.slices`), so that a time budget can end it anywhere with a cursor in hand.
Bounds on time become bounds on `seq`, or on ids, first.

Invariant: the first slice is searched whatever the budget, and an answer that was cut carries a
cursor to go on. Rows that are committed while a read runs are left to the next one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Self

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
_FEW: Final = 1000
"""Rows that are skipped by reading them rather than by finding out whether that can be avoided."""


class _Parts:
    """Slices that are known without asking."""

    def __init__(self, parts: Iterable[Range]) -> None:
        self._parts = iter(parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Range:
        for part in self._parts:
            return part
        raise StopAsyncIteration

    def expect(self, rows: int) -> None:
        """Leave the slices as they are."""


@dataclass(frozen=True, slots=True)
class _Walk:
    selected: Selection
    parts: Slices | _Parts
    number: Callable[[Record], int]
    """A record's place in the order, as cursors carry it."""
    skip: int


async def read_page(session: Session, query: RecordQuery) -> Page:
    filter = (await session.state()).visible(query.filter)
    if query.limit <= 0:
        return Page([], complete=True, next_after=None)
    walk = await (_by_id if query.by == "id" else _by_seq)(session, filter, query)
    if walk is None:
        return Page([], complete=True, next_after=None)
    return await _gather(session, query, walk)


async def _by_seq(session: Session, filter: Filter, query: RecordQuery) -> _Walk | None:
    selected = await session.rows_by_seq(filter)
    if selected is None:
        return None

    skip = _skipped(query)
    whole = (await seq_range(session, filter)).following(query.after, query.order)
    if skip > _FEW and await _is_dense(session, filter):
        whole = whole.without(skip, query.order)
        skip = 0
    parts = Slices(session, selected, whole, query.order)
    return _Walk(selected, parts, lambda record: record.seq, skip)


async def _by_id(session: Session, filter: Filter, query: RecordQuery) -> _Walk | None:
    """Walk in the order of receipt: for readers that list what came in, not what was stored."""
    whole = await seq_range(session, filter)
    whole = Range(within_int(whole.first), within_int(whole.last))
    selected = await session.rows_by_id(filter, whole)
    if selected is None:
        return None

    whole_ms = await session.id_ends(whole)
    # As many milliseconds as have about so many rows.
    rows_at_once = selected.first_rows or 0
    wide_ms = (whole_ms.last - whole_ms.first) * rows_at_once // max(whole.last - whole.first, 1)
    first_slice_ms = max(FIRST_SLICE_MS, wide_ms if session.dialect.scan_rows else 0)
    parts = id_slices(whole_ms, query.order, query.after, first_slice_ms)
    return _Walk(selected, _Parts(parts), lambda record: id_number(record.id), _skipped(query))


async def _gather(session: Session, query: RecordQuery, walk: _Walk) -> Page:
    rows: list[Sequence[Any]] = []
    limit = min(query.limit, MAX_INT - 1)
    edge = query.after
    skip = walk.skip

    async for part in walk.parts:
        where = await walk.selected.within(part)
        if where is None:
            return Page(
                await session.records(rows), complete=False, next_after=None if skip else edge
            )

        if skip:
            passed = await _count(session, where, skip)
            if passed is None:
                return Page([], complete=False, next_after=None)
            if passed < skip:
                skip -= passed
                continue

        # One row more than wanted tells whether there is a next page.
        found = await _read(session, walk, where, query, skip, limit + 1 - len(rows))
        if found is None:
            return Page(await session.records(rows), complete=False, next_after=edge)

        rows += found
        skip = 0
        if len(rows) > limit:
            page = await session.records(rows[:limit])
            return Page(page, complete=True, next_after=walk.number(page[-1]))

        if found:
            walk.parts.expect(part.size * (limit + 1 - len(rows)) // len(found))
        edge = part.last if query.order == "asc" else part.first

    return Page(await session.records(rows), complete=True, next_after=None)


async def _count(session: Session, where: Where, most: int) -> int | None:
    """Count rows of a slice, up to a number; None when the budget ended it."""
    schema = session.dialect.schema
    mark = session.dialect.placeholder(len(where.parameters) + 1)
    counted = f"SELECT seq FROM {schema}records WHERE {where.text} LIMIT {mark}"
    found = await session.fetch_in_budget(
        f"SELECT count(*) FROM ({counted}) AS counted", (*where.parameters, most)
    )
    return None if found is None else int(found[0][0])


async def _read(
    session: Session, walk: _Walk, where: Where, query: RecordQuery, skip: int, count: int
) -> Rows | None:
    """Read some rows of a slice, in order, behind those that are skipped; None when the budget
    ended it.
    """
    if isinstance(where, Sifted) and query.by == "seq":
        # The one that need not be run: what follows is no longer the first.
        session.budget.begin_query(is_part=False)
        rows = sorted(where.rows, key=itemgetter(_SEQ), reverse=query.order == "desc")
        return rows[skip : skip + count]

    dialect = session.dialect
    number = len(where.parameters) + 1
    limits = f"LIMIT {dialect.placeholder(number)} OFFSET {dialect.placeholder(number + 1)}"
    chosen = dialect.page(where.text, walk.selected.order_by(query.order), limits)
    return await session.fetch_in_budget(
        f"{_select(dialect)} {chosen}", (*where.parameters, count, skip)
    )


async def _is_dense(session: Session, filter: Filter) -> bool:
    """Whether every `seq` of a filter's range is one of its rows, so that an offset is a difference
    of `seq`.
    """
    floor_us = (await session.state()).purge_floor_us
    if session.numbers_per_row > 1 or filter != Filter(kind=filter.kind, since_us=floor_us or None):
        return False

    whole = await seq_range(session, filter)
    hours = hours_inside(filter.since_us, None)
    counted = await count_hours(session, Filter(kind="all"), hours)
    other = {"all": 0, "exchange": counted.events, "event": counted.exchanges}[filter.kind]
    return not other and counted.exchanges + counted.events == whole.last - whole.first + 1


async def read_record(session: Session, record_id: bytes) -> Record | None:
    if len(record_id) != ID_BYTES:
        return None
    dialect = session.dialect
    floor_us = (await session.state()).purge_floor_us
    sql = (
        f"{_select(dialect)} WHERE id = {dialect.placeholder(1)} AND started_at_us >= "
        f"{dialect.placeholder(2)}"
    )
    parameters = (dialect.from_id(record_id), floor_us or -MAX_INT - 1)
    rows = await session.fetch(dialect.of_commits(sql), parameters)
    return (await session.records(rows))[0] if rows else None


async def read_payloads(session: Session, seqs: Sequence[int]) -> dict[int, Payload]:
    wanted = sorted({seq for seq in seqs if 0 < seq <= MAX_INT})
    return await session.payloads(wanted) if wanted else {}


def _skipped(query: RecordQuery) -> int:
    return min(max(query.offset, 0), MAX_INT)


def _select(dialect: Dialect) -> str:
    return f"SELECT {dialect.record_columns} FROM {dialect.schema}records"
