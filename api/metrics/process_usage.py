"""What each process uses of the machine: the `process_*` families of Prometheus' clients, with a
label for the process.

Read from /proc (proc(5)) at each scrape. What cannot be read, because the process has just ended or
belongs to another user, is left out.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

_LABELS: Final = ["process"]
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _START, _VSIZE, _RSS = 11, 12, 19, 20, 21
"""Places in /proc/pid/stat, counted from the state, which follows the name."""
_UNLIMITED: Final = "unlimited"


class Usage(NamedTuple):
    """One process, now."""

    cpu_s: float
    start_s: float
    """Unix time."""
    resident_bytes: int
    virtual_bytes: int
    open_fds: int | None
    max_fds: int | None
    """None: not known, or no limit."""


def read_usage(pid: int, proc: Path = Path("/proc")) -> Usage | None:
    """Read what a process uses; None when there is none of that id."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        boot_s = _boot_s((proc / "stat").read_text())
    except OSError:
        return None

    return Usage(
        cpu_s=(int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S,
        start_s=boot_s + int(fields[_START]) / _TICKS_PER_S,
        resident_bytes=int(fields[_RSS]) * _PAGE_BYTES,
        virtual_bytes=int(fields[_VSIZE]),
        open_fds=_open_fds(proc / str(pid) / "fd"),
        max_fds=_max_fds(proc / str(pid) / "limits"),
    )


def usage_families(processes: Mapping[str, int]) -> Iterator[Metric]:
    """Return metric families with the resource usage of processes, given the process id of each
    name.
    """
    read = {
        name: usage for name, pid in processes.items() if (usage := read_usage(pid)) is not None
    }
    cpu = CounterMetricFamily(
        "process_cpu_seconds", "Processor time used, user and system.", labels=_LABELS
    )
    for name, usage in read.items():
        cpu.add_metric([name], usage.cpu_s)
    yield cpu
    gauges = (
        ("start_time_seconds", "When the process started, Unix time.", "start_s"),
        (
            "resident_memory_bytes",
            "Resident memory, shared pages of rings included.",
            "resident_bytes",
        ),
        ("virtual_memory_bytes", "Virtual memory.", "virtual_bytes"),
        ("open_fds", "Open file descriptors.", "open_fds"),
        ("max_fds", "Limit of open file descriptors.", "max_fds"),
    )
    for name, text, field in gauges:
        family = GaugeMetricFamily(f"process_{name}", text, labels=_LABELS)
        for process, usage in read.items():
            if (value := getattr(usage, field)) is not None:
                family.add_metric([process], value)
        yield family


def _boot_s(stat: str) -> int:
    return next(int(line.split()[1]) for line in stat.splitlines() if line.startswith("btime "))


def _open_fds(folder: Path) -> int | None:
    try:
        # Since Linux 6.2 the size is the count: listing ten thousand takes milliseconds.
        return folder.stat().st_size or len(os.listdir(folder))
    except OSError:
        return None


def _max_fds(limits: Path) -> int | None:
    try:
        line = next(
            line for line in limits.read_text().splitlines() if line.startswith("Max open files")
        )
    except (OSError, StopIteration):
        return None

    soft = line.split()[3]
    if soft == _UNLIMITED:
        return None
    return int(soft)
