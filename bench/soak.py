"""What grows in hours of ordinary work: `python -m bench.soak --minutes 120 --rate 150`.

A sidelog with one worker and a store under its cap stands before the demo upstream. It gets the demo's visits (JSON,
models, MCP sessions, event streams that are left or read to the end), WebSocket sessions, somebody who looks at lists,
figures and searches, a live tail, and requests at a fixed rate whose time is taken from the moment they were due. Every
ten seconds memory, descriptors and the store's size are sampled. Exit code 1 when something failed or was lost, the
size was over 1.1 times the cap, or descriptors or memory grew behind the first quarter: that is for what settles.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Any, Final

import aiohttp
import uvloop

from bench.macro.measure import percentile, tree
from bench.steady_load import Load, own_store, write_result
from proxy.demo.traffic import perform, visit
from proxy.process.own_packages import module_command, module_environment
from tests.support.sidelog import Sidelog

SAMPLE_EVERY_S: Final = 10.0
LOOK_EVERY_S: Final = 5.0
WINDOWS: Final = 6
SIZE_LIMIT: Final = 1.1
GROWTH_LIMIT_MIB_PER_H: Final = 1.0
DESCRIPTORS_LIMIT: Final = 8
"""Connections come and go."""
TIMED: Final = 0.55
"""Of the rate; the rest are visits and messages of sockets."""
VISITS: Final = 0.17
"""Visits for each exchange a second: each has some two requests."""
SOCKET_MESSAGES: Final = 10
REQUEST: Final = b"GET /api/users/%d HTTP/1.1\r\nHost: shop\r\nX-Request-Id: soak-%d\r\n\r\n"
LOOKS: Final = (
    "/api/records?limit=50",
    "/api/summary",
    "/api/top?by=endpoint",
    "/api/records?limit=20&q=search",
    "/api/records?limit=20&query=status:500",
    "/api/conversations",
    "/api/ledger",
    "/metrics",
)


@dataclass(slots=True)
class Timed(Load):
    """Requests at a fixed rate that differ from each other, and how long after they were due each was answered."""

    took: list[tuple[float, float]] = field(default_factory=list)
    """(when, seconds)."""
    sent: int = 0

    async def exchange(self, due_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Ask for another user each time."""
        self.sent += 1
        self.request = REQUEST % (1 + self.sent % 20, self.sent)
        record_id = await Load.exchange(self, due_s, reader, writer)
        self.took.append((due_s, time.monotonic() - due_s))
        return record_id


@dataclass(slots=True)
class Sample:
    """One moment."""

    at_s: float
    rss_mib: dict[str, float]
    """By role, without shared memory."""
    descriptors: dict[str, int]
    store_mib: float
    load_average: float


def sample(sidelog: Sidelog, store: Path, at_s: float) -> Sample:
    """Look at all processes and at the store."""
    assert sidelog.process is not None
    rss, descriptors = Counter[str](), Counter[str]()
    for cost in tree(sidelog.process.pid):
        rss[cost.role] += cost.rss_bytes
        descriptors[cost.role] += len(os.listdir(f"/proc/{cost.pid}/fd"))
    files = (store, store.with_name(store.name + "-wal"))
    size = sum(file.stat().st_size for file in files if file.exists())
    return Sample(
        at_s=round(at_s, 1),
        rss_mib={role: round(value / 2**20, 2) for role, value in sorted(rss.items())},
        descriptors=dict(sorted(descriptors.items())),
        store_mib=round(size / 2**20, 2),
        load_average=round(os.getloadavg()[0], 2),
    )


def windows(samples: list[Sample], took: list[tuple[float, float]], began_s: float, seconds: float) -> list[Any]:
    """Sum up each of equal parts of the run: times of answers, memory, descriptors, size."""
    width_s = seconds / WINDOWS
    parts = []
    for number in range(WINDOWS):
        first_s, last_s = number * width_s, (number + 1) * width_s
        here = [one for one in samples if first_s <= one.at_s < last_s]
        times = sorted(taken_s for at_s, taken_s in took if first_s <= at_s - began_s < last_s)
        if not here:
            continue
        parts.append(
            {
                "from_min": round(first_s / 60, 1),
                "answers": len(times),
                "p50_ms": round(1000 * percentile(times, 0.5), 2),
                "p99_ms": round(1000 * percentile(times, 0.99), 2),
                "rss_mib": {role: round(fmean([s.rss_mib[role] for s in here]), 2) for role in here[0].rss_mib},
                "most_descriptors": {r: max(s.descriptors[r] for s in here) for r in here[0].descriptors},
                "most_store_mib": max(one.store_mib for one in here),
                "load_average": round(fmean([one.load_average for one in here]), 2),
            }
        )
    return parts


def growth(samples: list[Sample], seconds: float) -> dict[str, dict[str, float]]:
    """Return the rise behind the first quarter, by role: MiB an hour of memory, descriptors in all."""
    late = [one for one in samples if one.at_s >= seconds / 4]
    if len(late) < 2:
        return {}
    at_s = [one.at_s for one in late]
    tenth = max(1, len(late) // 10)
    return {
        role: {
            "rss_mib_per_h": round(3600 * linear_regression(at_s, [one.rss_mib[role] for one in late]).slope, 2),
            "descriptors": round(
                fmean([one.descriptors[role] for one in late[-tenth:]])
                - fmean([one.descriptors[role] for one in late[:tenth]]),
                1,
            ),
        }
        for role in late[0].rss_mib
    }


@contextmanager
def demo_upstream() -> Iterator[str]:
    """Start the demo upstream; gives its URL."""
    command = module_command("proxy.demo.upstream")
    with subprocess.Popen(command, env=module_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@dataclass(slots=True)
class World:
    """All that keeps a sidelog busy beside the timed requests."""

    sidelog: Sidelog
    rate: float
    session: aiohttp.ClientSession
    statuses: Counter[int] = field(default_factory=Counter)
    """Of visits; 0: no answer."""
    sockets: int = 0
    tailed: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    async def visits(self) -> None:
        """Begin a visit whenever one is due."""
        draw = random.Random(20260101)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(1 / (VISITS * self.rate))
                tasks.create_task(self._visit(random.Random(draw.random())), name="visit")

    async def _visit(self, draw: random.Random) -> None:
        self.statuses.update(await perform(self.session, self.sidelog.url, visit(draw)))

    async def talk(self) -> None:
        """Open a WebSocket each second, say something, and close it."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(1.0)
                tasks.create_task(self._talk(), name="socket")

    async def _talk(self) -> None:
        try:
            async with self.session.ws_connect(self.sidelog.url.replace("http", "ws") + "/ws") as socket:
                for number in range(SOCKET_MESSAGES):
                    await socket.send_str(f'{{"number": {number}, "text": "hello"}}')
                    await socket.receive(10)
            self.sockets += 1
        except (aiohttp.ClientError, OSError) as error:
            self.failures[f"socket: {type(error).__name__}"] += 1

    async def look(self) -> None:
        """Read what a person's pages read."""
        while True:
            for path in LOOKS:
                await asyncio.sleep(LOOK_EVERY_S)
                try:
                    async with self.session.get(self.sidelog.admin_url + path, headers=self._token()) as answer:
                        await answer.read()
                        if answer.status != 200:
                            self.failures[f"{path}: {answer.status}"] += 1
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failures[f"{path}: {type(error).__name__}"] += 1

    async def tail(self) -> None:
        """Follow new records all the time."""
        url, forever = self.sidelog.admin_url + "/api/records/stream", aiohttp.ClientTimeout(total=None)
        while True:
            try:
                async with self.session.get(url, headers=self._token(), timeout=forever) as answer:
                    async for line in answer.content:
                        self.tailed += line.startswith(b"data:")
            except aiohttp.ClientError as error:
                self.failures[f"tail: {type(error).__name__}"] += 1
            self.failures["tail ended"] += 1

    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.sidelog.token}"}


async def watch(samples: list[Sample], sidelog: Sidelog, store: Path, began_s: float) -> None:
    """Sample until cancelled."""
    while True:
        samples.append(await asyncio.to_thread(sample, sidelog, store, time.monotonic() - began_s))
        now = samples[-1]
        shown = {"s": now.at_s, "rss": now.rss_mib, "fds": now.descriptors, "store_mib": now.store_mib}
        print(json.dumps(shown), flush=True)
        await asyncio.sleep(SAMPLE_EVERY_S)


async def measured(sidelog: Sidelog, store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Keep it busy; return what was seen."""
    load, samples = Timed(sidelog.port, TIMED * options.rate), list[Sample]()
    began_s, seconds = time.monotonic(), options.minutes * 60
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session, asyncio.TaskGroup() as tasks:
        world = World(sidelog, options.rate, session)
        loading = tasks.create_task(load.run(), name="load")
        others = [world.visits(), world.talk(), world.look(), world.tail(), watch(samples, sidelog, store, began_s)]
        running = [tasks.create_task(other) for other in others]
        await asyncio.sleep(seconds)
        load.is_ending = True
        await loading
        for task in running:
            task.cancel()
    ledger = await asyncio.to_thread(sidelog.settled_ledger)
    warnings = [line for line in sidelog.log.splitlines() if '"level": "info"' not in line]
    return {
        "answers": len(load.ids),
        "errors": dict(load.errors),
        "visits": dict(sorted(world.statuses.items())),
        "sockets": world.sockets,
        "tailed": world.tailed,
        "failures": dict(world.failures),
        "ledger": ledger,
        "warnings": warnings[-20:],
        "most_of_cap": round(max(one.store_mib for one in samples) / options.cap_mib, 3),
        "growth": growth(samples, seconds),
        "windows": windows(samples, load.took, began_s, seconds),
    }


def problems(found: dict[str, Any]) -> list[str]:
    """Say what did not hold; the time of answers is for the reader to judge, who knows what else the machine did."""
    wrong = [name for name in ("errors", "failures") if found[name]]
    wrong += ["no answer to a visit"] if found["visits"].get(0) else []
    wrong += ["dropped"] if found["ledger"]["dropped"] else []
    wrong += ["size"] if found["most_of_cap"] > SIZE_LIMIT else []
    for role, grown in found["growth"].items():
        wrong += [f"memory of {role}"] if grown["rss_mib_per_h"] > GROWTH_LIMIT_MIB_PER_H else []
        wrong += [f"descriptors of {role}"] if grown["descriptors"] > DESCRIPTORS_LIMIT else []
    return wrong


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Start everything, measure, stop."""
    data_dir = directory / "data"
    with demo_upstream() as upstream, own_store("sqlite", data_dir) as store:
        assert store.path is not None
        environ = {"SIDELOG_STORAGE__URL": store.url, "SIDELOG_RETENTION__MAX_BYTES": str(options.cap_mib << 20)}
        with Sidelog(data_dir, upstream, "--workers", "1", environ=environ) as sidelog:
            return uvloop.run(measured(sidelog, store.path, options))


def main() -> int:
    """Measure once, print, write `bench/results/soak-….json`."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=150.0, help="exchanges a second, about (default 150)")
    parser.add_argument("--cap-mib", type=int, default=24, help="of the store (default 24)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = run(options, Path(directory))
    found["problems"] = problems(found)
    write_result(f"soak-{options.minutes:g}min", "bench.soak", vars(options), found)
    print(json.dumps(found, indent=1))
    return int(bool(found["problems"]))


if __name__ == "__main__":
    raise SystemExit(main())
