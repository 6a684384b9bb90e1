"""The time budget of a read, an opening that is cancelled, and connections beside those of other
processes.
"""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.sqlite.connection import Budget
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_batch, make_record

ENDLESS = (
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT count(*) "
    "FROM numbers"
)


def test_a_budget_ends_a_query_wherever_it_is() -> None:
    """Time that runs out within a query of a function that SQL calls ends the read like any other,
    without an error, and the connection is good for the next.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("endless", 0, lambda: connection.execute(ENDLESS).fetchone()[0])
        for sql in (ENDLESS, "SELECT endless()"):
            budget = Budget(0.02)
            assert budget.execute(connection, "SELECT 1", ()) == [(1,)]
            assert budget.execute(connection, sql, ()) is None
            assert connection.execute("SELECT 2").fetchone() == (2,)


def test_a_function_that_fails_in_time_is_an_error() -> None:
    """Only the end of the budget is not one."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("broken", 0, lambda: 1 // 0)
        with pytest.raises(sqlite3.OperationalError, match="user-defined"):
            Budget(10.0).execute(connection, "SELECT broken()", ())


async def test_an_error_names_the_file(tmp_path: Path) -> None:
    """Where it is follows from the data directory, and no setting says it."""
    path = tmp_path / "sidelog.db"
    with pytest.raises(StorageUnavailable, match=f"unable to open database file: {path}"):
        await SqliteStorage.open(path, is_read_only=True)


def test_an_opening_that_is_cancelled_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the disk is: a thread that answers a loop that is closed writes a traceback as
    the program ends.
    """
    begun = threading.Event()
    make = Path.mkdir

    def make_slowly(
        path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False
    ) -> None:
        begun.set()
        time.sleep(0.3)
        make(path, mode, parents, exist_ok)

    async def leave() -> None:
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(SqliteStorage.open(tmp_path / "file" / "sidelog.db"))
            await asyncio.to_thread(begun.wait, 60)
            opening.cancel()

    (tmp_path / "file").write_text("")
    before = set(threading.enumerate())
    monkeypatch.setattr(Path, "mkdir", make_slowly)
    asyncio.run(leave())
    assert set(threading.enumerate()) <= before  # one of an earlier test may have been about to end


COUNT = """
import sqlite3
import sys

file = sqlite3.connect(sys.argv[1])
print(file.execute("SELECT count(*) FROM records").fetchone()[0])
file.close()
"""


def counted(path: Path) -> int:
    """Let another process open the file, count its records, and close it."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(path)], capture_output=True, check=True, text=True
    )
    return int(done.stdout)


async def test_another_process_that_closes_the_file_takes_nothing_away(tmp_path: Path) -> None:
    """It does not mistake itself for the last one and delete the journal, in which later commits
    would be lost.
    """
    path = tmp_path / "sidelog.db"
    for start in range(2):
        store = await SqliteStorage.open(path)
        for number in range(3):
            await store.commit(make_batch(make_record()))
            assert counted(path) == 3 * start + number + 1
            assert path.with_name("sidelog.db-wal").exists()
        await store.close()

    assert path.stat().st_mode & 0o777 == 0o600
