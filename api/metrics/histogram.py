"""Histograms of the metrics: counted once per value, shown as classic and as native histograms of
Prometheus.

Strategy: the bounds of both kinds are one ascending list, so one bisection counts for both, and
each is exact. Native buckets are those of schema 3, `2**(step / 8)` with inclusive upper bounds
(https://prometheus.io/docs/specs/native_histograms/), for durations the ones of
`storage.aggregates`: a quantile is at most 4.5 % off. What is beyond the last of them is in the one
that follows, what is below the first in the zero bucket.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from prometheus_client.metrics_core import HistogramMetricFamily

from storage.aggregates import BOUNDS_US, FIRST_STEP

SCHEMA: Final = 3
"""Eight buckets to a doubling."""
MAX_GAP: Final = 2
"""Empty buckets that a span has rather than end: a span costs four bytes, an empty bucket two."""
MAX_WAITING: Final = 4096
"""Records that should wait to be counted: 36 bytes a value."""

_STEPS_PER_DOUBLING: Final = 2**SCHEMA


@dataclass(frozen=True, slots=True)
class Native:
    """Counts by native bucket, as the exposition wants them."""

    zero_threshold: float
    zero_count: int
    spans: list[tuple[int, int]]
    """Buckets in a row: how far behind the end of the span before, the first from bucket 0; how
    many.
    """
    deltas: list[int]
    """Of each bucket in a span, its count less that of the bucket before."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How values are cut into buckets."""

    bounds: tuple[int, ...]
    """Inclusive upper bounds, ascending."""
    unit: int
    """Values in one of what is shown: a million, where microseconds are shown as seconds."""
    classic: tuple[tuple[float, int], ...]
    """Of each classic bucket: the bound that is shown, and how many buckets of ours are up to it.
    """
    first_step: int
    """Of the zero bucket's end."""
    steps: tuple[int, ...]
    """Of each bucket, the last one included: the native bucket it is a part of."""

    @classmethod
    def of(cls, classic: Sequence[int], unit: int, first_step: int, native: Sequence[int]) -> Self:
        """`classic` and `native` are inclusive upper bounds; the first of `native` belongs to step
        `first_step`.
        """
        bounds = tuple(sorted({*classic, *native}))
        shown = tuple((bound / unit, bisect_left(bounds, bound) + 1) for bound in classic)
        steps = tuple(first_step + bisect_left(native, bound) for bound in bounds)
        return cls(bounds, unit, shown, first_step, (*steps, first_step + len(native)))


def native_bounds(unit: int, steps: range) -> tuple[int, ...]:
    """Return the greatest whole value in each native bucket."""
    return tuple(int(unit * 2 ** (step / _STEPS_PER_DOUBLING)) for step in steps)


def durations(bounds_s: Iterable[float]) -> Scale:
    """Return the scale of times counted in µs and shown in seconds."""
    return Scale.of(
        [round(bound * 1_000_000) for bound in bounds_s], 1_000_000, FIRST_STEP, BOUNDS_US
    )


def sizes(bounds: Sequence[int]) -> Scale:
    """Return the scale of whole numbers."""
    steps = range(-1, 1 + _STEPS_PER_DOUBLING * (bounds[-1] - 1).bit_length())
    return Scale.of(bounds, 1, steps[0], native_bounds(1, steps))


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
        """Add the counts of another one of the same scale."""
        for bucket, count in enumerate(other.counts):
            self._counts[bucket] += count
        self._total += other.total

    @property
    def counts(self) -> list[int]:
        """By bucket."""
        self.settle()
        return self._counts

    @property
    def total(self) -> int:
        """Of all values."""
        self.settle()
        return self._total

    def settle(self) -> None:
        """Count the waiting values."""
        values = self._waiting
        bounds = self.scale.bounds
        counts = self._counts
        values.sort()
        at = 0

        end = len(values)
        while at < end:
            bucket = bisect_left(bounds, values[at])
            next_at = bisect_right(values, bounds[bucket], at) if bucket < len(bounds) else end
            counts[bucket] += next_at - at
            at = next_at

        self._total += sum(values)
        values.clear()

    @property
    def sum(self) -> float:
        """In the unit that is shown."""
        return self.total / self.scale.unit

    def classic(self) -> Iterator[tuple[float, int]]:
        """Return (upper bound, cumulative count), without the bucket that has no end."""
        counts = self.counts
        running = 0
        below = 0

        for bound, end in self.scale.classic:
            running += sum(counts[below:end])
            below = end
            yield bound, running

    def native(self) -> Native:
        zero = 0
        steps = dict[int, int]()
        for step, count in zip(self.scale.steps, self.counts, strict=True):
            if not count:
                continue
            if step == self.scale.first_step:
                zero += count
            else:
                steps[step] = steps.get(step, 0) + count

        threshold = 2 ** (self.scale.first_step / _STEPS_PER_DOUBLING)
        return Native(threshold, zero, *_spans(steps))


class Histograms(HistogramMetricFamily):
    """A family of histograms; what the text formats show of it are the classic buckets."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        tallies: Iterable[tuple[Sequence[str], Tally]],
    ):
        super().__init__("sidelog_" + name, text, labels=labels)
        self.label_names = tuple(labels)
        self.tallies = list(tallies)
        for values, tally in self.tallies:
            buckets = [(str(bound), float(count)) for bound, count in tally.classic()]
            self.add_metric(values, [*buckets, ("+Inf", sum(tally.counts))], tally.sum)


def _spans(steps: dict[int, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return spans and deltas of counts by step, which are ascending."""
    spans = list[tuple[int, int]]()
    deltas = list[int]()
    end = 0
    before = 0

    for step, count in steps.items():
        gap = step - end
        if spans and gap <= MAX_GAP:
            spans[-1] = (spans[-1][0], spans[-1][1] + gap + 1)
            if gap:
                deltas += [-before, *[0] * (gap - 1)]
                before = 0
        else:
            spans.append((gap, 1))

        deltas.append(count - before)
        before = count
        end = step + 1

    return spans, deltas
