"""Side by side: nginx, HAProxy, Envoy, Caddy, Traefik, an aiohttp forwarder and sidelog, under the same load.

The proxy has one core, load generator and upstream the other. Rounds are interleaved (A B C A B C), so that a
disturbance hits all alike, and medians are taken. Prints the tables, writes one JSON file, starts and stops everything.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.macro import measure
from bench.macro.machine import machine, versions
from bench.macro.peers import SYSTEMS, Peer
from bench.macro.place import HERE, PeerUnavailable, program
from bench.macro.plan import PARTS, Session
from bench.macro.report import Result, markdown
from bench.macro.run import Bench
from bench.macro.scenarios import SCENARIOS
from tests.support.ports import free_port


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m bench.macro", description=__doc__)
    found.add_argument("--scenario", default="all", help="one of %(choices)s", choices=[*PARTS, "all"])
    found.add_argument("--systems", default=",".join(SYSTEMS), help="comma-separated (default: all)")
    found.add_argument("--tree", type=Path, action="append", default=[], help="a sidelog more: build/compiled")
    found.add_argument("--rates", default="5000,10000", help="requests/s of the comparison at equal rate")
    found.add_argument("--seconds", type=float, default=2.0, help="of load per run, whole seconds (default 2)")
    found.add_argument("--rounds", type=int, default=2, help="per scenario and system (default 2)")
    found.add_argument(
        "--collector", choices=["pinned", "free"], default="pinned", help="may it leave the proxy's core"
    )
    found.add_argument("--json", type=Path, help="file to write (default: bench/results/macro-TIME.json)")
    return found


def command_line(options: argparse.Namespace) -> str:
    """Return the command that repeats a run, without where its result was written."""
    words = [f"--{name} {getattr(options, name)}" for name in ("scenario", "systems")]
    words += [f"--tree {shown(tree)}" for tree in options.tree]
    words += [f"--{name} {getattr(options, name)}" for name in ("rates", "seconds", "rounds", "collector")]
    return " ".join(["python -m bench.macro", *words])


def shown(tree: Path) -> str:
    """Return the path of a tree as it is here, and only its name where it is elsewhere."""
    return str(tree.resolve().relative_to(HERE)) if tree.resolve().is_relative_to(HERE) else tree.name


def free_collectors(peers: Sequence[Peer]) -> None:
    """Let sidelog's collectors run on every core, as an unpinned deployment would."""
    cores = os.sched_getaffinity(0)
    for peer in peers:
        for cost in measure.tree(peer.pid):
            if cost.role == "collector":
                measure.pin(cost.pid, cores)


def run_all(session: Session, options: argparse.Namespace, systems: Sequence[str], cores: Sequence[int]) -> None:
    """Measure all parts that were asked for; what needs systems of another kind has its own."""
    parts = PARTS if options.scenario == "all" else (options.scenario,)
    rates = [int(rate) for rate in options.rates.split(",")]
    special = {each.name: {"is_tls": each.is_tls, "is_unix": each.is_unix} for each in SCENARIOS}
    plain = {"is_tls": False, "is_unix": False}
    for way in (plain, {**plain, "is_tls": True}, {**plain, "is_unix": True}):
        chosen = [part for part in parts if special.get(part, plain) == way]
        with ExitStack() as stack:
            peers = session.start(stack, systems, **way) if chosen else []
            if options.collector == "free":
                free_collectors(peers)
            # The sink thread and this process itself belong to the load, not to the proxy.
            measure.pin(os.getpid(), {cores[-1]})
            for part in chosen:
                session.measure(part, peers, options.rounds, rates)
            os.sched_setaffinity(0, cores)


def result_of(options: argparse.Namespace, cores: Sequence[int], session: Session) -> Result:
    """Put the runs together with where and how they were measured."""
    return Result(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command_line(options),
        machine=machine(),
        versions=versions(options.systems.split(","), options.tree),
        options={
            "seconds": str(options.seconds),
            "rounds": str(options.rounds),
            "proxy_core": str(cores[0]),
            "load_core": str(cores[-1]),
            "collector": options.collector,
        },
        runs=session.runs,
        skipped=session.skipped,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 when nothing could be measured, 2 when the command line is wrong."""
    options = parser().parse_args(arguments)
    systems = [name for name in options.systems.split(",") if name]
    if unknown := set(systems) - set(SYSTEMS):
        print(f"unknown systems {', '.join(sorted(unknown))}, known: {', '.join(SYSTEMS)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        try:
            program("wrk")
            bench = Bench(directory=directory, load_core=cores[-1], seconds=options.seconds, source_port=free_port())
            session = Session(stack, bench, cores[0], options.tree)
            run_all(session, options, systems, cores)
        except PeerUnavailable as error:
            print(f"cannot measure: {error}", file=sys.stderr)
            return 1
    result = result_of(options, cores, session)
    path = options.json or Path(__file__).parents[1] / "results" / f"macro-{result.when[:19].replace(':', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    print(markdown(result))
    print(f"\nwritten: {path}", file=sys.stderr)
    return 0 if session.runs else 1


if __name__ == "__main__":
    raise SystemExit(main())
