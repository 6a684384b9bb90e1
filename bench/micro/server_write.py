"""CPU per row of the stores on servers, client's and server's: `python -m bench.micro.server_write postgres`.

Each case commits batches of entries made beforehand, of the shapes of `bench.micro.sqlite_write`, into a server of its
own: a Postgres that syncs every commit, or Debian's ClickHouse. With `--json` the figures are kept.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import asyncpg
import psutil

from bench.macro.machine import machine
from bench.micro.sqlite_write import BATCH, BATCHES, bare, get, post, varied
from storage.backends import open_storage
from storage.record import Batch, Entry, Position, new_id, now_us
from tests.support.clickhouse import own_server
from tests.support.postgres import Server, binaries

CASES: Final = {"bare row": bare, "varied": varied, "GET, heads": get, "POST, 1 KB JSON each way": post}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Costs of one case, per row."""

    name: str
    client_us: float
    """CPU of this process."""
    server_us: float
    """CPU of all processes of the server, merges meanwhile included."""
    wall_us: float
    bytes: float
    """Of all tables and indexes."""


@contextmanager
def running(directory: str | None = None) -> Iterator[Server]:
    """Run a Postgres that syncs, in a directory, or in the temporary one."""
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


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is written to."""

    pids: Callable[[], list[int]]
    make_url: Callable[[int], str]
    """The address of an empty database, by number."""

    def cpu_s(self) -> float:
        """Add up what its processes have used."""
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self.pids())


@contextmanager
def target(store: str) -> Iterator[Target]:
    """Start a server."""
    if store == "postgres":
        with running() as postgres:
            yield Target(postgres.pids, lambda number: asyncio.run(make_database(postgres, f"write_{number}")))
        return
    with own_server("debian") as clickhouse:
        assert clickhouse.process is not None
        pid = clickhouse.process.pid
        yield Target(lambda: [pid], lambda _: clickhouse.url(clickhouse.database()))


def batches_of(make: Callable[[int], Entry]) -> Iterator[Batch]:
    """Make the batches of a case, of the last minute: each moves the position of one source."""
    begin_us = now_us() - 60_000_000
    for first in range(0, BATCH * (BATCHES + 1), BATCH):
        entries = [make(number) for number in range(first, first + BATCH)]
        for number, entry in enumerate(entries, first):
            record = entry.record
            record.started_at_us = begin_us + number * 60
            record.ended_at_us = record.started_at_us + 900
            record.id = new_id(record.started_at_us * 1000, 4711, number & 0xFFFFF)
        taken = first + BATCH
        yield Batch(
            "sidecar-1", entries, {bytes(15) + b"\x07": Position(offset=taken * 500, taken=taken, stored=taken)}
        )


async def measure(server: Target, url: str, name: str) -> Figures:
    """Commit the batches of one case; the first warms up."""
    first, *others = batches_of(CASES[name])
    with tempfile.TemporaryDirectory() as directory:
        async with await open_storage(url, Path(directory)) as store:
            await store.commit(first)
            client_s, server_s, wall_s = time.process_time(), server.cpu_s(), time.perf_counter()
            for batch in others:
                await store.commit(batch)
            rows = BATCH * len(others)
            wall_us = (time.perf_counter() - wall_s) / rows * 1e6
            client_us = (time.process_time() - client_s) / rows * 1e6
            server_us = (server.cpu_s() - server_s) / rows * 1e6
            size = (await store.info()).size_bytes / (rows + BATCH)
    figures = {"client_us": client_us, "server_us": server_us, "wall_us": wall_us, "bytes": size}
    return Figures(name=name, **{key: round(value, 2) for key, value in figures.items()})


def main() -> None:
    """Print the table: of each case the cheapest of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=("postgres", "clickhouse"))
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    load_average = os.getloadavg()
    print(f"{'per row':28} {'client µs':>10} {'server µs':>10} {'wall µs':>9} {'bytes':>7}")
    found = []
    with target(options.store) as server:
        for place, name in enumerate([options.case] if options.case else CASES):
            urls = [server.make_url(place * options.rounds + turn) for turn in range(options.rounds)]
            tries = [asyncio.run(measure(server, url, name)) for url in urls]
            found.append(row := min(tries, key=lambda figures: figures.client_us + figures.server_us))
            print(f"{name:28} {row.client_us:10.1f} {row.server_us:10.1f} {row.wall_us:9.1f} {row.bytes:7.0f}")
    if options.json:
        document = {"machine": machine(), "load": load_average, "cases": [asdict(row) for row in found]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
