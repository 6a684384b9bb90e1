"""What a change costs, told apart from the machine's noise: a program in two source trees, in turns (A B B A).

The program runs in a process of its own in each tree, given by PYTHONPATH. It reads a scenario a line and answers each
with its CPU time, ns an operation. It is the ratio that counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from bench.macro.compare import compared
from bench.macro.machine import machine
from bench.macro.place import HERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is measured."""

    name: str
    """Of the benchmark, a module of `bench.micro`."""
    child: Path
    """What runs in each tree."""
    scenarios: Collection[str]
    description: str
    operations: int
    """In a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A scenario; CPU µs an operation, medians over the turns."""

    scenario: str
    us: float
    before_us: float | None = None
    ratio: float | None = None
    """Now / before, mean over the pairs of turns."""
    error: float | None = None
    """Its standard error."""


class Tree:
    """The program in one source tree."""

    def __init__(self, tree: Path, child: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        self.process = subprocess.Popen(
            # -P: the program's directory has modules of common names.
            [sys.executable, "-P", str(child)],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def turn(self, scenario: str) -> float:
        """Let it do a scenario; return its CPU time, µs an operation."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{scenario}\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the program ended with {self.process.wait()} in {scenario}")
        return float(answer) / 1000

    def close(self) -> None:
        """End it in order."""
        self.process.communicate()


def cost(scenario: str, now: Tree, before: Tree | None, turns: int) -> Cost:
    """Measure a scenario, in both trees in turns when there are two; the first turn of each warms up."""
    for tree in (now, before):
        if tree is not None:
            tree.turn(scenario)
    if before is None:
        return Cost(scenario=scenario, us=round(statistics.median(now.turn(scenario) for _ in range(turns)), 2))
    pairs = []
    for turn in range(turns):
        order = (before, now) if turn % 2 == 0 else (now, before)
        us = {tree: tree.turn(scenario) for tree in order}
        pairs.append((us[before], us[now]))
    found = compared(scenario, "", pairs)
    return Cost(
        scenario=scenario, us=found.now_us, before_us=found.before_us, ratio=found.ratio, error=found.error
    )  # fmt: skip


def table(costs: Sequence[Cost]) -> str:
    """Lay the figures out as Markdown."""
    lines = ["| scenario | before, µs | now, µs | now / before |", "|---|---:|---:|---:|"]
    for each in costs:
        before = "" if each.before_us is None else f"{each.before_us:.1f}"
        ratio = "" if each.ratio is None else f"{each.ratio:.3f} ± {each.error:.3f}"
        lines.append(f"| {each.scenario} | {before} | {each.us:.1f} | {ratio} |")
    return "\n".join(lines)


def run(program: Program) -> None:
    """Read the command line, measure, print, and write the file that was asked for."""
    known = program.scenarios
    parser = argparse.ArgumentParser(prog=f"python -m bench.micro.{program.name}", description=program.description)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(known)}; default: all")
    parser.add_argument("--now", type=Path, default=HERE, metavar="TREE", help="what is judged (default: this tree)")
    parser.add_argument("--before", type=Path, metavar="TREE", help="a source tree to compare with")
    parser.add_argument("--turns", type=int, default=8, help="of each tree per scenario (default 8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(known):
        parser.error(f"no scenario is named {', '.join(sorted(unknown))}")
    costs = []
    with ExitStack() as stack:
        trees = [
            None if tree is None else Tree(tree.resolve(), program.child) for tree in (options.now, options.before)
        ]
        for tree in trees:
            if tree is not None:
                stack.callback(tree.close)
        now, before = trees
        assert now is not None
        for scenario in options.scenarios or known:
            costs.append(cost(scenario, now, before, options.turns))
            print(table(costs[-1:]).splitlines()[-1], file=sys.stderr)
    print(table(costs))
    if options.json:
        command = f"python -m bench.micro.{program.name} {'--before TREE ' if before else ''}--turns {options.turns}"
        document = {
            "command": command,
            "machine": machine(),
            "records": program.operations,
            "costs": [asdict(each) for each in costs],
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
