"""A reader that does not end makes the journal no longer than its limit: the store says so, and goes on behind it."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.record import Batch, Body, Entry, Payload
from storage.sqlite.purge import journal_limit
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_record

CAP = 16 << 20
BODY_BYTES = 64 << 10


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


async def test_a_reader_that_does_not_end_bounds_the_journal(tmp_path: Path) -> None:
    """Batches and the cap wait for it, and it is named; when it is gone all goes on, and the journal is short again."""
    path, journal = tmp_path / "records.db", tmp_path / "records.db-wal"
    async with await SqliteStorage.open(path, durability="fast", max_bytes=CAP) as store:
        await store.commit(batch())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records").fetchall()
            with pytest.raises(StorageUnavailable, match=r"has read for long.*end it"):
                await commit_often(store)
            with pytest.raises(StorageUnavailable, match="end it"):
                await store.trim(10)
            assert journal.stat().st_size <= journal_limit(CAP) + 4 * 4 * BODY_BYTES
            reader.execute("COMMIT")
        await store.commit(batch())
        assert journal.stat().st_size < journal_limit(CAP)


def test_the_limit_follows_the_cap() -> None:
    """Without a cap it is a gibibyte."""
    assert journal_limit(0) == 1 << 30
    assert journal_limit(8 << 20) == 4 << 20
    assert journal_limit(10 << 30) == 640 << 20
