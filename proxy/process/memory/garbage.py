"""The schedule of reference cycle collection: young objects in small steps, full collections
rarely.

A full collection walks every live object, 5 µs for each open connection, and stops all work
meanwhile: 10 000 connections took 20 to 60 ms, every few seconds while they arrived
(`bench.hostile`). Connections and exchanges leave no cycles behind
(tests/proxy/worker/test_garbage.py), so there is little to collect.

Strategy: the interpreter collects young objects. A full collection comes no sooner than about a
thousand times the duration of the last one: with more live objects it becomes rarer, so it delays a
bounded share of the requests. Invariant: it does come, at the latest when memory has grown by a
quarter, since garbage prolongs a collection and with it the pause: a leak of 3 KB a connection once
took 139 MiB in 40 000. With the interpreter's own schedule, cycles of a collector's admin port
added up to 90 000 objects in an hour, 12 MiB.
"""

import asyncio
import gc
import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEAST_PAUSE_S: Final = 30.0
LEAST_GROWTH_BYTES: Final = 16 << 20
"""Growth of memory, in addition to a quarter, that causes an early collection."""
_NEVER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class GcPolicy:
    """Frequency of reference cycle collection in a process."""

    young: int
    """Number of new objects after which the young generation is collected."""
    young_rounds: int
    """Number of these collections until the survivors are collected as well."""
    rest: int
    """Pause after a full collection, as a multiple of its duration."""


WORKER: Final = GcPolicy(young=700, young_rounds=4, rest=20_000)
"""`young` is the interpreter's default; with its 10 rounds the next generation takes 2 ms. A full
collection of 2 ms comes once in 40 s, one of 50 ms once in 17 minutes.
"""
COLLECTOR: Final = GcPolicy(young=50_000, young_rounds=20, rest=1000)
"""A batch consists of thousands of short-lived tuples that cannot be in a cycle: a GET costs 21.5
µs of CPU without collections, 23.9 with the interpreter's thresholds (bench/micro). A full one of
50 ms comes once in 50 s, and delays only readers of the admin port.
"""


def tune(policy: GcPolicy) -> None:
    """Exempt objects that live as long as the process, and leave full collections to
    `collect_rarely`.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(policy.young, policy.young_rounds, _NEVER)


def pause_s(took_s: float, rest: int) -> float:
    """Return the pause after a full collection: `rest` times its duration."""
    return max(LEAST_PAUSE_S, took_s * rest)


def own_bytes() -> int:
    """Return the private memory of the process in bytes: resident, without files and rings
    (proc_pid_statm(5)).

    Without `/proc`, as in a sandbox, it is 0: then only time determines the pauses.
    """
    try:
        text = Path("/proc/self/statm").read_text()
    except OSError:
        return 0
    _, resident, shared, *_ = text.split()
    return (int(resident) - int(shared)) * mmap.PAGESIZE


async def collect_rarely(rest: int, memory_bytes: Callable[[], int] = own_bytes) -> None:
    """Run full collections from time to time, until cancelled; see `pause_s` and `GcPolicy.rest`.

    Args:
        rest: `GcPolicy.rest` of the process.
        memory_bytes: returns the memory in use.
    """
    took_s = 0.0
    while True:
        await _pass(pause_s(took_s, rest), memory_bytes)
        before_s = time.thread_time()
        gc.collect()
        took_s = time.thread_time() - before_s


async def _pass(pause_s: float, memory_bytes: Callable[[], int]) -> None:
    """Wait for `pause_s`, or until memory has grown by the share that garbage may take."""
    before_bytes = memory_bytes()
    most_bytes = before_bytes + max(LEAST_GROWTH_BYTES, before_bytes // 4)
    until_s = time.monotonic() + pause_s
    is_over = False
    while not is_over:
        await asyncio.sleep(min(LEAST_PAUSE_S, max(0.0, until_s - time.monotonic())))
        is_over = time.monotonic() >= until_s or memory_bytes() >= most_bytes
