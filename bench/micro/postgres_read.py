"""How long answers of the Postgres backend take with many rows: `python -m bench.micro.postgres_read [--rows N]`.

Fills a server of its own with rows of two days, then asks each question some times over and reports the median and the
95th percentile. Questions are those of the interface: lists by every filter, at the top and deep down, and sums.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from typing import Final

import asyncpg

from bench.micro.postgres_write import batch_of, describe, make_database, moved, running
from bench.micro.sqlite_write import BATCH, get
from storage.backends import open_storage
from storage.base import Storage
from storage.query import EVERYTHING, Filter, RecordQuery, Scope
from storage.record import Entry, now_us
from storage.relational.time_ranges import DAY_US, HOUR_US

_DAYS_US: Final = 2 * DAY_US
_TRIES: Final = 40
FACETS: Final = ("status", "method", "route", "service", "project", "key", "level", "host")


def entry(number: int, begin_us: int, step_us: int) -> Entry:
    """Make a row of mixed traffic: some keys, models and traces, few failures."""
    chance = random.Random(number)
    made = get(number)
    row = moved(made.record, number, begin_us, step_us)
    project = chance.randrange(40)
    row.project = f"project-{project}"
    row.service = f"service-{(project + chance.randrange(3)) % 20}"
    row.path = f"/api/items/{chance.randrange(10**6)}"
    row.key_id = f"key-{5 * project + chance.randrange(5)}" if number % 3 == 0 else None
    row.trace_id = f"{chance.randrange(1 << 128):032x}" if number % 10 == 0 else None
    if number % 20 == 0:
        row.provider, row.model = chance.choice((("openai", "gpt-5"), ("anthropic", "claude-5")))
    return made


async def fill(store: Storage, rows: int) -> None:
    """Commit the rows."""
    begin_us = now_us() - _DAYS_US
    for first in range(0, rows, BATCH):
        entries = [entry(number, begin_us, _DAYS_US // rows) for number in range(first, min(first + BATCH, rows))]
        await store.commit(batch_of(entries, first + len(entries)))


def questions(store: Storage, rows: int) -> dict[str, Callable[[], Awaitable[object]]]:
    """Write down what is asked."""
    since_us = now_us() - _DAYS_US // 2

    def page(after: int | None = None, offset: int = 0, **filter: object) -> Callable[[], Awaitable[object]]:
        query = RecordQuery(filter=Filter(**filter), limit=50, after=after, offset=offset)  # type: ignore[arg-type]
        return lambda: store.select(query)

    trace_id = entry(rows // 20 * 10, 0, 1).record.trace_id
    return {
        "newest": page(),
        "newest, deep by cursor": page(after=rows // 10),
        "project": page(projects=("project-7",)),
        "project, deep by cursor": page(after=rows // 10, projects=("project-7",)),
        "service and level": page(services=("service-3",), levels=("error",)),
        "status 5xx": page(status_classes=(5,)),
        "status 404, deep": page(after=rows // 10, statuses=(404,)),
        "warn and error": page(levels=("warn", "error")),
        "key": page(keys=("key-9",)),
        "trace id": page(trace_id=trace_id),
        "unknown trace id": page(trace_id="f" * 32),
        "path, common": page(path_contains="items/12"),
        "path, nowhere": page(path_contains="nowhere"),
        "time, a day ago": page(until_us=since_us),
        "time and project": page(since_us=since_us, until_us=since_us + HOUR_US, projects=("project-7",)),
        "offset of half": page(offset=rows // 2),
        "count, all": lambda: store.count(Filter()),
        "count, project since a day": lambda: store.count(Filter(projects=("project-7",), since_us=since_us)),
        "count, scan": lambda: store.count(Filter(outcomes=("truncated",))),
        "stats": lambda: store.stats(EVERYTHING),
        "stats of a scope": lambda: store.stats(Scope(projects=("project-7",))),
        "facets": lambda: store.facets(Filter(), FACETS),
        "summary": lambda: store.summary(Filter()),
        "histogram, a day": lambda: store.histogram(Filter(), since_us, now_us(), 60),
        "payloads of a page": lambda: store.payloads(range(rows // 2, rows // 2 + 50)),
        "last seq": store.last_seq,
    }


async def measure(rows: int) -> dict[str, object]:
    """Fill, ask, and answer the figures."""
    answers: dict[str, dict[str, object]] = {}
    with running() as server, tempfile.TemporaryDirectory() as directory:
        url = await make_database(server, "read")
        async with await open_storage(url, Path(directory), durability="fast") as store:
            began_s = time.perf_counter()
            await fill(store, rows)
            filled_s = time.perf_counter() - began_s
            # As autovacuum does in time.
            admin = await asyncpg.connect(url)
            await admin.execute("ANALYZE")
            await admin.close()
            for name, ask in questions(store, rows).items():
                answers[name] = await _asked(ask)
                print(f"{name:28} {answers[name]['p50_ms']:9} {answers[name]['p95_ms']:9}", flush=True)
            size = (await store.info()).size_bytes
    return {"rows": rows, "filled_s": round(filled_s, 1), "bytes_per_row": round(size / rows, 1), "answers": answers}


async def _asked(ask: Callable[[], Awaitable[object]]) -> dict[str, object]:
    took_ms = []
    answer = await ask()
    for _ in range(_TRIES):
        began_s = time.perf_counter()
        answer = await ask()
        took_ms.append((time.perf_counter() - began_s) * 1000)
    cuts = quantiles(took_ms, n=20, method="inclusive")
    complete = getattr(answer, "complete", getattr(answer, "exact", True))
    return {"p50_ms": round(cuts[9], 2), "p95_ms": round(cuts[18], 2), "complete": complete}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    document = describe()
    print(f"{'ms':28} {'median':>9} {'p95':>9}")
    found = asyncio.run(measure(options.rows))
    print(f"{found['bytes_per_row']} bytes a row with heads, filled in {found['filled_s']} s")
    if options.json:
        options.json.write_text(json.dumps(document | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
