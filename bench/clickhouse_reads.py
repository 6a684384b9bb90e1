"""Latency of reads from ClickHouse at size: `python -m bench.clickhouse_reads --records 10000000`.

Strategy: some records are stored as a sidecar would, with times of the last minutes; the server then copies them part
by part into the days before, with `seq`, id and times moved back. With `--payloads` they have heads and bodies; some
records with words that no other has are stored behind them. Then everything in `bench.query_set` is asked some rounds,
and words. Beside milliseconds until the answer stands the CPU that the server took for it, which is the figure to look
at on a busy machine.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.generate import fill
from bench.macro.machine import machine
from bench.queries import Measured, measure, queries
from bench.query_set import PAGE_RECORDS, Query
from bench.text_search import expression_of
from storage.base import Storage
from storage.clickhouse.engine.version import read_server
from storage.clickhouse.numbers import LANE_BITS
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.link import Link
from storage.clickhouse.writes.rows import ATTEMPT_TYPES, TYPES
from storage.errors import StorageUnavailable
from storage.query import Filter, RecordQuery
from storage.record import now_us
from storage.relational.time_ranges import DAY_US
from tests.support.clickhouse import ENGINES, Server, own_server

_ORIGINALS: Final = 99_000
"""Some batches of `bench.generate`."""
_FIRST_RARE: Final = 2_000_000
"""Number of the first record of those with rare words: the others have numbers below 1 000 003 in their texts."""
_RARE: Final = 9_000
_LIMIT_S: Final = 600.0
_MOVED: Final = {
    "seq": "seq - $1",
    "started_at_us": "started_at_us - $2",
    # The upper 48 bits are milliseconds.
    "id": "toFixedString(unhex(concat(hex(reinterpretAsUInt64(reverse(unhex(substring(hex(id), 1, 12)))) - $3), "
    "substring(hex(id), 13, 20))), 16)",
}
_COLUMNS: Final = tuple(TYPES | ATTEMPT_TYPES)
_COPY: Final = (
    f"INSERT INTO records ({', '.join(_COLUMNS)}) SELECT {', '.join(_MOVED.get(name, name) for name in _COLUMNS)} "
    "FROM records WHERE seq >= $4 AND writer = ''"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Figures of one query."""

    answer: Measured
    server_cpu_ms: float
    """CPU of the server, on average."""


async def fill_server(address: Address, records: int, days: float, *, has_payloads: bool) -> None:
    """Store originals in the last part of the days, and have the server copy them into the others."""
    times = max(1, records // _ORIGINALS)
    step_us = int(days * DAY_US / times)
    async with await ClickhouseStorage.open(address) as storage:
        await fill(storage, _ORIGINALS, days / times, has_payloads=has_payloads, start_us=now_us() - step_us)
    link = Link(address)
    has_tokens = (await read_server(link)).has_tokens
    await link.execute(f"ALTER TABLE records DROP {'CONSTRAINT' if has_tokens else 'COLUMN'} late", limit_s=_LIMIT_S)
    [(first_seq,)] = await link.fetch("SELECT min(seq) FROM records", limit_s=_LIMIT_S)
    for number in range(1, times):
        by_us = number * step_us
        by = (by_us // 1000 << LANE_BITS, by_us, by_us // 1000, first_seq)
        await link.execute(_COPY, by, limit_s=_LIMIT_S, settings={"max_partitions_per_insert_block": "1000"})
    await rest(link)
    await link.close()


async def add_rare(address: Address, days: float) -> None:
    """Store some records behind all others, each with a word that no other has."""
    async with await ClickhouseStorage.open(address) as storage:
        start_us = now_us() - int(days * DAY_US)
        await fill(storage, _FIRST_RARE + _RARE, days, has_payloads=True, start_us=start_us, first=_FIRST_RARE)


def words(storage: Storage) -> dict[str, Query]:
    """Ask for words: of one record, of one in some thousands, of none, and for two of which one is rare."""
    asked = {
        "one row": lambda number: f"{_FIRST_RARE + number * 441 + 17}",
        "one row in 60 000": lambda number: f"{number * 1009 + 23_456}",
        "no row": lambda number: f"absent{number}x",
        "of one row and of all": lambda number: f"{_FIRST_RARE + number * 441 + 18} lorem",
    }

    def page(asked: str) -> Awaitable[object]:
        return storage.select(RecordQuery(filter=Filter(where=expression_of(asked)), limit=PAGE_RECORDS))

    def query(word: Callable[[int], str]) -> Query:
        return lambda number: page(word(number))

    return {f"word, {kind}": query(word) for kind, word in asked.items()}


async def rest(link: Link) -> None:
    """Wait until the server has merged what it was given."""
    ends_at = time.monotonic() + _LIMIT_S
    while time.monotonic() < ends_at:
        await asyncio.sleep(1)
        if await link.fetch("SELECT count() FROM system.merges", limit_s=_LIMIT_S) == [(0,)]:
            return


def cpu_s(server: Server) -> float:
    """Read the CPU that a server has taken."""
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _run(options: argparse.Namespace, server: Server) -> None:
    address = Address.of(urlsplit(server.url(server.database())))
    await fill_server(address, options.records, options.days, has_payloads=options.payloads)
    if options.payloads:
        await add_rare(address, options.days)
    results: dict[str, Asked] = {}
    failed: dict[str, str] = {}
    async with await ClickhouseStorage.open(address) as storage:
        info = await storage.info()
        print(f"{options.engine}, {info.rows} rows, {info.size_bytes / info.rows:.0f} bytes a row")
        print("ms: p50, p95, CPU of the server, whether complete")
        for name, query in (await queries(storage) | (words(storage) if options.payloads else {})).items():
            if options.only not in name:
                continue
            before_s = cpu_s(server)
            try:
                answer = await measure(query, options.rounds)
            except StorageUnavailable as error:
                failed[name] = str(error)
                print(f"{name:48} {error}", flush=True)
                continue
            used_ms = round((cpu_s(server) - before_s) * 1000 / options.rounds, 1)
            results[name] = Asked(answer, used_ms)
            print(f"{name:48} {answer.p50_ms:9} {answer.p95_ms:9} {used_ms:9}  {answer.complete}", flush=True)
    document = {
        "machine": machine(),
        "engine": options.engine,
        "rows": info.rows,
        "bytes_per_row": round(info.size_bytes / info.rows),
        "failed": failed,
        "results": {
            name: asdict(asked.answer) | {"server_cpu_ms": asked.server_cpu_ms} for name, asked in results.items()
        },
    }
    kind = ("-payloads" if options.payloads else "") + (f"-{options.only}" if options.only else "")
    path = Path("bench/results") / f"clickhouse-reads-{options.engine}-{info.rows}{kind}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Measure a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--payloads", action="store_true", help="with heads and bodies")
    parser.add_argument("--days", type=float, default=10.0, help="over which they are spread")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="queries with this in their name")
    parser.add_argument("--directory", type=Path, help="where the server keeps its data, instead of in memory")
    parser.add_argument("--engine", choices=ENGINES, default="debian")
    options = parser.parse_args()
    with own_server(options.engine, place=options.directory) as server:
        asyncio.run(_run(options, server))


if __name__ == "__main__":
    main()
