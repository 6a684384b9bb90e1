"""Reading: a filter is walked in slices of `seq`, so that a time budget can end it anywhere with a cursor in hand.

Strategy: bounds on time become bounds on `seq` first (table `spans`). The range that is left is searched slice by slice
in the order of the query (`storage.relational.slices`), each in the partitions that can have rows of it.

Invariant: the first slice is searched whatever the budget, so every answer makes progress. An answer is one read-only
transaction that sees one state of the store.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from storage.postgres.codec import PLACES, decode_rows
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.index_keys import by_seq, seq_among
from storage.postgres.page import SELECT, Listing, Place, read_page
from storage.postgres.ranges import id_range, seq_range
from storage.postgres.scan import first_rows, row_where
from storage.postgres.state import State, read_state
from storage.postgres.totals import count_hours
from storage.query import Filter, Page, RecordQuery
from storage.record import Payload, Record
from storage.relational.payloads import NOWHERE, Unpacker
from storage.relational.slices import Range, slices
from storage.relational.sql import MAX_INT
from storage.relational.time_ranges import hours_inside

_SELECT_PLACES: Final = f"SELECT seq, {', '.join(PLACES)}, started_at_us FROM sidelog.records"
_ID_BYTES: Final = 16
_FEW: Final = 1000
"""Rows that are skipped by reading them rather than by finding out whether that can be avoided."""


async def select(connection: Connection, query: RecordQuery, names: Names, budget: Budget) -> Page:
    """Read one page."""
    state = await read_state(connection)
    filter = state.visible(query.filter)
    where = await row_where(connection, filter, state)
    if where is None or query.limit <= 0:
        return Page([], complete=True, next_after=None)
    skip = min(max(query.offset, 0), MAX_INT)
    whole = (await seq_range(connection, filter, state)).following(query.after, query.order)
    if skip > _FEW and await _is_dense(connection, filter, state):
        whole, skip = whole.without(skip, query.order), 0

    async def place(part: Range) -> Place:
        return part, await id_range(connection, part)

    listing = Listing(by_seq(query.order), where, place, lambda record: record.seq)
    parts = slices(whole, query.order, first_rows(filter))
    return await read_page(connection, listing, query, parts, names, budget, skip=skip)


async def _is_dense(connection: Connection, filter: Filter, state: State) -> bool:
    """Whether every `seq` of a filter's range is one of its rows, so that an offset is a difference of `seq`."""
    if filter != Filter(kind=filter.kind, since_us=state.purge_floor_us or None):
        return False
    whole = await seq_range(connection, filter, state)
    counted = await count_hours(connection, Filter(kind="all"), hours_inside(filter.since_us, None))
    other = {"all": 0, "exchange": counted.events, "event": counted.exchanges}[filter.kind]
    return not other and counted.exchanges + counted.events == whole.last - whole.first + 1


async def get(connection: Connection, record_id: bytes, names: Names) -> Record | None:
    """Read one record by its id."""
    if len(record_id) != _ID_BYTES:
        return None
    floor_us = (await read_state(connection)).purge_floor_us
    sql = f"{SELECT} WHERE id = $1 AND started_at_us >= $2"
    rows = await connection.fetch(sql, UUID(bytes=record_id), floor_us or -MAX_INT - 1)
    return (await decode_rows(connection, rows, names))[0] if rows else None


async def payloads(connection: Connection, seqs: Sequence[int]) -> dict[int, Payload]:
    """Read the payloads of some records."""
    wanted = sorted({seq for seq in seqs if 0 < seq <= MAX_INT})
    if not wanted:
        return {}
    state = await read_state(connection)
    ids = await id_range(connection, Range(wanted[0], wanted[-1]))
    sql = f"{_SELECT_PLACES} WHERE {seq_among('$1')} AND id BETWEEN $2 AND $3 AND started_at_us >= $4"
    places = await connection.fetch(sql, wanted, *ids, state.purge_floor_us or -MAX_INT - 1)
    numbers = sorted({number for row in places for number in (row[1], row[4]) if number is not None})
    blocks = await connection.fetch("SELECT id, data FROM sidelog.blocks WHERE id = ANY($1::bigint[])", numbers)
    unpacker = Unpacker((number, data) for number, data in blocks)
    found = {}
    for seq, heads_block, heads_at, heads_length, bodies_block, bodies_at, bodies_length, started_at_us in places:
        heads = NOWHERE if heads_block is None else (heads_block, heads_at, heads_length)
        has_bodies = bodies_block is not None and started_at_us >= state.body_floor_us
        found[seq] = unpacker.payload(heads, (bodies_block, bodies_at, bodies_length) if has_bodies else NOWHERE)
    return {seq: payload for seq, payload in found.items() if payload is not None}


async def last_seq(connection: Connection) -> int:
    """Read the newest seq, also when its row was purged."""
    return (await read_state(connection)).last_seq
