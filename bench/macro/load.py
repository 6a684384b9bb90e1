"""The load generators, pinned, one run at a time: wrk with one thread, and our own at a rate and for streams.

wrk is closed-loop: it sends the next request of a connection when the answer to the last one is complete. Its rate is
therefore a result, not a setting, and its percentiles are those of a saturated proxy at 64 connections. Latency worth
quoting is measured at one connection, or at a rate (`at_rate.py`).
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.macro.place import HERE
from bench.macro.scenarios import RESULT_MARK, Scenario

STREAMS: Final = 200


class LoadFailed(Exception):
    """A load generator did not finish its run: the system does not answer, or not in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What was counted in one run."""

    requests: int
    duration_s: float
    p50_us: int
    p99_us: int
    max_us: int
    errors: int
    """Connect, read, write and timeout errors, and answers of 400 and above."""
    reads: int = 0
    """Streams: reads that brought whole events; requests are events there."""

    @property
    def requests_per_s(self) -> float:
        """Completed requests a second."""
        return self.requests / self.duration_s if self.duration_s else 0.0


def parse(output: str) -> LoadResult:
    """Read the line that the scripts of `scenarios.py` print.

    Raises:
        LoadFailed: the line is missing, so the run was not finished.
    """
    for line in output.splitlines():
        if line.startswith(RESULT_MARK):
            found = json.loads(line.removeprefix(RESULT_MARK))
            return LoadResult(
                requests=found["requests"],
                duration_s=found["duration_us"] / 1e6,
                p50_us=found["p50_us"],
                p99_us=found["p99_us"],
                max_us=found["max_us"],
                errors=found["errors"],
                reads=found.get("reads", 0),
            )
    raise LoadFailed(f"there is no result line: {output.strip()[-300:]!r}")


def run(
    scenario: Scenario, base_url: str, *, seconds: float, connections: int, core: int, directory: Path
) -> LoadResult:
    """Load `base_url` for about `seconds` (wrk knows whole seconds, at least 1) and return what was counted.

    Raises:
        LoadFailed: see there.
    """
    script = directory / f"{scenario.name}.lua"
    script.write_text(scenario.script)
    whole_s = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{whole_s}s", "--timeout", "5s"]
    return _output([*command, "-s", str(script), base_url + scenario.path], core, whole_s)


def run_at_rate(
    base_url: str, rate: int, *, seconds: float, connections: int, core: int, scenario: str = "getvar"
) -> LoadResult:
    """Send the requests of `getvar`, or of `postvar`, at a rate.

    Raises:
        LoadFailed: see there.
    """
    command = [sys.executable, "-m", "bench.macro.at_rate", base_url, "--rate", str(rate)]
    command += ["--scenario", scenario]
    return _output([*command, "--seconds", f"{seconds:g}", "--connections", str(connections)], core, seconds)


def run_streams(base_url: str, source_port: int, *, seconds: float, core: int) -> LoadResult:
    """Hold event streams open; requests of the result are events, percentiles their delay.

    Raises:
        LoadFailed: see there.
    """
    command = [sys.executable, "-m", "bench.macro.streams", base_url, "--source", str(source_port)]
    return _output([*command, "--streams", str(STREAMS), "--seconds", f"{seconds:g}"], core, seconds)


def _output(command: list[str], core: int, seconds: float) -> LoadResult:
    """Run a generator to its end, on one core, or on any for -1."""
    pinned = ["taskset", "-c", str(core), *command] if core >= 0 else command
    done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds + 30, check=False, cwd=HERE)
    if done.returncode != 0:
        raise LoadFailed(f"the load ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return parse(done.stdout)
