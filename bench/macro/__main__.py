"""Side by side: nginx, HAProxy, Envoy, Caddy, Traefik and sidelog, under the same load, until all
work is done.

`paced` offers a web application at 10, 100 and 400 requests a second, as most sidecars see.
`sustained` loads each system with more than it can take and divides the CPU of all its processes by
the requests: on one core, under a quota, beside busy neighbours, on all cores. `latency` has one
connection, `flood` a light client beside 64 busy ones, `streams` 200 event streams, `idle` 2,000
connections that say nothing. Rounds are interleaved (A B C A B C), so that a disturbance hits all
alike, and medians are taken. Prints the tables, writes one JSON file, starts and stops everything.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.macro import report
from bench.macro.machine import machine, versions
from bench.macro.peers import SYSTEMS
from bench.macro.place import HERE, PeerUnavailable, program
from bench.macro.plan import Session, parts
from bench.macro.processor import SHARES
from bench.macro.run import KINDS
from bench.macro.scenarios import NAMES


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m bench.macro", description=__doc__)
    found.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)} (default: all)")
    found.add_argument(
        "--scenario",
        default="all",
        help=f"of sustained, by commas: {', '.join(NAMES)} (default: all)",
    )
    found.add_argument("--shares", default=",".join(SHARES), help="of sustained: %(default)s")
    found.add_argument(
        "--systems", default=",".join(SYSTEMS), help="comma-separated (default: all)"
    )
    found.add_argument(
        "--tree", type=Path, action="append", default=[], help="a sidelog more: build/compiled"
    )
    found.add_argument(
        "--seconds", type=float, default=60.0, help="of load that sidelog sustains (default 60)"
    )
    found.add_argument(
        "--peer-seconds", type=float, default=10.0, help="of all other loads (default 10)"
    )
    found.add_argument("--rounds", type=int, default=1, help="of each part and system (default 1)")
    found.add_argument(
        "--json", type=Path, help="file to write (default: bench/results/macro-TIME.json)"
    )
    found.add_argument(
        "--write",
        type=Path,
        help="put the tables between the markers of this file: bench/README.md",
    )
    return found


def command_line(options: argparse.Namespace) -> str:
    """Return the command that repeats a run, without where its result was written."""
    words = [
        *options.kinds,
        *(f"--{name} {getattr(options, name)}" for name in ("scenario", "shares", "systems")),
    ]
    words += [f"--tree {shown(tree)}" for tree in options.tree]
    words += [
        f"--seconds {options.seconds:g} --peer-seconds {options.peer_seconds:g} --rounds "
        f"{options.rounds}"
    ]
    return " ".join(["python -m bench.macro", *words])


def shown(tree: Path) -> str:
    """Return the path of a tree as it is here, and only its name where it is elsewhere."""
    if tree.resolve().is_relative_to(HERE):
        return str(tree.resolve().relative_to(HERE))
    return tree.name


def measure(options: argparse.Namespace, directory: Path) -> tuple[report.Result, list[str]]:
    """Measure all parts; return what was found, and what broke a promise of sidelog's."""
    session = Session(
        directory,
        systems=options.systems.split(","),
        trees=options.tree,
        seconds=options.seconds,
        peer_seconds=options.peer_seconds,
    )
    for part in parts(options.kinds, options.shares.split(","), options.scenario):
        session.measure(part, options.rounds)
    result = report.Result(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command_line(options),
        machine=machine(),
        versions=versions(options.systems.split(","), options.tree),
        runs=session.runs,
        skipped=session.skipped,
    )
    return result, session.faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1: nothing could be measured, or sidelog broke a promise; 2: a wrong
    command line.
    """
    options = parser().parse_args(arguments)
    options.kinds = options.kinds or list(KINDS)
    for given, known in (
        (options.kinds, KINDS),
        (options.systems.split(","), SYSTEMS),
        (options.shares.split(","), SHARES),
        (options.scenario.split(","), NAMES),
    ):
        if unknown := set(given) - set(known):
            print(
                f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}", file=sys.stderr
            )
            return 2

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        program("wrk")
    except PeerUnavailable as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1

    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        result, faults = measure(options, Path(directory))
    path = (
        options.json
        or HERE / "bench" / "results" / f"macro-{result.when[:19].replace(':', '')}.json"
    )
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    print(report.markdown(result))
    if options.write:
        report.write([result], options.write)
    print(
        "\n".join(["", f"written: {path}", *(f"FAILED: {fault}" for fault in faults)]),
        file=sys.stderr,
    )
    return 1 if faults or not result.runs else 0


if __name__ == "__main__":
    raise SystemExit(main())
