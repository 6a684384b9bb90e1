"""Sums over rows: one statement per slice of `seq`, newest first, until the time budget ends it."""

import sqlite3
from collections.abc import Iterator

from storage.query import Filter
from storage.relational.slices import Range, slices
from storage.relational.sql import SQLITE, conditions, texts
from storage.sqlite.codec import Row
from storage.sqlite.connection import Budget
from storage.sqlite.dictionary import find
from storage.sqlite.read import seq_range
from storage.sqlite.tiers import Parameters


def scan(
    connection: sqlite3.Connection,
    filter: Filter,
    select: str,
    then: str,
    budget: Budget,
    *,
    before: Parameters = (),
) -> Iterator[list[Row] | None]:
    """Run `select` over the rows of a filter, slice by slice.

    Args:
        connection: To read from.
        filter: Which rows.
        select: Up to FROM records.
        then: What follows the conditions: grouping, order, limit.
        budget: Ends it.
        before: Parameters of `select`.

    Yields:
        The rows of each slice; None, as the last, when the budget ended the scan.
    """
    where = conditions(filter, find(connection, texts(filter)), SQLITE)
    if where is None:
        return
    for part in slices(seq_range(connection, filter), "desc"):
        sql = f"{select} WHERE {where.text} AND seq BETWEEN ? AND ?{then}"
        found = budget.execute(connection, sql, (*before, *where.parameters, *_bounds(part)))
        yield found
        if found is None:
            return


def _bounds(part: Range) -> tuple[int, int]:
    return part.first, part.last
