"""Retention gives way to batches, in slices that are short whatever they delete."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from storage.query import CountQuery, Filter
from storage.record import now_us
from storage.relational.time_ranges import DAY_US, HOUR_US
from storage.relational.upkeep.purge import purge
from storage.relational.upkeep.turn import Turn
from storage.sqlite.journal import journal_left_alone
from storage.sqlite.store import SqliteStorage
from storage.sqlite.upkeep import JOURNAL_SLICES, PURGE_S, SqliteUpkeep, empty_journal
from tests.storage.samples import make_batch, make_record

T = TypeVar("T")


async def slice_of(
    store: SqliteStorage,
    work: Callable[[SqliteUpkeep, Turn], Awaitable[T]],
    max_items: int,
    *,
    is_wanted: bool,
) -> T:
    """Do one slice, as if a batch waited all the time, or never."""

    def do(connection: sqlite3.Connection) -> T:
        turn = Turn(max_items, PURGE_S, lambda: is_wanted)
        with journal_left_alone(connection):
            return store._transact(lambda session: work(session, turn), connection)

    return await store._writer.run(do)


async def test_a_slice_ends_when_a_batch_waits(store: SqliteStorage) -> None:
    """Some rows always go, but not the whole slice; the rest goes when nobody waits."""
    now = now_us()
    await store.commit(
        make_batch(*(make_record(started_at_us=now - 2 * DAY_US) for _ in range(1000)))
    )
    await store.commit(make_batch(make_record(started_at_us=now)))
    await store.move_floors(now // HOUR_US * HOUR_US, 0)
    waited = await slice_of(store, purge, 5000, is_wanted=True)
    assert 0 < waited.rows < 1000
    rows = waited.rows
    while not (purged := await store.purge(5000)).is_done:
        rows += purged.rows
    assert rows == 1000
    assert (await store.read(CountQuery(Filter()))).exchanges == 1


async def test_a_connection_tells_that_it_is_wanted(store: SqliteStorage) -> None:
    """While a function runs it can see whether another one was handed in behind it."""
    loop = asyncio.get_running_loop()
    is_running = asyncio.Event()
    handed_in = threading.Event()
    seen = []

    def look(_: sqlite3.Connection) -> None:
        seen.append(store._writer.is_wanted)
        loop.call_soon_threadsafe(is_running.set)
        assert handed_in.wait(60)
        seen.append(store._writer.is_wanted)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store._writer.run(look), name="first")
        await is_running.wait()
        tasks.create_task(store.positions("sidecar-1"), name="second")
        await asyncio.sleep(0)
        handed_in.set()

    assert seen == [False, True]


def number(path: Path, sql: str, *, is_journal_read: bool = True) -> int:
    """Ask a file for a number, at will as if it had no journal."""
    url = f"{path.as_uri()}?{'mode=ro' if is_journal_read else 'immutable=1'}"
    with contextlib.closing(sqlite3.connect(url, uri=True)) as connection:
        return int(connection.execute(sql).fetchone()[0])


async def test_slices_leave_the_journal_to_a_reader(store: SqliteStorage, path: Path) -> None:
    """No slice writes the journal back, however long it is; after a few the store does so on
    another connection.
    """
    now = now_us()
    in_file = partial(number, path, "SELECT count(*) FROM records", is_journal_read=False)

    await store.commit(
        make_batch(*(make_record(started_at_us=now - 2 * DAY_US) for _ in range(1000)))
    )
    await store.move_floors(now // HOUR_US * HOUR_US, 0)
    await store._writer.run(empty_journal)
    await store._writer.run(
        lambda connection: connection.execute("PRAGMA wal_autocheckpoint = 1").fetchall()
    )
    assert (await slice_of(store, purge, 10, is_wanted=False)).rows == 10
    assert in_file() == 1000
    for _ in range(JOURNAL_SLICES):
        await store.purge(10)
    assert in_file() == 1000 - 10 - 10 * JOURNAL_SLICES
    await store.put_meta("tail", "1", replace=True)
    in_meta = partial(
        number,
        path,
        "SELECT count(*) FROM meta WHERE name = 'value:tail'",
        is_journal_read=False,
    )
    assert in_meta() == 1  # batches do so as before


async def test_sums_go_in_slices(store: SqliteStorage, path: Path) -> None:
    """An hour may have thousands of sums: they do not go at once."""
    now = now_us()
    sums = partial(number, path, "SELECT count(*) FROM rollups")

    names = [f"project-{each}" for each in range(250)]
    await store.commit(
        make_batch(*(make_record(started_at_us=now - 2 * DAY_US, project=name) for name in names))
    )
    await store.move_floors(now // HOUR_US * HOUR_US, 0)
    left = [sums()]

    while not (await slice_of(store, purge, 5000, is_wanted=True)).is_done:
        left.append(sums())

    assert (left[0], left[-1]) == (250, 0)
    assert max(before - after for before, after in pairwise(left)) == 100
    for table in (
        "rollups_daily",
        "status_rollups",
        "status_rollups_daily",
        "host_rollups",
        "host_rollups_daily",
    ):
        assert number(path, f"SELECT count(*) FROM {table}") == 0


async def test_a_slice_gives_back_more_than_a_page(store: SqliteStorage, path: Path) -> None:
    """Free pages are given back many in a transaction, and the file ends without any."""
    now = now_us()
    free = partial(number, path, "PRAGMA freelist_count")

    await store.commit(
        make_batch(*(make_record(started_at_us=now - 2 * DAY_US) for _ in range(3000)))
    )
    await store.move_floors(now // HOUR_US * HOUR_US, 0)
    while not (await store.purge(5000)).is_done:
        pass
    before = free()
    assert before > 40  # of so small a file nothing was given back yet
    assert await slice_of(store, SqliteUpkeep.give_all_back, 5000, is_wanted=True)
    assert before - free() == 20
    await store.vacuum()
    assert free() == 0
