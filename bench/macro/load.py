"""The load generator: wrk with one thread, pinned, one run at a time.

wrk is closed-loop: it sends the next request of a connection when the answer to the last one is complete. Its rate is
therefore a result, not a setting, and its percentiles are those of a saturated proxy at 64 connections. Latency worth
quoting is measured at one connection.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.macro.scenarios import RESULT_MARK, Scenario


class LoadFailed(Exception):
    """wrk did not finish its run: the system does not answer, or not in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What wrk counted in one run."""

    requests: int
    duration_s: float
    p50_us: int
    p99_us: int
    max_us: int
    errors: int
    """Connect, read, write and timeout errors, and answers of 400 and above."""

    @property
    def requests_per_s(self) -> float:
        """Completed requests a second."""
        return self.requests / self.duration_s if self.duration_s else 0.0


def parse(output: str) -> LoadResult:
    """Read the line that the scripts of `scenarios.py` print.

    Raises:
        LoadFailed: the line is missing, so wrk did not finish its run.
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
            )
    raise LoadFailed(f"wrk printed no result line: {output.strip()[-300:]!r}")


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
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{whole_s}s", "--timeout", "5s"]
    command += ["-s", str(script), base_url + scenario.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=whole_s + 30, check=False)
    if done.returncode != 0:
        raise LoadFailed(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return parse(done.stdout)
