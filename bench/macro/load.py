"""The load generators, one run at a time: wrk with one thread, h2load for HTTP/2, and our own for
event streams.

wrk is closed-loop: it sends the next request of a connection when the answer to the last one is
complete. As many connections as go therefore offer whatever a system can sustain, and more; a rate
is offered by many connections that pause at random between their requests. Percentiles at 64
connections are those of a saturated proxy; latency worth quoting is measured at one connection.
"""

import json
import random
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.macro.measure import percentile
from bench.macro.place import CONTENTS, HERE
from bench.macro.scenarios import CONNECTIONS, Scenario
from bench.macro.scripts import DIRECTORY_MARK, RESULT_MARK, write_contents

PAUSING_CONNECTIONS: Final = 512
"""Of a load at a rate: so many that an answer that takes 10 ms changes the rate by a twentieth at
3,000 a second.
"""
PACED_CONNECTIONS: Final = 16
"""Of a load at an ordinary rate: about as many as a sidecar has from its gateway."""
LIGHT_RATE: Final = 100
"""Requests a second of the light client beside a flood."""
STREAMS: Final = 200
TARGETS: Final = 20_000
_PAUSE: Final = "\ndelay = function() return math.random(0, {most_ms}) end\n"


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
        if self.duration_s:
            return self.requests / self.duration_s
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """Loads systems from a directory of its own."""

    directory: Path
    prefix: tuple[str, ...] = ()
    """Words before its command that confine it to some of the processor."""

    def run(
        self,
        scenario: Scenario,
        base_url: str,
        *,
        seconds: float,
        connections: int = CONNECTIONS,
        rate: int = 0,
    ) -> LoadResult:
        """Load `base_url` for about `seconds` (wrk knows whole seconds, at least 1) and return what
        was counted.

        Raises:
            LoadFailed: see there.
        """
        contents = self.directory / CONTENTS
        write_contents(contents, scenario.kinds)
        if scenario.streams:
            return self._run_http2(scenario, base_url, max(1, round(seconds)), connections, rate)

        pause = _PAUSE.format(most_ms=round(2000 * connections / rate)) if rate else ""
        script = self.directory / f"{scenario.name}-{connections}-{rate}.lua"
        script.write_text(scenario.script.replace(DIRECTORY_MARK, str(contents)) + pause)
        whole_s = max(1, round(seconds))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{whole_s}s", "--timeout", "5s"]
        return parse(self._output([*command, "-s", str(script), base_url + scenario.path], whole_s))

    def _run_http2(
        self, scenario: Scenario, base_url: str, whole_s: int, connections: int, rate: int
    ) -> LoadResult:
        log, targets, body = (
            self.directory / f"h2load.{name}" for name in ("log", "targets", "body")
        )
        log.unlink(missing_ok=True)
        run = random.getrandbits(31)
        paths = (
            scenario.path % (at, run) if "%" in scenario.path else scenario.path
            for at in range(TARGETS)
        )
        targets.write_text("".join(f"{base_url}{path}\n" for path in paths))
        body.write_bytes(scenario.body)
        command = ["h2load", "-t1", f"-c{connections}", f"-m{scenario.streams}", f"-D{whole_s}"]
        command += [
            f"--log-file={log}",
            f"-i{targets}",
            *(f"-H{name}: {text}" for name, text in scenario.fields.items()),
        ]
        command += [f"-d{body}"] * bool(scenario.body) + [f"--rps={rate / connections:g}"] * bool(
            rate
        )
        self._output(command, whole_s)
        return parse_log(log.read_bytes(), whole_s)

    def run_beside_flood(self, scenario: Scenario, base_url: str, *, seconds: float) -> LoadResult:
        """Load with one connection at a low rate while 64 others send as much as goes; return what
        the one counted.

        Raises:
            LoadFailed: see there.
        """
        flooded: list[LoadResult] = []
        flood = threading.Thread(
            target=lambda: flooded.append(self.run(scenario, base_url, seconds=seconds + 2)),
            name="flood",
        )
        flood.start()

        try:
            found = self.run(scenario, base_url, seconds=seconds, connections=1, rate=LIGHT_RATE)
        finally:
            flood.join()

        if not flooded:
            raise LoadFailed("the flood did not end well")

        return found

    def run_streams(self, base_url: str, source_port: int, *, seconds: float) -> LoadResult:
        """Hold event streams open; requests of the result are events, percentiles their delay.

        Raises:
            LoadFailed: see there.
        """
        command = [
            sys.executable,
            "-m",
            "bench.macro.streams",
            base_url,
            "--source",
            str(source_port),
        ]
        return parse(
            self._output(
                [*command, "--streams", str(STREAMS), "--seconds", f"{seconds:g}"], seconds
            )
        )

    def _output(self, command: list[str], seconds: float) -> str:
        done = subprocess.run(
            [*self.prefix, *command],
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=False,
            cwd=HERE,
        )
        if done.returncode != 0:
            raise LoadFailed(
                f"the load ended with {done.returncode}: "
                f"{(done.stderr or done.stdout).strip()[-300:]}"
            )

        return done.stdout


def parse(output: str) -> LoadResult:
    """Read the line that the scripts of `scripts.py` print.

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


def parse_log(log: bytes, duration_s: float) -> LoadResult:
    """Read the log of h2load: of each request when it began, its status and how long it took, in
    µs.

    Raises:
        LoadFailed: no request was answered.
    """
    lines = [line.split(b"\t") for line in log.splitlines()]
    times = sorted(int(line[2]) for line in lines if line[1] == b"200")
    if not times:
        raise LoadFailed(f"none of {len(lines):,} requests was answered")

    return LoadResult(
        requests=len(lines),
        duration_s=duration_s,
        p50_us=percentile(times, 0.5),
        p99_us=percentile(times, 0.99),
        max_us=times[-1],
        errors=len(lines) - len(times),
    )
