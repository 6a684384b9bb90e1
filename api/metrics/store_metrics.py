"""Metrics of the way to the store: whether it is there, what waits for it, the spool, retention."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """What is shown, read at each scrape."""

    is_up: bool
    oldest_unstored_s: float
    spool_bytes: int
    spool_errors: int
    retention_lag_s: float
    records_purged: int


def store_families(figures: StoreFigures) -> Iterator[Metric]:
    """Show them."""
    gauges = (
        ("storage_up", "Whether the last commit reached the store.", int(figures.is_up)),
        ("oldest_unstored_seconds", "Age of the oldest record not yet stored.", figures.oldest_unstored_s),
        ("spool_bytes", "Disk space the spool takes.", figures.spool_bytes),
        (
            "retention_lag_seconds",
            "Age of rows that retention has hidden and not yet deleted.",
            figures.retention_lag_s,
        ),
    )
    for name, text, value in gauges:
        yield GaugeMetricFamily("sidelog_" + name, text, value=value)
    counters = (
        ("spool_errors", "Writes and syncs of the spool that failed.", figures.spool_errors),
        ("records_purged", "Rows that retention deleted, since the start.", figures.records_purged),
    )
    for name, text, count in counters:
        yield CounterMetricFamily("sidelog_" + name, text, value=count)
