"""When reference cycles are collected: young objects in small steps, all rarely; in a collector a
bit more often.

A full collection walks every live object, 5 µs for each open connection, and stops all work
meanwhile: 10 000 connections took 20 to 60 ms, every few seconds while they came (`bench.hostile`).
Connections and exchanges leave no cycles behind (tests/proxy/worker/test_garbage.py), so little
waits. Strategy: the interpreter collects what is young, and a full collection comes no sooner than
some thousand times what the last one took: the more lives, the rarer it is, and one in so many
requests meets it at most. The invariants: it does come, and no later than memory has grown by a
quarter, since garbage makes a collection longer, and the pause behind it: a leak of 3 KB a
connection once took 139 MiB in 40 000. Left to the interpreter, what the admin port of a collector
leaves in cycles was 90 000 objects after an hour, 12 MiB.
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
"""Memory has to grow by this much, and by a quarter, for a collection before its time."""
_NEVER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class GcPolicy:
    """How often a process collects reference cycles."""

    young: int
    """New objects after which the young generation is collected."""
    young_rounds: int
    """How many of these collections until the survivors are collected once more."""
    rest: int
    """The pause after a full collection, as a multiple of its duration."""


WORKER: Final = GcPolicy(young=700, young_rounds=4, rest=20_000)
"""The interpreter's own number of young ones; with its 10 rounds the next look takes 2 ms. A full
collection of 2 ms comes once in 40 s, one of 50 ms once in 17 minutes.
"""
COLLECTOR: Final = GcPolicy(young=50_000, young_rounds=20, rest=1000)
"""A batch is thousands of short-lived tuples, none of which can be in a cycle: a GET costs 21.5 µs
of CPU without collections, 23.9 with the interpreter's thresholds (bench/micro). A full one of 50
ms comes once in 50 s, and only readers of the admin port wait for it.
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
    """Return what the process has of memory that is its own: resident, without files and rings
    (proc_pid_statm(5)).

    In a sandbox without `/proc` it is 0: then pauses are counted by time alone.
    """
    try:
        text = Path("/proc/self/statm").read_text()
    except OSError:
        return 0
    _, resident, shared, *_ = text.split()
    return (int(resident) - int(shared)) * mmap.PAGESIZE


async def collect_rarely(rest: int, memory_bytes: Callable[[], int] = own_bytes) -> None:
    """Collect everything from time to time, until cancelled; see `pause_s` and `GcPolicy.rest`.

    Args:
        rest: of the policy.
        memory_bytes: says how much memory there is.
    """
    took_s = 0.0
    while True:
        await _pass(pause_s(took_s, rest), memory_bytes)
        before_s = time.thread_time()
        gc.collect()
        took_s = time.thread_time() - before_s


async def _pass(pause_s: float, memory_bytes: Callable[[], int]) -> None:
    """Wait for so long, or until memory has grown by as much as garbage may have of it."""
    before_bytes = memory_bytes()
    most_bytes = before_bytes + max(LEAST_GROWTH_BYTES, before_bytes // 4)
    until_s = time.monotonic() + pause_s
    is_over = False
    while not is_over:
        await asyncio.sleep(min(LEAST_PAUSE_S, max(0.0, until_s - time.monotonic())))
        is_over = time.monotonic() >= until_s or memory_bytes() >= most_bytes
