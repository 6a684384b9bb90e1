"""Rows of a filter, one statement per slice of `seq`, newest first, until the time budget ends it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from storage.postgres.body_search import SLICE_ROWS, Search, search
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import find
from storage.postgres.index_keys import seq_between
from storage.postgres.ranges import id_range, seq_range
from storage.postgres.state import State
from storage.postgres.text import escape
from storage.postgres.tiers import Parameters
from storage.query import Filter
from storage.relational.slices import slices
from storage.relational.sql import POSTGRES, Where, conditions, is_storable, texts


def first_rows(filter: Filter) -> int | None:
    """Choose how many rows the first slice has; None for as many as usual."""
    return SLICE_ROWS if filter.text else None


def bounds(first_parameter: int) -> str:
    """Write the condition on the rows of a slice: its first and last `seq`, its first and last id."""
    first, last, least_id, most_id = (f"${first_parameter + place}" for place in range(4))
    return f"{seq_between(first, last)} AND id BETWEEN {least_id} AND {most_id}"


async def row_where(connection: Connection, filter: Filter, state: State, *, first_parameter: int = 1) -> Search | None:
    """Build the conditions of a filter on rows; None when nothing can match."""
    ids = await find(connection, texts(filter))
    others = replace(filter, text=None)
    where = _written(conditions(others, ids, POSTGRES, first_parameter=first_parameter))
    if where is None:
        return None
    if not filter.text:
        return Search(where.text, where.parameters)
    plain = _written(conditions(others, ids, POSTGRES))
    if plain is None or not is_storable(filter.text):
        return None
    return search(filter.text, plain, where, first_parameter + len(where.parameters), state.body_floor_us)


def _written(where: Where | None) -> Where | None:
    if where is None:
        return None
    written = (escape(value) if isinstance(value, str) else value for value in where.parameters)
    return Where(where.text, tuple(written))


async def scan(
    connection: Connection,
    filter: Filter,
    state: State,
    select: str,
    then: str,
    budget: Budget,
    *,
    before: Parameters = (),
) -> AsyncGenerator[Sequence[Any] | None, None]:
    """Run `select` over the rows of a filter, slice by slice.

    Args:
        connection: To read from, in a transaction.
        filter: Which rows.
        state: Of the store, as that transaction sees it.
        select: Up to FROM records.
        then: What follows the conditions: grouping, order, limit.
        budget: Ends it.
        before: Parameters of `select`, the first ones.

    Yields:
        The rows of each slice; None, as the last, when the budget ended the scan.
    """
    where = await row_where(connection, filter, state, first_parameter=len(before) + 1)
    if where is None:
        return
    sql = f"{select} WHERE {where.text} AND {bounds(len(before) + len(where.parameters) + 1)}{then}"
    for part in slices(await seq_range(connection, filter, state), "desc", first_rows(filter)):
        ids = await id_range(connection, part)
        parameters = await where.at(connection, part, ids, budget)
        found = None
        if parameters is not None:
            found = await budget.fetch(connection, sql, (*before, *parameters, part.first, part.last, *ids))
        yield found
        if found is None:
            return
