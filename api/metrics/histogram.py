"""Histograms of the metrics: whole numbers, counted by bucket."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from prometheus_client.metrics_core import HistogramMetricFamily

MAX_WAITING: Final = 4096
"""Records that should wait to be counted: 36 bytes a value."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How values are cut into buckets."""

    bounds: tuple[int, ...]
    """Inclusive upper bounds, ascending."""
    unit: int = 1
    """Values in one of what is shown: a million, where microseconds are shown as seconds."""


def durations(bounds_s: Iterable[float]) -> Scale:
    """Return the scale of times counted in µs and shown in seconds."""
    return Scale(tuple(round(bound * 1_000_000) for bound in bounds_s), 1_000_000)


class Tally:
    """Counts of whole numbers by bucket of a scale, the last one open, and their sum.

    Values wait to be sorted and counted bucket by bucket, for less than a bisection of each costs.
    Callers that add many bound the waiting ones by `settle`.
    """

    __slots__ = ("_counts", "_total", "_waiting", "add", "scale")

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self._counts = [0] * (len(scale.bounds) + 1)
        self._total = 0
        self._waiting: list[int] = []
        self.add: Callable[[int], None] = self._waiting.append
        """Counts one value; a bound belongs to the bucket it closes."""

    def merge(self, other: "Tally") -> None:
        """Add the counts and the sum of another tally with the same scale to this one."""
        for bucket, count in enumerate(other.counts):
            self._counts[bucket] += count
        self._total += other.total

    @property
    def counts(self) -> list[int]:
        """Return the number of observed values in each bucket."""
        self.settle()
        return self._counts

    @property
    def total(self) -> int:
        """Return the sum of all observed values as they were added, such as in microseconds."""
        self.settle()
        return self._total

    def settle(self) -> None:
        """Add the values observed since the last call to the counts of the buckets and to the sum."""
        values = self._waiting
        bounds = self.scale.bounds
        counts = self._counts
        values.sort()
        at = 0

        end = len(values)
        while at < end:
            bucket = bisect_left(bounds, values[at])
            if bucket < len(bounds):
                next_at = bisect_right(values, bounds[bucket], at)
            else:
                next_at = end
            counts[bucket] += next_at - at
            at = next_at

        self._total += sum(values)
        values.clear()

    @property
    def sum(self) -> float:
        """Return the sum of all observed values in the unit in which the metric is shown, such as
        seconds.
        """
        return self.total / self.scale.unit

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Return (upper bound, cumulative count), without the bucket that has no end."""
        bounds = (bound / self.scale.unit for bound in self.scale.bounds)
        return zip(bounds, accumulate(self.counts), strict=False)


class Histograms(HistogramMetricFamily):
    """A family of histograms."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        tallies: Iterable[tuple[Sequence[str], Tally]],
    ):
        super().__init__("sidelog_" + name, text, labels=labels)
        for values, tally in tallies:
            buckets = [(str(bound), float(count)) for bound, count in tally.cumulative()]
            self.add_metric(values, [*buckets, ("+Inf", sum(tally.counts))], tally.sum)
