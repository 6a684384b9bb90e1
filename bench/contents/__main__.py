"""What contents cost: a line for each kind of what people send, whole collector, beside Envoy and
HAProxy.

A ring is filled with records of a kind, all different, and a collector empties it
(`bench.micro.collecting`): until all is stored in SQLite and indexed, CPU time of one process. Half
as many go before them and are not counted: what a matcher has to learn of a kind of text is learnt
then. An exchange whose answer has no body is measured likewise; what is beyond it, a KiB of the
content, is what a content costs. Peers carry the same bodies in the same run, each on one core:
theirs is all that they do with a request. What is not installed of the real files is said, and
generated.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from bench.contents import KINDS, Kind, files
from bench.contents.carrying import Carriers, carriers
from bench.contents.costs import BEGIN, END, Cost, Found, markdown, per_kib, records_of
from bench.macro.__main__ import shown
from bench.macro.machine import machine, versions
from bench.macro.place import BUILT, HERE, PeerUnavailable, program
from bench.macro.report import replaced
from bench.micro.collecting import EMPTY
from bench.micro.in_turns import Tree

CHILD: Final = HERE / "bench" / "micro" / "collecting.py"
PEERS: Final = "haproxy,envoy"
EMPTY_RECORDS: Final = 2000


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m bench.contents", description=__doc__)
    found.add_argument(
        "--kinds", default=",".join(kind.name for kind in KINDS), help="by commas (default: all)"
    )
    found.add_argument(
        "--records", type=int, help="of each kind (default: 2 MiB of it, from 64 to 2,000)"
    )
    found.add_argument(
        "--tree", type=Path, action="append", default=[], help="a sidelog more: build/compiled"
    )
    found.add_argument(
        "--peers", default=PEERS, help="that carry the same, or none (default: %(default)s)"
    )
    found.add_argument("--json", type=Path, help="write the figures to this file")
    found.add_argument(
        "--write", type=Path, help="put the table between the markers of this file: bench/README.md"
    )
    return found


def measured(
    kinds: Sequence[Kind],
    trees: dict[str, Tree],
    carried_by: Carriers,
    records: int | None,
    empty_us: dict[str, float],
) -> Iterator[Cost]:
    """Measure kind after kind with all systems; says each as it is known."""
    for kind in kinds:
        count = records or records_of(kind)
        for name, tree in trees.items():
            tree.turn(f"{kind.name} {count // 2}")
            us = tree.turn(f"{kind.name} {count}")
            us_kib = round(per_kib(us, empty_us[name], kind), 2)
            yield Cost(system=name, kind=kind.name, records=count, us=round(us, 1), us_kib=us_kib)

        for peer in carried_by.peers:
            found = carried_by.us(peer, kind)
            if found is not None:
                yield Cost(
                    system=peer.name, kind=kind.name, records=found[1], us=round(found[0], 1)
                )


def run(options: argparse.Namespace, kinds: Sequence[Kind], peers: list[str]) -> Found:
    """Start everything, measure, stop."""
    paths = {"sidelog": HERE} | {BUILT + tree.name: tree.resolve() for tree in options.tree}
    costs: list[Cost] = []
    load_average = os.getloadavg()

    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        trees = {name: stack.enter_context(Tree(path, CHILD)) for name, path in paths.items()}
        carried_by = stack.enter_context(carriers(peers, directory))
        for tree in trees.values():
            tree.turn(f"{EMPTY} {EMPTY_RECORDS}")
        empty_us = {name: tree.turn(f"{EMPTY} {EMPTY_RECORDS}") for name, tree in trees.items()}
        for cost in measured(kinds, trees, carried_by, options.records, empty_us):
            costs.append(cost)
            print(f"{cost.kind:16}{cost.system:20}{cost.us:12,.0f} µs", file=sys.stderr)
        skipped = dict(carried_by.skipped)

    return Found(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command_line(options),
        machine=machine(),
        versions=versions(peers, options.tree),
        load_average=load_average,
        empty_us={name: round(us, 1) for name, us in empty_us.items()},
        costs=costs,
        generated=files.missing(),
        skipped=skipped,
    )


def command_line(options: argparse.Namespace) -> str:
    """Return the command that repeats a run, without where its result was written."""
    words = ["python -m bench.contents"]
    if options.kinds != parser().get_default("kinds"):
        words.append(f"--kinds {options.kinds}")
    if options.records:
        words.append(f"--records {options.records}")
    words += [f"--tree {shown(tree)}" for tree in options.tree]
    if options.peers != PEERS:
        words.append(f"--peers {options.peers}")
    return " ".join(words)


def installed(names: str) -> list[str]:
    """Return which of the peers can be had here, and say which cannot."""
    found = []
    for name in names.split(",") if names != "none" else []:
        try:
            program(name)
            program("wrk")
        except PeerUnavailable as error:
            print(f"measured without {name}: {error}", file=sys.stderr)
            continue

        found.append(name)

    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 2: a wrong command line."""
    options = parser().parse_args(arguments)
    names = options.kinds.split(",")
    if unknown := set(names) - {kind.name for kind in KINDS}:
        known = ", ".join(kind.name for kind in KINDS)
        print(f"unknown: {', '.join(sorted(unknown))}; known: {known}", file=sys.stderr)
        return 2

    for source in files.missing():
        print(f"not installed, so generated: {source} (make bench-setup)", file=sys.stderr)
    kinds = [kind for kind in KINDS if kind.name in names]
    found = run(options, kinds, installed(options.peers))
    section = markdown(found, kinds)
    print(section)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    if options.write:
        options.write.write_text(replaced(options.write.read_text(), section, BEGIN, END))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
