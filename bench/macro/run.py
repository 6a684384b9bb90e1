"""One measured run: warm up, read the clocks, load, read the clocks again, wait for the store, read them once more.

CPU is divided by what was done with it: the data plane by completed requests, the collector by records stored until
everything was drained, so that a collector that lags behind is not flattered. Failed requests are counted and shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from bench.macro import ledger, load, measure
from bench.macro.peers import Peer
from bench.macro.scenarios import Scenario

CONNECTIONS: Final = 64
WARM_UP_S: Final = 1.0
STREAMS: Final = "streams"
"""The scenario of the event streams, which is none of wrk's."""


class Run(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One system under one scenario, once."""

    system: str
    scenario: str
    round: int
    connections: int
    rate: int = 0
    """Requests a second that were offered; 0: as many as go."""
    requests: int
    errors: int
    duration_s: float
    requests_per_s: float
    p50_us: int
    p99_us: int
    cpu_us: dict[str, float] = {}
    """CPU microseconds per request by role; "collector" per stored record."""
    memory_bytes: dict[str, int] = {}
    """Own memory by role after the run, shared pages apart."""
    received: int = 0
    """sidelog: records of this run, as its ledger counts them."""
    stored: int = 0
    dropped: int = 0
    drained_s: float = 0.0
    """sidelog: seconds from the end of the load until nothing waited."""
    is_balanced: bool = True
    logged_bytes: int = 0
    """A peer: by how much its access log grew, as far as it was written; sidelog's is its store."""
    reads: int = 0
    """Streams: reads of the clients; `requests` counts events there."""
    writes: int = 0
    """Streams: write system calls of the proxy's processes, without the collector's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all runs share."""

    directory: Path
    load_core: int
    seconds: float
    source_port: int = 0
    """Where the streams' source listens; the upstream knows it."""


def measured(bench: Bench, peer: Peer, scenario: Scenario, round_number: int, connections: int = CONNECTIONS) -> Run:
    """Load one started system as much as it takes, after a warm-up in its first round, and return what it cost."""
    pinned: Any = {"connections": connections, "core": bench.load_core, "directory": bench.directory}
    if round_number == 0:
        load.run(scenario, peer.url, seconds=WARM_UP_S, **pinned)
    found = observed(peer, lambda: load.run(scenario, peer.url, seconds=bench.seconds, **pinned))
    return replace(found, scenario=scenario.name, round=round_number, connections=connections)


def measured_at_rate(bench: Bench, peer: Peer, round_number: int, rate: int) -> Run:
    """Send a system the requests of `getvar` at a rate, and return what it cost."""
    pinned: Any = {"connections": CONNECTIONS, "core": bench.load_core}
    found = observed(peer, lambda: load.run_at_rate(peer.url, rate, seconds=bench.seconds, **pinned))
    return replace(found, scenario="getvar", round=round_number, connections=CONNECTIONS, rate=rate)


def measured_streams(bench: Bench, peer: Peer, round_number: int) -> Run:
    """Hold event streams open through a system; return how late their events came and what they cost."""
    source = bench.source_port
    found = observed(peer, lambda: load.run_streams(peer.url, source, seconds=bench.seconds, core=bench.load_core))
    costs = dict(found.cpu_us)
    if "collector" in costs:
        costs["collector"] *= found.stored / max(1, found.requests)  # a stream is one record, and many events
    return replace(found, scenario=STREAMS, round=round_number, connections=load.STREAMS, cpu_us=costs)


def observed(peer: Peer, drive: Callable[[], load.LoadResult]) -> Run:
    """Read clocks, ledger and log around a load; whoever asked for it says what it was."""
    is_sidelog = peer.data_directory is not None
    earlier = ledger.wait_drained(peer)[0] if is_sidelog else None
    logged_bytes, before = peer.logged_bytes(), measure.tree(peer.pid)
    result = drive()
    after = measure.tree(peer.pid)
    later, drained_s = ledger.wait_drained(peer) if is_sidelog else (None, 0.0)
    settled = measure.tree(peer.pid)
    stored = later.stored - earlier.stored if later and earlier else 0
    return Run(
        system=peer.name,
        scenario="",
        round=0,
        connections=0,
        requests=result.requests,
        errors=result.errors,
        duration_s=result.duration_s,
        requests_per_s=result.requests_per_s,
        p50_us=result.p50_us,
        p99_us=result.p99_us,
        cpu_us=_per_request(
            measure.cpu_by_role(before, after), measure.cpu_by_role(before, settled), result.requests, stored
        ),
        memory_bytes=measure.memory_by_role(settled),
        received=later.received - earlier.received if later and earlier else 0,
        stored=stored,
        dropped=later.dropped - earlier.dropped if later and earlier else 0,
        drained_s=drained_s,
        is_balanced=later.balanced if later else True,
        logged_bytes=peer.logged_bytes() - logged_bytes,
        reads=result.reads,
        writes=measure.writes(after) - measure.writes(before) if result.reads else 0,
    )


def _per_request(loaded: dict[str, float], settled: dict[str, float], requests: int, stored: int) -> dict[str, float]:
    """Divide CPU seconds by what was done: the collector's until drained by records, all else by requests."""
    costs = {role: cpu_s * 1e6 / max(1, requests) for role, cpu_s in loaded.items() if role != "collector"}
    if "collector" in settled:
        costs["collector"] = settled["collector"] * 1e6 / max(1, stored)
    return costs
