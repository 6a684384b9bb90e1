"""What a process tree costs: CPU time and memory, from /proc.

CPU times are in clock ticks (10 ms), so a run of two seconds is good to one per cent; a process
that has ended counts in the parent that waited for it. Processes are told apart by their command
line: sidelog's worker, collector and supervisor are counted each for itself, everything else is
"proxy". Shared memory (the ring, nginx's zones) is counted apart: it would otherwise appear once
per process that touched it.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

Number = TypeVar("Number", int, float)

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
    """System calls that write, sends to a socket not counted by the kernel (write and writev are).
    """


def role_of(command_line: str) -> str:
    """Name the part a process plays, by its command line."""
    for role in ROLES:
        if f"proxy.{role}" in command_line:
            return role
    return "proxy"


def parse_stat(text: str) -> tuple[int, float]:
    """Return (parent pid, CPU seconds, those of its ended children included) of the text of
    /proc/PID/stat.
    """
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS_PER_S


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
            command_line = (
                (PROC / str(pid) / "cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
            own, shared = parse_memory((PROC / str(pid) / "status").read_text())
            written = parse_writes((PROC / str(pid) / "io").read_text())
        except OSError:
            continue

        cpu_s = stats[pid][1] if pid in stats else 0.0
        role = role_of(command_line)
        costs.append(
            ProcessCost(
                pid=pid, role=role, cpu_s=cpu_s, rss_bytes=own, shared_bytes=shared, writes=written
            )
        )

    return costs


def cpu_by_role(before: Iterable[ProcessCost], after: Iterable[ProcessCost]) -> dict[str, float]:
    """Return CPU seconds spent between two readings, summed by role; a process born between counts
    whole.
    """
    spent: dict[str, float] = defaultdict(float)
    for sign, costs in ((-1, before), (1, after)):
        for cost in costs:
            spent[cost.role] += sign * cost.cpu_s
    return dict(spent)


def memory_by_role(costs: Iterable[ProcessCost]) -> dict[str, int]:
    """Return own bytes (without shared memory), summed by role."""
    total: dict[str, int] = defaultdict(int)
    for cost in costs:
        total[cost.role] += cost.rss_bytes
    return dict(total)


@contextmanager
def memory_sampled(root: int, every_s: float) -> Iterator[dict[str, list[int]]]:
    """Read the own memory of a process tree again and again, by role, in a thread, until the block
    ends.
    """
    samples: dict[str, list[int]] = defaultdict(list)
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(every_s):
            for role, size in memory_by_role(tree(root)).items():
                samples[role].append(size)

    thread = threading.Thread(target=sample, name="memory", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


def percentile(sorted_values: Sequence[Number], share: float) -> Number:
    """Return the value that a share of all is not above; 0 of none."""
    if sorted_values:
        return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
    return 0
