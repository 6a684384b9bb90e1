"""Latency of reads at size: `python -m bench.queries --records 10000000 --payloads --storage
sqlite:///bench.db`.

Fills the store first, as far as it is not (`bench.generate`), and makes its index of words, then
asks everything in `bench.query_set` some rounds. `--own-postgres` starts a Postgres for it, with
its settings for a machine of this size, and removes it; ClickHouse has `bench.clickhouse_reads`.
Printed, and written to `bench/results/`, are milliseconds until the answer and of CPU in this
process: with the SQLite store that is all there is, and on a busy machine the figure to look at.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final
from unittest import mock

import asyncpg

from bench.generate import fill_up, make_days
from bench.macro.machine import machine
from bench.query_set import (
    Query,
    aggregates,
    by_id,
    list_filters,
    lists,
    searches,
    tops,
    totals,
    words,
)
from bench.text_queries import text_queries
from storage.backends import open_storage
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.query import RecordQuery
from tests.support.postgres import Server, binaries

_EXAMPLES: Final = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one query."""

    first_ms: float
    """The first time it was asked, with nothing remembered of it."""
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    """CPU of this process, on average."""
    complete: bool | None
    """Whether all answers were; None where there is no such thing."""
    server_cpu_ms: float = 0.0
    """CPU of the server, on average, where it is known."""


async def measure(query: Query, rounds: int) -> Measured:
    """Ask a query often."""
    took_ms = []
    complete = []
    cpu_s = time.process_time()

    for number in range(rounds):
        began_s = time.perf_counter()
        answer = await query(number)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        complete.append(getattr(answer, "complete", getattr(answer, "exact", None)))

    cpu_ms = (time.process_time() - cpu_s) * 1000 / rounds
    ordered = sorted(took_ms)
    return Measured(
        first_ms=round(took_ms[0], 2),
        p50_ms=round(ordered[len(ordered) // 2], 2),
        p95_ms=round(ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)], 2),
        cpu_ms=round(cpu_ms, 2),
        complete=None if complete[0] is None else all(complete),
    )


async def queries(storage: Storage) -> dict[str, Query]:
    """Name everything that is asked."""
    newest = await storage.read(RecordQuery(limit=1))
    oldest = await storage.read(RecordQuery(order="asc", limit=1))
    first_seq = oldest.records[0].seq
    last_seq = newest.records[0].seq
    middle = await storage.read(
        RecordQuery(limit=_EXAMPLES, after=first_seq + (last_seq - first_seq) // 3)
    )
    example = next(record for record in middle.records if record.trace_id is not None)
    oldest_us = oldest.records[0].started_at_us
    newest_us = newest.records[0].started_at_us
    plain = list_filters(example, oldest_us, newest_us)
    return {
        **lists(storage, plain, first_seq, last_seq),
        **lists(storage, searches(example), first_seq, last_seq),
        **words(storage),
        **text_queries(storage, example, oldest_us, newest_us),
        **by_id(storage, example),
        **totals(storage, plain),
        **aggregates(storage, oldest_us, newest_us),
        **tops(storage, oldest_us, newest_us),
    }


@contextlib.contextmanager
def own_postgres(directory: str) -> Iterator[Server]:
    """Run a Postgres that syncs, in a directory."""
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


@contextlib.asynccontextmanager
async def address(options: argparse.Namespace) -> AsyncIterator[str]:
    """Find, or start, what is measured; answers its URL."""
    if not options.own_postgres:
        yield options.storage
        return
    with own_postgres(options.directory) as server:
        admin = await asyncpg.connect(server.url("postgres"))
        await admin.execute("CREATE DATABASE bench")
        await admin.close()
        yield server.url("bench")


async def ask_all(
    storage: Storage, rounds: int, only: str, server_cpu_s: Callable[[], float] = lambda: 0.0
) -> dict[str, Measured]:
    """Ask everything with `only` in its name, and print it; what the store does not answer in time
    is left out.
    """
    results: dict[str, Measured] = {}
    for name, query in (await queries(storage)).items():
        if only not in name:
            continue
        before_s = server_cpu_s()
        try:
            found = await measure(query, rounds)
        except StorageUnavailable as error:
            print(f"{name:48} {error}", flush=True)
            continue

        server_cpu_ms = round((server_cpu_s() - before_s) * 1000 / rounds, 1)
        results[name] = found = replace(found, server_cpu_ms=server_cpu_ms)
        figures = (found.p50_ms, found.p95_ms, found.cpu_ms, server_cpu_ms)
        print(
            f"{name:48} {' '.join(f'{figure:9}' for figure in figures)}  {found.complete}",
            flush=True,
        )

    return results


async def index_words(storage: Storage) -> None:
    """Make the index of words of what is stored, and print what a record took."""
    began_s = time.process_time()
    records = 0
    while not (step := await storage.index_text()).is_done:
        records += step.records
    if records:
        size = (await storage.text_index()).size_bytes / await storage.last_seq()
        cpu_us = (time.process_time() - began_s) * 1e6 / records
        print(f"index of words: {size:.1f} bytes and {cpu_us:.1f} µs of CPU here a record")


async def report(storage: Storage, name: str, results: dict[str, Measured]) -> None:
    """Write what was found to `bench/results/NAME-ROWS.json`."""
    info = await storage.info()
    document = {
        "machine": machine(),
        "backend": info.backend,
        "rows": info.rows,
        "bytes_per_row": round(info.size_bytes / max(info.rows, 1)),
        "results": {query: asdict(found) for query, found in results.items()},
    }
    path = Path("bench/results") / f"{name}-{info.rows}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")


async def _run(options: argparse.Namespace) -> None:
    async with (
        address(options) as url,
        await open_storage(url, Path(options.directory), durability="fast") as storage,
    ):
        if options.records:
            await make_days(url, options.days)
            await fill_up(
                storage,
                options.records,
                options.days,
                has_payloads=options.payloads,
                is_recent=True,
            )

        await index_words(storage)
        info = await storage.info()
        print(
            f"{info.backend}, {info.rows} rows, {info.size_bytes / max(info.rows, 1):.0f} bytes a "
            "row"
        )
        results = await ask_all(storage, options.rounds, options.only)
        if not options.only:
            await report(storage, f"queries-{info.backend}", results)


def main() -> None:
    """Measure the store that the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=0, help="fill the store up to so many first")
    parser.add_argument("--payloads", action="store_true", help="with heads and bodies")
    parser.add_argument("--days", type=float, default=10.0, help="over which they are spread")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--only", default="", help="queries with this in their name, without writing results"
    )
    parser.add_argument("--storage", default="sqlite:///bench.db", help="storage URL")
    parser.add_argument(
        "--own-postgres", action="store_true", help="instead, in a server of its own"
    )
    parser.add_argument(
        "--directory", default=".", help="where a relative path of the URL, or the server, is"
    )
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
