"""Many sidecars at one store: `python -m bench.fleet --url clickhouse://127.0.0.1:8123/x --sidecars
50 --seconds 60`.

Each has opened the same address for itself, makes records at its rate, and commits what it has made
since its last commit, once a second at most, as a collector does. What fails is tried again as it
was. When the time is over all commit what is left, and it is counted: positions of sidecars, all
records, a sample of them by their ids; in ClickHouse also how many different ids there are, and the
CPU time of the servers.

`--cut 0.2` cuts the connection of every fifth commit at any moment, and sends it again. With
`--cluster NAME`, and the HTTP addresses of all its servers in the URL, it shows on your own cluster
that nothing is lost or stored twice; kill servers meanwhile as you like.

The records are made once, before, and get new ids and times: what is measured is the store, and
what of this process is its part. With more sidecars than the machine bears they fall behind, which
is shown as the lag.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bench.generate import make_payload, make_record
from storage.backends import open_storage
from storage.base import Storage
from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable
from storage.query import CountQuery, Filter
from storage.record import Batch, Entry, Position, new_id, now_us
from storage.writer.attempts import CommitTimeout

TEMPLATES: Final = 1000
RETRY_S: Final = 0.5
SAMPLE: Final = 1000
DRAIN_S: Final = 300.0
BATCH_MAX_RECORDS: Final = 3000
CUT_WITHIN_S: Final = 0.1
_STORED: Final = "SELECT count(), uniqExact(id) FROM records WHERE kind = 0"
_CPU_US: Final = (
    "SELECT toInt64(sum(value)) FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds'"
)


@dataclass(slots=True)
class Sidecar:
    """One writer, and what it has done."""

    number: int
    store: Storage
    timeout: CommitTimeout
    """As a collector's."""
    made: int = 0
    stored: int = 0
    lag_s: float = 0.0
    unavailable: int = 0
    cut: float = 0.0
    """The share of commits whose connection is cut."""
    cuts: int = 0
    commits_s: list[float] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)

    @property
    def instance(self) -> str:
        """Its name."""
        return f"sidecar-{self.number}"

    @property
    def source(self) -> bytes:
        """Its only ring."""
        return self.number.to_bytes(16, "big")

    def cut_s(self) -> float | None:
        """After how long to cut the connection of a commit; None: it is not."""
        if random.random() < self.cut:
            return random.uniform(0.0, CUT_WITHIN_S)
        return None

    def next_batch(self, templates: list[Entry], until: int) -> Batch:
        """Make the records up to a number."""
        entries = []
        for number in range(self.made, min(until, self.made + BATCH_MAX_RECORDS)):
            template = templates[(self.number + number) % len(templates)]
            at_us = now_us()
            record = msgspec.structs.replace(
                template.record,
                id=new_id(at_us * 1000, self.number, number & 0xFFFFF),
                instance=self.instance,
                started_at_us=at_us,
                ended_at_us=at_us + (template.record.duration_us or 0),
            )
            entries.append(Entry(record, template.payload))

        self.made += len(entries)
        position = Position(offset=self.made * 500, taken=self.made, stored=self.made)
        return Batch(self.instance, entries, {self.source: position})

    async def commit(self, batch: Batch, ends_s: float) -> None:
        """Commit until it is stored."""
        began_s = time.perf_counter()
        while True:
            try:
                async with asyncio.timeout(self.cut_s()), self.timeout.bounded(is_urgent=False):
                    await self.store.commit(batch)
                break
            except TimeoutError:
                self.cuts += 1
            except StorageUnavailable as error:
                self.unavailable += 1
                if time.perf_counter() > ends_s:
                    raise
                if self.unavailable == 1:
                    sys.stderr.write(f"{self.instance}: {error}\n")
                await asyncio.sleep(RETRY_S)

        self.commits_s.append(time.perf_counter() - began_s)
        self.stored += len(batch.entries)
        if len(self.ids) < SAMPLE:
            self.ids.append(random.choice(batch.entries).record.id)

    async def run(self, templates: list[Entry], options: argparse.Namespace) -> None:
        """Make and store records."""
        await asyncio.sleep(random.random() * options.age)
        began_s = time.perf_counter()

        ends_s = began_s + options.seconds
        while (now_s := time.perf_counter()) < ends_s:
            due = int((now_s - began_s) * options.rate)
            if due > self.made:
                await self.commit(self.next_batch(templates, due), ends_s + DRAIN_S)
            await asyncio.sleep(max(0.0, options.age - (time.perf_counter() - now_s)))

        total = int(options.seconds * options.rate)
        self.lag_s = (total - self.stored) / options.rate
        while self.made < total:
            await self.commit(self.next_batch(templates, total), ends_s + DRAIN_S)


async def simulate(options: argparse.Namespace) -> dict[str, object]:
    """Run all, and count."""
    templates = []
    for number in range(TEMPLATES):
        record = make_record(number, TEMPLATES, 1.0)
        templates.append(Entry(record, make_payload(number, record) if options.payloads else None))
    with tempfile.TemporaryDirectory() as directory:
        sidecars = [
            await _opened(options, Path(directory), number) for number in range(options.sidecars)
        ]
        servers = (
            Link(Address.of(urlsplit(options.url)))
            if options.url.startswith("clickhouse")
            else None
        )
        try:
            before = (await sidecars[0].store.read(CountQuery(Filter()))).exchanges
            server_us = await _server_us(servers)
            cpu_s = time.process_time()
            began_s = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                for sidecar in sidecars:
                    tasks.create_task(sidecar.run(templates, options), name=sidecar.instance)
            took_s = time.perf_counter() - began_s
            cpu_s = time.process_time() - cpu_s
            server_us = await _server_us(servers) - server_us
            report = _report(options, sidecars, took_s, cpu_s) | await _counted(sidecars, before)

            if servers is not None:
                [(rows, ids)] = await servers.fetch(_STORED, limit_s=DRAIN_S)
                report |= {
                    "server_cpu_us_per_record": round(server_us / max(1, rows - before), 1),
                    "ids": ids,
                }
                report["is_right"] = report["is_right"] and ids == rows

            return report
        finally:
            if servers is not None:
                await servers.close()
            for sidecar in sidecars:
                await sidecar.store.close()


async def _server_us(servers: Link | None) -> int:
    """The CPU time of all servers of a ClickHouse, as they count it."""
    if servers is None:
        return 0
    return sum(rows[0][0] for rows in await servers.fetch_each(_CPU_US) if rows)


async def _opened(options: argparse.Namespace, directory: Path, number: int) -> Sidecar:
    url = options.url
    store = await open_storage(
        url, directory, instance=f"sidecar-{number}", holder=f"holder-{number}"
    )
    sidecar = Sidecar(number, store, CommitTimeout(), cut=options.cut)
    # As a collector does before anything else.
    await store.positions(sidecar.instance)
    return sidecar


def _report(
    options: argparse.Namespace, sidecars: list[Sidecar], took_s: float, cpu_s: float
) -> dict[str, object]:
    commits_ms = sorted(second * 1000 for sidecar in sidecars for second in sidecar.commits_s)
    cuts = statistics.quantiles(commits_ms, n=100, method="inclusive")
    stored = sum(sidecar.stored for sidecar in sidecars)
    return {
        "sidecars": options.sidecars,
        "wanted_per_s": options.sidecars * options.rate,
        "stored": stored,
        "stored_per_s": round(stored / took_s),
        "commits_per_s": round(len(commits_ms) / took_s, 1),
        "records_per_commit": round(stored / len(commits_ms)),
        "commit_ms": {
            "p50": round(cuts[49]),
            "p95": round(cuts[94]),
            "p99": round(cuts[98]),
            "max": round(commits_ms[-1]),
        },
        "lag_s": round(max(sidecar.lag_s for sidecar in sidecars), 1),
        "unavailable": sum(sidecar.unavailable for sidecar in sidecars),
        "cuts": sum(sidecar.cuts for sidecar in sidecars),
        "client_cpu_us_per_record": round(cpu_s / stored * 1e6, 1),
    }


async def _counted(sidecars: list[Sidecar], before: int) -> dict[str, object]:
    """Compare what was acknowledged with what is there."""
    store = sidecars[0].store
    wanted = sum(sidecar.stored for sidecar in sidecars)
    wrong = [sidecar.instance for sidecar in sidecars if await _position(sidecar) != sidecar.stored]
    ids = [record_id for sidecar in sidecars for record_id in sidecar.ids]
    sample = random.sample(ids, min(SAMPLE, len(ids)))
    missing = sum([await store.get(record_id) is None for record_id in sample])
    info = await store.info()
    counted = (await store.read(CountQuery(Filter()))).exchanges - before
    return {
        "counted": counted,
        "bytes_per_record": round(info.size_bytes / max(1, info.rows)),
        "wrong_positions": wrong,
        "missing_of_sample": f"{missing} of {len(sample)}",
        "is_right": counted == wanted and not wrong and not missing,
    }


async def _position(sidecar: Sidecar) -> int:
    found = (await sidecar.store.positions(sidecar.instance)).get(sidecar.source)
    return 0 if found is None else found.taken


def main() -> int:
    """Run one simulation; 1 where something is lost, or twice."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--url", required=True, help="address of an empty store")
    parser.add_argument("--sidecars", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200.0, help="records per second of each")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--age", type=float, default=1.0, help="seconds between two commits of a sidecar"
    )
    parser.add_argument(
        "--payloads", action="store_true", help="with heads, and a body of half a kilobyte"
    )
    parser.add_argument("--cluster", help="of ClickHouse: the name of the servers' cluster")
    parser.add_argument(
        "--cut", type=float, default=0.0, help="share of commits whose connection is cut, 0 to 1"
    )
    options = parser.parse_args()
    if options.cluster:
        options.url += f"{'&' if '?' in options.url else '?'}cluster={options.cluster}"
    found = asyncio.run(simulate(options))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if found["is_right"] else 1


if __name__ == "__main__":
    sys.exit(main())
