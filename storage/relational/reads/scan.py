"""Rows of a filter, one statement per slice of `seq`, newest first, until the time budget ends it.

Strategy: bounds on time become bounds on `seq` first (`Session.seq_ends`). The range that is left
is searched slice by slice (`storage.relational.slices`). Rows that had to be looked into are
remembered for what the same read asks next.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from storage.aggregates import EXACT_ROWS
from storage.query import Filter, Order, Scope
from storage.relational.reads.text_index.walk import Slices
from storage.relational.session import Session, Sifted
from storage.relational.slices import Range
from storage.relational.sql import Rows
from storage.relational.writes.packing import COLUMNS


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

    The select has no parameters and ends at the name of the table of records, which is added;
    `then` is what follows the conditions: grouping, order, limit. `add` takes the rows of each
    slice; True ends the scan, for no more are needed. Of exchanges and events together, those of
    which the rows are known come first.
    """
    is_enough = False

    def add_some(rows: Rows) -> bool:
        nonlocal is_enough
        is_enough = bool(add(rows))
        return is_enough

    for some in _kinds(session, filter):
        if not is_enough and not await _scan(session, some, select, then, add_some, order):
            return False
    return True


def _kinds(session: Session, filter: Filter) -> Sequence[Filter]:
    """Take exchanges apart from events where the read has found the exchanges before."""
    exchanges = replace(filter, kind="exchange")
    if filter.kind != "all" or session.known_rows.keys_of(exchanges) is None:
        return (filter,)
    return exchanges, replace(filter, kind="event")


async def _scan(
    session: Session,
    filter: Filter,
    select: str,
    then: str,
    add: Callable[[Rows], bool],
    order: Order,
) -> bool:
    selected = await session.rows_by_seq(filter)
    if selected is None:
        return True

    found: list[Sifted] = []
    async for part in Slices(session, selected, await seq_range(session, filter), order):
        where = await selected.within(part)
        if where is None:
            return False

        if isinstance(where, Sifted):
            found.append(where)
        sql = f"{select} FROM {session.dialect.schema}records WHERE {where.text}{then}"
        rows = await session.fetch_in_budget(sql, where.parameters)
        if rows is None:
            return False
        if add(rows):
            return True

    if found:
        key = COLUMNS.index(session.dialect.row_key)
        session.known_rows.note(filter, [row[key] for some in found for row in some.rows])
    return True


async def seq_range(session: Session, filter: Filter) -> Range:
    """Find the rows that a filter's bounds on time and `seq` leave to be searched."""
    whole = await session.seq_ends(filter.since_us, filter.until_us)
    if filter.seq_after is None:
        first = whole.first
    else:
        first = max(whole.first, filter.seq_after + 1)
    if filter.seq_until is None:
        last = whole.last
    else:
        last = min(whole.last, filter.seq_until)
    return Range(first, last)


async def start_range(session: Session) -> tuple[int | None, int | None]:
    """Find about when the oldest and the newest record started; None without records."""
    sql = (
        f"SELECT min(min_started_at_us), max(max_started_at_us) FROM {session.dialect.schema}spans"
    )
    [(least, most)] = await session.fetch(sql)
    if least is None:
        return (None, None)

    return (max(least, (await session.state()).purge_floor_us), most)


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

    await scan(
        session, filter, f"SELECT {'min' if order == 'asc' else 'max'}(seq)", "", add, order=order
    )
    if seqs:
        one = replace(filter, seq_after=seqs[0] - 1, seq_until=seqs[0])
        await scan(session, one, "SELECT started_at_us", "", times.extend)
    return times[0][0] if times else None


_FIND_S: Final = 0.05
"""Time for the search of few exchanges that rollups have counted, which may lie anywhere among many
others.
"""


async def fetch_exact_if_small(
    session: Session, filter: Filter, exchanges: int, select: str, *, is_counted: bool
) -> Rows | None:
    """Run `select` over a filter's exchanges; None when there are none, too many, or they take too
    long to be found.

    `is_counted` says that no row was looked at before; the select ends at the name of the table.
    """
    if not 0 < exchanges <= EXACT_ROWS:
        return None
    found: list[Rows] = []
    limited = session.limited(_FIND_S) if is_counted else session
    is_complete = await scan(limited, replace(filter, kind="exchange"), select, "", found.extend)
    return found if is_complete else None
