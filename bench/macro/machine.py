"""Where and with what a result was measured: figures without this are worth nothing."""

import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from bench.macro.place import BUILT, HERE, PeerUnavailable, program

LIBRARIES: Final = ("aiohttp", "httptools", "uvloop")
VERSION_COMMANDS: Final = {
    "nginx": ["-v"],
    "haproxy": ["-v"],
    "envoy": ["--version"],
    "caddy": ["version"],
    "traefik": ["version"],
    "mitmproxy": ["--version"],
    "wrk": ["-v"],
}
_VERSION: Final = re.compile(r"(?<![0-9.])v?([0-9]+\.[0-9]+\.[0-9]+[^\s/]*)")


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
        "python": f"{platform.python_version()} ({python_build()})",
    }


def write_figures(
    path: Path,
    command: str,
    load_average: tuple[float, float, float],
    **found: Sequence[msgspec.Struct],
) -> None:
    """Write what a command found to a file, with the machine, and its load before."""
    written = {"command": command, "machine": machine(), "load_average": load_average, **found}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=1))


def python_build() -> str:
    """Name what about the interpreter's build decides its speed, as far as it says."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
    optimised = [
        "PGO" if "--enable-optimizations" in arguments else "no PGO",
        "LTO" if "--with-lto" in arguments else "no LTO",
    ]
    if sys.base_prefix == "/usr":  # Debian's has both, and tells the configuration of its library
        optimised = ["the distribution's"]
    library = "shared library" if "libpython" in Path("/proc/self/maps").read_text() else "static"
    return ", ".join([*optimised, library])


def sidelog_build(tree: Path) -> str:
    """Return which build of the data plane a tree runs: pure or compiled."""
    command = [sys.executable, "-m", "proxy", "version", "--json"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)["build"])


def versions(systems: Iterable[str], trees: Iterable[Path] = ()) -> dict[str, str]:
    """Return the versions of the programs and libraries that take part, and what build each tree's
    sidelog is.
    """
    found = {name: version(name) for name in LIBRARIES}
    found |= {
        name: f"{sidelog_build(tree)} build"
        for name, tree in [("sidelog", HERE), *((BUILT + t.name, t) for t in trees)]
    }
    for name, flags in VERSION_COMMANDS.items():
        if name in {"wrk", *systems}:
            try:
                done = subprocess.run(
                    [program(name), *flags], capture_output=True, text=True, check=False
                )
            except PeerUnavailable:
                continue

            match = _VERSION.search(done.stdout + done.stderr)
            found[name] = match[1] if match else "unknown"

    return found
