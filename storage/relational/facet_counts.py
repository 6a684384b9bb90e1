"""Cache of facet counts by hour and day: a range is counted again only after it has changed.

Strategy: counting all combinations of a day takes milliseconds, and few days ever change. The stamp
of a range is the number of its records in the rollups, and the number of erasures from the store
and of trims that may have reached the range. A commit raises the first number, an erasure or a trim
the second, and retention removes whole hours, so equal stamps mean equal counts. A reader reads all
stamps in the transaction of its answer, and counts only ranges with a new stamp.

Invariant: the answer equals a full count. Memory is bounded by the number of values.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from threading import Lock
from typing import Any, Final

from storage.relational.time_ranges import TimeRange

MAX_REMEMBERED: Final = 100_000
"""Values with a count, about 10 MB; ten days of 20 services with 200 keys are 5 000."""

Counts = dict[str, dict[Any, float]]
"""Facet → stored value (0 for null) → its records, weighed."""
Stamp = tuple[int, int]
"""Records of a range in the rollups; erasures from the store, plus the trims that may have reached
the range.
"""


class KnownCounts:
    """Counts of ranges, by question: the conditions and the facets. Callable from any thread."""

    def __init__(self, max_values: int = MAX_REMEMBERED) -> None:
        self._max_values = max_values
        self._known: OrderedDict[tuple[Hashable, TimeRange], tuple[Stamp, Counts]] = OrderedDict()
        self._values = 0
        self._lock = Lock()

    def find(
        self, question: Hashable, stamps: Mapping[TimeRange, Stamp]
    ) -> tuple[list[Counts], list[TimeRange]]:
        """Return the counts of unchanged ranges, and the ranges that have to be counted."""
        found = []
        missing = []
        with self._lock:
            for range, stamp in stamps.items():
                key = (question, range)
                known = self._known.get(key)
                if known is None or known[0] != stamp:
                    missing.append(range)
                else:
                    self._known.move_to_end(key)
                    found.append(known[1])

        return found, missing

    def learn(self, question: Hashable, range: TimeRange, stamp: Stamp, counts: Counts) -> None:
        """Remember the counts of a range; the least recently used are forgotten."""
        with self._lock:
            self._forget((question, range))
            self._known[question, range] = (stamp, counts)
            self._values += _size(counts)
            while self._values > self._max_values:
                self._forget(next(iter(self._known)))

    def _forget(self, key: tuple[Hashable, TimeRange]) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._values -= _size(known[1])


def merged(names: Iterable[str], parts: Iterable[Counts]) -> Counts:
    counts: Counts = {name: {} for name in names}
    for part in parts:
        for name, values in part.items():
            sums = counts[name]
            for value, count in values.items():
                sums[value] = sums.get(value, 0) + count
    return counts


def add_count(counts: dict[Any, float], value: Any, count: float) -> None:
    counts[value] = counts.get(value, 0) + count


def _size(counts: Counts) -> int:
    return 1 + sum(map(len, counts.values()))
