"""One page of a list, gathered slice by slice within a budget: the same walk for lists by `seq` and by id.

Invariant: the first slice is searched whatever the budget, and an answer that was cut carries a cursor to go on.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from storage.postgres.body_search import Search
from storage.postgres.codec import COLUMNS, decode_rows
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.index_keys import id_between, id_bucket
from storage.postgres.scan import bounds
from storage.query import Page, RecordQuery
from storage.record import Record
from storage.relational.by_id import id_ms
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT

SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM sidelog.records"
"""Rows as `decode_rows` expects them."""

Statement = tuple[str, tuple[Any, ...]]
Place = tuple[Range, tuple[UUID, UUID]]
"""Between which `seq`s and between which ids the rows of a slice lie, all inclusive."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What is listed, and in which order."""

    order: str
    """Text, from ORDER BY on."""
    where: Search
    place: Callable[[Range], Awaitable[Place]]
    """Finds where a slice lies."""
    number: Callable[[Record], int]
    """A record's place in the order, as cursors carry it."""
    is_by_bucket: bool = False
    """Whether an index on the bucket of the id serves it."""


async def read_page(
    connection: Connection,
    listing: Listing,
    query: RecordQuery,
    parts: Iterable[Range],
    names: Names,
    budget: Budget,
    *,
    skip: int,
) -> Page:
    """Read one page of at least one record, behind `skip` of them, from slices in the order of the query."""
    rows: list[Any] = []
    limit, edge = min(query.limit, MAX_INT - 1), query.after
    for part in parts:
        seqs, ids = await listing.place(part)
        matching = await listing.where.at(connection, seqs, ids, budget)
        if matching is None:
            return Page(await decode_rows(connection, rows, names), complete=False, next_after=None if skip else edge)
        condition = f"{listing.where.text} AND {bounds(len(matching) + 1)}"
        parameters = (*matching, seqs.first, seqs.last, *ids)
        if listing.is_by_bucket:
            condition += f" AND {id_between(len(matching) + 3, len(parameters) + 1)}"
            parameters += tuple(id_bucket(id_ms(each.bytes)) for each in ids)
        if skip:
            passed = await budget.fetch(connection, *_passing(condition, parameters, skip))
            if passed is None:
                return Page([], complete=False, next_after=None)
            if passed[0][0] < skip:
                skip -= passed[0][0]
                continue
        # One row more than wanted tells whether there is a next page.
        ordered = f"{condition} {listing.order}"
        found = await budget.fetch(connection, *_listing(ordered, parameters, limit + 1 - len(rows), skip))
        if found is None:
            return Page(await decode_rows(connection, rows, names), complete=False, next_after=edge)
        rows += found
        skip = 0
        if len(rows) > limit:
            page = await decode_rows(connection, rows[:limit], names)
            return Page(page, complete=True, next_after=listing.number(page[-1]))
        edge = part.last if query.order == "asc" else part.first
    return Page(await decode_rows(connection, rows, names), complete=True, next_after=None)


def _listing(ordered: str, parameters: tuple[Any, ...], limit: int, offset: int) -> Statement:
    number = len(parameters) + 1
    return f"{SELECT} WHERE {ordered} LIMIT ${number} OFFSET ${number + 1}", (*parameters, limit, offset)


def _passing(condition: str, parameters: tuple[Any, ...], skip: int) -> Statement:
    rows = f"SELECT FROM sidelog.records WHERE {condition} LIMIT ${len(parameters) + 1}"
    return f"SELECT count(*) FROM ({rows}) AS passed", (*parameters, skip)
