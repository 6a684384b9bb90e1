"""What the processes say of themselves: lines of logs that nobody read, reloads, unread rings, connections shed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric

from api.metrics.metrics import counters, gauge, keyed, keyed_twice


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTotals:
    """Read at each scrape."""

    log_lines_dropped: Mapping[str, int] = field(default_factory=dict)
    """`supervisor`, `collector` or `worker` → lines."""
    reloads: Mapping[str, int] = field(default_factory=dict)
    """`done` or `refused` → reloads since the start."""
    rings_unread: int = 0
    places_removed: Mapping[str, int] = field(default_factory=dict)
    """Kind → how often something of it was gone."""


def process_families(totals: ProcessTotals) -> Iterator[Metric]:
    text = "Lines of sidelog's own log that stderr did not take."
    yield counters("log_lines_dropped", text, ["process"], keyed(totals.log_lines_dropped))
    text = "Reloads of the configuration, by result: done, refused."
    yield counters("reloads", text, ["result"], keyed(totals.reloads))
    text = "Directories and files that were removed while sidelog ran, by place."
    yield counters("places_removed", text, ["place"], keyed(totals.places_removed))
    yield gauge("rings_unread", "Workers that push into rings nobody reads.", totals.rings_unread)


def port_families(closed: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    """Return how many connections the collector's own ports closed; `closed`: port → reason → connections."""
    text = "Connections of sidelog's own ports that were closed: no room, a deadline, TLS that failed; by reason."
    yield counters("admin_connections_closed", text, ["port", "reason"], keyed_twice(closed))
