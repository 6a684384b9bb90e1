"""Metric families of the export to OpenTelemetry, by signal: what was taken, refused and missed, and how far it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Metric

from api.metrics.metrics import counters, gauges, keyed, keyed_twice


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStatus:
    """How an export is doing; counts are since the start of the process."""

    exported: int
    rejected: int
    missed_records: int
    failures: Mapping[str, int]
    """Reason → requests."""
    waiting_records: int
    lag_s: float


def otel_families(exports: Mapping[str, ExportStatus]) -> Iterator[Metric]:
    """Yield the families of all exports, by signal; none without an export."""
    if not exports:
        return
    taken = "Spans or log records that the OpenTelemetry receiver took."
    yield counters("otel_exported", taken, ["signal"], keyed({name: each.exported for name, each in exports.items()}))
    refused = "Spans or log records that the OpenTelemetry receiver refused; they are not sent again."
    yield counters("otel_rejected", refused, ["signal"], keyed({name: each.rejected for name, each in exports.items()}))
    missed = "Records that were deleted before they could be exported."
    gone = keyed({name: each.missed_records for name, each in exports.items()})
    yield counters("otel_missed_records", missed, ["signal"], gone)
    failed = keyed_twice({name: each.failures for name, each in exports.items()})
    yield counters("otel_failures", "Requests that the receiver did not take, by reason.", ["signal", "reason"], failed)
    waiting = {name: each.waiting_records for name, each in exports.items()}
    yield gauges("otel_waiting_records", "Stored records that are not exported yet.", "signal", waiting)
    lag = {name: each.lag_s for name, each in exports.items()}
    yield gauges("otel_lag_seconds", "Age of the oldest record that is known to wait for its export.", "signal", lag)
