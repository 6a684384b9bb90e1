"""A store that opens, and in which something that is read at the start is damaged."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from proxy.collector.startup import Recalled, started
from proxy.process.data_dir import lock_data_dir
from proxy.settings.model import RouteSettings, Settings
from storage.backends import open_storage
from storage.record import Batch, Entry, Position
from tests.storage.samples import make_record

SETTINGS = Settings(routes=(RouteSettings(id="a", upstream="http://x"),))


async def damaged_store(directory: Path, name: str) -> None:
    """Make a store with a record and a position; the root page of one table or index is zeros."""
    async with await open_storage("sqlite:///sidelog.db", directory) as store:
        await store.commit(
            Batch("sidecar-1", [Entry(make_record())], {b"r" * 16: Position(1, 1, 1)})
        )

    path = directory / "sidelog.db"
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", [name]
        ).fetchone()

    raw = bytearray(path.read_bytes())
    page_bytes = int.from_bytes(raw[16:18], "big")
    raw[(page - 1) * page_bytes : page * page_bytes] = bytes(page_bytes)
    path.write_bytes(raw)


def set_aside(directory: Path) -> list[Path]:
    """List the stores that were replaced."""
    return list(directory.glob("sidelog.db.damaged-*"))


async def test_old_calls_that_cannot_be_read_hold_up_no_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """New records begin anew; the store stays, for everything else in it can be read."""
    await damaged_store(tmp_path, "jobs_started")
    async with started(SETTINGS, lock_data_dir(tmp_path)) as state:
        assert state.offline_since is None
        assert state.recalled == Recalled([], [], [])
    assert "cannot read open conversations, calls and jobs" in caplog.text
    assert not set_aside(tmp_path)


async def test_a_store_whose_positions_cannot_be_read_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Records wait for whoever repairs or removes it."""
    await damaged_store(tmp_path, "ingest_position")
    async with started(SETTINGS, lock_data_dir(tmp_path)) as state:
        assert state.offline_since is not None
    assert "the store is open, but the first query failed: sqlite:" in caplog.text
    assert not set_aside(tmp_path)
