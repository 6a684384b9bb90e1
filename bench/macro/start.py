"""How soon sidelog serves, and what its processes weigh: `python -m bench.macro.start`.

From the start of `sidelog serve` to the first answer through the data port, asked for every 10 ms; memory of each
process (own pages, the ring apart) then, and after a load whose requests all differ.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec

from bench.macro import ledger, measure
from bench.macro.load import Generator, LoadFailed
from bench.macro.machine import sidelog_build, write_figures
from bench.macro.peers import started
from bench.macro.place import HERE, PeerUnavailable, Place
from bench.macro.scenarios import chosen
from bench.macro.tables import table
from tests.support.ports import free_port

ROLES = ("supervisor", "worker", "collector")


class Start(msgspec.Struct, kw_only=True, frozen=True):
    """One build."""

    build: str
    first_answer_s: list[float]
    """Of each start."""
    memory_bytes: dict[str, int]
    """By role, at the first answer."""
    loaded_bytes: dict[str, int]
    """By role, after the load."""
    load_s: float


def starts(tree: Path, rounds: int, load_s: float) -> Start:
    """Start a tree's sidelog some times, and load it in the last round.

    Raises:
        PeerUnavailable: it cannot be started.
        LoadFailed: the load did not end.
    """
    took: list[float] = []
    memory: dict[str, int] = {}
    loaded: dict[str, int] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        port = free_port()
        upstream = Place(directory=directory / "upstream", port=port, upstream_port=port)
        stack.enter_context(started("upstream", upstream))
        for number in range(rounds):
            place = Place(directory=directory / f"sidelog-{number}", port=free_port(), upstream_port=port, tree=tree)
            begun = time.monotonic()
            with started("sidelog", place) as peer:
                took.append(round(time.monotonic() - begun, 3))
                memory = measure.memory_by_role(measure.tree(peer.pid))
                if number == rounds - 1:
                    (each,) = chosen("getvar")
                    Generator(directory=directory).run(each, peer.url, seconds=load_s)
                    ledger.wait_settled(peer)
                    loaded = measure.memory_by_role(measure.tree(peer.pid))
    return Start(
        build=sidelog_build(tree), first_answer_s=took, memory_bytes=memory, loaded_bytes=loaded, load_s=load_s
    )


def markdown(runs: Sequence[Start]) -> str:
    """Return the table."""
    rows = []
    for each in runs:
        sizes = (each.memory_bytes, each.loaded_bytes)
        megabytes = [" + ".join(f"{size.get(role, 0) / 2**20:.0f}" for role in ROLES) for size in sizes]
        rows.append([each.build, f"{median(each.first_answer_s):.2f}", f"{max(each.first_answer_s):.2f}", *megabytes])
    sizes_of = " + ".join(ROLES)
    header = [
        "start",
        "first answer s, median",
        "slowest",
        f"MiB then, {sizes_of}",
        f"after {runs[0].load_s:g} s of load",
    ]
    return table(header, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when something cannot be started."""
    parser = argparse.ArgumentParser(prog="python -m bench.macro.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load in the last round")
    parser.add_argument("--tree", type=Path, action="append", default=[], help="a sidelog more: build/compiled")
    parser.add_argument("--json", type=Path, help="file to write (default: none)")
    options = parser.parse_args(arguments)
    load_average = os.getloadavg()
    try:
        trees = (HERE, *(tree.resolve() for tree in options.tree))
        runs = [starts(tree, options.rounds, options.seconds) for tree in trees]
    except (PeerUnavailable, LoadFailed) as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    print(markdown(runs))
    if options.json:
        command = f"python -m bench.macro.start --rounds {options.rounds} --seconds {options.seconds:g}"
        write_figures(options.json, command, load_average, runs=runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
