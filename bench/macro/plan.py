"""What is measured, in which order: rounds interleaved, so that a disturbance of the machine hits
all systems alike.

Each run has a system of its own, started for it and stopped behind it: no store, log or heap of
another run is in it.
"""

import dataclasses
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bench.macro.load import Generator, LoadFailed
from bench.macro.peers import Peer, last_words, started
from bench.macro.place import BUILT, HERE, PeerUnavailable, Place
from bench.macro.processor import CORE, SHARES, Share, taken
from bench.macro.run import (
    EVENTS,
    IDLE,
    LATENCY,
    PACED,
    PACED_RATES,
    PACED_REQUESTS,
    SUSTAINED,
    Load,
    Run,
    faults,
    measured,
)
from bench.macro.scenarios import SCENARIOS, Scenario, chosen
from tests.support.ports import free_port

UPSTREAM: Final = "upstream"
ELSEWHERE: Final = 2
"""So many of the scenarios, the first, are measured where a system has not one core."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One load for all systems, and what they get of the processor."""

    kind: str
    share: str
    scenario: Scenario
    rate: int = 0
    """Requests a second that are offered; 0: as many as the share says."""


def parts(kinds: Sequence[str], shares: Sequence[str], scenarios: str) -> Iterator[Part]:
    """List what is measured; latency, floods and streams on one core, with requests that all
    differ.
    """
    for kind in kinds:
        if kind == IDLE:
            yield from (
                Part(kind=kind, share=CORE, scenario=each) for each in chosen("getvar,h2get-m1")
            )
        elif kind == PACED:
            [mix] = chosen("mix")
            yield from (
                Part(kind=kind, share=CORE, scenario=mix, rate=rate) for rate in PACED_RATES
            )
        elif kind != SUSTAINED:
            yield Part(kind=kind, share=CORE, scenario=SCENARIOS[0])
        else:
            for share in shares:
                found = chosen(scenarios)
                for each in found if share == CORE else found[:ELSEWHERE]:
                    yield Part(kind=kind, share=share, scenario=each)


def place_of(name: str, scenario: Scenario, **found: Any) -> Place:
    """Return the place of a system, or of the upstream, with what a scenario asks for."""
    if name == UPSTREAM:
        return Place(is_http2=scenario.is_http2_upstream, **found)
    place = Place(
        is_tls=scenario.is_tls, is_unix=scenario.is_unix, is_http2=scenario.streams > 0, **found
    )
    return dataclasses.replace(place, is_http2_upstream=scenario.is_http2_upstream)


class Session:
    """Measures part after part, and keeps what was found out."""

    def __init__(
        self,
        directory: Path,
        *,
        systems: Sequence[str],
        trees: Sequence[Path],
        seconds: float,
        peer_seconds: float,
    ) -> None:
        """Take systems by name, and a sidelog of each tree.

        Args:
            directory: An empty one.
            systems: Names of `peers.SYSTEMS`.
            trees: Source trees.
            seconds: How long a sidelog is loaded to see what it sustains.
            peer_seconds: How long where nothing is left to be done later: peers, and all but `sustained`.
        """
        self._directory = directory
        self._trees = {BUILT + tree.name: tree.resolve() for tree in trees}
        self._systems = (*systems, *self._trees)
        self._seconds = seconds
        self._peer_seconds = peer_seconds
        self._number = 0
        self.skipped: dict[str, str] = {}
        """System or part -> why it was not measured, or not to the end."""
        self.runs: list[Run] = []

    @property
    def faults(self) -> list[str]:
        """What broke a promise of sidelog's; that it was not measured to the end is one."""
        broken = [fault for run in self.runs for fault in faults(run)]
        return broken + [
            f"{name}: {why}" for name, why in self.skipped.items() if name.startswith("sidelog")
        ]

    def measure(self, part: Part, rounds: int) -> None:
        """Measure one part with all systems; one that fails drops out of it."""
        share = SHARES[part.share]
        systems = (
            [UPSTREAM, *self._systems] if part.kind in (PACED, LATENCY, EVENTS) else self._systems
        )
        failed: set[str] = set()

        for number in range(rounds):
            for name in systems:
                if name not in failed and not self._measure(part, share, name, number):
                    failed.add(name)

    def _measure(self, part: Part, share: Share, name: str, number: int) -> bool:
        peer = None
        with ExitStack() as stack:
            try:
                own, loads = stack.enter_context(taken(share))
                source_port = free_port()
                upstream = self._start(stack, UPSTREAM, part, loads, free_port(), source_port)
                upstream_port = int(upstream.url.rpartition(":")[2])
                peer = (
                    upstream
                    if name == UPSTREAM
                    else self._start(stack, name, part, own, upstream_port)
                )
                load = Load(
                    kind=part.kind,
                    scenario=part.scenario,
                    seconds=self._seconds_of(part, peer),
                    rate=part.rate or (share.rate if part.kind == SUSTAINED else 0),
                    source_port=source_port,
                )
                generator = Generator(directory=self._directory, prefix=loads)
                run = replace(measured(load, generator, peer, number), share=part.share)
            except (LoadFailed, PeerUnavailable, OSError) as error:
                words = f"; its last words: {last_words(peer.log)}" if peer else ""
                self._skip(
                    f"{name} under {part.scenario.name} ({part.kind}, {part.share})",
                    f"{error}{words}",
                )
                return False

        self.runs.append(run)
        print(progress(run), file=sys.stderr)
        return True

    def _seconds_of(self, part: Part, peer: Peer) -> float:
        if part.kind == PACED:
            return max(self._peer_seconds, PACED_REQUESTS / part.rate)
        if part.kind == SUSTAINED and peer.data_directory is not None:
            return self._seconds
        return self._peer_seconds

    def _start(
        self,
        stack: ExitStack,
        name: str,
        part: Part,
        prefix: tuple[str, ...],
        upstream_port: int,
        source_port: int = 0,
    ) -> Peer:
        self._number += 1
        is_upstream = name == UPSTREAM
        place = place_of(
            name,
            part.scenario,
            directory=self._directory / ("upstream" if is_upstream else f"{name}-{self._number}"),
            port=upstream_port if is_upstream else free_port(),
            upstream_port=upstream_port,
            prefix=prefix,
            tree=self._trees.get(name, HERE),
            source_port=source_port,
        )
        stack.callback(shutil.rmtree, place.directory, ignore_errors=True)
        return stack.enter_context(started(name, place))

    def _skip(self, name: str, why: str) -> None:
        self.skipped[name] = why.replace(str(self._directory), "").replace(str(HERE), ".")
        print(f"skipped {name}: {why}", file=sys.stderr)


def progress(run: Run) -> str:
    """Return one line about a finished run."""
    if run.kind == IDLE:
        return (
            f"{IDLE} {run.scenario} #{run.round + 1} {run.system}: bytes before and after "
            f"{run.memory_bytes}"
        )
    costs = " + ".join(f"{role} {cost:.1f}" for role, cost in run.cpu_us.items() if cost >= 0.05)
    line = (
        f"{run.kind} {run.rate or run.share} {run.scenario} #{run.round + 1} {run.system}: "
        f"{run.requests_per_s:,.0f}/s, "
        f"CPU µs {sum(run.cpu_us.values()):.1f} ({costs}), p50 {run.p50_us} p99 {run.p99_us} µs, "
        f"errors {run.errors}"
    )
    if not run.received:
        return line

    dropped = sum(run.dropped.values())
    return (
        f"{line}, dropped {dropped:,}, longest wait {run.longest_wait_ms} ms, settled in "
        f"{run.settled_s:.1f} s"
    )
