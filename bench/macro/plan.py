"""What is measured, in which order: rounds interleaved, so that a disturbance of the machine hits all systems alike."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from bench.macro.load import LoadFailed
from bench.macro.peers import Peer, last_words, started
from bench.macro.place import BUILT, HERE, PeerUnavailable, Place
from bench.macro.run import CONNECTIONS, STREAMS, Bench, Run, measured, measured_at_rate, measured_streams
from bench.macro.scenarios import SCENARIOS, chosen
from tests.support.ports import free_port

LATENCY: Final = "latency"
RATE: Final = "rate"
PARTS: Final = (*(scenario.name for scenario in SCENARIOS), RATE, LATENCY, STREAMS)
"""What can be asked for apart."""

Step = Callable[[], Run]


class Session:
    """Systems that run, and what was found out about them."""

    def __init__(self, stack: ExitStack, bench: Bench, proxy_core: int, trees: Sequence[Path] = ()) -> None:
        """Start the upstream; what is started ends with the stack it was started on.

        Raises:
            PeerUnavailable: it cannot be started.
        """
        self._bench = bench
        self._proxy_core = proxy_core
        self._trees = {BUILT + tree.name: tree.resolve() for tree in trees}
        port = free_port()
        self._upstream = Place(
            directory=bench.directory / "upstream",
            port=port,
            upstream_port=port,
            core=bench.load_core,
            source_port=bench.source_port,
        )
        self.upstream = stack.enter_context(started("upstream", self._upstream))
        self.skipped: dict[str, str] = {}
        """System -> why it was not measured, or not to the end."""
        self.runs: list[Run] = []

    def start(self, stack: ExitStack, systems: Sequence[str], **how: bool) -> list[Peer]:
        """Start every system that can be started, those of other trees behind the others; `how` is of a `Place`."""
        peers = []
        for name in (*systems, *self._trees):
            ways = [way.removeprefix("is_") for way, is_so in how.items() if is_so]
            place = replace(
                self._upstream,
                directory=self._bench.directory / "-".join([name, *ways]),
                port=free_port(),
                core=self._proxy_core,
                tree=self._trees.get(name, HERE),
                **how,
            )
            try:
                peers.append(stack.enter_context(started(name, place)))
            except PeerUnavailable as error:
                self._skip(" over ".join([name, *ways]), str(error))
        return peers

    def measure(self, part: str, peers: Sequence[Peer], rounds: int, rates: Sequence[int]) -> None:
        """Measure one part with all systems; who fails drops out, and what it had done by then counts."""
        for peer, step in self._steps(part, peers, rounds, rates):
            if peer.name in self.skipped:
                continue
            try:
                self.runs.append(step())
                print(progress(self.runs[-1]), file=sys.stderr)
            except (LoadFailed, OSError) as error:
                self._skip(peer.name, f"failed under {part}: {error}; its last words: {last_words(peer.log)}")

    def _steps(self, part: str, peers: Sequence[Peer], rounds: int, rates: Sequence[int]) -> list[tuple[Peer, Step]]:
        bench, everybody = self._bench, (self.upstream, *peers)
        get = chosen("get")[0]
        steps: list[tuple[Peer, Step]] = []
        for number in range(rounds):
            if part == LATENCY:
                steps += [(peer, partial(measured, bench, peer, get, number, 1)) for peer in everybody]
            elif part == STREAMS:
                steps += [(peer, partial(measured_streams, bench, peer, number)) for peer in everybody]
            elif part == RATE:
                steps += [(p, partial(measured_at_rate, bench, p, number, rate)) for rate in rates for p in peers]
            else:
                (each,) = chosen(part)
                steps += [(peer, partial(measured, bench, peer, each, number, CONNECTIONS)) for peer in peers]
        return steps

    def _skip(self, name: str, why: str) -> None:
        self.skipped[name] = why.replace(str(self._bench.directory), "").replace(str(HERE), ".")
        print(f"skipped {name}: {why}", file=sys.stderr)


def progress(run: Run) -> str:
    """Return one line about a finished run."""
    costs = " ".join(f"{role} {cost:.1f}" for role, cost in run.cpu_us.items())
    return (
        f"{run.scenario} c{run.connections} #{run.round + 1} {run.system}: {run.requests_per_s:,.0f}/s, "
        f"CPU µs {costs}, p50 {run.p50_us} p99 {run.p99_us} µs, errors {run.errors}"
    )
