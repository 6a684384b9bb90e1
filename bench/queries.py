"""Latency of reads at size: `python -m bench.queries --records 10000000 --payloads --storage sqlite:///bench.db`.

Fills the store first, as far as it is not (`bench.generate`), then asks everything in `bench.query_set` some rounds.
`--own-postgres` starts a Postgres for it, with its settings for a machine of this size, and removes it. Printed, and
written to `bench/results/`, are milliseconds until the answer and of CPU in this process: with the SQLite store that is
all there is, and on a busy machine the figure to look at.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.generate import fill_up, make_days
from bench.macro.machine import machine
from bench.micro.postgres_write import make_database, running
from bench.query_set import Query, aggregates, by_id, list_filters, lists, searches, totals
from storage.backends import open_storage
from storage.base import Storage
from storage.query import RecordQuery

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


async def measure(query: Query, rounds: int) -> Measured:
    """Ask a query often."""
    took_ms, complete = [], []
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
    newest = await storage.select(RecordQuery(limit=1))
    oldest = await storage.select(RecordQuery(order="asc", limit=1))
    first_seq, last_seq = oldest.records[0].seq, newest.records[0].seq
    middle = await storage.select(RecordQuery(limit=_EXAMPLES, after=first_seq + (last_seq - first_seq) // 3))
    example = next(record for record in middle.records if record.trace_id is not None)
    oldest_us, newest_us = oldest.records[0].started_at_us, newest.records[0].started_at_us
    plain = list_filters(example, oldest_us, newest_us)
    return {
        **lists(storage, plain, first_seq, last_seq),
        **lists(storage, searches(example), first_seq, last_seq),
        **by_id(storage, example),
        **totals(storage, plain),
        **aggregates(storage, oldest_us, newest_us),
    }


@contextlib.asynccontextmanager
async def address(options: argparse.Namespace) -> AsyncIterator[str]:
    """Find, or start, what is measured; answers its URL."""
    if not options.own_postgres:
        yield options.storage
        return
    with running(options.directory) as server:
        yield await make_database(server, "bench")


async def _run(options: argparse.Namespace) -> None:
    results: dict[str, Measured] = {}
    async with (
        address(options) as url,
        await open_storage(url, Path(options.directory), durability="fast") as storage,
    ):
        if options.records:
            await make_days(url, options.days)
            await fill_up(storage, options.records, options.days, has_payloads=options.payloads, is_recent=True)
        info = await storage.info()
        row_bytes = round(info.size_bytes / max(info.rows, 1))
        print(f"{info.backend}, {info.rows} rows, {row_bytes} bytes a row")
        for name, query in (await queries(storage)).items():
            if options.only in name:
                results[name] = found = await measure(query, options.rounds)
                print(f"{name:48} {found.p50_ms:9} {found.p95_ms:9} {found.cpu_ms:9}  {found.complete}", flush=True)
    document = {
        "machine": machine(),
        "backend": info.backend,
        "rows": info.rows,
        "bytes_per_row": row_bytes,
        "results": {name: asdict(found) for name, found in results.items()},
    }
    if not options.only:
        path = Path("bench/results") / f"queries-{info.backend}-{info.rows}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Measure the store that the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=0, help="fill the store up to so many first")
    parser.add_argument("--payloads", action="store_true", help="with heads and bodies")
    parser.add_argument("--days", type=float, default=10.0, help="over which they are spread")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="", help="queries with this in their name, without writing results")
    parser.add_argument("--storage", default="sqlite:///bench.db", help="storage URL")
    parser.add_argument("--own-postgres", action="store_true", help="instead, in a server of its own")
    parser.add_argument("--directory", default=".", help="where a relative path of the URL, or the server, is")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
