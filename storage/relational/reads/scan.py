"""Scans the rows of a filter, one statement per slice of `seq`, until the time budget ends it.

Strategy: bounds on time become bounds on `seq` first (`Session.seq_ends`). The remaining range is
read slice by slice (`storage.relational.slices`). Who asks several questions about the rows of a
search has them examined first (`examined`), newest first and for a part of the budget: then all
answers are about the same rows, whether these are all or the newest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from storage.query import Filter
from storage.relational.reads.text_index.walk import Slices
from storage.relational.search.condition import residual
from storage.relational.search.known_rows import MAX_ROWS
from storage.relational.session import Session, Sifted
from storage.relational.slices import Range
from storage.relational.sql import Rows
from storage.relational.writes.packing import COLUMNS

_EXAMINED_SHARE: Final = 0.7
"""Of the budget: what is asked about the rows that were found takes less than finding them."""
_STARTED_AT: Final = COLUMNS.index("started_at_us")


@dataclass(frozen=True, slots=True)
class Examined:
    """The rows of a filter that were examined."""

    filter: Filter
    """Narrowed to them."""
    is_whole: bool
    """Whether these are all rows of the filter; else they are the newest."""
    since_us: int | None = None
    """When the oldest row that was found started, if they are not all."""


async def examined(session: Session, filter: Filter) -> Examined:
    """Examine the rows of a search that SQL cannot express; they are cached for what this read asks
    next (`known_rows`).
    """
    everything = Examined(filter, is_whole=True)
    if filter.where is None or residual(filter.where) is None:
        return everything
    examining = session.limited(session.budget.rest_s * _EXAMINED_SHARE)
    selected = await examining.rows_by_seq(filter)
    if selected is None:
        return everything

    whole = await seq_range(session, filter)
    found: list[Sequence[Any]] = []
    first = whole.last + 1
    is_whole = True
    async for part in Slices(examining, selected, whole, "desc"):
        where = await selected.within(part)
        if where is None or len(found) >= MAX_ROWS:
            is_whole = False
            break
        if not isinstance(where, Sifted):
            return everything  # Some are found by SQL alone.

        examining.budget.begin_query(is_part=False)
        found += where.rows
        first = part.first

    if not is_whole:
        filter = replace(filter, seq_after=first - 1)
    key = COLUMNS.index(session.dialect.row_key)
    session.known_rows.note(filter, [row[key] for row in found])
    starts_us = [row[_STARTED_AT] for row in found]
    return Examined(filter, is_whole, None if is_whole else min(starts_us, default=None))


async def scan(
    session: Session,
    filter: Filter,
    select: str,
    then: str,
    add: Callable[[Rows], bool | None],
) -> bool:
    """Run a query over the rows of a filter, slice by slice; False when the budget ended it.

    Args:
        select: The query before FROM, without parameters.
        then: The query behind the conditions: grouping, order, limit.
        add: Takes the rows of a slice; True ends the scan.
    """
    is_enough = False

    def add_some(rows: Rows) -> bool:
        nonlocal is_enough
        is_enough = bool(add(rows))
        return is_enough

    for part in _by_kind(session, filter):
        if not is_enough and not await _scan(session, part, select, then, add_some):
            return False
    return True


def _by_kind(session: Session, filter: Filter) -> Sequence[Filter]:
    """Split a filter into exchanges and events if the exchanges are cached."""
    exchanges = replace(filter, kind="exchange")
    known = session.known_rows
    if filter.kind != "all" or known.keys_of(filter) is not None:
        return (filter,)
    if known.keys_of(exchanges) is None:
        return (filter,)
    return exchanges, replace(filter, kind="event")


async def _scan(
    session: Session,
    filter: Filter,
    select: str,
    then: str,
    add: Callable[[Rows], bool],
) -> bool:
    selected = await session.rows_by_seq(filter)
    if selected is None:
        return True

    examined: list[Sifted] = []
    async for part in Slices(session, selected, await seq_range(session, filter), "desc"):
        where = await selected.within(part)
        if where is None:
            return False

        if isinstance(where, Sifted):
            examined.append(where)
        sql = f"{select} FROM {session.dialect.schema}records WHERE {where.text}{then}"
        rows = await session.fetch_in_budget(sql, where.parameters)
        if rows is None:
            return False
        if add(rows):
            return True

    if examined:
        key = COLUMNS.index(session.dialect.row_key)
        session.known_rows.note(filter, [row[key] for where in examined for row in where.rows])
    return True


async def seq_range(session: Session, filter: Filter) -> Range:
    """Return the range of `seq` that is within a filter's bounds on time and `seq`."""
    within_time = await session.seq_ends(filter.since_us, filter.until_us)
    first = within_time.first
    last = within_time.last
    if filter.seq_after is not None:
        first = max(first, filter.seq_after + 1)
    if filter.seq_until is not None:
        last = min(last, filter.seq_until)
    return Range(first, last)


async def start_range(session: Session) -> tuple[int | None, int | None]:
    """Return about when the oldest and the newest record started; None without records."""
    sql = (
        f"SELECT min(min_started_at_us), max(max_started_at_us) FROM {session.dialect.schema}spans"
    )
    [(least, most)] = await session.fetch(sql)
    if least is None:
        return None, None
    return max(least, (await session.state()).purge_floor_us), most
