"""Reads of a real file: when the journal is due those that come wait until those that run have
ended.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest

from storage.sqlite.journal import journal_limit
from storage.sqlite.session import SqliteSession
from storage.sqlite.store import SqliteStorage
from tests.storage.sqlite.test_journal import CAP, batch

PATIENCE_S = 60


async def passes_of_the_loop() -> None:
    """Let tasks begin what they wait for."""
    for _ in range(10):
        await asyncio.sleep(0)


class LongRead:
    """A read of our own that goes on until it is let go; as a context, for as long as that at most."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()

    async def __call__(self, session: SqliteSession) -> None:
        await session.fetch("SELECT count(*) FROM records")
        self.began.set()
        assert self.may_end.wait(PATIENCE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.may_end.set()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    """A store with a cap, whose reads are meant to take no time."""
    opened = SqliteStorage.open(
        tmp_path / "records.db", durability="fast", max_bytes=CAP, read_budget_s=0.05
    )
    async with await opened as store:
        yield store


async def fill_journal(store: SqliteStorage) -> None:
    """Commit until the journal is longer than it should get."""
    while not store._journal.is_full:
        await store.commit(batch())


async def test_reads_wait_for_those_that_run(store: SqliteStorage) -> None:
    """None begins before the last one has ended; batches go on, however long that takes."""
    async with asyncio.TaskGroup() as tasks, LongRead() as read:
        running = tasks.create_task(store._read(read))
        await asyncio.to_thread(read.began.wait, PATIENCE_S)
        await fill_journal(store)
        await store.commit(batch())
        assert "sidelog itself" in store.warning
        waiting = [tasks.create_task(store.last_seq()) for _ in range(3)]
        await passes_of_the_loop()
        assert not any(task.done() for task in waiting)
        read.may_end.set()
        await running
        assert len({await task for task in waiting}) == 1

    assert (store.warning, store._journal.size_bytes) == ("", 0)
    assert store._journal.size_bytes < journal_limit(CAP)


async def test_a_read_that_is_given_up_is_waited_for(store: SqliteStorage) -> None:
    """Its caller has gone, its thread still reads: the journal is cut when that has ended."""
    async with asyncio.TaskGroup() as tasks, LongRead() as read:
        running = tasks.create_task(store._read(read))
        await asyncio.to_thread(read.began.wait, PATIENCE_S)
        running.cancel()
        await fill_journal(store)
        waiting = tasks.create_task(store.last_seq())
        await passes_of_the_loop()
        assert not waiting.done()
        read.may_end.set()
        await waiting

    assert store._journal.size_bytes == 0


async def test_who_cuts_the_journal_may_be_given_up(store: SqliteStorage) -> None:
    """The next one does it; those that were given up have let go of their connections."""
    async with asyncio.TaskGroup() as tasks, LongRead() as read:
        running = tasks.create_task(store._read(read))
        await asyncio.to_thread(read.began.wait, PATIENCE_S)
        await fill_journal(store)
        waiting = [tasks.create_task(store.last_seq()) for _ in range(3)]
        await passes_of_the_loop()
        waiting[0].cancel()
        await passes_of_the_loop()
        assert not any(task.done() for task in waiting[1:])
        read.may_end.set()
        await running
        assert await waiting[1] == await waiting[2]

    assert store._journal.size_bytes == 0
    assert store._reads._idle.qsize() == len(store._readers)
