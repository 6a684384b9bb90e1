"""Two source trees under the same load in short turns: what a change cost, told apart from the
machine's noise.

A tree is a checkout, for example `git worktree add ../before COMMIT`. Both run at once, one of them
idle, on the core of the proxy; turns alternate (A B B A), so that a drift of the machine hits both
alike. Per scenario and role it prints the mean ratio now / before over the pairs of turns, with its
standard error. Writes one JSON file where asked to.
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from bench.macro.load import Generator
from bench.macro.machine import write_figures
from bench.macro.peers import Peer, started
from bench.macro.place import HERE
from bench.macro.plan import UPSTREAM, place_of
from bench.macro.processor import CORE, SHARES, taken
from bench.macro.run import PACED, SUSTAINED, Load, measured
from bench.macro.scenarios import NAMES, Scenario, chosen
from tests.support.ports import free_port

ROLES: Final = ("worker", "collector")


class Comparison(msgspec.Struct, kw_only=True, frozen=True):
    """One role under one scenario; CPU µs a request until all work is done, medians over the turns."""

    scenario: str
    role: str
    before_us: float
    now_us: float
    ratio: float
    """Now / before, mean over the pairs of turns."""
    error: float
    """Its standard error; 0 for a single pair."""


def compared(scenario: str, role: str, pairs: Sequence[tuple[float, float]]) -> Comparison:
    """Sum up pairs of (before, now), µs."""
    ratios = [now / before for before, now in pairs]
    error = statistics.stdev(ratios) / math.sqrt(len(ratios)) if len(ratios) > 1 else 0.0
    return Comparison(
        scenario=scenario,
        role=role,
        before_us=round(statistics.median(before for before, _ in pairs), 2),
        now_us=round(statistics.median(now for _, now in pairs), 2),
        ratio=round(statistics.fmean(ratios), 4),
        error=round(error, 4),
    )


def load_in_turns(
    generator: Generator, before: Peer, now: Peer, load: Load, turns: int
) -> Iterator[Comparison]:
    """Load both in turns, before first in every other pair."""
    costs: dict[str, list[tuple[float, float]]] = {role: [] for role in ROLES}
    for turn in range(turns):
        order = (before, now) if turn % 2 == 0 else (now, before)
        runs = {
            peer.name: measured(load, generator, peer, turn, is_warm=turn > 0) for peer in order
        }
        for role in ROLES:
            costs[role].append((runs[before.name].cpu_us[role], runs[now.name].cpu_us[role]))

    for role in ROLES:
        yield compared(load.scenario.name, role, costs[role])


def measured_in_turns(scenario: Scenario, options: argparse.Namespace) -> Iterator[Comparison]:
    """Start both trees and an upstream for a scenario, and load them in turns."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        own, loads = stack.enter_context(taken(SHARES[CORE]))
        upstream_port = free_port()

        def start(system: str, folder: str, prefix: tuple[str, ...], tree: Path, port: int) -> Peer:
            found = {"port": port, "upstream_port": upstream_port, "prefix": prefix, "tree": tree}
            place = place_of(system, scenario, directory=directory / folder, **found)
            return replace(stack.enter_context(started(system, place)), name=folder)

        start(UPSTREAM, "upstream", loads, HERE, upstream_port)
        before = start("sidelog", "before", own, options.before.resolve(), free_port())
        now = start("sidelog", "now", own, options.now.resolve(), free_port())
        load = Load(
            kind=PACED if options.rate else SUSTAINED,
            scenario=scenario,
            seconds=options.seconds,
            rate=options.rate,
        )
        yield from load_in_turns(
            Generator(directory=directory, prefix=loads), before, now, load, options.turns
        )


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m bench.macro.compare", description=__doc__)
    found.add_argument("before", type=Path, help="the source tree to compare with")
    found.add_argument(
        "--now", type=Path, default=HERE, help="the source tree that is judged (default: this one)"
    )
    found.add_argument("--scenario", default="all", choices=NAMES, help="one of %(choices)s")
    found.add_argument("--turns", type=int, default=8, help="of each tree per scenario (default 8)")
    found.add_argument(
        "--seconds", type=float, default=1.0, help="of load per turn, whole seconds (default 1)"
    )
    found.add_argument(
        "--rate", type=int, default=0, help="requests a second (default: as many as go)"
    )
    found.add_argument("--json", type=Path, help="file to write (default: none)")
    return found


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the table."""
    lines = [
        "| scenario | role | before, µs | now, µs | now / before |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {each.scenario} | {each.role} | {each.before_us:.1f} | {each.now_us:.1f} "
        f"| {each.ratio:.3f} ± {each.error:.3f} |"
        for each in comparisons
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, write; 1 when a tree cannot be started."""
    options = parser().parse_args(arguments)
    comparisons: list[Comparison] = []
    load_average = os.getloadavg()

    for scenario in chosen(options.scenario):
        for comparison in measured_in_turns(scenario, options):
            comparisons.append(comparison)
            print(markdown([comparison]).splitlines()[-1], file=sys.stderr)

    print(markdown(comparisons))
    if options.json:
        command = f"python -m bench.macro.compare BEFORE --scenario {options.scenario}"
        command += f" --turns {options.turns} --seconds {options.seconds:g} --rate {options.rate}"
        write_figures(options.json, command, load_average, comparisons=comparisons)

    return 0


if __name__ == "__main__":
    raise SystemExit(main())
