"""Commits are told to other sidecars, by themselves and whatever happens to connections."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from storage.backends import hear_commits, open_storage
from storage.errors import StorageRejected
from storage.postgres import notices
from storage.postgres.notices import CHANNEL, notify
from tests.storage.samples import make_batch, make_record
from tests.support import postgres

Other: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Heard:
    """Counts what is heard."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._changed.set()

    async def more_than(self, count: int) -> int:
        """Wait until there is more; answers how much."""
        async with asyncio.timeout(60):
            while self.count <= count:
                self._changed.clear()
                await self._changed.wait()
        return self.count


@asynccontextmanager
async def hearing(url: str, own: str = "own") -> AsyncIterator[Heard]:
    """Hear in a task of its own, beginning when it listens."""
    heard = Heard()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(hear_commits(url, own, heard), name="hear")
        await heard.more_than(0)
        yield heard
        task.cancel()


async def commit_as(name: str, url: str, directory: Path) -> None:
    """Store a record, and tell it in a name."""
    async with await open_storage(url, directory, notify_as=name) as store:
        await store.commit(make_batch(make_record()))


async def listeners(other: Other) -> list[int]:
    """Processes of the server that listen in this database."""
    rows = await other.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND query LIKE '%LISTEN%'"
    )
    return [row[0] for row in rows]


async def test_the_commits_of_others_are_heard_and_our_own_are_not(url: str, tmp_path: Path) -> None:
    """A name that holds a quote is told as it is."""
    async with hearing(url, own="it's me") as heard:
        await commit_as("it's me", url, tmp_path)
        await commit_as("other", url, tmp_path)
        assert await heard.more_than(1) == 2
        await commit_as("it's you", url, tmp_path)
        assert await heard.more_than(2) == 3


async def test_only_a_commit_is_told_and_only_where_it_is_asked_for(url: str, other: Other, tmp_path: Path) -> None:
    """A batch that is refused, and one of a store that tells nobody, are silent."""
    told: list[object] = []
    await other.add_listener(CHANNEL, lambda *arguments: told.append(arguments[3]))
    async with await open_storage(url, tmp_path) as silent:
        await silent.commit(make_batch(make_record()))
    async with await open_storage(url, tmp_path, notify_as="a") as store:
        with pytest.raises(StorageRejected):
            await store.commit(make_batch(make_record(path="\udc80")))
        await store.commit(make_batch(make_record()))
        await store.commit(make_batch(make_record()))
    async with asyncio.timeout(60):
        while len(told) < 2:  # noqa: ASYNC110 - the driver's callback sends no event
            await asyncio.sleep(0.005)
    assert told == ["a", "a"]


async def test_a_lost_connection_is_opened_again(
    url: str, other: Other, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came meanwhile is looked for at once, and the next commit is heard again."""
    monkeypatch.setattr(notices, "CHECK_LIMIT_S", 60.0)
    caplog.set_level(logging.INFO, "storage.postgres.notices")
    async with hearing(url) as heard:
        (process_id,) = await listeners(other)
        await other.execute("SELECT pg_terminate_backend($1)", process_id)
        assert await heard.more_than(1) == 2
        await commit_as("other", url, tmp_path)
        assert await heard.more_than(2) == 3
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]
    async with asyncio.timeout(60):
        while await listeners(other):  # noqa: ASYNC110 - a cancelled one leaves no session
            await asyncio.sleep(0.005)


async def test_a_server_that_comes_back_is_heard_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Refused connections are said once, however often."""
    with postgres.own_server() as server:
        url = server.url("postgres")
        async with hearing(url) as heard:
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.8)
            await asyncio.to_thread(server.start)
            await heard.more_than(1)
            await commit_as("other", url, tmp_path)
            await heard.more_than(2)
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(set(warnings)) == len(warnings) <= 4


async def test_a_silent_connection_is_asked_whether_it_lives(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a firewall forgot is noticed by that."""
    monkeypatch.setattr(notices, "CHECK_S", 0.01)
    asked = asyncio.Event()
    check, count = notices._check, 0

    async def failing(connection: Other) -> None:
        nonlocal count
        count += 1
        if count == 3:
            asked.set()
            raise TimeoutError
        await check(connection)

    monkeypatch.setattr(notices, "_check", failing)
    async with hearing(url) as heard:
        await asked.wait()
        await heard.more_than(1)
    assert count >= 3


def test_the_notice_is_part_of_the_first_round_trip() -> None:
    """Nothing more is sent for it."""
    assert notify("BEGIN", "a'b") == f"BEGIN; NOTIFY {CHANNEL}, 'a''b'"
