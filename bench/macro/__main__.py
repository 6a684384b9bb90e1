"""Side by side: nginx, HAProxy, an aiohttp forwarder and sidelog under the same load, in one run on one machine.

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
from bench.macro.load import LoadFailed
from bench.macro.machine import machine, versions
from bench.macro.peers import SYSTEMS, Peer, PeerUnavailable, Place, free_port, last_words, program, started
from bench.macro.report import Result, markdown
from bench.macro.run import CONNECTIONS, Bench, Run, measured
from bench.macro.scenarios import SCENARIOS, chosen


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m bench.macro", description=__doc__)
    found.add_argument(
        "--scenario", default="all", help="one of %(choices)s", choices=[*(s.name for s in SCENARIOS), "all"]
    )
    found.add_argument("--systems", default=",".join(SYSTEMS), help="comma-separated (default: all)")
    found.add_argument("--seconds", type=float, default=3.0, help="of load per run, whole seconds (default 3)")
    found.add_argument("--rounds", type=int, default=3, help="per scenario and system (default 3)")
    found.add_argument(
        "--collector", choices=["pinned", "free"], default="pinned", help="may it leave the proxy's core"
    )
    found.add_argument("--json", type=Path, help="file to write (default: bench/results/macro-TIME.json)")
    return found


def command_line(options: argparse.Namespace) -> str:
    """Return the command that repeats a run, without where its result was written."""
    named = ((name, getattr(options, name)) for name in ("scenario", "systems", "seconds", "rounds", "collector"))
    return " ".join(["python -m bench.macro", *(f"--{name} {value}" for name, value in named)])


def start_all(
    stack: ExitStack, systems: Sequence[str], bench: Bench, proxy_core: int
) -> tuple[list[Peer], dict[str, str]]:
    """Start the upstream and every system that can be started; return them, upstream first, and what was skipped."""
    directory, load_core = bench.directory, bench.load_core
    upstream_port = free_port()
    place = Place(directory=directory / "upstream", port=upstream_port, upstream_port=upstream_port, core=load_core)
    peers = [stack.enter_context(started("upstream", place))]
    skipped = {}
    for name in systems:
        place = Place(directory=directory / name, port=free_port(), upstream_port=upstream_port, core=proxy_core)
        try:
            peers.append(stack.enter_context(started(name, place)))
        except PeerUnavailable as error:
            skipped[name] = shown(str(error), bench)
            print(f"skipped {name}: {error}", file=sys.stderr)
    return peers, skipped


def free_collectors(peers: Sequence[Peer]) -> None:
    """Let sidelog's collectors run on every core, as an unpinned deployment would."""
    cores = os.sched_getaffinity(0)
    for peer in peers:
        for cost in measure.tree(peer.pid):
            if cost.role == "collector":
                measure.pin(cost.pid, cores)


def run_all(bench: Bench, peers: Sequence[Peer], scenario: str, rounds: int) -> tuple[list[Run], dict[str, str]]:
    """Measure every system under every scenario, then latency at one connection, rounds interleaved.

    Returns:
        The runs, and why a system dropped out; what it had done by then counts.
    """
    upstream, *systems = peers
    plan = [
        (each, number, peer, CONNECTIONS) for each in chosen(scenario) for number in range(rounds) for peer in systems
    ]
    plan += [(chosen("get")[0], number, peer, 1) for number in range(rounds) for peer in (upstream, *systems)]
    runs: list[Run] = []
    failed: dict[str, str] = {}
    for each, number, peer, connections in plan:
        if peer.name in failed:
            continue
        try:
            runs.append(measured(bench, peer, each, number, connections))
            print(progress(runs[-1]), file=sys.stderr)
        except (LoadFailed, OSError) as error:
            failed[peer.name] = shown(
                f"failed under {each.name}: {error}; its last words: {last_words(peer.log)}", bench
            )
            print(f"{peer.name} {failed[peer.name]}", file=sys.stderr)
    return runs, failed


def shown(text: str, bench: Bench) -> str:
    """Return a message without where it was written on this machine."""
    return text.replace(str(bench.directory), "").replace(str(Path.cwd()), ".")


def progress(run: Run) -> str:
    """Return one line about a finished run."""
    costs = " ".join(f"{role} {cost:.1f}" for role, cost in run.cpu_us.items())
    return (
        f"{run.scenario} c{run.connections} #{run.round + 1} {run.system}: {run.requests_per_s:,.0f}/s, "
        f"CPU µs {costs}, p50 {run.p50_us} p99 {run.p99_us} µs, errors {run.errors}"
    )


def result_of(options: argparse.Namespace, cores: Sequence[int], runs: list[Run], skipped: dict[str, str]) -> Result:
    """Put the runs together with where and how they were measured."""
    return Result(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command_line(options),
        machine=machine(),
        versions=versions(options.systems.split(",")),
        options={
            "seconds": str(options.seconds),
            "rounds": str(options.rounds),
            "proxy_core": str(cores[0]),
            "load_core": str(cores[-1]),
            "collector": options.collector,
        },
        runs=runs,
        skipped=skipped,
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
            bench = Bench(directory=directory, load_core=cores[-1], seconds=options.seconds)
            peers, skipped = start_all(stack, systems, bench, cores[0])
        except PeerUnavailable as error:
            print(f"cannot measure: {error}", file=sys.stderr)
            return 1
        if options.collector == "free":
            free_collectors(peers)
        # The sink thread and this process itself belong to the load, not to the proxy.
        measure.pin(os.getpid(), {cores[-1]})
        runs, failed = run_all(bench, peers, options.scenario, options.rounds)
        os.sched_setaffinity(0, cores)
    result = result_of(options, cores, runs, skipped | failed)
    path = options.json or Path(__file__).parents[1] / "results" / f"macro-{result.when[:19].replace(':', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    print(markdown(result))
    print(f"\nwritten: {path}", file=sys.stderr)
    return 0 if runs else 1


if __name__ == "__main__":
    raise SystemExit(main())
