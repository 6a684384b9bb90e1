"""Ingest while half of a store is purged: `python -m bench.purge --records 1000000`.

Fills a store, then commits batches at a steady pace, first alone, then beside retention deleting the older half, and
prints what a commit took and how fast rows went.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from bench.generate import START_US, fill, make_record
from bench.macro.machine import machine
from storage.backends import open_storage
from storage.base import Storage
from storage.record import Batch, Entry
from storage.retention import Limits, Retention

ROWS: Final = 200
PACE_S: Final = 0.1
DAY_US: Final = 86_400_000_000


async def ingest(storage: Storage, start: int, ending: asyncio.Event) -> list[float]:
    """Commit a batch every 100 ms until told; answers what each took, in ms."""
    took_ms = []
    while not ending.is_set():
        entries = [Entry(make_record(number, 10**9, 10.0)) for number in range(start, start + ROWS)]
        for entry in entries:
            entry.record.started_at_us = START_US + 20 * DAY_US
        start += ROWS
        began_s = time.perf_counter()
        await storage.commit(Batch("sidecar-1", entries))
        took_s = time.perf_counter() - began_s
        took_ms.append(took_s * 1000)
        await asyncio.sleep(max(0.0, PACE_S - took_s))
    return sorted(took_ms)


def shown(took_ms: list[float]) -> dict[str, float]:
    """Pick percentiles."""
    return {name: round(took_ms[int(len(took_ms) * share)], 1) for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))}


async def measure(storage: Storage, records: int, alone_s: float) -> dict[str, object]:
    """Measure commits alone, then beside the purge."""
    await fill(storage, records, 10.0, has_payloads=False)
    ending = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        alone = tasks.create_task(ingest(storage, 500_000_000, ending), name="ingest")
        await asyncio.sleep(alone_s)
        ending.set()
    memory_bytes = psutil.Process().memory_info().rss
    retention = Retention(storage, Limits(max_age_us=DAY_US), clock_us=lambda: START_US + 6 * DAY_US)
    ending = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        beside = tasks.create_task(ingest(storage, 600_000_000, ending), name="ingest")
        began_s = time.perf_counter()
        await retention.tidy()
        seconds = time.perf_counter() - began_s
        ending.set()
    alone_ms, beside_ms = shown(alone.result()), shown(beside.result())
    return {
        "records": records,
        "purged": retention.rows_purged,
        "rows_per_s": round(retention.rows_purged / seconds),
        "commit_alone": alone_ms,
        "commit_beside": beside_ms,
        "p99_ratio": round(beside_ms["p99_ms"] / alone_ms["p99_ms"], 2),
        "memory_growth_mib": round((psutil.Process().memory_info().rss - memory_bytes) / 2**20, 1),
    }


async def _run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        async with await open_storage(options.storage, Path(directory)) as storage:
            result = await measure(storage, options.records, options.seconds)
    print(json.dumps(result, indent=1))
    path = Path("bench/results") / f"purge-{options.records}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")


def main() -> None:
    """Measure in a temporary store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure without a purge")
    parser.add_argument("--storage", default="sqlite:///bench.db", help="storage URL of an empty store")
    parser.add_argument("--directory", help="where the store is made; the temporary directory otherwise")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
