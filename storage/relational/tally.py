"""Running sums of some records, from rollups or from rows: the numbers of a histogram and a
summary.
"""

from dataclasses import dataclass, field, replace

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
    sampled: bool = False
    """True if some of the records stand for several."""

    @property
    def exchanges(self) -> int:
        return sum(self.status_classes.values())

    @property
    def latencies(self) -> tuple[aggregates.Latencies, aggregates.Latencies]:
        return self.duration, self.first_byte

    def add(self, events: int, request_bytes: int = 0, response_bytes: int = 0) -> None:
        self.events += events
        self.request_bytes += request_bytes
        self.response_bytes += response_bytes

    def add_class(self, name: str, exchanges: int) -> None:
        if exchanges:
            self.status_classes[name] = self.status_classes.get(name, 0) + exchanges

    def bucket(self, start_us: int) -> aggregates.HistogramBucket:
        return aggregates.HistogramBucket(
            start_us=start_us,
            status_classes=dict(sorted(self.status_classes.items())),
            events=self.events,
            duration=self.duration.percentiles(),
            durations={
                bucket: round(count) for bucket, count in self.duration.counts.items() if count > 0
            },
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
        """Return the sums as the totals of a filter with records between two times."""
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
            sampled=self.sampled,
        )


def narrowed(filter: Filter, since_us: int, until_us: int) -> Filter:
    since_us, until_us = _common(filter, since_us, until_us)
    return replace(filter, since_us=since_us, until_us=until_us)


def extent(
    filter: Filter, oldest_us: int | None, newest_us: int | None
) -> tuple[int | None, int | None]:
    """Return the part of a filter's range between the oldest and the newest record; twice None
    without records.
    """
    if oldest_us is None or newest_us is None:
        return None, None
    start, end = _common(filter, oldest_us, newest_us)
    if start < end:
        return (start, end)
    return (None, None)


def _common(filter: Filter, since_us: int, until_us: int) -> tuple[int, int]:
    """Return the part of a range of time that a filter's range has, too."""
    if filter.since_us is not None:
        since_us = max(since_us, filter.since_us)
    if filter.until_us is not None:
        until_us = min(until_us, filter.until_us)
    return since_us, until_us
