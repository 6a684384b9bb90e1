"""CPU per row of the ClickHouse backend, client's and server's: `python -m bench.micro.clickhouse_write`.

Each case commits batches of entries made beforehand, of the shapes of `bench.micro.sqlite_write`, into a server of its
own, Debian's. With `--json` the figures are kept.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.micro.postgres_write import batch_of, moved
from bench.micro.sqlite_write import bare, get, post
from storage.clickhouse.store import ClickhouseStorage
from storage.record import now_us
from tests.support.clickhouse import Server, own_server

CASES: Final = {"bare row": bare, "GET, heads": get, "POST, 1 KB JSON each way": post}
_SIZE: Final = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Costs of one case, per row."""

    name: str
    batch: int
    client_us: float
    """CPU of this process."""
    server_us: float
    """CPU of the server, merges meanwhile included."""
    wall_us: float
    bytes: float
    """Of all parts."""


async def measure(server: Server, name: str, batch: int, rows: int) -> Figures:
    """Commit the batches of one case."""
    begin_us = now_us() - 60_000_000
    batches = []
    for place in range(rows // batch + 1):
        entries = [CASES[name](place * batch + row) for row in range(batch)]
        for row, entry in enumerate(entries):
            moved(entry.record, place * batch + row, begin_us, 60)
        batches.append(batch_of(entries, (place + 1) * batch))
    database = server.database()
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    async with await ClickhouseStorage.open(server.address(database)) as store:
        await store.commit(batches[0])
        client_s, server_s, wall_s = time.process_time(), sum(process.cpu_times()[:2]), time.perf_counter()
        for each in batches[1:]:
            await store.commit(each)
        stored = batch * (len(batches) - 1)
        figures = Figures(
            name=name,
            batch=batch,
            client_us=(time.process_time() - client_s) / stored * 1e6,
            server_us=(sum(process.cpu_times()[:2]) - server_s) / stored * 1e6,
            wall_us=(time.perf_counter() - wall_s) / stored * 1e6,
            bytes=int(server.ask(_SIZE.format(database))) / (stored + batch),
        )
    return figures


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="keep the figures here")
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--batch", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=36_000)
    return parser.parse_args()


def main() -> None:
    """Measure all cases."""
    arguments = _parsed()
    found = []
    with own_server("debian") as server:
        sys.stdout.write(f"{'per row':<26}{'client µs':>12}{'server µs':>12}{'wall µs':>10}{'bytes':>8}\n")
        for name in [arguments.case] if arguments.case else CASES:
            each = asyncio.run(measure(server, name, arguments.batch, arguments.rows))
            found.append(each)
            sys.stdout.write(
                f"{name:<26}{each.client_us:>12.1f}{each.server_us:>12.1f}{each.wall_us:>10.1f}{each.bytes:>8.0f}\n"
            )
    if arguments.json:
        about = {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "figures": [asdict(each) for each in found],
        }
        arguments.json.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
