"""Running sums of some records: what a histogram and a summary add up, from rollups or from rows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from storage import aggregates
from storage.query import Filter


@dataclass(slots=True)
class Tally:
    """The sums of one filter, or of one step of a histogram."""

    status_classes: dict[str, int] = field(default_factory=dict)
    events: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    duration: aggregates.Latencies = field(default_factory=aggregates.Latencies)
    first_byte: aggregates.Latencies = field(default_factory=aggregates.Latencies)

    @property
    def exchanges(self) -> int:
        return sum(self.status_classes.values())

    def add_class(self, name: str, exchanges: int) -> None:
        if exchanges:
            self.status_classes[name] = self.status_classes.get(name, 0) + exchanges

    def bucket(self, start_us: int) -> aggregates.HistogramBucket:
        return aggregates.HistogramBucket(
            start_us=start_us,
            status_classes=dict(sorted(self.status_classes.items())),
            events=self.events,
            duration=self.duration.percentiles(),
        )

    def summary(
        self,
        start_us: int | None,
        end_us: int | None,
        top: dict[str, list[aggregates.FacetValue]],
        models: list[aggregates.ModelUsage] | None,
        *,
        complete: bool,
    ) -> aggregates.Summary:
        """Show it as the totals of a filter whose records lie between two times."""
        return aggregates.Summary(
            exchanges=self.exchanges,
            events=self.events,
            status_classes=dict(sorted(self.status_classes.items())),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            duration=self.duration.percentiles(),
            first_byte=self.first_byte.percentiles(),
            since_us=start_us,
            until_us=end_us,
            top=top,
            models=models,
            complete=complete,
        )


def fold(tallies: Sequence[Tally], max_rows: int) -> tuple[list[tuple[int, int | None]], list[list[int]]]:
    """Make the rows of a heat map, `max_rows` at most, of the durations of its columns.

    Each row is 1, 2, 4, … buckets, as few as can be, and ends at a multiple of so many eighths of a doubling: of the
    rows of two maps one lies in the other, or beside it.

    Returns:
        The rows' bounds and the counts by column, as in `HeatMap`.
    """
    occurring = {bucket for tally in tallies for bucket, count in tally.duration.counts.items() if count > 0}
    if not occurring:
        return [], [[] for _ in tallies]
    width = 1
    while (last := _row_of(max(occurring), width)) - (first := _row_of(min(occurring), width)) >= max_rows:
        width *= 2
    counts = [[0] * (last - first + 1) for _ in tallies]
    for column, tally in zip(counts, tallies, strict=True):
        for bucket, count in tally.duration.counts.items():
            if count > 0:
                column[_row_of(bucket, width) - first] += count
    ends = [_end_us(row * width) for row in range(first - 1, last + 1)]
    return [(0 if least is None else least + 1, most) for least, most in pairwise(ends)], counts


def _row_of(bucket: int, width: int) -> int:
    return -(-(bucket + aggregates.FIRST_STEP) // width)


def _end_us(step: int) -> int | None:
    """Return the bound at a step; None where there is none."""
    bucket = step - aggregates.FIRST_STEP
    return aggregates.BOUNDS_US[bucket] if 0 <= bucket < len(aggregates.BOUNDS_US) else None


def check_names(names: Sequence[str]) -> None:
    """Refuse facets that do not exist.

    Raises:
        ValueError: There is one.
    """
    for name in names:
        if name not in aggregates.FACETS:
            raise ValueError(f"unknown facet {name!r}, known are {', '.join(aggregates.FACETS)}")


def within(filter: Filter, since_us: int, until_us: int) -> Filter:
    since = since_us if filter.since_us is None else max(since_us, filter.since_us)
    until = until_us if filter.until_us is None else min(until_us, filter.until_us)
    return replace(filter, since_us=since, until_us=until)


def extent(filter: Filter, oldest_us: int | None, newest_us: int | None) -> tuple[int | None, int | None]:
    """Return the part of a filter's range that lies between the oldest and the newest record; twice None without."""
    if oldest_us is None or newest_us is None:
        return None, None
    start = oldest_us if filter.since_us is None else max(oldest_us, filter.since_us)
    end = newest_us if filter.until_us is None else min(newest_us, filter.until_us)
    return (start, end) if start < end else (None, None)
