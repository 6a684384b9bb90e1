"""Pages in the order of receipt, by id: for readers that list what came in, not what was stored.

Strategy: as in SQLite's: bounds on time become bounds on ids (table `spans`), which are also bounds on partitions, and
the rest is walked in slices of milliseconds (`storage.relational.by_id`).

Invariant: the first slice is searched whatever the budget, so every answer makes progress.
"""

from typing import Final
from uuid import UUID

from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.index_keys import by_id, by_id_bucket
from storage.postgres.page import Listing, Place, read_page
from storage.postgres.ranges import seq_range
from storage.postgres.scan import row_where
from storage.postgres.state import read_state
from storage.query import Filter, Page, RecordQuery
from storage.relational.by_id import id_number, id_slices
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT

_SPANS: Final = (
    "SELECT coalesce(min(min_id_ms), 1), coalesce(max(max_id_ms), 0) FROM sidelog.spans "
    "WHERE last_seq >= $1 AND first_seq <= $2"
)


async def select(connection: Connection, query: RecordQuery, names: Names, budget: Budget) -> Page:
    """Read one page of a query by id."""
    state = await read_state(connection)
    filter = state.visible(query.filter)
    where = await row_where(connection, filter, state)
    if where is None or query.limit <= 0:
        return Page([], complete=True, next_after=None)
    whole = await seq_range(connection, filter, state)
    bounded = Range(_bound(whole.first), _bound(whole.last))

    async def place(part: Range) -> Place:
        return bounded, (UUID(int=part.first), UUID(int=part.last))

    is_by_bucket = _has_index(filter)
    order = (by_id_bucket if is_by_bucket else by_id)(query.order)
    listing = Listing(order, where, place, lambda record: id_number(record.id), is_by_bucket)
    parts = id_slices(await _ms_range(connection, whole), query.order, query.after)
    skip = min(max(query.offset, 0), MAX_INT)
    return await read_page(connection, listing, query, parts, names, budget, skip=skip)


def _has_index(filter: Filter) -> bool:
    """Whether an index has the rows of a project, or those of a client's route, by the buckets of their ids."""
    scope = filter.scope
    return bool(filter.projects or scope.projects or (filter.routes and (filter.clients or scope.clients)))


async def _ms_range(connection: Connection, whole: Range) -> Range:
    """Find the milliseconds between which the ids of a range of `seq` are."""
    row = await connection.fetchrow(_SPANS, _bound(whole.first), _bound(whole.last))
    return Range(1, 0) if row is None else Range(*row)


def _bound(seq: int) -> int:
    return max(min(seq, MAX_INT), -MAX_INT)
