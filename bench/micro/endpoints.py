"""The endpoint of a request: what the collector pays to know it.

`python -m bench.micro endpoints` runs this file alone. A path that was seen before is found by one
look-up; wanted for one that never was: 2 µs.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from bench.micro.measure import Measure, measured
from proxy.enrich.endpoints.endpoints import Endpoints
from tests.storage.samples import make_record

ROUND_OPERATIONS: Final = 2000
KINDS: Final[dict[str, Callable[[int], str]]] = {
    "known path": lambda number: f"/api/users/{number % 500}",
    "number": lambda number: f"/api/users/{number}/orders/{number * 7}",
    "uuid": lambda number: f"/api/carts/{uuid.UUID(int=number)}",
    "static file": lambda number: f"/static/app.{number:08x}.js",
}


def measures() -> Iterator[Measure]:
    """Measure each kind of path, in a tree that knows it."""
    for name, path_of in KINDS.items():
        yield _measure(name, path_of, 200)
    yield _measure("guessed path", "/wp-{}/x.php".format, 404)


def _measure(name: str, path_of: Callable[[int], str], status: int) -> Measure:
    endpoints = Endpoints()
    numbers = count()
    record = make_record(status=status)

    def run() -> int:
        start = next(numbers) * ROUND_OPERATIONS
        for number in range(start, start + ROUND_OPERATIONS):
            record.path = path_of(number)
            endpoints.name(record)
        return ROUND_OPERATIONS

    return measured(f"{name}, its making included", run, clock=time.process_time_ns)
