"""One measured run: warm up, read the clocks, load, wait until all work is done, read the clocks
again.

CPU is that of all processes of a system from the beginning of the load until they rest, divided by
the requests that completed: what a system puts off is in its figures. Failed requests are counted
and shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from bench.macro import idle, ledger, measure
from bench.macro.load import (
    LIGHT_RATE,
    PACED_CONNECTIONS,
    PAUSING_CONNECTIONS,
    STREAMS,
    Generator,
    LoadResult,
)
from bench.macro.peers import Peer
from bench.macro.processor import CORE, PERIOD_US, SHARES
from bench.macro.scenarios import Scenario

WARM_UP_S: Final = 1.0
PACED_WARM_UP_S: Final = 10.0
"""As a paced load does not bring in its time what a service has had for days: each file of a site
three times.
"""
PACED: Final = "paced"
SUSTAINED: Final = "sustained"
LATENCY: Final = "latency"
FLOOD: Final = "flood"
EVENTS: Final = "streams"
IDLE: Final = "idle"
KINDS: Final = (PACED, SUSTAINED, LATENCY, FLOOD, EVENTS, IDLE)
MEMORY_SAMPLES: Final = 60
PACED_RATES: Final = (10, 100, 400)
"""Requests a second that sidecars see."""
PACED_REQUESTS: Final = 600
"""At least as many are counted, so that what is done once a run is less than 2 % of the result."""


class Run(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One system under one load, once."""

    system: str
    kind: str = SUSTAINED
    share: str = CORE
    """What the system had of the processor."""
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
    """CPU microseconds per request by role, all work included."""
    memory_bytes: dict[str, list[int]] = {}
    """Own memory by role, again and again during the load, shared pages apart; before and after
    idle connections.
    """
    received: int = 0
    """sidelog: records of this run, as its ledger counts them."""
    stored: int = 0
    dropped: dict[str, int] = {}
    """By reason."""
    longest_wait_ms: int = 0
    """sidelog: of a request, for recording."""
    max_wait_ms: int = 0
    """What it may be by the settings."""
    unindexed: int = 0
    """sidelog: records that the index of words does not hold in the end."""
    settled_s: float = 0.0
    """From the end of the load until all work was done."""
    is_balanced: bool = True
    logged_bytes: int = 0
    """A peer: by how much its access log grew, as far as it was written; sidelog's is its store."""
    reads: int = 0
    """Streams: reads of the clients; `requests` counts events there."""
    writes: int = 0
    """Streams: write system calls of the proxy's processes, without the collector's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a system is given to do."""

    kind: str
    scenario: Scenario
    seconds: float
    rate: int = 0
    source_port: int = 0
    """Where the streams' source listens; the upstream knows it."""

    def drive(self, generator: Generator, url: str) -> LoadResult:
        """Load a system.

        Raises:
            LoadFailed: the load did not end.
        """
        if self.kind == EVENTS:
            return generator.run_streams(url, self.source_port, seconds=self.seconds)
        if self.kind == FLOOD:
            return generator.run_beside_flood(self.scenario, url, seconds=self.seconds)
        return generator.run(
            self.scenario, url, seconds=self.seconds, connections=self.connections, rate=self.rate
        )

    @property
    def connections(self) -> int:
        """How many connections the load that is counted has."""
        if self.kind == PACED:
            return PACED_CONNECTIONS
        if self.kind == SUSTAINED:
            if self.rate:
                return PAUSING_CONNECTIONS
            return self.scenario.connections
        return STREAMS if self.kind == EVENTS else 1


def measured(
    load: Load, generator: Generator, peer: Peer, number: int, *, is_warm: bool = False
) -> Run:
    """Load a started system, after a warm-up where it is new, and return what it cost in a round of
    that number.

    Raises:
        LoadFailed: the load did not end, or the work behind it did not.
    """
    if load.kind == IDLE:
        return idle_run(load, peer, number)
    if load.kind != EVENTS and not is_warm:
        warm_up_s = PACED_WARM_UP_S if load.rate else WARM_UP_S
        generator.run(load.scenario, peer.url, seconds=warm_up_s, connections=load.connections)
    found = observed(peer, load.seconds, lambda: load.drive(generator, peer.url))
    rate = LIGHT_RATE if load.kind == FLOOD else load.rate
    named = replace(found, kind=load.kind, scenario=load.scenario.name, round=number)
    return replace(named, connections=load.connections, rate=rate)


def idle_run(load: Load, peer: Peer, number: int) -> Run:
    """Open connections that become idle, and read the memory around them."""
    memory = idle.memory_around(peer, is_http2=load.scenario.streams > 0)
    named = {"system": peer.name, "kind": IDLE, "scenario": load.scenario.name, "round": number}
    nothing = dict.fromkeys(("errors", "duration_s", "requests_per_s", "p50_us", "p99_us"), 0)
    counts = {"connections": idle.COUNT, "requests": idle.COUNT}
    return msgspec.convert({**named, **nothing, **counts, "memory_bytes": memory}, Run)


def observed(peer: Peer, seconds: float, drive: Callable[[], LoadResult]) -> Run:
    """Read clocks, ledger and log around a load; the caller says what it was."""
    earlier, _ = ledger.wait_settled(peer)
    logged_bytes = peer.logged_bytes()
    before = measure.tree(peer.pid)
    with measure.memory_sampled(peer.pid, max(0.5, seconds / MEMORY_SAMPLES)) as memory:
        result = drive()
    later, settled_s = ledger.wait_settled(peer)
    after = measure.tree(peer.pid)
    run = Run(
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
        cpu_us={
            role: cpu_s * 1e6 / max(1, result.requests)
            for role, cpu_s in measure.cpu_by_role(before, after).items()
        },
        memory_bytes=dict(memory),
        settled_s=round(settled_s, 2),
        logged_bytes=peer.logged_bytes() - logged_bytes,
        reads=result.reads,
        writes=measure.writes(after) - measure.writes(before) if result.reads else 0,
    )
    if earlier and later:
        return replace(run, **_recorded(peer, earlier, later))

    return run


def _recorded(
    peer: Peer, earlier: ledger.LedgerReading, later: ledger.LedgerReading
) -> dict[str, object]:
    dropped = {
        reason: count - earlier.dropped.get(reason, 0) for reason, count in later.dropped.items()
    }
    return {
        "received": later.received - earlier.received,
        "stored": later.stored - earlier.stored,
        "dropped": {reason: count for reason, count in dropped.items() if count},
        "longest_wait_ms": ledger.longest_wait_ms(peer),
        "max_wait_ms": later.max_wait_ms,
        "unindexed": later.unindexed,
        "is_balanced": later.balanced,
    }


def faults(run: Run) -> list[str]:
    """Say what of a run breaks a promise: failed requests, records dropped, a wrong ledger, too
    long a wait.

    Under a quota the kernel stops a process for most of a period: a request whose wait is over is
    read that much later.
    """
    where = f"{run.system} under {run.scenario} ({run.kind}, {run.share})"
    found = []
    if run.received and run.errors:
        found.append(f"{where} failed {run.errors:,} of {run.requests:,} requests")
    if run.dropped:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in run.dropped.items())
        found.append(
            f"{where} dropped {sum(run.dropped.values()):,} of {run.received:,} records: {reasons}"
        )

    if not run.is_balanced:
        found.append(f"{where} has a ledger that does not add up")
    stopped_ms = PERIOD_US // 1000 if SHARES[run.share].quota_cores else 0
    if run.longest_wait_ms > run.max_wait_ms + stopped_ms:
        found.append(
            f"{where} let a request wait {run.longest_wait_ms} ms for recording, of "
            f"{run.max_wait_ms} allowed"
        )

    return found
