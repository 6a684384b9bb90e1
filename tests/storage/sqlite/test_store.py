"""What is particular to the SQLite store: files, locks, budgets, and what is kept in memory."""

# ruff: noqa: ASYNC240 -- a test's loop has nothing else to do while it looks at files

import asyncio
import contextlib
import gc
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storage.errors import SchemaTooNew, StorageUnavailable
from storage.query import Durability, Filter, RecordQuery
from storage.record import Batch, Entry, Payload, Stream
from storage.relational.sql import COMBINATIONS
from storage.search.expression import Is, Or, leaves
from storage.sqlite.session import SqliteSession
from storage.sqlite.store import READ_STATEMENTS, SqliteStorage
from tests.contract.listing import read_on
from tests.storage.samples import make_batch, make_body, make_record
from tests.support.filters import make_filter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file of a test is."""
    return tmp_path / "data" / "records.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty store that does not wait for locks."""
    async with await SqliteStorage.open(path, durability="fast", busy_timeout_s=0.01) as opened:
        yield opened


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Run a statement on a connection of its own."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        return other.execute(sql).fetchall()


async def test_files_are_private(store: SqliteStorage, path: Path) -> None:
    """The database, its journal and its directory can be read by their owner only."""
    await store.commit(make_batch(make_record()))
    files = sorted(file.name for file in path.parent.iterdir())
    assert files == ["records.db", "records.db-shm", "records.db-wal"]
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_what_all_connections_take_is_bounded(store: SqliteStorage) -> None:
    """Caches and statements of writer and readers together, in bytes."""
    for each in (store._writer, *store._readers):
        assert await each.run(lambda own: own.execute("PRAGMA soft_heap_limit").fetchone()) == (
            12 << 20,
        )


async def test_a_locked_file_is_unavailable(store: SqliteStorage, path: Path) -> None:
    """While another process writes, a batch is refused whole, and can be tried again."""
    record = make_record()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable):
            await store.commit(make_batch(record))
        assert await store.last_seq() == 0

    assert await store.commit(make_batch(record)) == 1


async def test_a_full_disk_is_unavailable(store: SqliteStorage) -> None:
    """A batch that finds no room leaves nothing, and fits when there is room again."""
    writer = store._writer
    await store.commit(make_batch(make_record()))
    pages = await writer.run(lambda raw: raw.execute("PRAGMA page_count").fetchone()[0])
    await writer.run(lambda raw: raw.execute(f"PRAGMA max_page_count = {pages + 3}"))
    body = make_body(bytes(range(256)) * 2000)
    entries = [
        Entry(make_record(project="new", path="x" * 100_000), Payload(b"", b"", body, None))
        for _ in range(3)
    ]
    with pytest.raises(StorageUnavailable):
        await store.commit(Batch("sidecar-1", entries))
    assert await store.last_seq() == 1
    await writer.run(lambda raw: raw.execute("PRAGMA max_page_count = 1073741823"))
    assert await store.commit(Batch("sidecar-1", entries)) == 4
    assert [record.project for record in await read_on(store)] == ["shop", "new", "new", "new"]


async def test_a_newer_file_is_left_alone(path: Path) -> None:
    """A file of a newer layout is refused and not changed."""
    path.parent.mkdir()
    ask(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="99"):
        await SqliteStorage.open(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["records.db"]


async def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A path below a file cannot be opened."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable):
        await SqliteStorage.open(tmp_path / "file" / "records.db")


@pytest.mark.parametrize(("durability", "synchronous"), [("safe", 2), ("fast", 1)])
async def test_safe_syncs_every_commit(
    path: Path, durability: Durability, synchronous: int
) -> None:
    """`safe` is SQLite's full synchronous mode, `fast` syncs only when it checkpoints; both use the
    write-ahead log.
    """
    async with await SqliteStorage.open(path, durability=durability) as store:
        pragmas = ("synchronous", "journal_mode", "auto_vacuum")

        def read(name: str, raw: Any) -> Any:
            return raw.execute(f"PRAGMA {name}").fetchone()[0]

        found = [await store._writer.run(partial(read, pragma)) for pragma in pragmas]

    assert found == [synchronous, "wal", 2]


async def test_readers_cannot_write(store: SqliteStorage) -> None:
    """A read connection refuses to change anything."""
    with pytest.raises(StorageUnavailable, match="readonly"):
        await store._readers[0].run(lambda raw: raw.execute("DELETE FROM meta"))


async def test_a_reader_keeps_few_statements(path: Path) -> None:
    """Each length of a list makes a statement of its own, of 40 KB: four readers with 256 of them
    took 40 MB.
    """
    async with await SqliteStorage.open(path, readers=1) as store:
        await store.commit(make_batch(make_record()))
        before = prepared_statements()
        for length in range(1, 2 * READ_STATEMENTS):
            await store.read(
                RecordQuery(filter=make_filter(statuses=tuple(range(200, 200 + length))))
            )

        assert READ_STATEMENTS // 2 < prepared_statements() - before <= READ_STATEMENTS


def prepared_statements() -> int:
    """How many there are in this process."""
    gc.collect()
    return sum(type(each).__qualname__ == "Statement" for each in gc.get_objects())


# The time budget.


async def test_a_cancelled_read_is_ended_and_gives_its_connection_back(path: Path) -> None:
    """Nobody waits for the rest of a cancelled read, and the next read can use its connection."""
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    async with await SqliteStorage.open(path, readers=1, read_budget_s=60.0) as store:

        async def work(session: SqliteSession) -> None:
            await session.fetch_in_budget("SELECT 1", ())
            await session.fetch_in_budget(endless, ())

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store._read(work)
        async with asyncio.timeout(60):
            assert await store.last_seq() == 0


# Lists are served by an index.


@pytest.mark.parametrize(
    ("filter", "index"),
    [
        (make_filter(projects=("shop",)), "records_project"),
        (make_filter(services=("catalogue",)), "records_service"),
        (make_filter(levels=("error",)), "records_level"),
        (make_filter(levels=("warn", "error")), "records_level"),
        (make_filter(statuses=(404,)), "records_status"),
        (make_filter(statuses=(404, 500), status_classes=(5,)), "records_status"),
        (make_filter(status_classes=(5,)), "records_status"),
        (make_filter(trace_id="0af7"), "records_trace"),
        (make_filter(models=("gpt",)), "records_model"),
        (make_filter(models=("gpt-1",)), "records_resolved_model"),
        (make_filter(models=("gpt", "gpt-1")), "records_model"),
        (make_filter(models=("gpt", "gpt-1")), "records_resolved_model"),
        (make_filter(finish_reasons=("length",)), "records_finish_reason"),
        (make_filter(called_tools=("search",)), "records_called_tools"),
        (make_filter(tool_errors=("search",)), "records_failed_tools"),
        (Filter(where=Is("message", ("no such user",))), "records_message"),
        (make_filter(redacted=("name:password",)), "records_redactions"),
        (
            Filter(where=Or((Is("redacted", ("name:pin",)), Is("redacted", ("iban",))))),
            "records_redactions",
        ),
        (make_filter(kind="event", levels=("info", "warn")), "records_events"),
        (make_filter(kind="event", levels=("error",)), "records_events"),
    ],
)
async def test_common_lists_use_an_index(
    store: SqliteStorage, plans: list[list[str]], filter: Filter, index: str
) -> None:
    """SQLite finds the rows of the common filters by an index that also has them in order of seq."""
    stream = Stream(None, None, None, True, "length", tools=["search"], failed_tools=["search"])
    found = {"name:password": 1}
    call = make_record(
        provider="openai",
        model="gpt",
        resolved_model="gpt-1",
        stream=stream,
        redactions=found,
        message="no such user",
    )
    await store.commit(make_batch(make_record(trace_id="0af7", status=404), call))
    plans.clear()
    await store.read(RecordQuery(filter=filter))
    steps = [step for plan in plans for step in plan]
    assert f"USING INDEX {index}" in "\n".join(steps)
    assert not any(step.startswith("SCAN") for step in steps)
    asked = {leaf.field: leaf.values for leaf in leaves(filter.where) if isinstance(leaf, Is)}
    has_alternatives = isinstance(filter.where, Or) or any(
        len(values) > 1 for values in asked.values()
    )
    is_ordered = index == "records_events" or not (has_alternatives or asked.keys() & COMBINATIONS)
    assert (len(steps) == 1) == is_ordered
