"""Readers keep the journal no longer than its limit: those of another program are named, our own
make room for it.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from storage.base import READERS
from storage.errors import StorageUnavailable
from storage.query import Filter
from storage.record import Batch, Body, Entry, Payload
from storage.sqlite.journal import Journal, journal_limit
from storage.sqlite.session import SqliteSession
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_record

CAP = 16 << 20
BODY_BYTES = 64 << 10
HOLD_S = 0.05
"""How long a read waits at most for the next one to begin: a store that cuts its journal lets none
begin.
"""


def batch(entries: int = 4) -> Batch:
    """Bodies that cannot be compressed."""
    payloads = [
        Payload(b"", b"", None, Body(os.urandom(BODY_BYTES), b"", BODY_BYTES, False, None, None))
        for _ in range(entries)
    ]
    return Batch("sidecar-1", [Entry(make_record(), payload) for payload in payloads])


async def commit_often(store: SqliteStorage) -> None:
    """Commit more than the cap holds."""
    for _ in range(200):
        await store.commit(batch())


@contextlib.contextmanager
def other_program(path: Path) -> Iterator[sqlite3.Connection]:
    """Read in a transaction that does not end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchall()
        yield reader


async def test_a_reader_that_does_not_end_bounds_the_journal(tmp_path: Path) -> None:
    """All that writes much waits for it, and it is named; when it is gone all goes on, and the
    journal is short.
    """
    path = tmp_path / "records.db"
    journal = tmp_path / "records.db-wal"
    async with await SqliteStorage.open(path, durability="fast", max_bytes=CAP) as store:
        await store.commit(batch())
        ways: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: store.trim(10),
            lambda: store.purge(10),
            lambda: store.erase(Filter()),
            store.vacuum,
        )
        with other_program(path):
            with pytest.raises(StorageUnavailable, match=r"has read for long.*end it"):
                await commit_often(store)
            for write in ways:
                with pytest.raises(StorageUnavailable, match="end it"):
                    await write()
            assert journal.stat().st_size <= journal_limit(CAP) + 4 * 4 * BODY_BYTES

        await store.commit(batch())
        assert journal.stat().st_size < journal_limit(CAP)
        assert not store.warning


class Relay:
    """Reads of which each ends when the next one has begun, so that together they leave no gap."""

    def __init__(self, store: SqliteStorage) -> None:
        self.store = store
        self.counts: list[list[int]] = [[] for _ in range(READERS)]
        """What the reads of each reader found."""
        self.is_over = False
        self._began = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self, number: int) -> None:
        """Read as one of the readers until it is over."""
        while not self.is_over:
            self.counts[number].append(await self.store._read(self._read))

    async def _read(self, session: SqliteSession) -> int:
        rows = await session.fetch("SELECT count(*) FROM records")
        # This is a thread of the store's own.
        asyncio.run_coroutine_threadsafe(self._pass_on(), self._loop).result()
        return int(rows[0][0])

    async def _pass_on(self) -> None:
        self._began.set()
        began = asyncio.Event()
        self._began = began
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                await began.wait()


async def test_overlapping_reads_of_our_own_leave_gaps_for_the_journal(tmp_path: Path) -> None:
    """Batches are never refused for them, the journal stays at its limit, and all readers go on
    reading.
    """
    path = tmp_path / "records.db"
    journal = tmp_path / "records.db-wal"
    longest = 0

    opened = SqliteStorage.open(path, durability="fast", max_bytes=CAP, read_budget_s=60)
    async with await opened as store, asyncio.TaskGroup() as tasks:
        relay = Relay(store)
        for number in range(READERS):
            tasks.create_task(relay.run(number))
        for _ in range(100):
            await store.commit(batch())
            longest = max(longest, journal.stat().st_size)
            assert not store.warning

        relay.is_over = True

    assert longest < journal_limit(CAP) + 2 * 4 * BODY_BYTES
    for counts in relay.counts:
        assert len(counts) > 1
        assert counts == sorted(counts)
        assert counts[-1] > 200  # it went on to the end


async def test_reads_do_not_make_room_for_another_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once they have found that it keeps the journal they go on; it is named before batches are
    refused, and after.
    """
    path = tmp_path / "records.db"
    async with await SqliteStorage.open(path, durability="fast", max_bytes=CAP) as store:
        await store.commit(batch())
        with other_program(path):
            while not store.warning:
                await store.commit(batch())
                await store.last_seq()
            assert "another program" in store.warning
            assert [
                record.levelname for record in caplog.records if "another program" in record.message
            ] == ["WARNING"]
            cuts: list[object] = []
            await store._writer.run(lambda raw: raw.set_trace_callback(cuts.append))
            for _ in range(5):
                await store.last_seq()
            assert not cuts

        while store.warning:
            await store.commit(batch())
            await store.last_seq()


def test_reads_of_our_own_are_never_taken_for_another_program(tmp_path: Path) -> None:
    """Nothing is refused while one runs, however long, or where one began and ended meanwhile; they
    are named.
    """
    path = tmp_path / "records.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = wal").close()
        writer.execute("CREATE TABLE records (content)").close()
        journal = Journal(path, CAP)

        with other_program(path) as reader:
            writer.execute(
                "INSERT INTO records VALUES (zeroblob(?))", (2 * journal_limit(CAP),)
            ).close()
            with journal.reading(reader):
                journal.check(writer)
            assert journal.is_full
            assert "sidelog itself" in journal.warning

            def begin_another(statement: str) -> None:
                with journal.reading(reader):
                    pass

            writer.set_trace_callback(begin_another)
            journal.check(writer)
            writer.set_trace_callback(None)
            with pytest.raises(StorageUnavailable, match="another program"):
                journal.check(writer)

        journal.check(writer)
        assert (journal.warning, journal.size_bytes) == ("", 0)


def test_the_limit_follows_the_cap() -> None:
    """Without a cap it is a gibibyte."""
    assert journal_limit(0) == 1 << 30
    assert journal_limit(8 << 20) == 4 << 20
    assert journal_limit(10 << 30) == 640 << 20
