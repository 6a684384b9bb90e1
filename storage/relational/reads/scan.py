"""Rows of a filter, one statement per slice of `seq`, newest first, until the time budget ends it.

Strategy: bounds on time become bounds on `seq` first (`Session.seq_ends`). The range that is left is searched slice by
slice (`storage.relational.slices`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from storage.aggregates import EXACT_ROWS
from storage.query import Filter, Order, Scope
from storage.relational.reads.text_index.walk import Slices
from storage.relational.session import Rows, Session
from storage.relational.slices import Range


async def scan(
    session: Session,
    filter: Filter,
    select: str,
    then: str,
    add: Callable[[Rows], bool | None],
    *,
    order: Order = "desc",
) -> bool:
    """Run `select` over the rows of a filter, slice by slice; False when the budget ended it.

    The select has no parameters and ends at the name of the table of records, which is added; `then` is what follows
    the conditions: grouping, order, limit. `add` takes the rows of each slice; True ends the scan, for no more
    are needed.
    """
    selected = await session.rows_by_seq(filter)
    if selected is None:
        return True
    async for part in Slices(session, selected, await seq_range(session, filter), order):
        where = await selected.within(part)
        if where is None:
            return False
        sql = f"{select} FROM {session.dialect.schema}records WHERE {where.text}{then}"
        found = await session.fetch_in_budget(sql, where.parameters)
        if found is None:
            return False
        if add(found):
            break
    return True


async def seq_range(session: Session, filter: Filter) -> Range:
    """Find the rows that a filter's bounds on time and `seq` leave to be searched."""
    whole = await session.seq_ends(filter.since_us, filter.until_us)
    first = whole.first if filter.seq_after is None else max(whole.first, filter.seq_after + 1)
    last = whole.last if filter.seq_until is None else min(whole.last, filter.seq_until)
    return Range(first, last)


async def start_range(session: Session) -> tuple[int | None, int | None]:
    """Find about when the oldest and the newest record started; None without records."""
    sql = f"SELECT min(min_started_at_us), max(max_started_at_us) FROM {session.dialect.schema}spans"
    [(least, most)] = await session.fetch(sql)
    return (None, None) if least is None else (max(least, (await session.state()).purge_floor_us), most)


async def scope_range(session: Session, scope: Scope) -> tuple[int | None, int | None]:
    """Find when the first and the last record of a scope started, from its own records only."""
    filter = (await session.state()).visible(Filter(scope=scope, kind="all"))
    return await _started_us(session, filter, "asc"), await _started_us(session, filter, "desc")


async def _started_us(session: Session, filter: Filter, order: Order) -> int | None:
    seqs: list[int] = []
    times: list[Any] = []

    def add(rows: Rows) -> bool:
        seqs.extend(seq for (seq,) in rows if seq)
        return bool(seqs)

    await scan(session, filter, f"SELECT {'min' if order == 'asc' else 'max'}(seq)", "", add, order=order)
    if seqs:
        one = replace(filter, seq_after=seqs[0] - 1, seq_until=seqs[0])
        await scan(session, one, "SELECT started_at_us", "", times.extend)
    return times[0][0] if times else None


_FIND_S: Final = 0.05
"""Time for the search of few exchanges that rollups have counted, which may lie anywhere among many others."""


async def fetch_exact_if_small(
    session: Session, filter: Filter, exchanges: int, select: str, *, is_counted: bool
) -> Rows | None:
    """Run `select` over a filter's exchanges; None when there are none, too many, or they take too long to be found.

    `is_counted` says that no row was looked at before; the select ends at the name of the table.
    """
    if not 0 < exchanges <= EXACT_ROWS:
        return None
    found: list[Rows] = []
    limited = session.limited(_FIND_S) if is_counted else session
    is_complete = await scan(limited, replace(filter, kind="exchange"), select, "", found.extend)
    return found if is_complete else None
