"""Latency of reads over a filled store: `python -m bench.generate` first, then `python -m bench.queries`.

Each query is asked often, at the newest page, by cursor in the middle and near the oldest record, and the 50th and 95th
percentiles are printed and written as JSON to `bench/results`.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from bench.generate import START_US, make_record
from bench.macro.machine import machine
from storage.backends import open_storage
from storage.base import Storage
from storage.figures import FACETS
from storage.query import EVERYTHING, Filter, RecordQuery, Scope

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
Query = Callable[[], Awaitable[object]]


def filters(records: int, days: float) -> dict[str, Filter]:
    """Name the filters of the lists."""
    length_us = int(days * DAY_US)
    middle = make_record(records // 8 * 4, records, days)
    return {
        "newest": Filter(),
        "project": Filter(projects=("project-3",)),
        "scope of one project": Filter(scope=Scope(projects=("project-3",))),
        "service": Filter(services=("service-7",)),
        "service + level": Filter(services=("service-7",), levels=("error",)),
        "status class": Filter(status_classes=(5,)),
        "status": Filter(statuses=(404,)),
        "level": Filter(levels=("warn", "error")),
        "key": Filter(keys=("key-77",)),
        "route": Filter(routes=("route-7",)),
        "method": Filter(methods=("DELETE",)),
        "host": Filter(hosts=("api-1.example.com",)),
        "trace id": Filter(trace_id=middle.trace_id or "0"),
        "path substring": Filter(path_contains="items/4711"),
        "time range": Filter(since_us=START_US + length_us // 2, until_us=START_US + length_us * 6 // 10),
        "error type": Filter(error_types=("internal",)),
        "nothing": Filter(projects=("project-3",), methods=("GET",), path_contains="not there"),
    }  # fmt: skip


def queries(storage: Storage, records: int, days: float) -> dict[str, Query]:
    """Name what is measured."""
    end_us = START_US + int(days * DAY_US)
    found: dict[str, Query] = {}

    def page(filter: Filter, after: int | None) -> Query:
        return lambda: storage.select(RecordQuery(filter=filter, limit=100, after=after))

    for name, filter in filters(records, days).items():
        for depth, after in (("newest", None), ("middle", records // 2), ("oldest", 2000)):
            found[f"list, {name}, {depth}"] = page(filter, after)
        found[f"count, {name}"] = lambda filter=filter: storage.count(filter)  # type: ignore[misc]
    counted = ("status", "method", "route", "service", "project", "container", "client", "key", "level", "source")
    found |= {
        "facets, counted": lambda: storage.facets(Filter(), counted),
        "facets, all": lambda: storage.facets(Filter(), tuple(FACETS)),
        "facets, project": lambda: storage.facets(Filter(projects=("project-3",)), counted),
        "facets, last 24 h": lambda: storage.facets(Filter(since_us=end_us - DAY_US), counted),
        "stats": lambda: storage.stats(EVERYTHING),
        "stats, one project": lambda: storage.stats(Scope(projects=("project-3",))),
        "summary": lambda: storage.summary(Filter()),
        "summary, last 24 h": lambda: storage.summary(Filter(since_us=end_us - DAY_US + 77)),
        "histogram, last 15 min": lambda: storage.histogram(Filter(), end_us - HOUR_US // 4, end_us, 60),
        "histogram, last 24 h": lambda: storage.histogram(Filter(), end_us - DAY_US, end_us, 48),
        "histogram, all days": lambda: storage.histogram(Filter(), START_US, end_us, 60),
    }
    return found


async def measure(query: Query, rounds: int) -> dict[str, float | bool | None]:
    """Ask a query often; answers milliseconds, and whether the answer was complete."""
    took_ms = []
    answer: object = None
    for _ in range(rounds):
        began_s = time.perf_counter()
        answer = await query()
        took_ms.append((time.perf_counter() - began_s) * 1000)
    took_ms.sort()
    complete = getattr(answer, "complete", getattr(answer, "exact", None))
    return {
        "p50_ms": round(took_ms[len(took_ms) // 2], 2),
        "p95_ms": round(took_ms[min(len(took_ms) - 1, len(took_ms) * 95 // 100)], 2),
        "complete": complete,
    }


async def _run(options: argparse.Namespace) -> None:
    results: dict[str, dict[str, float | bool | None]] = {}
    async with await open_storage(options.storage, Path(options.directory), durability="fast") as storage:
        info = await storage.info()
        print(f"{info.backend}, {info.rows} rows, {info.size_bytes / max(info.rows, 1):.0f} bytes a row")
        for name, query in queries(storage, info.last_seq, options.days).items():
            results[name] = figures = await measure(query, options.rounds)
            print(f"{name:40} {figures['p50_ms']:10} {figures['p95_ms']:10}  {figures['complete']}", flush=True)
    document = {
        "machine": machine(),
        "backend": info.backend,
        "rows": info.rows,
        "bytes_per_row": round(info.size_bytes / max(info.rows, 1)),
        "results": results,
    }
    path = Path("bench/results") / f"queries-{info.backend}-{info.rows}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Measure the store that the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--days", type=float, default=10.0, help="as the store was generated with")
    parser.add_argument("--storage", default="sqlite:///bench.db", help="storage URL")
    parser.add_argument("--directory", default=".", help="where a relative path of the URL begins")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
