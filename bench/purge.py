"""Ingest while half of a store is purged: `python -m bench.purge --records 1000000`.

Fills a store and commits batches as the collector makes them at a steady rate. Once nothing was purged for a while,
retention is given leave to delete the older half, every other ten seconds: so both kinds of commits come from the same
minutes, and what else the machine does meets both. Prints what a commit took of each kind, and how fast rows went.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import psutil

from bench.generate import START_US, fill_up, make_record
from bench.macro.machine import machine
from storage.backends import open_storage
from storage.base import Storage
from storage.purge import Purged
from storage.record import Batch, Entry
from storage.relational.time_ranges import DAY_US
from storage.writer.retention import Limits, Retention

DAYS: Final = 10.0
PACE_S: Final = 0.2
"""The age at which the collector closes a batch unless told otherwise."""
WINDOW_S: Final = 10.0
SKIPPED_S: Final = 1.0
"""Of each window: what its first commits take may still come from the one before."""
SAMPLE_S: Final = 0.5


@dataclass
class Ingest:
    """Batches at a steady rate."""

    storage: Storage
    records: int
    """Of the filled store: those that come are younger."""
    batch: int
    took_ms: dict[str, list[float]] = field(default_factory=dict)
    """What commits took, by the kind of window they began in."""
    kind: str | None = None
    """Of the window; None while commits do not count."""

    async def run(self) -> None:
        """Commit a batch whenever one is due, until cancelled."""
        number = self.records
        while True:
            due_s = time.perf_counter() + PACE_S
            numbers = range(number, number + self.batch)
            entries = [Entry(make_record(each, self.records, DAYS)) for each in numbers]
            number += self.batch
            kind, began_s = self.kind, time.perf_counter()
            await self.storage.commit(Batch("sidecar-1", entries))
            if kind is not None:
                self.took_ms.setdefault(kind, []).append((time.perf_counter() - began_s) * 1000)
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))

    async def window(self, kind: str, seconds: float) -> None:
        """Count the commits of some seconds as a kind."""
        await asyncio.sleep(SKIPPED_S)
        self.kind = kind
        await asyncio.sleep(seconds - SKIPPED_S)
        self.kind = None

    def shown(self, kind: str) -> dict[str, float]:
        """Pick percentiles."""
        took_ms = sorted(self.took_ms[kind])
        shares = (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("max_ms", 1.0))
        picked = {name: took_ms[min(len(took_ms) - 1, int(len(took_ms) * share))] for name, share in shares}
        return {"commits": len(took_ms), **{name: round(ms, 1) for name, ms in picked.items()}}


class Gated:
    """A store of which a slice is purged only while it may be."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._gate = asyncio.Event()
        self._shut_s = self._rows_end_s = 0.0
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def purge(self, max_rows: int) -> Purged:
        """See `storage.base.Storage.purge`."""
        began_s = time.perf_counter()
        await self._gate.wait()
        self._shut_s += time.perf_counter() - began_s
        purged = await self._storage.purge(max_rows)
        if purged.rows:
            self.rows, self._rows_end_s = self.rows + purged.rows, self.clock_s()
        return purged

    def clock_s(self) -> float:
        """Tell the time, which stands still while the purge is not let through."""
        return time.perf_counter() - self._shut_s

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Let the purge go on."""
        self._gate.set()
        yield
        self._gate.clear()

    def rows_per_s(self, began_s: float) -> int:
        """Tell how fast rows went, the time alone counted in which they might go."""
        return round(self.rows / (self._rows_end_s - began_s))


async def watch(peak: list[int]) -> None:
    """Keep the largest resident size in the list, until cancelled."""
    process = psutil.Process()
    while True:
        peak[0] = max(peak[0], process.memory_info().rss)
        await asyncio.sleep(SAMPLE_S)


async def measure(storage: Storage, records: int, rate: int, before_s: float) -> dict[str, object]:
    """Measure commits alone, then by turns alone and beside the purge."""
    await fill_up(storage, records, DAYS, has_payloads=False, is_recent=False)
    ingest, gated = Ingest(storage, records, round(rate * PACE_S)), Gated(storage)
    clock_us = lambda: START_US + 6 * DAY_US  # noqa: E731
    retention = Retention(
        cast(Storage, gated), Limits(max_age_us=DAY_US), clock_us=clock_us, monotonic=gated.clock_s
    )  # of ten days the first five go
    async with asyncio.TaskGroup() as tasks:
        ingesting = tasks.create_task(ingest.run(), name="ingest")
        await ingest.window("before", before_s)
        rss_bytes = psutil.Process().memory_info().rss
        peak = [rss_bytes]
        watching = tasks.create_task(watch(peak), name="watch")
        began_s = gated.clock_s()
        purging = tasks.create_task(retention.tidy(), name="purge")
        while not purging.done():
            await ingest.window("alone", WINDOW_S)
            with gated.opened():
                await ingest.window("beside", WINDOW_S)
        seconds = gated.clock_s() - began_s
        ingesting.cancel()
        watching.cancel()
    alone, beside = ingest.shown("alone"), ingest.shown("beside")
    return {
        "records": records,
        "ingested_per_s": rate,
        "purged": gated.rows,
        "purged_per_s": gated.rows_per_s(began_s),
        "purge_s": round(seconds, 1),
        "commit_before": ingest.shown("before"),
        "commit_alone": alone,
        "commit_beside": beside,
        "p99_ratio": round(beside["p99_ms"] / alone["p99_ms"], 2),
        "memory_growth_mib": round((peak[0] - rss_bytes) / 2**20, 1),
    }


async def _run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        if options.filled is not None:
            await asyncio.to_thread(shutil.copy, options.filled, Path(directory) / "bench.db")
        async with await open_storage(options.storage, Path(directory)) as storage:
            result = await measure(storage, options.records, options.rate, options.seconds)
    print(json.dumps(result, indent=1))
    path = Path("bench/results") / f"purge-{options.records}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")


def main() -> None:
    """Measure in a temporary store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=2000, help="records per second that come in")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure before the purge")
    parser.add_argument("--storage", default="sqlite:///bench.db", help="storage URL of an empty store")
    parser.add_argument("--filled", help="SQLite file of bench.generate with these records: a copy of it is purged")
    parser.add_argument("--directory", help="where the store is made; the temporary directory otherwise")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
