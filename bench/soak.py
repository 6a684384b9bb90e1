"""What grows in hours of ordinary work: `python -m bench.soak --minutes 75 --share 0.6 --reloads
100 --rolling 20 --kills 10`.

A sidelog with one worker and a store under its cap stands before the demo upstream. It gets the
demo's visits (JSON, models, MCP sessions, event streams that are left or read to the end, gRPC,
WebSockets), WebSocket sessions, pictures, uploads and outgoing calls whose bytes are compared, a
user who looks at lists, figures and searches, a live tail, and requests by HTTP/1.1 and HTTP/2 at a
fixed rate. The time of a request begins when it is due. Every ten seconds memory, descriptors and
the size of the store are sampled, and ids of answers are looked for in the store before its cap
removes them. The rate is given, or a share of the sustained one. After the steady part come
reloads, restarts, and kills of the collector, while another process holds the ports, as systemd
does. The exit code is 1 if something failed or was lost, if the size was over 1.1 times the cap, or
if descriptors or memory grew after the first quarter, in which they settle.
"""

import argparse
import asyncio
import contextlib
import functools
import itertools
import json
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Any, Final

import aiohttp
import uvloop

from bench.http2_load import Http2Load
from bench.macro.machine import machine
from bench.macro.measure import percentile, tree
from bench.steady_load import Load, upstream_of
from bench.transfers import Services, Transfers, services
from examples import demo
from proxy.process.data_dir import AUTHORITY_DIRECTORY, CERTIFICATE_FILE
from tests.e2e.test_reload import reload
from tests.e2e.test_restarts import activated
from tests.support.sidelog import Sidelog, await_pids, eventually

SAMPLE_EVERY_S: Final = 10.0
LOOK_EVERY_S: Final = 5.0
WINDOWS: Final = 7
SIZE_LIMIT: Final = 1.1
GROWTH_LIMIT_MIB_PER_H: Final = 1.0
DESCRIPTORS_LIMIT: Final = 8
"""Connections come and go."""
TIMED: Final = {"http1": 0.3, "http2": 0.25}
"""Of the rate; the rest are visits and messages of sockets."""
VISITS: Final = 0.15
"""Visits for each exchange a second: each has some three requests."""
TRANSFERS: Final = 0.1
"""Transfers for each exchange a second, of all kinds in turn."""
FIRST_RATE: Final = 100.0
FASTER: Final = 1.3
STEP_S: Final = 15.0
LATE_S: Final = 1.0
BEHIND_S: Final = 2.0
"""A rate is not sustained where one answer in a hundred is late, or what is left takes longer to be
stored.
"""
PAUSE_S: Final = 3.0
"""Before each reload and restart."""
SOCKET_MESSAGES: Final = 10
LOG_LINES: Final = 50
"""Lines of the log that are shown where a run ends early."""
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
    assert sidelog.process
    rss = Counter[str]()
    descriptors = Counter[str]()
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


def windows(
    samples: list[Sample], took: list[tuple[float, float, str]], began_s: float, seconds: float
) -> list[Any]:
    """Sum up each of equal parts of the run: times of answers, memory, descriptors, size."""
    width_s = seconds / WINDOWS
    parts = []
    for number in range(WINDOWS):
        first_s = number * width_s
        last_s = (number + 1) * width_s
        here = [one for one in samples if first_s <= one.at_s < last_s]
        times: dict[str, list[float]] = {}
        for at_s, taken_s, kind in took:
            if first_s <= at_s - began_s < last_s:
                times.setdefault(kind, []).append(1000 * taken_s)
        if not here:
            continue

        parts.append(
            {
                "from_min": round(first_s / 60, 1),
                "answers": sum(map(len, times.values())),
                "p50_ms": {
                    kind: round(percentile(sorted(each), 0.5), 2) for kind, each in times.items()
                },
                "p99_ms": {
                    kind: round(percentile(sorted(each), 0.99), 2) for kind, each in times.items()
                },
                "rss_mib": {
                    role: round(fmean([s.rss_mib[role] for s in here]), 2)
                    for role in here[0].rss_mib
                },
                "most_descriptors": {
                    r: max(s.descriptors[r] for s in here) for r in here[0].descriptors
                },
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
            "rss_mib_per_h": round(
                3600 * linear_regression(at_s, [one.rss_mib[role] for one in late]).slope, 2
            ),
            "descriptors": round(
                fmean([one.descriptors[role] for one in late[-tenth:]])
                - fmean([one.descriptors[role] for one in late[:tenth]]),
                1,
            ),
        }
        for role in late[0].rss_mib
    }


@dataclass(slots=True)
class World:
    """All that keeps a sidelog busy beside the timed requests."""

    sidelog: Sidelog
    rate: float
    session: aiohttp.ClientSession
    loads: tuple[Load, Http2Load]
    transfers: Transfers
    visited: int = 0
    sockets: int = 0
    unchanged: Counter[str] = field(default_factory=Counter)
    """Transfers whose bytes passed unchanged, by kind."""
    tailed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    is_disturbed: bool = False
    """Whether the admin port goes away again and again."""

    async def visits(self) -> None:
        """Begin a visit whenever one is due."""
        draw = random.Random(20260101)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(1 / (VISITS * self.rate))
                tasks.create_task(self._visit(random.Random(draw.random())), name="visit")

    async def _visit(self, draw: random.Random) -> None:
        try:
            await demo.make(self.sidelog.url, draw, connector=self.session.connector)
            self.visited += 1
        except (aiohttp.ClientError, OSError) as error:
            self.failures[f"visit: {type(error).__name__}"] += 1

    async def talk(self) -> None:
        """Open a WebSocket each second, say something, and close it."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(1.0)
                tasks.create_task(self._talk(), name="socket")

    async def _talk(self) -> None:
        try:
            async with self.session.ws_connect(f"{self.sidelog.url}/api/orders/live") as socket:
                for number in range(SOCKET_MESSAGES):
                    await socket.send_str(f'{{"number": {number}, "text": "hello"}}')
                    await socket.receive(10)

            self.sockets += 1
        except (aiohttp.ClientError, OSError) as error:
            self.failures[f"socket: {type(error).__name__}"] += 1

    async def transfer(self) -> None:
        """Begin a transfer of the next kind whenever one is due."""
        async with asyncio.TaskGroup() as tasks:
            for number, kind in enumerate(itertools.cycle(self.transfers.kinds)):
                await asyncio.sleep(1 / (TRANSFERS * self.rate))
                tasks.create_task(self._transfer(kind, number), name="transfer")

    async def _transfer(self, kind: Callable[[int], Awaitable[bool]], number: int) -> None:
        name = kind.__name__
        try:
            if await kind(number):
                self.unchanged[name] += 1
            else:
                self.failures[f"{name}: other bytes"] += 1
        except (aiohttp.ClientError, OSError) as error:
            self.failures[f"{name}: {type(error).__name__}"] += 1

    async def look(self) -> None:
        """Read what a person's pages read."""
        while True:
            for path in LOOKS:
                await asyncio.sleep(LOOK_EVERY_S)
                try:
                    async with self.session.get(
                        self.sidelog.admin_url + path, headers=self._token()
                    ) as answer:
                        await answer.read()
                        self._note(f"{path}: {answer.status}" if answer.status != 200 else "")
                except (aiohttp.ClientError, OSError) as error:
                    self._note(f"{path}: {type(error).__name__}")

    async def tail(self) -> None:
        """Follow new records all the time."""
        url = self.sidelog.admin_url + "/api/records/stream"
        forever = aiohttp.ClientTimeout(total=None)
        while True:
            try:
                async with self.session.get(url, headers=self._token(), timeout=forever) as answer:
                    async for line in answer.content:
                        self.tailed += line.startswith(b"data:")
                self._note("tail ended")
            except (aiohttp.ClientError, OSError) as error:
                self._note(f"tail: {type(error).__name__}")
                await asyncio.sleep(1.0)

    def _note(self, failure: str) -> None:
        if failure and not self.is_disturbed:
            self.failures[failure] += 1

    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.sidelog.token}"}


@dataclass(slots=True)
class Accounts:
    """Looks for the record of each answer in the store, before the cap removes it."""

    store: Path
    answers: int = 0
    doubled: int = 0
    unseen: set[bytes] = field(default_factory=set)
    """Answers whose records are not stored yet."""
    _seq: int = 0
    _newest: set[bytes] = field(default_factory=set)

    def look(self, world: World) -> None:
        """Take what was answered and stored since the last look; a record may be there first."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
        ) as connection:
            rows = connection.execute(
                "SELECT seq, id FROM records WHERE seq > ? ORDER BY seq", (self._seq,)
            ).fetchall()

        ids = [record_id for load in world.loads for record_id in load.take_ids()]
        stored = {bytes(record_id) for _, record_id in rows}
        self.answers += len(ids)
        self.doubled += len(rows) - len(stored) + len(stored & self._newest)
        self.unseen = (self.unseen | set(ids)) - stored - self._newest
        self._seq = rows[-1][0] if rows else self._seq
        self._newest = stored


async def watch(samples: list[Sample], accounts: Accounts, began_s: float, world: World) -> None:
    """Sample until cancelled."""
    while True:
        await asyncio.sleep(SAMPLE_EVERY_S)
        await asyncio.to_thread(accounts.look, world)
        if not world.is_disturbed:
            seen = await asyncio.to_thread(
                sample, world.sidelog, accounts.store, time.monotonic() - began_s
            )
            samples.append(seen)
            shown = {
                "s": seen.at_s,
                "rss": seen.rss_mib,
                "fds": seen.descriptors,
                "store_mib": seen.store_mib,
            }
            print(json.dumps(shown), flush=True)


@contextlib.asynccontextmanager
async def kept_busy(
    sidelog: Sidelog,
    behind: Services,
    rate: float,
    *more: Callable[[World], Coroutine[Any, Any, None]],
    keeps_connections: bool = True,
) -> AsyncIterator[World]:
    """Keep it busy with all kinds of traffic, and let what was asked at a rate be answered at the
    end.
    """
    connector = aiohttp.TCPConnector(limit=0, force_close=not keeps_connections)
    limit = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=limit, connector=connector) as session,
        asyncio.TaskGroup() as tasks,
    ):
        loads = (
            Load(sidelog.port, TIMED["http1"] * rate),
            Http2Load(sidelog.port, TIMED["http2"] * rate),
        )
        ours = sidelog.data_dir / AUTHORITY_DIRECTORY / CERTIFICATE_FILE
        transfers = Transfers(session, sidelog.url, behind, ours)
        world = World(sidelog, rate, session, loads, transfers)
        loading = [tasks.create_task(load.run(), name="load") for load in loads]
        others = [
            world.visits(),
            world.talk(),
            world.transfer(),
            world.look(),
            world.tail(),
            *(each(world) for each in more),
        ]
        running = [tasks.create_task(each, name="other") for each in others]
        yield world
        for load in loads:
            load.is_ending = True
        await asyncio.wait(loading)
        for task in running:
            task.cancel()


async def sustainable(sidelog: Sidelog, behind: Services) -> float:
    """Return the highest rate of all that were tried whose answers were not late."""
    rate = FIRST_RATE
    while True:
        async with kept_busy(sidelog, behind, FASTER * rate) as world:
            await asyncio.sleep(STEP_S)
        late_s = percentile(
            sorted(taken_s for load in world.loads for _, taken_s, _ in load.took), 0.99
        )
        ended_s = time.monotonic()
        await asyncio.to_thread(sidelog.settled_ledger)
        behind_s = time.monotonic() - ended_s
        tried = {
            "rate": round(FASTER * rate),
            "p99_ms": round(1000 * late_s),
            "behind_s": round(behind_s, 1),
        }
        print(json.dumps(tried), flush=True)
        if late_s > LATE_S or behind_s > BEHIND_S:
            return rate

        rate *= FASTER


def restart(sidelog: Sidelog) -> None:
    """Stop and start; what is not stored in time waits in the rings."""
    sidelog.stop(check=False)
    sidelog.start()


def kill_collector(sidelog: Sidelog) -> None:
    """Kill the collector, and wait until another one is ready."""
    (killed,) = await_pids(sidelog, "proxy.collector")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: sidelog.pids("proxy.collector") not in ([], [killed]))
    eventually(sidelog.is_ready)


DISTURBANCES: Final[dict[str, Callable[[Sidelog], None]]] = {
    "reload": reload,
    "restart": restart,
    "kill": kill_collector,
}


async def disturb(world: World, counts: dict[str, int]) -> None:
    """Disturb it so often, each way spread evenly, while the traffic goes on."""
    world.is_disturbed = True
    turns = [(number / count, what) for what, count in counts.items() for number in range(count)]
    for _, what in sorted(turns):
        await asyncio.sleep(PAUSE_S)
        await asyncio.to_thread(DISTURBANCES[what], world.sidelog)
        print(
            what,
            dict(world.loads[0].errors + world.loads[1].errors),
            world.failures.total(),
            flush=True,
        )


async def measured(
    sidelog: Sidelog, behind: Services, store: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Keep it busy; return what was seen."""
    rate = options.rate or options.share * await sustainable(sidelog, behind)
    samples = list[Sample]()
    accounts = Accounts(store)
    began_s = time.monotonic()
    seconds = options.minutes * 60
    watched = functools.partial(watch, samples, accounts, began_s)
    async with kept_busy(
        sidelog, behind, rate, watched, keeps_connections=not options.rolling
    ) as world:
        await asyncio.sleep(seconds)
        await disturb(
            world,
            {"reload": options.reloads, "restart": options.rolling, "kill": options.kills},
        )
    ledger = await asyncio.to_thread(sidelog.settled_ledger)
    await asyncio.to_thread(accounts.look, world)
    http1, http2 = world.loads
    return {
        "rate": round(rate, 1),
        "answers": accounts.answers,
        "unaccounted": len(accounts.unseen),
        "doubled": accounts.doubled,
        "errors": dict(http1.errors + http2.errors),
        "repeated": {"http1": http1.repeated, "http2": http2.repeated},
        "visits": world.visited,
        "sockets": world.sockets,
        "unchanged": dict(world.unchanged),
        "tailed": world.tailed,
        "failures": dict(world.failures),
        "ledger": ledger,
        "warnings": [line for line in sidelog.log.splitlines() if '"level": "info"' not in line][
            -20:
        ],
        "most_of_cap": round(max(one.store_mib for one in samples) / options.cap_mib, 3),
        "growth": growth(samples, seconds),
        "windows": windows(samples, http1.took + http2.took, began_s, seconds),
    }


def problems(found: dict[str, Any]) -> list[str]:
    """Say what did not hold; the time of answers is for the reader to judge, who knows what else
    the machine did.
    """
    wrong = [name for name in ("errors", "failures", "unaccounted", "doubled") if found[name]]
    wrong += ["dropped"] if found["ledger"]["dropped"] else []
    wrong += ["size"] if found["most_of_cap"] > SIZE_LIMIT else []
    for role, grown in found["growth"].items():
        wrong += [f"memory of {role}"] if grown["rss_mib_per_h"] > GROWTH_LIMIT_MIB_PER_H else []
        wrong += [f"descriptors of {role}"] if grown["descriptors"] > DESCRIPTORS_LIMIT else []
    return wrong


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Start everything, measure, stop."""
    data_dir = directory / "data"
    with (
        upstream_of("examples.demo", "--only-upstream", "127.0.0.1:0") as upstream,
        services(directory / "theirs") as behind,
    ):
        config = directory / "sidelog.toml"
        config.write_text(behind.settings())
        sizes = {"RETENTION__MAX_BYTES": options.cap_mib << 20, "RING__BYTES": 64 << 20}
        environ = {f"SIDELOG_{name}": str(size) for name, size in sizes.items()}
        arguments = ("--workers", "1", "--config", str(config))
        made = Sidelog(data_dir, upstream, *arguments, environ=environ)
        with activated(made, behind.egress_port) as sidelog:
            try:
                return uvloop.run(measured(sidelog, behind, data_dir / "sidelog.db", options))
            except BaseException:
                print("\n".join(sidelog.log.splitlines()[-LOG_LINES:]), flush=True)
                raise


def main() -> int:
    """Measure once, print, write `bench/results/soak-….json`."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument(
        "--rate",
        type=float,
        help="exchanges a second, about (default: a share of what is sustained)",
    )
    parser.add_argument(
        "--share", type=float, default=0.6, help="of what is sustained (default 0.6)"
    )
    parser.add_argument("--reloads", type=int, default=0, help="behind the steady part")
    parser.add_argument(
        "--rolling", type=int, default=0, metavar="RESTARTS", help="among the reloads"
    )
    parser.add_argument("--kills", type=int, default=0, help="of the collector, among the reloads")
    parser.add_argument("--cap-mib", type=int, default=24, help="of the store (default 24)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = run(options, Path(directory))
    words = " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in vars(options).items() if value
    )
    when = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"when": when, "machine": machine(), **found, "problems": problems(found)}
    path = Path(f"bench/results/soak-{options.minutes:g}min.json")
    path.write_text(
        json.dumps({"command": f"python -m bench.soak {words}", **found}, indent=1) + "\n"
    )
    print(json.dumps(found, indent=1))
    return int(bool(found["problems"]))


if __name__ == "__main__":
    raise SystemExit(main())
