"""CPU per row of the Postgres backend, client's and server's: `python -m bench.micro.postgres_write`.

Each case commits batches of 3 000 entries made beforehand, of the shapes of `bench.micro.sqlite_write`, into a server
of its own that syncs every commit. The time the counter row is locked is what several sidecars share. With `--json`
the figures are kept.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import asyncpg
import psutil

from bench.micro.sqlite_write import BATCH, BATCHES, bare, get, post, record, varied
from storage.backends import open_storage
from storage.postgres.write import BatchStore
from storage.record import Batch, Entry, Position, Record, new_id, now_us
from tests.support.postgres import Server, binaries

CASES: Final = {"bare row": bare, "varied": varied, "GET, heads": get, "POST, 1 KB JSON each way": post}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Costs of one case, per row."""

    name: str
    client_us: float
    """CPU of this process."""
    server_us: float
    """CPU of all processes of the server."""
    wall_us: float
    locked_us: float
    """Wall time from the counter row being locked to the answer of the commit."""
    bytes: float
    """Of all tables and indexes."""


@contextmanager
def running(directory: str | None = None) -> Iterator[Server]:
    """Run a server that syncs, in a directory, or in the temporary one."""
    found = binaries()
    assert found is not None, "no Postgres is installed"
    options = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}
    with mock.patch("tests.support.postgres._roomy_directory", return_value=directory):
        server = Server(found, **options, shared_buffers="512MB", max_wal_size="4GB")
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def make_database(server: Server, name: str) -> str:
    """Make an empty database; answers its address."""
    admin = await asyncpg.connect(server.url("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return server.url(name)


def moved(row: Record, number: int, begin_us: int, step_us: int) -> Record:
    """Give a record another time, and the id that belongs to it."""
    row.started_at_us = begin_us + number * step_us
    row.ended_at_us = row.started_at_us + 900
    row.id = new_id(row.started_at_us * 1000, 4711, number & 0xFFFFF)
    return row


def batch_of(entries: list[Entry], taken: int) -> Batch:
    """Make a batch that moves the position of one source."""
    return Batch("sidecar-1", entries, {bytes(15) + b"\x07": Position(offset=taken * 500, taken=taken, stored=taken)})


def server_cpu_s(server: Server) -> float:
    """Add up what the server's processes have used."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in server.pids())


async def measure(server: Server, name: str, number: int) -> Figures:
    """Commit the batches of one case."""
    url = await make_database(server, f"write_{number}")
    begin_us, locked_s = now_us() - 60_000_000, 0.0
    insert = BatchStore._insert

    async def watched(store: BatchStore, *arguments: object) -> int:
        nonlocal locked_s
        began_s = time.perf_counter()
        last_seq = await insert(store, *arguments)  # type: ignore[arg-type]
        locked_s += time.perf_counter() - began_s
        return last_seq

    batches = []
    for place in range(BATCHES + 1):
        entries = [CASES[name](place * BATCH + row) for row in range(BATCH)]
        for row, entry in enumerate(entries):
            moved(entry.record, place * BATCH + row, begin_us, 60)
        batches.append(batch_of(entries, (place + 1) * BATCH))
    with tempfile.TemporaryDirectory() as directory, mock.patch.object(BatchStore, "_insert", watched):
        async with await open_storage(url, Path(directory)) as store:
            await store.commit(batches[0])
            locked_s = 0.0
            client_s, server_s, wall_s = time.process_time(), server_cpu_s(server), time.perf_counter()
            for batch in batches[1:]:
                await store.commit(batch)
            rows = BATCH * BATCHES
            wall_us = (time.perf_counter() - wall_s) / rows * 1e6
            client_us = (time.process_time() - client_s) / rows * 1e6
            server_us = (server_cpu_s(server) - server_s) / rows * 1e6
            size = (await store.info()).size_bytes / (rows + BATCH)
    return Figures(
        name=name,
        client_us=round(client_us, 2),
        server_us=round(server_us, 2),
        wall_us=round(wall_us, 2),
        locked_us=round(locked_s / rows * 1e6, 2),
        bytes=round(size, 1),
    )


async def measure_all(rounds: int) -> list[Figures]:
    """Measure every case some times; answers the cheapest round of each."""
    found = []
    with running() as server:
        for place, name in enumerate(CASES):
            tries = [await measure(server, name, place * rounds + turn) for turn in range(rounds)]
            found.append(min(tries, key=lambda figures: figures.client_us + figures.server_us))
    return found


def describe() -> dict[str, object]:
    """Say where figures come from."""
    return {
        "command": " ".join(("python", "-m", __spec__.name, *sys.argv[1:])),
        "python": platform.python_version(),
        "driver": asyncpg.__version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    document = describe()
    found = asyncio.run(measure_all(options.rounds))
    print(f"{'per row':28} {'client µs':>10} {'server µs':>10} {'wall µs':>9} {'locked µs':>10} {'bytes':>7}")
    for row in found:
        print(
            f"{row.name:28} {row.client_us:10.1f} {row.server_us:10.1f} {row.wall_us:9.1f} "
            f"{row.locked_us:10.1f} {row.bytes:7.0f}"
        )
    if options.json:
        options.json.write_text(json.dumps(document | {"cases": [asdict(row) for row in found]}, indent=1) + "\n")


__all__ = ["batch_of", "describe", "make_database", "moved", "record", "running"]

if __name__ == "__main__":
    main()
