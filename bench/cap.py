"""A cap on size that is reached again and again under load: `python -m bench.cap --seconds 3600 --cap-mib 64`.

Requests come at a fixed rate. Every second the size of the store with its journal and the collector's memory are
sampled, every ten seconds the store is read: how many records there are, and whether one of the newest is missing. At
the end they are compared with what clients got, id by id, and counts with what is there. Exit code 1
when the size was over 1.1 times the cap, when fewer than nine tenths of the records that fit below the cap were there,
when sums were wrong, or when a record of the newest is missing.
"""

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.steady_load import Load, collector_and_workers, own_store, own_upstream, post, stored_ids, write_result
from storage.backends import open_storage
from storage.base import Storage
from storage.query import Filter
from tests.support.sidelog import Sidelog

SIZE_EVERY_S: Final = 1.0
READ_EVERY_S: Final = 10.0
LIMIT: Final = 1.1
READABLE: Final = 0.9
LOG_LINES: Final = 20
ALL: Final = Filter(kind="all")


@dataclass(slots=True)
class Seen:
    """What was sampled."""

    sizes: list[int] = field(default_factory=list)
    collector_mib: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    fitted_rows: int = 0
    """Records that were there when the first of them went."""
    missing: int = 0
    """Of the newest nine tenths of so many, the most that were missing at any look."""
    trims: list[int] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """Warnings and errors, the last of them."""

    def summary(self, cap_bytes: int) -> dict[str, Any]:
        """Sum up; memory is the most of each tenth of the run."""
        tenth = max(1, -(-len(self.collector_mib) // 10))
        after = self.rows[next((n for n, trimmed in enumerate(self.trims) if trimmed), len(self.rows)) :]
        return {
            "cap_mib": cap_bytes >> 20,
            "most_mib": round(max(self.sizes) / 2**20, 2),
            "most_of_cap": round(max(self.sizes) / cap_bytes, 3),
            "fitted_rows": self.fitted_rows,
            "least_rows": min(after, default=0),
            "least_of_fitted": round(min(after, default=0) / self.fitted_rows, 3) if self.fitted_rows else None,
            "trimmed_rows": self.trims[-1] if self.trims else 0,
            "newest_missing_meanwhile": self.missing,
            "collector_mib": [
                round(max(self.collector_mib[start : start + tenth]), 1)
                for start in range(0, len(self.collector_mib), tenth)
            ],
            "log": self.log,
            "load_average": round(sum(self.loads) / max(1, len(self.loads)), 2),
        }


@asynccontextmanager
async def reading(url: str, data_dir: Path) -> AsyncIterator[Storage]:
    """Open the store beside the sidelog that writes it."""
    async with await open_storage(url, data_dir, is_read_only=True) as storage:
        yield storage


async def watch_size(seen: Seen, sidelog: Sidelog, storage: Storage, path: Path | None) -> None:
    """Sample size and memory until cancelled."""
    while True:
        if path is None:
            seen.sizes.append((await storage.retention()).used_bytes)
        else:
            files = (path, path.with_name(path.name + "-wal"))
            seen.sizes.append(sum(os.stat(file).st_size for file in files if file.exists()))
        memory = await asyncio.to_thread(collector_and_workers, sidelog)
        seen.collector_mib.append(memory["collector"] / 2**20)
        seen.loads.append(os.getloadavg()[0])
        await asyncio.sleep(SIZE_EVERY_S)


async def watch_rows(seen: Seen, sidelog: Sidelog, storage: Storage) -> None:
    """Read the store until cancelled."""
    while True:
        await asyncio.sleep(READ_EVERY_S)
        retention = (await asyncio.to_thread(sidelog.api, "/api/status"))["retention"]
        state = await storage.retention()
        rows, trimmed = state.last_seq - state.purged_through_seq, retention["rows_trimmed"]
        seen.rows.append(rows)
        seen.trims.append(trimmed + retention["bodies_trimmed"])
        if not seen.trims[-1] or not seen.fitted_rows:
            seen.fitted_rows = rows
        newest = int(READABLE * seen.fitted_rows)
        counted = await storage.count(replace(ALL, seq_after=state.last_seq - newest, seq_until=state.last_seq))
        if counted.exact:
            seen.missing = max(seen.missing, newest - counted.exchanges - counted.events)
        shown = {"rows": rows, "mib": round(seen.sizes[-1] / 2**20, 2), "trimmed": trimmed, "missing": seen.missing}
        print(json.dumps(shown), flush=True)


async def measured(sidelog: Sidelog, url: str, path: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    """Run the load; return what was seen."""
    load, seen = Load(sidelog.port, options.rate, post(options.body_bytes)), Seen()
    async with reading(url, sidelog.data_dir) as storage, asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(load.run(), name="load")
        watching = [
            tasks.create_task(watch_size(seen, sidelog, storage, path), name="size"),
            tasks.create_task(watch_rows(seen, sidelog, storage), name="rows"),
        ]
        await asyncio.sleep(options.seconds)
        load.is_ending = True
        await loading
        for task in watching:
            task.cancel()
    ledger = await asyncio.to_thread(sidelog.settled_ledger)
    seen.log = [line for line in sidelog.log.splitlines() if '"level": "info"' not in line][-LOG_LINES:]
    stored = {record_id async for record_id in stored_ids(url, sidelog.data_dir)}
    newest = load.ids[-int(READABLE * seen.fitted_rows) :] if seen.fitted_rows else load.ids
    exact = True
    async with reading(url, sidelog.data_dir) as storage:
        counted, state = await storage.count(ALL), await storage.retention()
        exact = counted.exchanges + counted.events == state.last_seq - state.purged_through_seq
        exact = exact and counted.exchanges == len(stored)
    return {
        "answers": len(load.ids),
        "errors": dict(load.errors),
        "newest_missing": sum(record_id not in stored for record_id in newest),
        "sums_exact": exact,
        "ledger": ledger,
        **seen.summary(options.cap_mib << 20),
    }


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Start everything, measure, stop."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(own_upstream(directory / "upstream"))
        data_dir = directory / "data"
        store = stack.enter_context(own_store(options.store, data_dir))
        environ = {"SIDELOG_STORAGE__URL": store.url, "SIDELOG_RETENTION__MAX_BYTES": str(options.cap_mib << 20)}
        sidelog = Sidelog(data_dir, upstream.url, environ=environ)
        with sidelog:
            return uvloop.run(measured(sidelog, store.url, store.path, options))


def is_failure(found: dict[str, Any]) -> bool:
    """Whether something that the cap promises did not hold."""
    least = found["least_of_fitted"]
    return bool(
        found["errors"]
        or found["newest_missing"]
        or not found["sums_exact"]
        or found["newest_missing_meanwhile"]
        or found["most_of_cap"] > LIMIT
        or (least is not None and least < READABLE)
    )


def main() -> int:
    """Measure once, print, write `bench/results/cap-….json`."""
    parser = argparse.ArgumentParser(prog="python -m bench.cap", description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--cap-mib", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second (default 500)")
    parser.add_argument("--body-bytes", type=int, default=200, help="of each request (default 200)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        began_s = time.monotonic()
        found = run(options, Path(directory)) | {"took_s": round(time.monotonic() - began_s, 1)}
    name = f"cap-{options.store}-{options.cap_mib}mib-{options.seconds:g}s"
    write_result(name, "bench.cap", vars(options), found)
    print(json.dumps(found, indent=1))
    return int(is_failure(found))


if __name__ == "__main__":
    raise SystemExit(main())
