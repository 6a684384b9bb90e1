"""Rollups as readers see them: the rows of a range of time, and whether they can tell at all.

Strategy: a filter's whole hours become rows of the day table and, at both ends, of the hour table, put together by
UNION ALL. What retention has given up lies below the purge floor and is left out before it is deleted.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Any, Final

from storage.periods import DAY_HOURS, Hours, Part, parts, without_time
from storage.postgres.connection import Connection
from storage.postgres.dictionary import find
from storage.postgres.state import State
from storage.query import Filter
from storage.rollups import LIMITED, TABLES
from storage.sql import POSTGRES, Where, rollup_conditions, texts

Parameters = tuple[Any, ...]

_LIMITED_TEXTS: Final = frozenset(LIMITED)


def has_rollups(state: State, filter: Filter) -> bool:
    """Whether rollups can count a filter's records, its time apart."""
    if not without_time(filter).has_only_rollup_dimensions:
        return False
    restricted = texts(filter).keys() & _LIMITED_TEXTS
    return not any(state.capped_dimensions >> LIMITED.index(name) & 1 for name in restricted)


async def rollup_where(connection: Connection, filter: Filter) -> Where | None:
    """Build the conditions of a filter on rollups, its time apart; None when nothing can match."""
    return rollup_conditions(filter, await find(connection, texts(filter)), POSTGRES)


def rollup_rows(
    where: Where, hours: Hours, columns: Sequence[str], *, only_hours: bool = False
) -> tuple[str, Parameters]:
    """Write the sub-query of the rollup rows of some hours; there must be one.

    Args:
        where: From `rollup_where`.
        hours: Which.
        columns: Of the rollups; `hour`, the first of each row, is added.
        only_hours: Read no days: the hours are to be told apart.
    """
    selects: list[str] = []
    parameters: list[Any] = list(where.parameters)
    for part in (Part("hour", *hours),) if only_hours else parts(hours):
        table, period = TABLES[part.tier]
        hour = f"{period} * {DAY_HOURS} AS hour" if part.tier == "day" else period
        select = f"SELECT {hour}, {', '.join(columns)} FROM sidelog.{table} WHERE {where.text}"
        for sign, bound in ((">=", part.first), ("<", part.until)):
            if bound is not None:
                parameters.append(bound)
                select += f" AND {period} {sign} ${len(parameters)}"
        selects.append(select)
    return f"({' UNION ALL '.join(selects)}) AS rollup", tuple(parameters)


async def edges_us(connection: Connection, state: State) -> tuple[int | None, int | None]:
    """Find about when the oldest and the newest record started; None without records."""
    row = await connection.fetchrow("SELECT min(min_started_at_us), max(max_started_at_us) FROM sidelog.spans")
    least, most = row if row is not None else (None, None)
    return (None, None) if least is None else (max(least, state.purge_floor_us), most)
