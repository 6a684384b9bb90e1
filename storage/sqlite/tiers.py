"""Rollups as readers see them: one state of the store, the purge floor, and whether they can tell at all.

What retention has given up lies below the purge floor and is left out before it is deleted.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from storage.query import Filter
from storage.relational.rollup_sql import Tables, can_count, tables_for
from storage.relational.sql import SQLITE, Where, rollup_conditions, texts
from storage.sqlite.dictionary import find

Parameters = tuple[int | str, ...]


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """See one state of the store in several statements."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def meta(connection: sqlite3.Connection, name: str) -> int:
    """Read one of the store's single numbers."""
    return int(connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])


def visible(connection: sqlite3.Connection, filter: Filter) -> Filter:
    """Narrow a filter to what retention has not given up."""
    floor_us = meta(connection, "purge_floor_us")
    if floor_us and (filter.since_us is None or filter.since_us < floor_us):
        return replace(filter, since_us=floor_us)
    return filter


def has_rollups(connection: sqlite3.Connection, filter: Filter) -> bool:
    """Whether rollups can count a filter's records, its time apart."""
    return can_count(filter, meta(connection, "capped_dimensions"))


def tables_of(connection: sqlite3.Connection, filter: Filter) -> Tables | None:
    """Choose the rollups that count a filter's records, its time apart; None when only rows can tell."""
    return tables_for(filter, meta(connection, "capped_dimensions"))


def rollup_where(connection: sqlite3.Connection, filter: Filter) -> Where | None:
    """Build the conditions of a filter on rollups, its time apart; None when nothing can match."""
    return rollup_conditions(filter, find(connection, texts(filter)), SQLITE)


def edges_us(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    """Find about when the oldest and the newest record started; None without records."""
    least, most = connection.execute("SELECT min(min_started_at_us), max(max_started_at_us) FROM spans").fetchone()
    floor_us = meta(connection, "purge_floor_us")
    return (None, None) if least is None else (max(least, floor_us), most)
