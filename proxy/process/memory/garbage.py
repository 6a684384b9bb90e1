"""When reference cycles are collected: young objects in small steps, all rarely; in a collector a bit more often.

A full collection walks every live object, 5 µs for each open connection, and stops all work meanwhile: 10 000
connections took 20 to 60 ms, every few seconds while they came (`bench.hostile`). Connections and exchanges leave no
cycles behind (tests/proxy/worker/test_garbage.py), so little waits. Strategy: the interpreter collects what is
young, and a full collection comes no sooner than some thousand times what the last one took: the more lives, the rarer
it is, and one in so many requests meets it at most. The invariant: it does come. Left to the interpreter, what the
admin port of a collector leaves in cycles was 90 000 objects after an hour, 12 MiB.
"""

import asyncio
import gc
import time
from dataclasses import dataclass
from typing import Final

LEAST_PAUSE_S: Final = 30.0
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
"""The interpreter's own number of young ones; with its 10 rounds the next look takes 2 ms. A full collection of 2 ms
comes once in 40 s, one of 50 ms once in 17 minutes."""
COLLECTOR: Final = GcPolicy(young=50_000, young_rounds=20, rest=1000)
"""A batch is thousands of short-lived tuples, none of which can be in a cycle: a GET costs 21.5 µs of CPU without
collections, 23.9 with the interpreter's thresholds (bench/micro). A full one of 50 ms comes once in 50 s, and only
readers of the admin port wait for it."""


def tune(policy: GcPolicy) -> None:
    """Exempt objects that live as long as the process, and leave full collections to `collect_rarely`."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(policy.young, policy.young_rounds, _NEVER)


def pause_s(took_s: float, rest: int) -> float:
    """Return the pause after a full collection: `rest` times its duration."""
    return max(LEAST_PAUSE_S, took_s * rest)


async def collect_rarely(rest: int) -> None:
    """Collect everything from time to time, until cancelled; see `pause_s` and `GcPolicy.rest`."""
    took_s = 0.0
    while True:
        await asyncio.sleep(pause_s(took_s, rest))
        before_s = time.thread_time()
        gc.collect()
        took_s = time.thread_time() - before_s
