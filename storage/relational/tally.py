"""Facets, histogram and summary of records in memory: their meaning, written down once.

The memory backend answers with it, and every other backend is tested against it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from storage.aggregates import (
    BOUNDS_US,
    BUCKETS,
    FACETS,
    MAX_FACET_VALUES,
    MAX_TOP_VALUES,
    ROLLUP_FACETS,
    SAMPLE_ROWS,
    TOPS,
    FacetValue,
    Histogram,
    HistogramBucket,
    ModelUsage,
    Summary,
    most_frequent,
    percentiles,
    rate_per_s,
    status_class,
)
from storage.query import ROLLUP_METHODS, Filter, matches
from storage.record import Record
from storage.relational.time_ranges import is_countable, reduced, steps, without_time
from storage.relational.usage import UsageTally, is_counted


@dataclass(slots=True)
class Tally:
    """Running sums of some records; what every backend adds up, from rollups or from rows."""

    status_classes: dict[str, int] = field(default_factory=dict)
    events: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    duration: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    first_byte: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.request_bytes += record.request_bytes
        self.response_bytes += record.response_bytes
        if record.kind == "event":
            self.events += 1
            return
        name = status_class(record.status)
        self.status_classes[name] = self.status_classes.get(name, 0) + 1
        self.duration[bisect_left(BOUNDS_US, record.duration_us)] += 1
        if record.first_byte_us is not None:
            self.first_byte[bisect_left(BOUNDS_US, record.first_byte_us)] += 1

    def add_class(self, name: str, exchanges: int) -> None:
        """Count exchanges of one status class."""
        if exchanges:
            self.status_classes[name] = self.status_classes.get(name, 0) + exchanges

    def add_buckets(self, duration: Sequence[int], first_byte: Sequence[int] = ()) -> None:
        """Count latencies by bucket."""
        for bucket, count in enumerate(duration):
            self.duration[bucket] += count
        for bucket, count in enumerate(first_byte):
            self.first_byte[bucket] += count

    def bucket(self, start_us: int) -> HistogramBucket:
        """Show it as one step of a histogram."""
        return HistogramBucket(
            start_us=start_us,
            status_classes=dict(sorted(self.status_classes.items())),
            events=self.events,
            duration=percentiles(self.duration),
        )

    def summary(
        self,
        start_us: int | None,
        end_us: int | None,
        top: dict[str, list[FacetValue]],
        models: list[ModelUsage] | None,
        *,
        complete: bool,
    ) -> Summary:
        """Show it as the totals of a filter whose records lie between two times."""
        exchanges = sum(self.status_classes.values())
        return Summary(
            exchanges=exchanges,
            events=self.events,
            status_classes=dict(sorted(self.status_classes.items())),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            duration=percentiles(self.duration),
            first_byte=percentiles(self.first_byte),
            rate_per_s=rate_per_s(exchanges, start_us, end_us),
            top=top,
            models=models,
            complete=complete,
        )


def check_names(names: Sequence[str]) -> None:
    """Refuse facets that do not exist.

    Raises:
        ValueError: There is one.
    """
    for name in names:
        if name not in FACETS:
            raise ValueError(f"unknown facet {name!r}, known are {', '.join(FACETS)}")


def facet_value(name: str, record: Record) -> str | None:
    """Read the value a record has in a facet; None when it has none that a filter could name."""
    if name == "status":
        return None if record.status is None or record.status < 100 else status_class(record.status)
    value = getattr(record, FACETS[name])
    if name == "method" and value not in ROLLUP_METHODS:
        return None
    return None if value is None else str(value)


def facets(records: Sequence[Record], filter: Filter, names: Sequence[str]) -> dict[str, list[FacetValue]]:
    """Find the values of facets."""
    check_names(names)
    is_whole = sum(matches(filter, record) for record in records) < SAMPLE_ROWS
    has_counts, wide = is_countable(filter), reduced(filter)
    answer = {}
    for name in names:
        is_counted = is_whole or (has_counts and name in ROLLUP_FACETS)
        wanted = wide if name in ROLLUP_FACETS and not is_whole else filter
        counts = _count(name, (record for record in records if matches(wanted, record)))
        found = most_frequent(counts, MAX_FACET_VALUES)
        answer[name] = [FacetValue(value, count if is_counted else None) for value, count in found]
    return answer


def histogram(records: Sequence[Record], filter: Filter, since_us: int, until_us: int, buckets: int) -> Histogram:
    """Count records over time."""
    step, starts = steps(since_us, until_us, buckets, is_long=False)
    tallies = [Tally() for _ in starts]
    wanted = within(filter, since_us, until_us)
    for record in records:
        if matches(wanted, record):
            tallies[bisect_right(starts, record.started_at_us) - 1].add(record)
    return Histogram([tally.bucket(start) for tally, start in zip(tallies, starts, strict=True)], step, complete=True)


def summary(records: Sequence[Record], filter: Filter) -> Summary:
    """Add up all records of a filter."""
    tally, usage = Tally(), UsageTally()
    found = [record for record in records if matches(filter, record)]
    for record in found:
        tally.add(record)
        usage.count(record)
    models = usage.models() if is_counted(filter) or not without_time(filter).has_only_rollup_dimensions else None
    top = {name: _top(name, found) for name in TOPS}
    times = [record.started_at_us for record in records]
    start, end = extent(filter, min(times, default=None), max(times, default=None))
    return tally.summary(start, end, top, models, complete=True)


def within(filter: Filter, since_us: int, until_us: int) -> Filter:
    """Narrow a filter to a range of time."""
    since = since_us if filter.since_us is None else max(since_us, filter.since_us)
    until = until_us if filter.until_us is None else min(until_us, filter.until_us)
    return replace(filter, since_us=since, until_us=until)


def extent(filter: Filter, oldest_us: int | None, newest_us: int | None) -> tuple[int | None, int | None]:
    """Find the part of a filter's range in which the store has records."""
    if oldest_us is None or newest_us is None:
        return None, None
    start = oldest_us if filter.since_us is None else max(oldest_us, filter.since_us)
    end = newest_us if filter.until_us is None else min(newest_us, filter.until_us)
    return start, end


def is_failure(record: Record) -> bool:
    """Whether a record counts among failures: an exchange of level warn or error."""
    return record.kind == "exchange" and record.level in ("warn", "error")


def _count(name: str, records: Iterable[Record]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in records:
        value = facet_value(name, record)
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    return counts


def _top(name: str, records: Iterable[Record]) -> list[FacetValue]:
    among = (record for record in records if name != "error_type" or is_failure(record))
    return [FacetValue(value, count) for value, count in most_frequent(_count(name, among), MAX_TOP_VALUES)]
