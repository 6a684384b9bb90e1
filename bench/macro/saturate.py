"""A minute at saturation: `python -m bench.macro.saturate`, what is stored of traffic that varies, and what is dropped.

Nothing is pinned: load generator, upstream, worker and collector share the cores as they would beside a busy service.
The ledger is read when nothing waits any more; a store is only as good as what came through both. `--rate 5000` sends
`getvar` or `postvar` so often instead, and tells how far the index of words was behind at the end, and how long it took
to catch up.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench.macro.ledger import wait_indexed
from bench.macro.load import LoadFailed, LoadResult, run, run_at_rate
from bench.macro.machine import sidelog_build, write_figures
from bench.macro.peers import Peer, started
from bench.macro.place import HERE, PeerUnavailable, Place
from bench.macro.run import CONNECTIONS, Run, observed
from bench.macro.scenarios import REQUESTS, SCENARIOS, Scenario, chosen
from bench.macro.tables import table
from tests.support.ports import free_port


class Saturation(msgspec.Struct, kw_only=True, frozen=True):
    """One build under saturation."""

    build: str
    """Of the data plane: pure or compiled."""
    scenario: str
    seconds: float
    requests: int
    errors: int
    received: int
    stored: int
    dropped: int
    stored_per_s: float
    """Records that were stored at the end, by the seconds of the load."""
    drained_s: float
    """From the end of the load until nothing waited."""
    is_balanced: bool
    cpu_us: dict[str, float]
    """By role; the collector's per record."""
    memory_bytes: dict[str, int]
    """By role at the end, shared pages apart."""
    rate: int = 0
    """Requests a second that were due; 0 is as many as it takes."""
    p99_us: int = 0
    """At a rate, from when a request was due."""
    unindexed: tuple[int, int] = (0, 0)
    """Records that the index of words was behind, when all were stored and when it stood still."""
    indexed_s: float = 0.0
    """Between the two."""


def summed(run: Run, build: str, scenario: str, seconds: float) -> Saturation:
    """Return what a run says of its build."""
    return Saturation(
        build=build,
        scenario=scenario,
        seconds=seconds,
        requests=run.requests,
        errors=run.errors,
        received=run.received,
        stored=run.stored,
        dropped=run.dropped,
        stored_per_s=round(run.stored / run.duration_s, 1),
        drained_s=round(run.drained_s, 2),
        is_balanced=run.is_balanced,
        cpu_us={role: round(cost, 2) for role, cost in run.cpu_us.items()},
        memory_bytes=run.memory_bytes,
    )


def saturated(tree: Path, scenario: Scenario, seconds: float, rate: int = 0) -> Saturation:
    """Start a tree's sidelog and an upstream, load it as much as it takes or at a rate, and take it down.

    Raises:
        PeerUnavailable: one of them cannot be started.
        LoadFailed: the load did not end.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        port = free_port()

        def start(name: str, own_port: int) -> Peer:
            place = Place(directory=directory / name, port=own_port, upstream_port=port, core=-1, tree=tree)
            return stack.enter_context(started(name, place))

        start("upstream", port)
        peer = start("sidelog", free_port())

        def load(for_s: float) -> LoadResult:
            if rate:
                return run_at_rate(
                    peer.url, rate, scenario=scenario.name, seconds=for_s, connections=CONNECTIONS, core=-1
                )
            return run(scenario, peer.url, seconds=for_s, connections=CONNECTIONS, core=-1, directory=directory)

        observed(peer, lambda: load(1.0))
        found = observed(peer, lambda: load(seconds))
        first, last, indexed_s = wait_indexed(peer)
        told = summed(found, sidelog_build(tree), scenario.name, seconds)
        return msgspec.structs.replace(
            told, rate=rate, p99_us=found.p99_us, unindexed=(first, last), indexed_s=round(indexed_s, 1)
        )


def markdown(runs: Sequence[Saturation]) -> str:
    """Return the table."""
    rows = [
        [
            f"{each.scenario}, {each.build}",
            f"{each.stored_per_s:,.0f}",
            f"{each.received:,}",
            f"{each.stored:,}",
            f"{each.dropped:,}",
            f"{each.drained_s:.2f}",
            "yes" if each.is_balanced else "NO",
            f"{each.cpu_us.get('worker', 0.0):.1f} + {each.cpu_us.get('collector', 0.0):.1f}",
            " + ".join(f"{each.memory_bytes.get(role, 0) / 2**20:.0f}" for role in ("worker", "collector")),
        ]
        for each in runs
    ]
    header = [
        f"{runs[0].seconds:g} s at {f'{runs[0].rate:,}/s' if runs[0].rate else 'saturation'}",
        "stored/s",
        "received",
        "stored",
        "dropped",
        "drained s",
        "balanced",
    ]
    return table([*header, "CPU µs worker + collector", "MiB"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when something cannot be started."""
    parser = argparse.ArgumentParser(prog="python -m bench.macro.saturate", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS if not (scenario.is_tls or scenario.is_unix)]
    parser.add_argument("--scenario", default="getvar", choices=names)
    parser.add_argument("--seconds", type=float, default=60.0, help="whole seconds (default 60)")
    parser.add_argument("--tree", type=Path, action="append", default=[], help="a sidelog more: build/compiled")
    parser.add_argument("--json", type=Path, help="file to write (default: none)")
    parser.add_argument("--rate", type=int, default=0, help="requests a second of getvar or postvar (default: all)")
    options = parser.parse_args(arguments)
    if options.rate and options.scenario not in REQUESTS:
        parser.error(f"--rate: {options.scenario} is not among {', '.join(sorted(REQUESTS))}")
    (scenario,) = chosen(options.scenario)
    load_average = os.getloadavg()
    runs = []
    try:
        for tree in (HERE, *(tree.resolve() for tree in options.tree)):
            runs.append(saturated(tree, scenario, options.seconds, options.rate))
            print(markdown(runs[-1:]).splitlines()[-1], file=sys.stderr)
            first, last = runs[-1].unindexed
            print(f"index of words: {first:,} records behind, {last:,} after {runs[-1].indexed_s} s", file=sys.stderr)
    except (PeerUnavailable, LoadFailed) as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    print(markdown(runs))
    if options.json:
        command = f"python -m bench.macro.saturate --scenario {scenario.name} --seconds {options.seconds:g}"
        command += f" --rate {options.rate}" if options.rate else ""
        write_figures(options.json, command, load_average, runs=runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
