"""A store that goes away under load, and comes back: `python -m bench.store_away --store postgres --outage hung`.

Requests come at a fixed rate before, during and after the outage, until everything is stored. What clients got is then
compared with the store, id by id, and memory is sampled over the whole time. Exit code 1 when a request failed, or a
record is missing or there twice.

Outages: `stopped` (connections are refused), `killed` (without a word, also of open transactions), `hung` (the server's
processes are stopped, connections stay open) for Postgres; `killed` and `hung` for ClickHouse; `locked` (another
process holds the database) for SQLite.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.macro.measure import memory_by_role, tree
from bench.steady_load import (
    Load,
    OwnStore,
    own_store,
    own_upstream,
    stored_ids,
    write_result,
)
from tests.support.clickhouse import Server as ClickhouseServer
from tests.support.postgres import Server
from tests.support.sidelog import Sidelog

WARM_S: Final = 10.0
AFTER_S: Final = 30.0
"""How long memory is looked at when everything is stored."""
DRAIN_LIMIT_S: Final = 1800.0
OUTAGES: Final = {
    "clickhouse": ("killed", "hung"), "postgres": ("stopped", "hung", "killed"), "sqlite": ("locked",),
}  # fmt: skip


@dataclass(slots=True)
class Watch:
    """Looks at the processes and the ledger every few seconds."""

    sidelog: Sidelog
    load: Load
    began_s: float
    phase: str = "before"
    samples: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, every_s: float) -> None:
        """Sample until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            print(json.dumps(self.samples[-1]), flush=True)
            await asyncio.sleep(every_s)

    def look(self) -> dict[str, Any]:
        """Take one sample, and return its ledger; the ledger must balance."""
        ledger: dict[str, Any] = self.sidelog.api("/api/ledger")
        assert ledger["balanced"], ledger
        assert self.sidelog.process is not None
        memory = memory_by_role(tree(self.sidelog.process.pid))
        spool = self.sidelog.data_dir / "spool"
        self.samples.append(
            {
                "s": round(time.monotonic() - self.began_s, 1),
                "phase": self.phase,
                "worker_mib": round(memory["worker"] / 2**20, 1),
                "collector_mib": round(memory["collector"] / 2**20, 1),
                "spool_mib": round(sum(file.stat().st_size for file in spool.glob("*.spool")) / 2**20, 1),
                "answers": len(self.load.ids),
                "errors": self.load.errors.total(),
                **{name: ledger[name] for name in ("stored", "spooled", "waiting", "dropped")},
            }
        )
        return ledger

    def memory(self) -> dict[str, dict[str, float]]:
        """Sum memory up: before, at most while the store was away and while it was caught up, and at the end."""
        found: dict[str, dict[str, float]] = {}
        for role in ("worker_mib", "collector_mib"):
            by_phase = {phase: [s[role] for s in self.samples if s["phase"] == phase] for phase in ("away", "drain")}
            before = [s[role] for s in self.samples if s["phase"] == "before"]
            found[role] = {"before": before[-1], "end": self.samples[-1][role]}
            found[role] |= {f"most_{phase}": max(values) for phase, values in by_phase.items() if values}
        return found


@contextlib.contextmanager
def server_away(server: Server | ClickhouseServer, outage: str) -> Iterator[None]:
    """Keep a server away."""
    assert server.process is not None
    pids = server.pids() if isinstance(server, Server) else [server.process.pid]
    if outage == "hung":
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    elif outage == "stopped" and isinstance(server, Server):
        server.stop()
    else:
        server.kill()
    try:
        yield
    finally:
        if outage == "hung":
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        else:
            server.start()


@contextlib.contextmanager
def sqlite_away(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to a SQLite file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def away(store: OwnStore, outage: str) -> contextlib.AbstractContextManager[None]:
    """Keep a store away."""
    if server := store.server or store.clickhouse:
        return server_away(server, outage)
    assert store.path is not None, "bug: a store without a place"
    return sqlite_away(store.path)


async def _drained(watch: Watch, rate: float) -> None:
    """Wait until nothing is left of the outage: what waits then has come within the last second."""
    async with asyncio.timeout(DRAIN_LIMIT_S):
        while True:
            ledger = await asyncio.to_thread(watch.look)
            if ledger["spooled"] == 0 and ledger["waiting"] <= rate:
                return
            await asyncio.sleep(1.0)


async def measured(
    sidelog: Sidelog, outage: contextlib.AbstractContextManager[None], options: argparse.Namespace
) -> dict[str, Any]:
    """Run the load over an outage; return what was seen."""
    load = Load(sidelog.port, options.rate)
    watch = Watch(sidelog, load, time.monotonic())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run(), name="load")
        watching = tasks.create_task(watch.run(options.every), name="watch")
        await asyncio.sleep(WARM_S)
        await asyncio.to_thread(watch.look)
        watch.phase = "away"
        with outage:
            await asyncio.sleep(options.seconds)
        watch.phase, back_s = "drain", time.monotonic()
        await _drained(watch, options.rate)
        drain_s = time.monotonic() - back_s
        watch.phase = "after"
        await asyncio.sleep(AFTER_S)
        load.is_ending = True
        watching.cancel()
    ledger = await asyncio.to_thread(sidelog.settled_ledger)
    watch.look()
    return {
        "answers": len(load.ids),
        "errors": dict(load.errors),
        "drain_s": round(drain_s, 1),
        "ledger": ledger,
        "spool_most_mib": max(sample["spool_mib"] for sample in watch.samples),
        "memory": watch.memory(),
        "samples": watch.samples,
        "ids": load.ids,
    }


async def compared(found: dict[str, Any], url: str, data_dir: Path) -> dict[str, Any]:
    """Compare what clients got with what is stored."""
    stored = Counter([record_id async for record_id in stored_ids(url, data_dir)])
    answered: list[bytes] = found.pop("ids")
    doubled = sum(count - 1 for count in stored.values())
    return {"missing": sum(record_id not in stored for record_id in answered), "doubled": doubled, **found}


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Start everything, measure, stop."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(own_upstream(directory / "upstream"))
        data_dir = directory / "data"
        store = stack.enter_context(own_store(options.store, data_dir))
        environ = {"SIDELOG_STORAGE__URL": store.url, "SIDELOG_RING__BYTES": str(64 << 20)}
        sidelog = Sidelog(data_dir, upstream.url, "--workers", str(options.workers), environ=environ)
        with sidelog:
            found = uvloop.run(measured(sidelog, away(store, options.outage), options))
        return uvloop.run(compared(found, store.url, data_dir)) | {"stop_s": round(sidelog.stop_s, 1)}


def main() -> int:
    """Measure once, print, write `bench/results/store-away-….json`."""
    parser = argparse.ArgumentParser(prog="python -m bench.store_away", description=__doc__)
    parser.add_argument("--store", choices=sorted(OUTAGES), default="postgres")
    parser.add_argument(
        "--outage", help="stopped, hung or killed (postgres); killed or hung (clickhouse); locked (sqlite)"
    )
    parser.add_argument("--seconds", type=float, default=900.0, help="how long the store is away (default 900)")
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second (default 1000)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two samples")
    options = parser.parse_args()
    options.outage = options.outage or OUTAGES[options.store][0]
    if options.outage not in OUTAGES[options.store]:
        parser.error(f"{options.store} can be {' or '.join(OUTAGES[options.store])}, not {options.outage!r}")
    with tempfile.TemporaryDirectory() as directory:
        found = run(options, Path(directory))
    chosen = {name: getattr(options, name) for name in ("store", "outage", "seconds", "rate", "workers")}
    name = f"store-away-{options.store}-{options.outage}-{options.seconds:g}s"
    write_result(name, "bench.store_away", chosen, {**chosen, **found})
    print(json.dumps({**chosen, **{name: value for name, value in found.items() if name != "samples"}}, indent=1))
    return int(bool(found["errors"] or found["missing"] or found["doubled"]))


if __name__ == "__main__":
    raise SystemExit(main())
