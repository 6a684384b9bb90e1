"""Where the time goes: samples workers and collector while one scenario loads sidelog, `make profile SCENARIO=getvar`.

Strategy: py-spy reads the stacks of running processes from outside, so what is measured is the program as it runs, C
frames included. Prints the functions with the most samples of their own, and writes all stacks as a flame graph.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from bench.macro import measure
from bench.macro.load import Generator
from bench.macro.peers import Peer, started
from bench.macro.place import HERE, PeerUnavailable, Place, program
from bench.macro.processor import CORE, SHARES, taken
from bench.macro.run import WARM_UP_S
from bench.macro.scenarios import SCENARIOS, chosen
from tests.support.ports import free_port

RATE_HZ = 400
SHOWN = 25


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m bench.macro.profile", description=__doc__)
    found.add_argument("--scenario", default="getvar", choices=[each.name for each in SCENARIOS])
    found.add_argument("--seconds", type=float, default=8.0, help="of load that is sampled (default 8)")
    found.add_argument("--tree", type=Path, default=HERE, help="of the sidelog: build/compiled (default: this one)")
    found.add_argument("--directory", type=Path, default=Path("build/profile"), help="where flame graphs go")
    return found


def own_time(stacks: str) -> Counter[str]:
    """Add up samples by the innermost function of their stack, from py-spy's `raw` lines: frames, a blank, a count."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        if frames and count.isdigit():
            found[frames.rpartition(";")[2]] += int(count)
    return found


def table(title: str, samples: Counter[str]) -> str:
    """Return the functions with the most samples of their own as lines of text."""
    total = samples.total()
    lines = [f"{title}: {total} samples"]
    lines += [f"{count / max(1, total):7.1%}  {name}" for name, count in samples.most_common(SHOWN)]
    return "\n".join(lines)


def sampler(pid: int, seconds: float, file: Path) -> "subprocess.Popen[bytes]":
    """Start sampling a process into a file of stacks."""
    command = ["py-spy", "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))), "--rate", str(RATE_HZ)]
    command += ["--native", "--format", "raw", "--output", str(file)]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "PATH": path}
    )


def profile(peer: Peer, generator: Generator, options: argparse.Namespace) -> list[str]:
    """Load the peer and sample its processes meanwhile; return a table for each."""
    (each,) = chosen(options.scenario)
    generator.run(each, peer.url, seconds=WARM_UP_S)
    roles = {cost.role: cost.pid for cost in measure.tree(peer.pid) if cost.role in ("worker", "collector")}
    files = {role: options.directory / f"{options.scenario}-{role}.txt" for role in roles}
    running = {role: sampler(pid, options.seconds, files[role]) for role, pid in roles.items()}
    generator.run(each, peer.url, seconds=options.seconds + 1.0)
    tables = []
    for role, process in running.items():
        _, errors = process.communicate(timeout=60)
        if process.returncode:
            raise PeerUnavailable(f"py-spy cannot sample the {role}: {errors.decode(errors='replace').strip()[-300:]}")
        tables.append(table(f"{role}, {options.scenario}", own_time(files[role].read_text())))
        tables.append(f"stacks: {files[role]} (flame graph: https://www.speedscope.app reads it)")
    return tables


def main() -> int:
    """Start sidelog and its upstream, sample, print; 1 when something needed is missing."""
    options = parser().parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        try:
            program("wrk")
            own, loads = stack.enter_context(taken(SHARES[CORE]))
            port = free_port()
            upstream = Place(directory=directory / "upstream", port=port, upstream_port=port, prefix=loads)
            stack.enter_context(started("upstream", upstream))
            place = Place(
                directory=directory / "sidelog", port=free_port(), upstream_port=port, prefix=own, tree=options.tree
            )
            peer = stack.enter_context(started("sidelog", place))
            print("\n\n".join(profile(peer, Generator(directory=directory, prefix=loads), options)))
        except PeerUnavailable as error:
            print(f"cannot profile: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
