"""Latency by endpoint for the metrics, off unless a number of endpoints is given: the first so many
that are seen.

Names come from paths, so their number is bounded here whatever the traffic, and an erasure takes
those that no record has any more. What has no series of its own is counted under `other`. An
endpoint that turns out to be a part of another keeps its series.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric

from api.metrics.histogram import Histograms, Scale, Tally
from storage.query import ROLLUP_METHODS
from storage.record import Entry, Record

OTHER: Final = "other"
"""Label of what is beyond the limit; endpoints begin with `/` or `{`, so none is called so."""
NONE: Final = "none"
"""Label of exchanges without a route, or without a path."""
_NAME: Final = "endpoint_duration_seconds"
_LABELS: Final = ("route", "method", "endpoint")

Key = tuple[str | None, str | None, str | None, str | None]
"""Route, project, method and endpoint, as a record has them."""


class EndpointMetrics:
    """Counts since the start of this process."""

    def __init__(self, scale: Scale, max_endpoints: int) -> None:
        self.overflow = 0
        self._scale = scale
        self._max_endpoints = max_endpoints
        self._counted: dict[Key, Tally] = {}
        self._others = Tally(scale)

    def observe(self, entries: Collection[Entry]) -> None:
        counted = self._counted
        for entry in entries:
            record = entry.record
            if record.kind != "exchange":
                continue
            key = (record.route_id, record.project, record.method, record.endpoint)
            tally = counted.get(key)
            (self._bind(record) if tally is None else tally).add(record.duration_us)

    def settle(self) -> None:
        """Count the values that wait in the histograms."""
        for tally in (self._others, *self._counted.values()):
            tally.settle()

    def keep(self, names: Mapping[tuple[str | None, str | None], Collection[str]]) -> None:
        """Forget endpoints but those of some names, by route and project: their counts go to the
        others.
        """
        for key, tally in [*self._counted.items()]:
            route, project, _, endpoint = key
            if endpoint is None or endpoint in names.get((route, project), ()):
                continue

            self._others.merge(tally)
            del self._counted[key]

    def collect(self) -> Iterator[Metric]:
        shown: dict[tuple[str, ...], Tally] = {(OTHER,) * 3: self._others}
        for (route, _, method, endpoint), tally in self._counted.items():
            labels = (route or NONE, method or NONE, endpoint or NONE)
            if labels in shown:  # of another project
                tally = merged(shown[labels], tally)
            shown[labels] = tally

        text = "Time from the request head to the last byte of the response, by endpoint."
        yield Histograms(_NAME, text, _LABELS, shown.items())

    def _bind(self, record: Record) -> Tally:
        if record.method is None or record.method in ROLLUP_METHODS:
            method = record.method
        else:
            method = "OTHER"
        key = (record.route_id, record.project, method, record.endpoint)
        tally = self._counted.get(key)
        if tally is not None:
            return tally
        if len(self._counted) >= self._max_endpoints:
            self.overflow += 1
            return self._others

        tally = self._counted[key] = Tally(self._scale)
        return tally


def merged(one: Tally, other: Tally) -> Tally:
    total = Tally(one.scale)
    total.merge(one)
    total.merge(other)
    return total
