"""Are workers loaded alike? `python -m bench.macro.balance` counts each worker's connections and CPU under load.

Every worker has a listening socket of its own (SO_REUSEPORT): the kernel gives a connection to one of them by a hash of
its addresses. The connections are then spread like dice, evenly when they are many, and stay where they are. Counted
from outside: a worker's connections are the established sockets of the data port among its descriptors.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench.macro import measure
from bench.macro.machine import write_figures
from bench.macro.peers import Peer, started
from bench.macro.place import PeerUnavailable, Place, program
from bench.macro.scenarios import chosen
from bench.macro.tables import table
from tests.support.ports import free_port

ESTABLISHED = "01"
POLL_S = 0.1


class Balance(msgspec.Struct, kw_only=True, frozen=True):
    """One load over a number of workers."""

    workers: int
    connections: list[int]
    """Of each worker, when all of the load's were open."""
    cpu_s: list[float]
    """Of each worker, over the load, in the same order."""


def established(tcp_table: str, port: int) -> set[int]:
    """Return the inodes of established sockets of a local port, from the text of /proc/net/tcp."""
    found = set()
    for line in tcp_table.splitlines()[1:]:
        fields = line.split()
        if fields[3] == ESTABLISHED and int(fields[1].rpartition(":")[2], 16) == port:
            found.add(int(fields[9]))
    return found


def held(pid: int, inodes: set[int]) -> int:
    """Return how many of the sockets a process holds."""
    count = 0
    for link in (measure.PROC / str(pid) / "fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue  # closed meanwhile
        count += target.startswith("socket:[") and int(target[8:-1]) in inodes
    return count


def unevenness(shares: Sequence[float]) -> float:
    """Return the largest share as a multiple of the mean; 1 is even."""
    mean = sum(shares) / len(shares)
    return max(shares) / mean if mean else math.nan


def worker_costs(peer: Peer) -> dict[int, float]:
    """Return CPU seconds of each worker, by pid."""
    return {cost.pid: cost.cpu_s for cost in measure.tree(peer.pid) if cost.role == "worker"}


def balanced(directory: Path, workers: int, connections: int, seconds: float) -> Balance:
    """Start sidelog with a number of workers, load it, and look how the load is spread.

    Raises:
        PeerUnavailable: it cannot be started.
    """
    with ExitStack() as stack:
        upstream_port = free_port()

        def start(name: str, port: int, count: int) -> Peer:
            place = Place(directory=directory / name, port=port, upstream_port=upstream_port, core=-1)
            return stack.enter_context(started(name, place, count))

        start("upstream", upstream_port, 1)
        port = free_port()
        peer = start("sidelog", port, workers)
        script = directory / "load.lua"
        script.write_text(chosen("getvar")[0].script)
        before = worker_costs(peer)
        command = [program("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        load = subprocess.Popen([*command, peer.url + "/json"], stdout=subprocess.DEVNULL)
        try:
            counts = dict.fromkeys(before, 0)
            deadline = time.monotonic() + seconds + 30
            while load.poll() is None and time.monotonic() < deadline:
                if sum(counts.values()) < connections:
                    inodes = established((measure.PROC / "net/tcp").read_text(), port)
                    counts = max(
                        counts, {pid: held(pid, inodes) for pid in before}, key=lambda each: sum(each.values())
                    )
                time.sleep(POLL_S)
        finally:
            load.kill()
            load.wait()
        after = worker_costs(peer)
        return Balance(
            workers=workers,
            connections=[counts[pid] for pid in before],
            cpu_s=[round(after.get(pid, 0.0) - before[pid], 2) for pid in before],
        )


def markdown(runs: Sequence[Balance]) -> str:
    """Return the table."""
    rows = [
        [
            str(run.workers),
            " ".join(map(str, run.connections)),
            f"{unevenness(run.connections):.2f}",
            " ".join(f"{cost:.2f}" for cost in run.cpu_s),
            f"{unevenness(run.cpu_s):.2f}",
        ]
        for run in runs
    ]
    return table(["workers", "connections of each", "most / mean", "CPU s of each", "most / mean"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when something cannot be started."""
    parser = argparse.ArgumentParser(prog="python -m bench.macro.balance", description=__doc__)
    parser.add_argument("--workers", default="1,2,4", help="numbers of workers (default 1,2,4)")
    parser.add_argument("--connections", default="16,64,512", help="of the load (default 16,64,512)")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path, help="file to write (default: none)")
    options = parser.parse_args(arguments)
    load_average = os.getloadavg()
    runs = []
    try:
        for workers in map(int, options.workers.split(",")):
            for connections in map(int, options.connections.split(",")):
                with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                    runs.append(balanced(Path(directory), workers, connections, options.seconds))
    except PeerUnavailable as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    print(markdown(runs))
    if options.json:
        command = f"python -m bench.macro.balance --workers {options.workers} --connections {options.connections}"
        write_figures(options.json, f"{command} --seconds {options.seconds:g}", load_average, runs=runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
