"""Connections beside those of other processes."""

import subprocess
import sys
from pathlib import Path

from storage.record import Batch, Entry
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_record

COUNT = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
print(file.execute("SELECT count(*) FROM records").fetchone()[0])
file.close()
"""


def counted(path: Path) -> int:
    """Let another process open the file, count its records, and close it."""
    done = subprocess.run([sys.executable, "-c", COUNT, str(path)], capture_output=True, check=True, text=True)
    return int(done.stdout)


async def test_another_process_that_closes_the_file_takes_nothing_away(tmp_path: Path) -> None:
    """It does not mistake itself for the last one and delete the journal, in which later commits would be lost."""
    path = tmp_path / "sidelog.db"
    for start in range(2):
        store = await SqliteStorage.open(path)
        for number in range(3):
            await store.commit(Batch("sidecar-1", [Entry(make_record())]))
            assert counted(path) == 3 * start + number + 1
            assert path.with_name("sidelog.db-wal").exists()
        await store.close()
    assert path.stat().st_mode & 0o777 == 0o600
