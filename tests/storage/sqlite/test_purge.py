"""Retention gives way to batches."""

import asyncio
import sqlite3
import threading
from functools import partial
from pathlib import Path

from storage.periods import DAY_US, HOUR_US
from storage.query import Filter
from storage.record import now_us
from storage.sqlite.purge import purge
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_batch, make_record


async def test_a_slice_ends_when_a_batch_waits(tmp_path: Path) -> None:
    """Some rows always go, but not the whole slice; the rest goes when nobody waits."""
    now = now_us()
    async with await SqliteStorage.open(tmp_path / "records.db", durability="fast") as store:
        await store.commit(make_batch(*(make_record(started_at_us=now - 2 * DAY_US) for _ in range(1000))))
        await store.commit(make_batch(make_record(started_at_us=now)))
        await store.raise_floors(now // HOUR_US * HOUR_US, 0)
        waited = await store._writer.run(partial(purge, max_rows=5000, is_wanted=lambda: True))
        assert 0 < waited.rows < 1000
        assert (await store.purge(5000)).rows == 1000 - waited.rows
        while not (await store.purge(5000)).is_done:
            pass
        assert (await store.count(Filter())).exchanges == 1


async def test_a_connection_tells_that_it_is_wanted(tmp_path: Path) -> None:
    """While a function runs it can see whether another one was handed in behind it."""
    async with await SqliteStorage.open(tmp_path / "records.db", durability="fast") as store:
        loop, is_running = asyncio.get_running_loop(), asyncio.Event()
        handed_in, seen = threading.Event(), []

        def look(_: sqlite3.Connection) -> None:
            seen.append(store._writer.is_wanted)
            loop.call_soon_threadsafe(is_running.set)
            assert handed_in.wait(10)
            seen.append(store._writer.is_wanted)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store._writer.run(look), name="first")
            await is_running.wait()
            tasks.create_task(store.positions("sidecar-1"), name="second")
            await asyncio.sleep(0)
            handed_in.set()
        assert seen == [False, True]
