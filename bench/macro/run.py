"""One measured run: warm up, read the clocks, load, read the clocks again, wait for the store, read them once more.

CPU is divided by what was done with it: the data plane by completed requests, the collector by records stored until
everything was drained, so that a collector that lags behind is not flattered. Failed requests are counted and shown.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.macro import ledger, load, measure
from bench.macro.peers import Peer
from bench.macro.scenarios import Scenario

CONNECTIONS: Final = 64
WARM_UP_S: Final = 1.0


class Run(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One system under one scenario, once."""

    system: str
    scenario: str
    round: int
    connections: int
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all runs share."""

    directory: Path
    load_core: int
    seconds: float


def measured(bench: Bench, peer: Peer, scenario: Scenario, round_number: int, connections: int = CONNECTIONS) -> Run:
    """Load one started system and return what it cost."""

    def drive(seconds: float) -> load.LoadResult:
        return load.run(
            scenario,
            peer.url,
            seconds=seconds,
            connections=connections,
            core=bench.load_core,
            directory=bench.directory,
        )

    drive(WARM_UP_S)
    is_sidelog = peer.data_directory is not None
    earlier = ledger.wait_drained(peer)[0] if is_sidelog else None
    before = measure.tree(peer.pid)
    result = drive(bench.seconds)
    after = measure.tree(peer.pid)
    later, drained_s = ledger.wait_drained(peer) if is_sidelog else (None, 0.0)
    settled = measure.tree(peer.pid)
    stored = later.stored - earlier.stored if later and earlier else 0
    return Run(
        system=peer.name,
        scenario=scenario.name,
        round=round_number,
        connections=connections,
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
    )


def _per_request(loaded: dict[str, float], settled: dict[str, float], requests: int, stored: int) -> dict[str, float]:
    """Divide CPU seconds by what was done: the collector's until drained by records, all else by requests."""
    costs = {role: cpu_s * 1e6 / max(1, requests) for role, cpu_s in loaded.items() if role != "collector"}
    if "collector" in settled:
        costs["collector"] = settled["collector"] * 1e6 / max(1, stored)
    return costs
