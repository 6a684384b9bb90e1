"""Aggregates over many records: values of a facet, counts over time, totals and percentiles.

Values and the arithmetic of histograms, no I/O. Every backend keeps latencies as counts per bucket
of `BOUNDS_US`, so percentiles mean the same everywhere. The bounds are those of Prometheus' native
histograms of schema 3: eight buckets to a doubling, so the middle of a bucket is at most 4.5 % from
any value in it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from operator import add
from typing import Final, Self

FIRST_STEP: Final = -158
"""Step of the first bound. A step is an eighth of a doubling; step 0 is one second."""
BOUNDS_US: Final = tuple(int(1_000_000 * 2 ** (step / 8)) for step in range(FIRST_STEP, 97))
"""Inclusive upper bounds of the latency buckets, µs, from 1 µs to 4 096 seconds. One more bucket is
unbounded: there are 256, so that one byte holds the number of a bucket.
"""
EXACT_ROWS: Final = 3000
"""Percentiles of up to this many records are computed from the records themselves, in about 5 ms.
"""

MAX_FACET_VALUES: Final = 200
"""Values returned per facet unless the caller asks for more."""
MAX_TOP_VALUES: Final = 10

FACETS: Final = {
    "status": "status_class", "method": "method", "route": "route_id", "service": "service", "project": "project",
    "container": "container", "client": "client", "key": "key_id", "level": "level", "source": "source",
    "kind": "kind", "instance": "instance",
    "host": "host", "outcome": "outcome", "error_type": "error_type", "provider": "provider", "model": "model",
    "stage": "stage", "finish_reason": "finish_reason", "called_tool": "called_tools", "endpoint": "endpoint",
    "grpc_status": "grpc_status", "redacted": "redactions",
    "tool_error": "failed_tools", "direction": "direction",
}  # fmt: skip
"""Facet → record column. `status` reads the first digit of the row's status. The first twelve are
dimensions of the rollups, so their values can be counted.
"""
ROLLUP_FACETS: Final = frozenset(tuple(FACETS)[:12])
SAMPLE_ROWS: Final = 5000
"""Newest rows searched for values of facets that rollups do not have. A filter that matches fewer
is counted exactly.
"""
MAX_FACET_LIMIT: Final = SAMPLE_ROWS
"""Most values of a facet that a caller may ask for; it bounds how many texts are looked up."""
TOPS: Final = ("route", "service", "project", "key", "error_type")
"""Facets whose most frequent values a summary shows; `error_type` among failures only."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a facet."""

    value: str
    """The text that a filter takes; `2xx` for status classes."""
    count: int | None
    """Records of the filter with this value; None when only a scan could count them."""
    sampled: bool = False
    """Whether some of the records, or of those counted with them, stand for several exchanges. The
    count is then an estimate.
    """


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles by nearest rank: the smallest value that at least this percentage of all values
    do not exceed.

    In µs; None when nothing was measured.
    """

    p50_us: int | None = None
    p95_us: int | None = None
    p99_us: int | None = None
    is_estimated: bool = False
    """Whether the percentiles are computed from buckets: at most 5 % off, and within the measured
    range. Else they are exact.
    """


@dataclass(slots=True)
class Latencies:
    """A latency distribution: counts by bucket of `BOUNDS_US`, with minimum and maximum in µs."""

    counts: dict[int, float] = field(default_factory=dict)
    """Bucket → number of values, weighted; empty buckets may be left out."""
    least_us: int | None = None
    most_us: int | None = None
    """After an erasure, both may be wider than the range of the values that are left."""
    values: Sequence[int] | None = None
    """All values in ascending order, where they are known."""

    @classmethod
    def of(cls, values: Sequence[int]) -> Self:
        """Return a histogram that counts the values, in microseconds, by bucket."""
        if not values:
            return cls()
        if len(values) == 1:  # most rows of varied traffic have one: 1 us instead of 4
            return cls({bisect_left(BOUNDS_US, values[0]): 1}, values[0], values[0])

        # One search a bucket instead of one a value takes 0.3 instead of 0.6 us a value of 3000,
        # and next to nothing where the values are sorted already.
        values = sorted(values)
        counts: dict[int, float] = {}

        start = 0
        while start < len(values):
            bucket = bisect_left(BOUNDS_US, values[start])
            if bucket < len(BOUNDS_US):
                end = bisect_right(values, BOUNDS_US[bucket], start)
            else:
                end = len(values)
            counts[bucket] = end - start
            start = end

        return cls(counts, values[0], values[-1])

    def add(self, counts: Mapping[int, float], least_us: int | None, most_us: int | None) -> None:
        """Add counts by bucket, and widen the range to `least_us` and `most_us`."""
        known = self.counts
        for bucket, count in counts.items():
            known[bucket] = known.get(bucket, 0) + count
        if least_us is not None and (self.least_us is None or least_us < self.least_us):
            self.least_us = least_us
        if most_us is not None and (self.most_us is None or most_us > self.most_us):
            self.most_us = most_us

    def plus(self, other: "Latencies") -> "Latencies":
        """Return the sum of two distributions, exact where both are."""
        total = Latencies(self.counts.copy(), self.least_us, self.most_us)
        total.add(other.counts, other.least_us, other.most_us)
        if self.values is not None and other.values is not None:
            total.values = sorted((*self.values, *other.values))
        return total

    def percentiles(self) -> Percentiles:
        if self.values is not None:
            values = self.values
            p50_us, p95_us, p99_us = (
                values[_rank(len(values), percent) - 1] if values else None for percent in _PERCENT
            )
            return Percentiles(p50_us, p95_us, p99_us)

        counts = sorted((bucket, count) for bucket, count in self.counts.items() if count > 0)
        p50_us, p95_us, p99_us = (
            self._estimate(counts, percent) if counts else None for percent in _PERCENT
        )
        return Percentiles(p50_us, p95_us, p99_us, is_estimated=bool(counts))

    def _estimate(self, counts: list[tuple[int, float]], percent: int) -> int:
        rank = float(_rank(round(sum(count for _, count in counts)), percent))
        bucket = 0
        for bucket, count in counts:  # noqa: B007 -- with weighted counts, rounding may leave the last bucket just below the rank
            rank -= count
            if rank <= 0:
                break

        is_open = bucket == len(BOUNDS_US)
        if is_open:
            value = self.most_us or BOUNDS_US[-1]
        else:
            value = _MIDDLES_US[bucket]
        if self.most_us is None:
            value = value
        else:
            value = min(value, self.most_us)
        if self.least_us is None:
            return value

        return max(value, self.least_us)


_PERCENT: Final = (50, 95, 99)
_MIDDLES_US: Final = tuple(
    round(sqrt((low + 1) * high)) for low, high in zip((0, *BOUNDS_US), BOUNDS_US, strict=False)
)
"""For each bounded bucket, the value with the same relative error at both ends."""


def _rank(number: int, percent: int) -> int:
    """Return the nearest rank, from 1 (Hyndman and Fan 1996, definition 1)."""
    return max(1, -(-number * percent // 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBucket:
    """The records that started in one step of time."""

    start_us: int
    """Unix µs, inclusive; the bucket ends where the next begins."""
    status_classes: dict[str, int]
    """Exchanges by status class (`2xx`), without a status under `none`; classes that did not occur
    are left out.
    """
    events: int
    duration: Percentiles
    durations: dict[int, int]
    """Exchanges by bucket of `BOUNDS_US`; empty buckets are left out."""

    @property
    def exchanges(self) -> int:
        return sum(self.status_classes.values())


@dataclass(frozen=True, slots=True)
class Histogram:
    """Steps of equal length, in order of time, without gaps."""

    buckets: list[HistogramBucket]
    step_us: int
    """Length of a step."""
    complete: bool
    """False when the time budget ended the scan. Records are counted from the newest, so counts are
    then lower bounds.
    """
    sampled: bool = False
    """Whether some records stand for several exchanges (`Record.weight`), so that counts are
    estimates.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """Calls, tokens and cost of one model, or of all models."""

    provider: str | None = None
    model: str | None = None
    """The name that was requested."""
    calls: int = 0
    counted: int = 0
    """Calls with known token counts, perhaps partial ones."""
    priced: int = 0
    """Calls with a known cost."""
    input_tokens: int = 0
    """Includes tokens read from the cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    """None when no call has a known cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Totals of one filter."""

    exchanges: int
    events: int
    status_classes: dict[str, int]
    """Exchanges by status class, as in `HistogramBucket`."""
    request_bytes: int
    response_bytes: int
    duration: Percentiles
    first_byte: Percentiles
    since_us: int | None
    until_us: int | None
    """The filter's time range, narrowed to the records that the store has; both None when the range
    is empty. Where only the newest records of a search were counted, it begins with the oldest of
    them.
    """
    top: dict[str, list[FacetValue]] = field(default_factory=dict)
    """Name of each of `TOPS` → its ten most frequent values."""
    models: list[ModelUsage] | None = None
    """Usage by language model, most called first; None where only totals were asked for."""
    complete: bool = True
    """False when the time budget ended a scan: all counts are then lower bounds."""
    is_newest: bool = False
    """Whether the time budget allowed only the newest records of a search to be counted."""
    sampled: bool = False
    """See `Histogram.sampled`."""

    @property
    def rate_per_s(self) -> float | None:
        """Exchanges per second from `since_us` to `until_us`; None without a range."""
        if self.since_us is None or self.until_us is None:
            return None
        return self.exchanges * 1_000_000 / (self.until_us - self.since_us)


def class_name(number: int) -> str:
    """Return the name of a status class by its first digit: `2xx` for 2, `none` for 0."""
    if number:
        return f"{number}xx"
    return "none"


def most_frequent(counts: Mapping[str, float], limit: int) -> list[tuple[str, int]]:
    """Return up to `limit` values with their counts, most frequent first and equal ones by name.

    Weighted counts are rounded; values with a count of zero are left out.
    """
    found = ((value, round(count)) for value, count in counts.items() if count > 0)
    return sorted(found, key=lambda v: (-v[1], v[0]))[:limit]


TOP_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "endpoint": ("method", "endpoint", "route_id", "project"),
    "path": ("path",),
    "client_ip": ("client_ip",),
    "user_agent": ("user_agent",),
    "key": ("key_id",),
    "status": ("status",),
    "host": ("host",),
    "model": ("model",),
    "route": ("route_id",),
    "service": ("service",),
    "project": ("project",),
    "client": ("client",),
    "container": ("container",),
    "user": ("user_id",),
    "method": ("method",),
    "outcome": ("outcome",),
    "error": ("error_type", "outcome", "status"),
    "failure": (
        "method",
        "endpoint",
        "route_id",
        "project",
        "message",
        "error_type",
        "outcome",
        "status",
    ),
    "message": ("message",),
    "provider": ("provider",),
    "instance": ("instance",),
}
"""Field that records can be grouped by → its columns."""
MAX_GROUPS: Final = 20_000
"""Distinct values that a search counts before it ends; they take 20 MB."""

Names = tuple[str | None, ...]


@dataclass(slots=True)
class TopRow:
    """Sums of the exchanges that have the same values in some columns.

    A call within a session is an event: only its tokens and cost are added.
    """

    names: Names
    """Values in the order of the columns; None for a missing value."""
    exchanges: int = 0
    client_errors: int = 0
    """Exchanges with status 4xx."""
    server_errors: int = 0
    """Exchanges with status 5xx."""
    request_bytes: int = 0
    response_bytes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    """Billionths of a dollar."""
    durations: Latencies = field(default_factory=Latencies)
    sampled: bool = False
    """See `Histogram.sampled`."""

    @property
    def duration(self) -> Percentiles:
        return self.durations.percentiles()

    @property
    def is_empty(self) -> bool:
        """Whether all sums are zero, as for events that are not LLM calls."""
        return not (self.exchanges or self.input_tokens or self.output_tokens or self.cost_nano_usd)

    @classmethod
    def of(
        cls, names: Names, counts: Sequence[int], durations: Latencies, *, sampled: bool
    ) -> Self:
        """Make a row of counts in the order of `TOP_COUNTS`."""
        sums = dict(zip(TOP_COUNTS, counts, strict=True))
        return cls(names, durations=durations, sampled=sampled, **sums)

    def plus(self, other: Self) -> Self:
        """Return the sum of two rows, with the names of this one."""
        sums = [getattr(self, name) + getattr(other, name) for name in TOP_COUNTS]
        durations = self.durations.plus(other.durations)
        return self.of(self.names, sums, durations, sampled=self.sampled or other.sampled)


@dataclass(frozen=True, slots=True)
class Top:
    rows: list[TopRow]
    """Most records first."""
    seen: int
    """Exchanges that were counted."""
    complete: bool
    """False when only the newest matching exchanges were counted."""

    @property
    def sampled(self) -> bool:
        """Return True if some records behind the sums were sampled, so that the sums are estimates."""
        return any(row.sampled for row in self.rows)


@dataclass(frozen=True, slots=True)
class TopSeries:
    """Counts of exchanges over time for each combination of values in some columns."""

    start_us: int
    step_us: int
    counts: dict[Names, list[int]]
    """Values → one count for each step; values that never occur are left out."""
    complete: bool
    """False when only the newest exchanges were counted."""
    sampled: bool = False
    """See `Histogram.sampled`."""


TOP_COUNTS: Final = (
    "exchanges", "client_errors", "server_errors", "request_bytes", "response_bytes",
    "input_tokens", "output_tokens", "cost_nano_usd",
)  # fmt: skip
"""Names of the fields of a `TopRow` that are summed."""
OTHERS: Final = "{other}"
"""Name of the row that collects values which rollups do not count separately."""


def most(
    rows: Iterable[TopRow], rename: Callable[[Names], Names] = lambda names: names
) -> list[TopRow]:
    """Merge rows whose names are equal after `rename`, and sort them by exchanges, most first."""
    found: dict[Names, TopRow] = {}
    for row in rows:
        names = rename(row.names)
        if names == row.names:
            renamed = row
        else:
            renamed = replace(row, names=names)
        found[names] = found[names].plus(renamed) if names in found else renamed

    return sorted(found.values(), key=_place)


def top_of(
    rows: Iterable[TopRow], seen: int, durations: Mapping[Names, Sequence[int]], *, complete: bool
) -> Top:
    """Merge and sort the rows of groups, and leave out empty ones.

    `durations` are those of each exchange by the names of its group, where all of them are known.
    """
    merged_rows = [row for row in most(rows) if not row.is_empty]
    if durations.keys() == {row.names for row in merged_rows if row.exchanges}:
        for row in merged_rows:
            if row.exchanges:
                row.durations.values = sorted(durations[row.names])
            else:
                row.durations.values = None

    return Top(merged_rows, seen, complete)


def merged(
    counts: dict[Names, list[int]], rename: Callable[[Names], Names]
) -> dict[Names, list[int]]:
    """Add up the series whose names are equal after `rename`."""
    found: dict[Names, list[int]] = {}
    for names, numbers in counts.items():
        known = found.get(rename(names))
        found[rename(names)] = numbers if known is None else [*map(add, known, numbers)]
    return found


def _place(row: TopRow) -> tuple[int, list[tuple[bool, str]]]:
    return -row.exchanges, [(name is not None, name or "") for name in row.names]
