"""A process that is killed while it writes leaves whole batches, and positions that say which."""

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from storage.query import StatsQuery
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import SOURCE

SIZE = 40
WRITER = f"""
import asyncio, sys
from pathlib import Path
from storage.record import Batch, Entry, Position
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import SOURCE, make_payload, make_record, skip_ids

async def write() -> None:
    async with await SqliteStorage.open(Path(sys.argv[1])) as store:
        position = (await store.positions("sidecar-1")).get(SOURCE, Position())
        skip_ids(position.offset)
        while True:
            entries = [Entry(make_record(), make_payload()) for _ in range({SIZE})]
            position = Position(offset=position.offset + {SIZE})
            await store.commit(Batch("sidecar-1", entries, {{SOURCE: position}}))
            print(position.offset, flush=True)

asyncio.run(write())
"""


def write_and_kill(path: Path, delay_s: float) -> int:
    """Run a writer, kill it a moment after its first commit; answers the last position it told."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        return int((told + process.stdout.read()).split()[-1])


async def test_a_kill_leaves_whole_batches(tmp_path: Path) -> None:
    """After each of several kills, rows, counts and position agree, and nothing that was told is
    missing.
    """
    path = tmp_path / "records.db"
    chance = random.Random(11)
    for _ in range(2):
        told = write_and_kill(path, chance.random() * 0.05)
        async with await SqliteStorage.open(path) as store:
            offset = (await store.positions("sidecar-1"))[SOURCE].offset
            assert offset in (told, told + SIZE)
            assert await store.last_seq() == (await store.info()).rows == offset
            assert (await store.read(StatsQuery())).total == 2 * offset
            assert len(await store.payloads(range(offset - SIZE + 1, offset + 1))) == SIZE

        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM records").fetchone() == (offset,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
