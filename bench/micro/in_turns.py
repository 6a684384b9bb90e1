"""What a change costs, told apart from the machine's noise: a program in two source trees, in turns
(A B B A).

The program runs in a process of its own in each tree, given by PYTHONPATH. It reads a scenario a
line and answers each with its CPU time, ns an operation. It is the ratio that counts.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.macro.compare import Comparison, compared, markdown
from bench.macro.machine import write_figures
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

    def __enter__(self) -> Self:
        """Nothing is to be waited for: the first turn does."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it in order."""
        self.process.communicate()


def cost(role: str, scenario: str, now: Tree, before: Tree, turns: int) -> Comparison:
    """Measure a scenario in both trees in turns; the first turn of each warms up."""
    for tree in (now, before):
        tree.turn(scenario)
    pairs = []
    for turn in range(turns):
        order = (before, now) if turn % 2 == 0 else (now, before)
        us = {tree: tree.turn(scenario) for tree in order}
        pairs.append((us[before], us[now]))

    return compared(scenario, role, pairs)


def run(program: Program) -> None:
    """Read the command line, measure, print, and write the file that was asked for."""
    known = program.scenarios
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.micro.{program.name}", description=program.description
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(known)}; default: all"
    )
    parser.add_argument(
        "--now", type=Path, default=HERE, metavar="TREE", help="what is judged (default: this tree)"
    )
    parser.add_argument(
        "--before",
        type=Path,
        default=HERE,
        metavar="TREE",
        help="what it is compared with (default: this tree: noise)",
    )
    parser.add_argument(
        "--turns", type=int, default=8, help="of each tree per scenario (default 8)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(known):
        parser.error(f"no scenario is named {', '.join(sorted(unknown))}")
    load_average = os.getloadavg()
    costs = []
    with (
        Tree(options.now.resolve(), program.child) as now,
        Tree(options.before.resolve(), program.child) as before,
    ):
        for scenario in options.scenarios or known:
            costs.append(cost(program.name, scenario, now, before, options.turns))
            print(markdown(costs[-1:]).splitlines()[-1], file=sys.stderr)

    print(markdown(costs))
    if options.json:
        command = f"python -m bench.micro.{program.name} --before TREE --turns {options.turns}"
        write_figures(options.json, command, load_average, costs=costs)
