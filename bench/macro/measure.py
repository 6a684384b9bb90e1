"""What a process tree costs: CPU time and memory, from /proc.

utime + stime are in clock ticks (10 ms), so a run of two seconds is good to one per cent. Processes are told apart by
their command line: sidelog's worker, collector and supervisor are counted each for itself, everything else is "proxy".
Shared memory (the ring, nginx's zones) is counted apart: it would otherwise appear once per process that touched it.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
ROLES: Final = ("worker", "collector", "supervisor")
PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCost:
    """One process at one moment."""

    pid: int
    role: str
    cpu_s: float
    rss_bytes: int
    """Anonymous and file pages."""
    shared_bytes: int
    """Shared-memory pages it has touched."""
    writes: int = 0
    """System calls that write, sends to a socket not counted by the kernel (write and writev are)."""


def role_of(command_line: str) -> str:
    """Name the part a process plays, by its command line."""
    for role in ROLES:
        if f"proxy.{role}" in command_line:
            return role
    return "proxy"


def parse_stat(text: str) -> tuple[int, float]:
    """Return (parent pid, CPU seconds) of the text of /proc/PID/stat, whose second field may hold anything."""
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def parse_memory(status: str) -> tuple[int, int]:
    """Return (own bytes, shared-memory bytes) of the text of /proc/PID/status; zeros for a zombie."""
    sizes = {"RssAnon": 0, "RssFile": 0, "RssShmem": 0}
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0]) * 1024
    return sizes["RssAnon"] + sizes["RssFile"], sizes["RssShmem"]


def parse_writes(io: str) -> int:
    """Return the number of write system calls of the text of /proc/PID/io."""
    return next((int(line[7:]) for line in io.splitlines() if line.startswith("syscw: ")), 0)


def writes(costs: Iterable[ProcessCost]) -> int:
    """Return the write system calls of all that a request waits for."""
    return sum(cost.writes for cost in costs if cost.role != "collector")


def descendants(root: int, parents: dict[int, int]) -> set[int]:
    """Return `root` and everything below it, given each process's parent."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return found


def tree(root: int) -> list[ProcessCost]:
    """Read the cost of `root` and its descendants; a process that ends meanwhile is left out."""
    stats: dict[int, tuple[int, float]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stats[int(entry.name)] = parse_stat((entry / "stat").read_text())
            except OSError:
                continue
    costs = []
    for pid in sorted(descendants(root, {pid: parent for pid, (parent, _) in stats.items()})):
        try:
            command_line = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            own, shared = parse_memory((PROC / str(pid) / "status").read_text())
            written = parse_writes((PROC / str(pid) / "io").read_text())
        except OSError:
            continue
        cpu_s = stats[pid][1] if pid in stats else 0.0
        role = role_of(command_line)
        costs.append(ProcessCost(pid=pid, role=role, cpu_s=cpu_s, rss_bytes=own, shared_bytes=shared, writes=written))
    return costs


def cpu_by_role(before: Iterable[ProcessCost], after: Iterable[ProcessCost]) -> dict[str, float]:
    """Return CPU seconds spent between two readings, summed by role; a process born between counts whole."""
    earlier = {cost.pid: cost.cpu_s for cost in before}
    spent: dict[str, float] = defaultdict(float)
    for cost in after:
        spent[cost.role] += cost.cpu_s - earlier.get(cost.pid, 0.0)
    return dict(spent)


def memory_by_role(costs: Iterable[ProcessCost]) -> dict[str, int]:
    """Return own bytes (without shared memory), summed by role."""
    total: dict[str, int] = defaultdict(int)
    for cost in costs:
        total[cost.role] += cost.rss_bytes
    return dict(total)


def pin(pid: int, cores: Iterable[int]) -> None:
    """Move every thread of a process to `cores`."""
    chosen = set(cores)
    for task in (PROC / str(pid) / "task").iterdir():
        os.sched_setaffinity(int(task.name), chosen)
