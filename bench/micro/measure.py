"""One timed piece of code: a plain loop, several rounds, the median.

Rounds are short, so that an interruption spoils one of them and not the figure; the spread is kept
beside the median.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

ROUNDS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one operation costs."""

    name: str
    """What was done."""
    ns: float
    """Median of the rounds, nanoseconds per operation, the loop included."""
    fastest_ns: float
    """Fastest round."""
    slowest_ns: float
    """Slowest round."""


def measured(
    name: str,
    run: Callable[[], int],
    between: Callable[[], object] = lambda: None,
    *,
    clock: Callable[[], int] = lambda: time.perf_counter_ns(),
    rounds: int = ROUNDS,
) -> Measure:
    """Time `run`, which returns how many operations it did; `between` rounds is not timed.

    The first round warms up and is not counted. `time.process_time_ns` as the clock counts what the
    process works, on a machine that others use too; where an operation waits, that is not seen.
    """
    costs = []
    for _ in range(rounds + 1):
        begin = clock()
        operations = run()
        costs.append((clock() - begin) / operations)
        between()

    return Measure(
        name=name, ns=median(costs[1:]), fastest_ns=min(costs[1:]), slowest_ns=max(costs[1:])
    )
