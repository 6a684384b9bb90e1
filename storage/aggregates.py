"""Aggregates over many records: values of a facet, counts over time, totals and percentiles.

Values and the arithmetic of histograms, no I/O. Latencies are kept as counts per bucket of `DURATION_BUCKETS_S`, by
every backend, so percentiles are interpolated in one place and mean the same everywhere.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from storage.record import Record

DURATION_BUCKETS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
"""Upper bounds of the latency histograms, in metrics and rollups alike; the last bucket is open."""

BOUNDS_US: Final = tuple(round(bound * 1_000_000) for bound in DURATION_BUCKETS_S)
"""Inclusive upper bounds of the latency buckets, µs; one more bucket has no end."""
BUCKETS: Final = len(BOUNDS_US) + 1

MAX_FACET_VALUES: Final = 200
MAX_TOP_VALUES: Final = 10

FACETS: Final = {
    "status": "status_class", "method": "method", "route": "route_id", "service": "service", "project": "project",
    "container": "container", "client": "client", "key": "key_id", "level": "level", "source": "source",
    "kind": "kind", "instance": "instance",
    "host": "host", "outcome": "outcome", "error_type": "error_type", "provider": "provider", "model": "model",
    "stage": "stage", "finish_reason": "finish_reason", "called_tool": "called_tools", "endpoint": "endpoint",
}  # fmt: skip
"""Name of a facet → column. The first twelve are dimensions of the rollups and can be counted."""
ROLLUP_FACETS: Final = frozenset(tuple(FACETS)[:12])
SAMPLE_ROWS: Final = 5000
"""Rows that values are looked for in where rollups cannot tell; a filter with fewer is counted exactly by them."""
ROW_FACETS: Final = FACETS | {"status": "status / 100"}
"""Name of a facet → what a row says of it."""
TOPS: Final = ("route", "service", "project", "key", "error_type")
"""The facets of which a summary shows the most frequent values; `error_type` among failures only."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value that records have in a dimension."""

    value: str
    """As a filter takes it; `2xx` for status classes."""
    count: int | None
    """Records of the filter that have it; None when only a scan could tell."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Interpolated within the buckets, so exact to the bucket only. µs; None when nothing was measured."""

    p50_us: int | None = None
    p95_us: int | None = None
    p99_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBucket:
    """The records that started in one step of time."""

    start_us: int
    """Unix µs, inclusive; it ends where the next begins."""
    status_classes: dict[str, int]
    """Exchanges by status class (`2xx`), without a status under `none`; classes that did not occur are left out."""
    events: int
    duration: Percentiles

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
    """False when the time budget ended the scan: counts are then lower bounds, the newest records counted first."""


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
    cost_usd: float = 0.0


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
    rate_per_s: float | None
    """Exchanges per second of the filter's range, as far as the store has records in it; None without an extent."""
    top: dict[str, list[FacetValue]] = field(default_factory=dict)
    """Name of each of `TOPS` → its ten most frequent values."""
    models: list[ModelUsage] | None = None
    """Use of language models, most called first; None when only a scan could tell, and nothing else needs one."""
    complete: bool = True
    """False when the time budget ended a scan: all counts are then lower bounds."""


def status_class(status: int | None) -> str:
    """Name the class of a status: `2xx`, or `none`."""
    return class_name(0 if status is None else status // 100)


def class_name(number: int) -> str:
    """Name a status class by its first digit; 0 is `none`."""
    return f"{number}xx" if number else "none"


def percentile_us(counts: Sequence[int], share: float) -> int | None:
    """Interpolate a percentile linearly within its bucket; of the open bucket, its lower bound is all that is known."""
    total = sum(counts)
    if total <= 0:
        return None
    rank, below = share * total, 0
    for bucket, count in enumerate(counts[:-1]):
        if count and below + count >= rank:
            low = BOUNDS_US[bucket - 1] if bucket else 0
            return round(low + (BOUNDS_US[bucket] - low) * max(0.0, rank - below) / count)
        below += count
    return BOUNDS_US[-1]


def percentiles(counts: Sequence[int]) -> Percentiles:
    return Percentiles(percentile_us(counts, 0.50), percentile_us(counts, 0.95), percentile_us(counts, 0.99))


def most_frequent(counts: dict[str, int], limit: int) -> list[tuple[str, int]]:
    """Sort values by how often they occur, most frequent first, equal ones by name."""
    return sorted(((value, count) for value, count in counts.items() if count > 0), key=lambda v: (-v[1], v[0]))[:limit]


def rate_per_s(exchanges: int, start_us: int | None, end_us: int | None) -> float | None:
    """Divide by an extent of time; None when there is none."""
    if start_us is None or end_us is None or end_us <= start_us:
        return None
    return exchanges * 1_000_000 / (end_us - start_us)


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
}
"""What records can be grouped by → the columns that tell it."""
MAX_GROUPS: Final = 20_000
"""Values that are told apart before the search ends: 20 MB."""

Names = tuple[str | None, ...]


@dataclass(slots=True)
class TopRow:
    """What came of the records that have the same values in some columns."""

    names: Names
    """In the order of the columns; None where there is no value."""
    exchanges: int = 0
    client_errors: int = 0
    """Of status 4xx."""
    server_errors: int = 0
    """Of status 5xx."""
    request_bytes: int = 0
    response_bytes: int = 0
    cost_usd: float = 0.0
    durations: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    """By bucket of `BOUNDS_US`."""

    @property
    def duration(self) -> Percentiles:
        return percentiles(self.durations)

    def add(self, bucket: int, counts: Sequence[float]) -> None:
        """Add records of one bucket: how many, of them 4xx and 5xx, bytes in and out, cost."""
        count, client_errors, server_errors, request_bytes, response_bytes = map(int, counts[:5])
        self.exchanges += count
        self.durations[bucket] += count
        self.client_errors += client_errors
        self.server_errors += server_errors
        self.request_bytes += request_bytes
        self.response_bytes += response_bytes
        self.cost_usd += float(counts[5])


@dataclass(frozen=True, slots=True)
class Top:
    rows: list[TopRow]
    """Most records first."""
    seen: int
    """Exchanges that were looked at."""
    complete: bool
    """False when these were not all: the newest were looked at."""


def names_of(record: Record, columns: Sequence[str]) -> Names:
    values = (getattr(record, column) for column in columns)
    return tuple(None if value is None else str(value) for value in values)


def most(rows: Iterable[TopRow], rename: Callable[[Names], Names] = lambda names: names) -> list[TopRow]:
    """Put rows together that have the same names once renamed, and sort them, those with most records first."""
    found: dict[Names, TopRow] = {}
    for row in rows:
        names = rename(row.names)
        known = found.get(names)
        if known is None:
            found[names] = TopRow(names, durations=[0] * BUCKETS)
            known = found[names]
        known.exchanges += row.exchanges
        known.client_errors += row.client_errors
        known.server_errors += row.server_errors
        known.request_bytes += row.request_bytes
        known.response_bytes += row.response_bytes
        known.cost_usd += row.cost_usd
        known.durations = [one + other for one, other in zip(known.durations, row.durations, strict=True)]
    return sorted(found.values(), key=_place)


def _place(row: TopRow) -> tuple[int, list[tuple[bool, str]]]:
    return -row.exchanges, [(name is not None, name or "") for name in row.names]
