"""Rollups as readers see them: their conditions, and whether they can tell at all."""

from typing import Any

from storage.postgres.connection import Connection
from storage.postgres.dictionary import find
from storage.postgres.state import State
from storage.query import Filter
from storage.relational.rollup_sql import can_count
from storage.relational.sql import POSTGRES, Where, rollup_conditions, texts

Parameters = tuple[Any, ...]


def has_rollups(state: State, filter: Filter) -> bool:
    """Whether rollups can count a filter's records, its time apart."""
    return can_count(filter, state.capped_dimensions)


async def rollup_where(connection: Connection, filter: Filter) -> Where | None:
    """Build the conditions of a filter on rollups, its time apart; None when nothing can match."""
    return rollup_conditions(filter, await find(connection, texts(filter)), POSTGRES)


async def edges_us(connection: Connection, state: State) -> tuple[int | None, int | None]:
    """Find about when the oldest and the newest record started; None without records."""
    row = await connection.fetchrow("SELECT min(min_started_at_us), max(max_started_at_us) FROM sidelog.spans")
    least, most = row if row is not None else (None, None)
    return (None, None) if least is None else (max(least, state.purge_floor_us), most)
