"""Aggregates over many records: values of a facet, counts over time, totals and percentiles.

Values and the arithmetic of histograms, no I/O. Latencies are kept as counts per bucket of
`BOUNDS_US`, by every backend, so percentiles mean the same everywhere. The bounds are those of
Prometheus' native histograms of schema 3: eight to a doubling, so that the middle of a bucket is at
most 4.5 % from any value in it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from operator import add
from typing import Final, Self

FIRST_STEP: Final = -158
"""Step of the first bound: an eighth of a doubling each, 0 is one second."""
BOUNDS_US: Final = tuple(int(1_000_000 * 2 ** (step / 8)) for step in range(FIRST_STEP, 97))
"""Inclusive upper bounds of the latency buckets, µs, from 1 to 4 096 seconds; one more bucket has
no end.
"""
BUCKETS: Final = len(BOUNDS_US) + 1
"""256, so that a byte tells a bucket."""
EXACT_ROWS: Final = 3000
"""Percentiles of so many records at most are read from them: some 5 ms."""

MAX_FACET_VALUES: Final = 200
"""Unless more are asked for."""
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
"""Name of a facet → column, of a row the first digit of its status. The first twelve are dimensions
of the rollups and can be counted.
"""
ROLLUP_FACETS: Final = frozenset(tuple(FACETS)[:12])
SAMPLE_ROWS: Final = 5000
"""Rows that values are looked for in where rollups cannot tell; a filter with fewer is counted
exactly by them.
"""
MAX_FACET_LIMIT: Final = SAMPLE_ROWS
"""Values of a facet that may be asked for: not ten thousands of texts are looked up."""
TOPS: Final = ("route", "service", "project", "key", "error_type")
"""The facets of which a summary shows the most frequent values; `error_type` among failures only.
"""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value that records have in a dimension."""

    value: str
    """As a filter takes it; `2xx` for status classes."""
    count: int | None
    """Records of the filter that have it; None when only a scan could tell."""
    sampled: bool = False
    """Whether some of these records, or of those beside them, stand for several: the count is an
    estimate then.
    """


@dataclass(frozen=True, slots=True)
class Percentiles:
    """By nearest rank: the least value that so many per cent of all do not exceed.

    µs; None when nothing was measured.
    """

    p50_us: int | None = None
    p95_us: int | None = None
    p99_us: int | None = None
    is_estimated: bool = False
    """Whether they are computed from buckets, at most 5 % off and within what was measured; else
    they are exact.
    """


@dataclass(slots=True)
class Latencies:
    """How long some things took: µs, by bucket of `BOUNDS_US`."""

    counts: dict[int, float] = field(default_factory=dict)
    """Bucket → how many, weighed; empty buckets may be left out."""
    least_us: int | None = None
    most_us: int | None = None
    """After an erasure perhaps less than the least that is left, and more than the most."""
    values: Sequence[int] | None = None
    """All of them in ascending order, where they are known."""

    @classmethod
    def of(cls, values: Sequence[int]) -> Self:
        """Count values by bucket."""
        if not values:
            return cls()
        if len(values) == 1:  # as in most rows of varied traffic: 1 us instead of 4
            return cls({bisect_left(BOUNDS_US, values[0]): 1}, values[0], values[0])

        # One search a bucket, not a value: 0.3 instead of 0.6 us each of 3000, and next to nothing
        # where sorted before.
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
        """Add counts by bucket, between the least and the most of them."""
        known = self.counts
        for bucket, count in counts.items():
            known[bucket] = known.get(bucket, 0) + count
        if least_us is not None and (self.least_us is None or least_us < self.least_us):
            self.least_us = least_us
        if most_us is not None and (self.most_us is None or most_us > self.most_us):
            self.most_us = most_us

    def plus(self, other: "Latencies") -> "Latencies":
        """Return the sum of two."""
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
        for bucket, count in counts:  # noqa: B007 -- weighed, the last of them may just fail to reach the rank
            rank -= count
            if rank <= 0:
                break

        is_open = bucket == len(BOUNDS_US)
        if is_open:
            value = self.most_us or BOUNDS_US[-1]
        else:
            value = _MIDDLES_US[bucket]
        value = value if self.most_us is None else min(value, self.most_us)
        if self.least_us is None:
            return value

        return max(value, self.least_us)


_PERCENT: Final = (50, 95, 99)
_MIDDLES_US: Final = tuple(
    round(sqrt((low + 1) * high)) for low, high in zip((0, *BOUNDS_US), BOUNDS_US, strict=False)
)
"""Of each bucket that has an end, the value whose error is the same at both ends."""


def _rank(number: int, percent: int) -> int:
    """Return the nearest rank, from 1 (Hyndman and Fan 1996, definition 1)."""
    return max(1, -(-number * percent // 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBucket:
    """The records that started in one step of time."""

    start_us: int
    """Unix µs, inclusive; it ends where the next begins."""
    status_classes: dict[str, int]
    """Exchanges by status class (`2xx`), without a status under `none`; classes that did not occur
    are left out.
    """
    events: int
    duration: Percentiles
    durations: dict[int, int]
    """Exchanges by bucket of `BOUNDS_US`; empty ones are left out."""

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
    """False when the time budget ended the scan: counts are then lower bounds, the newest records
    counted first.
    """
    sampled: bool = False
    """Whether some of the records stand for several, so that figures are estimates
    (`Record.weight`).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """What was asked of one model, or of all."""

    provider: str | None = None
    model: str | None = None
    """As requested."""
    calls: int = 0
    counted: int = 0
    """Calls whose tokens are known, perhaps in part."""
    priced: int = 0
    """Calls whose cost is known."""
    input_tokens: int = 0
    """Cached ones included."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    """None where no call has a known cost."""


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
    """The filter's range, as far as the store has records in it; None, both, where that is no time
    at all. Where only the newest records of a search were counted, it begins with the oldest of
    them.
    """
    top: dict[str, list[FacetValue]] = field(default_factory=dict)
    """Name of each of `TOPS` → its ten most frequent values."""
    models: list[ModelUsage] | None = None
    """Use of language models, most called first; None where only totals were asked for."""
    complete: bool = True
    """False when the time budget ended a scan: all counts are then lower bounds."""
    is_newest: bool = False
    """Whether only the newest records of a search were counted, as many as there was time for."""
    sampled: bool = False
    """As of a histogram."""

    @property
    def rate_per_s(self) -> float | None:
        """Exchanges per second from `since_us` to `until_us`; None without them."""
        if self.since_us is None or self.until_us is None:
            return None
        return self.exchanges * 1_000_000 / (self.until_us - self.since_us)


def class_name(number: int) -> str:
    """Name a status class by its first digit; 0 is `none`."""
    return f"{number}xx" if number else "none"


def most_frequent(counts: Mapping[str, float], limit: int) -> list[tuple[str, int]]:
    """Sort values by how often they occur, most frequent first, equal ones by name; weighed counts
    are rounded.
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
"""What records can be grouped by → the columns that tell it."""
MAX_GROUPS: Final = 20_000
"""Values that are counted apart before the search ends: 20 MB."""

Names = tuple[str | None, ...]


@dataclass(slots=True)
class TopRow:
    """What came of the exchanges that have the same values in some columns. A call within a session
    is an event: its tokens and cost are added to its row, and nothing else.
    """

    names: Names
    """In the order of the columns; None where there is no value."""
    exchanges: int = 0
    client_errors: int = 0
    """Of status 4xx."""
    server_errors: int = 0
    """Of status 5xx."""
    request_bytes: int = 0
    response_bytes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    """Billionths of a dollar."""
    durations: Latencies = field(default_factory=Latencies)
    sampled: bool = False
    """As of a histogram."""

    @property
    def duration(self) -> Percentiles:
        return self.durations.percentiles()

    @property
    def is_empty(self) -> bool:
        """Whether nothing came of them, as of events that are no calls."""
        return not (self.exchanges or self.input_tokens or self.output_tokens or self.cost_nano_usd)

    def add(self, counts: Sequence[int]) -> None:
        """Add records, their durations apart: counts in the order of `TOP_COUNTS`."""
        exchanges, client_errors, server_errors, request_bytes, response_bytes, *usage = map(
            int, counts
        )
        self.exchanges += exchanges
        self.client_errors += client_errors
        self.server_errors += server_errors
        self.request_bytes += request_bytes
        self.response_bytes += response_bytes

        if any(usage):
            input_tokens, output_tokens, cost_nano_usd = usage
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
            self.cost_nano_usd += cost_nano_usd


@dataclass(frozen=True, slots=True)
class Top:
    rows: list[TopRow]
    """Most records first."""
    seen: int
    """Exchanges that were looked at."""
    complete: bool
    """False when these were not all: the newest were looked at."""

    @property
    def sampled(self) -> bool:
        """Whether some of its figures are estimates."""
        return any(row.sampled for row in self.rows)


@dataclass(frozen=True, slots=True)
class TopSeries:
    """How many exchanges had the same values in some columns, step by step in time."""

    start_us: int
    step_us: int
    counts: dict[Names, list[int]]
    """Values → a number for each step; values that nothing had are left out."""
    complete: bool
    """False when only the newest were counted."""
    sampled: bool = False
    """As of a histogram."""


TOP_COUNTS: Final = (
    "exchanges", "client_errors", "server_errors", "request_bytes", "response_bytes",
    "input_tokens", "output_tokens", "cost_nano_usd",
)  # fmt: skip
"""What is counted in a `TopRow`, as its fields are called."""
OTHERS: Final = "{other}"
"""How values are called that rollups do not count apart."""


def most(
    rows: Iterable[TopRow], rename: Callable[[Names], Names] = lambda names: names
) -> list[TopRow]:
    """Put rows together that have the same names once renamed, and sort them, those with most
    records first.
    """
    found: dict[Names, TopRow] = {}
    for row in rows:
        names = rename(row.names)
        known = found.get(names)
        if known is None:
            found[names] = replace(row, names=names)
            continue

        known.add([getattr(row, name) for name in TOP_COUNTS])
        known.durations = known.durations.plus(row.durations)
        known.sampled |= row.sampled

    return sorted(found.values(), key=_place)


def merged(
    counts: dict[Names, list[int]], rename: Callable[[Names], Names]
) -> dict[Names, list[int]]:
    """Add up the series of names that are the same once renamed."""
    found: dict[Names, list[int]] = {}
    for names, numbers in counts.items():
        known = found.get(rename(names))
        found[rename(names)] = numbers if known is None else [*map(add, known, numbers)]
    return found


def _place(row: TopRow) -> tuple[int, list[tuple[bool, str]]]:
    return -row.exchanges, [(name is not None, name or "") for name in row.names]
