"""What a system gets of the processor while it is measured: one core, a quota, busy neighbours, or
all there is.

A quota is the CPU limit of a cgroup, as a container has it: of version 2 where that is mounted,
else of version 1. Where load and upstream are not kept apart by a core of their own, they take part
in the competition.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.macro.place import PeerUnavailable, on_core

GROUPS: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 100_000
"""The kernel's default, and that of container runtimes."""
_ENTER: Final = 'echo $$ > "$0" && exec "$@"'
_BURN: Final = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Ends with this process, however that ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a system gets, and what it is offered there."""

    title: str
    is_pinned: bool = False
    """The system has the first core, load and upstream the last."""
    quota_cores: float = 0
    """CPU time a second that the system may take; 0: no limit."""
    has_neighbours: bool = False
    """A process on each core never sleeps."""
    rate: int = 0
    """Requests a second that are offered; 0: as many as 64 connections can send."""


CORE: Final = "core"
SHARES: Final = {
    CORE: Share(title="one core", is_pinned=True),
    "quota": Share(title="a quota of one core", quota_cores=1),
    "half": Share(title="a quota of half a core", quota_cores=0.5),
    "neighbours": Share(
        title="beside neighbours that burn all cores, 3,000/s", has_neighbours=True, rate=3000
    ),
    "cores": Share(title="all cores, shared with load and upstream"),
}


@contextmanager
def taken(share: Share) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Set up a share; return the words before a system's command, and those before load and
    upstream.

    Raises:
        PeerUnavailable: it cannot be had on this machine.
    """
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        if share.has_neighbours:
            for core in cores:
                neighbour = subprocess.Popen([*on_core(core), sys.executable, "-c", _BURN])
                stack.callback(neighbour.wait)
                stack.callback(neighbour.kill)

        if share.quota_cores:
            entry = stack.enter_context(_group(round(share.quota_cores * PERIOD_US)))
            yield ("sh", "-c", _ENTER, str(entry)), ()
        elif share.is_pinned:
            # This process reads HAProxy's log, which is the load's part.
            stack.callback(os.sched_setaffinity, 0, cores)
            os.sched_setaffinity(0, {cores[-1]})
            yield on_core(cores[0]), on_core(cores[-1])
        else:
            yield (), ()


@contextmanager
def _group(quota_us: int) -> Iterator[Path]:
    """Make a cgroup with a quota, and remove it once it is empty; yields the file that processes
    enter it by.
    """
    is_unified = (GROUPS / "cgroup.controllers").exists()
    group = GROUPS / ("" if is_unified else "cpu") / f"sidelog-bench-{os.getpid()}"
    try:
        group.mkdir()
        if is_unified:
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
    except OSError as error:
        if group.exists():
            group.rmdir()
        raise PeerUnavailable(f"no CPU quota can be set on this machine: {error}") from error

    try:
        yield group / "cgroup.procs"
    finally:
        group.rmdir()
