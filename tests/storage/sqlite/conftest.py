"""A SQLite store for each test."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.sqlite.connection import Budget
from storage.sqlite.store import SqliteStorage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file of a test is."""
    return tmp_path / "records.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty store."""
    async with await SqliteStorage.open(path, durability="fast") as opened:
        yield opened


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The steps of each statement of reads, as SQLite plans them."""
    found: list[list[str]] = []
    execute = Budget.execute

    def explain(
        budget: Budget,
        connection: sqlite3.Connection,
        sql: str,
        parameters: tuple[object, ...],
        **how: bool,
    ) -> list[tuple[object, ...]] | None:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        found.append([row[3] for row in rows])
        return execute(budget, connection, sql, parameters, **how)

    monkeypatch.setattr(Budget, "execute", explain)
    return found
