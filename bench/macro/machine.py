"""Where and with what a result was measured: figures without this are worth nothing."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.macro.peers import PeerUnavailable, program

LIBRARIES: Final = ("aiohttp", "httptools", "uvloop")
VERSION_COMMANDS: Final = {"nginx": ["-v"], "haproxy": ["-v"], "wrk": ["-v"]}


def machine() -> dict[str, str]:
    """Describe processor, cores and system; no host name."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions(systems: Iterable[str]) -> dict[str, str]:
    """Return the versions of the programs and libraries that take part."""
    found = {name: version(name) for name in LIBRARIES}
    for name, flags in VERSION_COMMANDS.items():
        if name in {"wrk", *systems}:
            try:
                done = subprocess.run([program(name), *flags], capture_output=True, text=True, check=False)
            except PeerUnavailable:
                continue
            words = (done.stdout + done.stderr).split()
            found[name] = next((word.split("/")[-1] for word in words if any(map(str.isdigit, word))), "unknown")
    return found
