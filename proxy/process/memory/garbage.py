"""When reference cycles are looked for: in a worker in small steps, and everything rarely; in a collector a bit more.

A full collection walks every object that lives, 5 µs for each open connection, and nobody is served meanwhile: 10 000
of them took 20 to 60 ms, every few seconds while they came (`bench.hostile`). What connections and exchanges leave
behind is in no cycle (tests/proxy/worker/test_garbage.py), so little waits. Strategy: the interpreter collects what is
young, and a full collection comes no sooner than some thousand times what the last one took: the more lives, the rarer
it is, and one in so many requests meets it at most. The invariant: it does come. Left to the interpreter, what the
admin port of a collector leaves in cycles was 90 000 objects after an hour, 12 MiB.
"""

import asyncio
import gc
import time
from typing import Final

WORKER_REST: Final = 20_000
"""2 ms once in 40 s, 50 ms once in 17 minutes."""
COLLECTOR_REST: Final = 1000
"""50 ms once in 50 s: nobody but readers of the admin port waits."""
LEAST_PAUSE_S: Final = 30.0
_YOUNG: Final = 700
"""Objects more than before, at which the young ones are looked at: the interpreter's default."""
_YOUNG_ROUNDS: Final = 4
"""How many of these until those that stayed are looked at once more; with the default of 10 it takes 2 ms."""
_NEVER: Final = 2**31 - 1


def tune() -> None:
    """Leave out what lives as long as the process, and full collections to `collect_rarely`."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(_YOUNG, _YOUNG_ROUNDS, _NEVER)


def pause_s(took_s: float, rest: int) -> float:
    """Return how long after a full collection the next one may come, which rests so many times as long as it took."""
    return max(LEAST_PAUSE_S, took_s * rest)


async def collect_rarely(rest: int) -> None:
    """Collect everything from time to time, until cancelled; see `pause_s`."""
    took_s = 0.0
    while True:
        await asyncio.sleep(pause_s(took_s, rest))
        before_s = time.thread_time()
        gc.collect()
        took_s = time.thread_time() - before_s
