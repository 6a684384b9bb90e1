"""One timed piece of code: a plain loop, several rounds, the median.

Rounds are short, so that an interruption spoils one of them and not the figure; the spread is kept beside the median.
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


def measured(name: str, run: Callable[[], int], between: Callable[[], object] = lambda: None) -> Measure:
    """Time `run`, which returns how many operations it did; `between` rounds is not timed.

    The first round warms up and is not counted.
    """
    costs = []
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter_ns()
        operations = run()
        costs.append((time.perf_counter_ns() - begin) / operations)
        between()
    return Measure(name=name, ns=median(costs[1:]), fastest_ns=min(costs[1:]), slowest_ns=max(costs[1:]))
