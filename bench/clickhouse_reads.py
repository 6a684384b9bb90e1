"""Latency of reads from ClickHouse at size: `python -m bench.clickhouse_reads --records 10000000`.

Strategy: some records are stored as a sidecar would, with times of the last minutes; the server
then copies them part by part into the days before, with `seq`, id and times moved back. With
`--payloads` they have heads and bodies. Then everything in `bench.query_set` is asked some rounds.
Beside milliseconds until the answer stands the CPU that the server took for it, which is the figure
to look at on a busy machine.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from bench.generate import fill
from bench.queries import ask_all, report
from storage.clickhouse.engine.version import read_server
from storage.clickhouse.numbers import LANE_BITS
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.link import Link
from storage.clickhouse.writes.rows import ATTEMPT_TYPES, TYPES
from storage.record import now_us
from storage.relational.time_ranges import DAY_US
from tests.support.clickhouse import ENGINES, Server, own_server

_ORIGINALS: Final = 99_000
"""Some batches of `bench.generate`."""
_LIMIT_S: Final = 600.0
_MOVED: Final = {
    "seq": "seq - $1",
    "started_at_us": "started_at_us - $2",
    # The upper 48 bits are milliseconds.
    "id": "toFixedString(unhex(concat("
    "hex(toUInt64(reinterpretAsUInt64(reverse(unhex(substring(hex(id), 1, 12)))) - $3)), "
    "substring(hex(id), 13, 20))), 16)",
}
_COLUMNS: Final = tuple(TYPES | ATTEMPT_TYPES)
_COPY: Final = (
    f"INSERT INTO records ({', '.join(_COLUMNS)}) SELECT "
    f"{', '.join(_MOVED.get(name, name) for name in _COLUMNS)} "
    "FROM records WHERE seq >= $4 AND writer = ''"
)


async def fill_server(address: Address, records: int, days: float, *, has_payloads: bool) -> None:
    """Store originals in the last part of the days, and have the server copy them into the others."""
    times = max(1, records // _ORIGINALS)
    step_us = int(days * DAY_US / times)
    async with await ClickhouseStorage.open(address) as storage:
        await fill(
            storage,
            _ORIGINALS,
            days / times,
            has_payloads=has_payloads,
            start_us=now_us() - step_us,
        )

    link = Link(address)
    has_tokens = (await read_server(link)).has_tokens
    await link.execute(
        f"ALTER TABLE records DROP {'CONSTRAINT' if has_tokens else 'COLUMN'} late",
        limit_s=_LIMIT_S,
    )
    [(first_seq,)] = await link.fetch("SELECT min(seq) FROM records", limit_s=_LIMIT_S)

    for number in range(1, times):
        by_us = number * step_us
        by = (by_us // 1000 << LANE_BITS, by_us, by_us // 1000, first_seq)
        await link.execute(_COPY, by, limit_s=_LIMIT_S)

    await rest(link)
    await link.close()


async def rest(link: Link) -> None:
    """Wait until the server has merged what it was given."""
    ends_at = time.monotonic() + _LIMIT_S
    while time.monotonic() < ends_at:
        await asyncio.sleep(1)
        if await link.fetch("SELECT count() FROM system.merges", limit_s=_LIMIT_S) == [(0,)]:
            return


async def _run(options: argparse.Namespace, server: Server) -> None:
    address = Address.of(urlsplit(server.url(server.database())))
    await fill_server(address, options.records, options.days, has_payloads=options.payloads)
    async with await ClickhouseStorage.open(address) as storage:
        assert server.process is not None
        process = psutil.Process(server.process.pid)
        print("ms: p50, p95, CPU here, CPU of the server, whether complete")
        results = await ask_all(
            storage, options.rounds, options.only, lambda: sum(process.cpu_times()[:2])
        )
        kind = ("-payloads" if options.payloads else "") + (
            f"-{options.only}" if options.only else ""
        )
        await report(storage, f"clickhouse-reads-{options.engine}{kind}", results)


def main() -> None:
    """Measure a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--payloads", action="store_true", help="with heads and bodies")
    parser.add_argument("--days", type=float, default=10.0, help="over which they are spread")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="queries with this in their name")
    parser.add_argument(
        "--directory", type=Path, help="where the server keeps its data, instead of in memory"
    )
    parser.add_argument("--engine", choices=ENGINES, default="debian")
    options = parser.parse_args()
    with own_server(options.engine, place=options.directory) as server:
        asyncio.run(_run(options, server))


if __name__ == "__main__":
    main()
