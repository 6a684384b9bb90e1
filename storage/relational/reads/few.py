"""The exchanges of a filter one by one, where they are few: what is told from them is exact."""

from dataclasses import replace
from typing import Final

from storage.aggregates import EXACT_ROWS
from storage.query import Filter
from storage.relational.reads.scan import scan
from storage.relational.session import Parameters, Rows, Session

_FIND_S: Final = 0.05
"""How long few exchanges are looked for that rollups have counted: they may lie anywhere among many others."""


async def few_exchanges(
    session: Session, filter: Filter, exchanges: int, select: str, *, is_counted: bool, before: Parameters = ()
) -> Rows | None:
    """Run `select` over a filter's exchanges; None when there are none, too many, or they take too long to be found.

    Args:
        session: To read from.
        filter: Which; events are left out.
        exchanges: How many there are.
        select: Up to the name of the table of records.
        is_counted: Whether no row was looked at before.
        before: Parameters of `select`.
    """
    if not 0 < exchanges <= EXACT_ROWS:
        return None
    found: list[Rows] = []
    limited = session.limited(_FIND_S) if is_counted else session
    is_complete = await scan(limited, replace(filter, kind="exchange"), select, "", found.extend, before=before)
    return found if is_complete else None
