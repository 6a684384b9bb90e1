"""Rollups follow committed rows later, and nobody reads figures without the newest rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.query import CountQuery, Filter, RecordQuery, SummaryQuery
from storage.relational.rollup_tables import RollupTables
from storage.sqlite.counting import MAX_UNCOUNTED, count_rows
from storage.sqlite.store import SqliteStorage
from storage.sqlite.upkeep import SqliteUpkeep
from tests.storage.samples import make_batch, make_record


@pytest.fixture
async def counted(store: SqliteStorage) -> SqliteStorage:
    """A store whose rollups count its first record."""
    await store.commit(make_batch(make_record()))
    await summary(store)
    return store


async def summary(store: SqliteStorage) -> tuple[int, int]:
    """Read the number of exchanges, and that of calls of models."""
    found = await store.read(SummaryQuery(Filter()))
    return found.exchanges, sum(model.calls for model in found.models or ())


def in_rollups(path: Path) -> int:
    """Read from the file how many exchanges the rollups count."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT sum(exchanges) FROM rollups").fetchone()[0])


async def commit(store: SqliteStorage, count: int) -> None:
    """Commit records of one batch, the last of them a call of a model."""
    records = [make_record() for _ in range(count - 1)]
    await store.commit(make_batch(*records, make_record(provider="openai", model="gpt")))


async def test_commits_leave_rows_uncounted_up_to_a_number(
    counted: SqliteStorage, path: Path
) -> None:
    await commit(counted, MAX_UNCOUNTED - 1)
    assert in_rollups(path) == 1
    await commit(counted, 1)
    assert in_rollups(path) == MAX_UNCOUNTED + 1


async def test_lists_leave_rows_uncounted_and_figures_count_them(
    counted: SqliteStorage, path: Path
) -> None:
    await commit(counted, 3)
    assert len((await counted.read(RecordQuery(filter=Filter()))).records) == 4
    assert in_rollups(path) == 1
    assert await summary(counted) == (4, 1)
    assert in_rollups(path) == 4


async def test_a_store_that_is_closed_has_counted_everything(
    counted: SqliteStorage, path: Path
) -> None:
    await commit(counted, 3)
    await counted.close()
    assert in_rollups(path) == 4


async def test_rows_that_are_counted_are_not_counted_by_another_process(
    counted: SqliteStorage, path: Path
) -> None:
    async with await SqliteStorage.open(path) as other:
        assert await summary(other) == (1, 0)


@pytest.mark.parametrize("is_read_only", [False, True])
async def test_what_a_killed_process_left_is_counted_once(
    counted: SqliteStorage, path: Path, is_read_only: bool
) -> None:
    """Another process counts the rows of the first one, which goes on afterwards."""
    await commit(counted, 3)
    async with await SqliteStorage.open(path, is_read_only=is_read_only) as other:
        assert await summary(other) == (4, 1)
    await commit(counted, 2)
    assert await summary(counted) == (6, 2)
    assert in_rollups(path) == 6


async def test_a_reader_that_may_not_count_says_so(counted: SqliteStorage, path: Path) -> None:
    await commit(counted, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with await SqliteStorage.open(
            path, is_read_only=True, busy_timeout_s=0.05
        ) as reading:
            assert "without the newest records: sqlite: database is locked" in reading.warning
            assert await summary(reading) == (1, 0)


async def test_a_batch_without_records_hides_no_row_that_a_killed_process_left(
    counted: SqliteStorage, path: Path
) -> None:
    await commit(counted, 3)
    async with await SqliteStorage.open(path) as other:
        await other.commit(make_batch(offset=64))
        assert await summary(other) == (4, 1)


async def test_more_rows_than_are_counted_at_once_are_counted_after_a_kill(
    counted: SqliteStorage, path: Path
) -> None:
    await commit(counted, MAX_UNCOUNTED - 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("rollups", "status_rollups", "model_rollups", "endpoint_rollups"):
            connection.execute(f"DELETE FROM {table}")
        for table in ("host_rollups", "user_rollups", "usage_rollups"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE meta SET value = 0 WHERE name = 'counted_through'")
    await commit(counted, 2)
    assert await summary(counted) == (MAX_UNCOUNTED + 2, 2)


async def test_numbers_without_rows_are_counted_at_once(
    counted: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store goes on with the numbers of a damaged file that it replaces."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = 20000000 WHERE name = 'last_seq'")
    transactions = 0

    async def count_rows_once_more(session: SqliteUpkeep) -> bool:
        nonlocal transactions
        transactions += 1
        return await count_rows(session)

    async with await SqliteStorage.open(path) as other:
        await commit(other, 3)
        monkeypatch.setattr("storage.sqlite.store.count_rows", count_rows_once_more)
        assert await summary(other) == (4, 1)
        await commit(other, 3)
        assert await summary(other) == (7, 2)
    assert transactions <= 2


async def test_erased_rows_that_were_not_counted_are_in_no_figure(
    counted: SqliteStorage, path: Path
) -> None:
    await commit(counted, 3)
    await counted.erase(Filter())
    assert await summary(counted) == (0, 0)
    await commit(counted, 2)
    assert await summary(counted) == (2, 1)


async def test_a_count_that_fails_is_made_up_for(
    counted: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures are without the newest rows meanwhile; batches are committed."""
    await commit(counted, 3)
    with monkeypatch.context() as patched:

        async def refuse(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        patched.setattr(RollupTables, "merge", refuse)
        assert await summary(counted) == (1, 0)
        await commit(counted, MAX_UNCOUNTED)
        assert "without the newest records: sqlite: database or disk is full" in counted.warning
    assert await summary(counted) == (MAX_UNCOUNTED + 4, 2)
    assert counted.warning == ""


async def test_figures_are_read_while_another_program_writes(path: Path) -> None:
    async with await SqliteStorage.open(path, busy_timeout_s=0.05) as store:
        await commit(store, 1)
        await summary(store)
        await commit(store, 3)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable):
                await commit(store, 1)
            assert await store.read(CountQuery(Filter())) is not None
            assert await summary(store) == (1, 1)
        assert await summary(store) == (4, 2)
