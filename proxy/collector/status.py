"""What the running processes look like from the collector, for status, metrics and lists of what is in flight.

Everything is read from shared memory and counters at the moment it is asked for; nothing here is kept up to date.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

from api.metrics.metrics import WorkerTotals
from proxy.collector.sources import Source, Sources
from proxy.process.version import VERSION
from proxy.ring.descriptor import Descriptor
from proxy.ring.inflight import InflightExchange
from proxy.ring.segment_layout import HELD_SINCE_US, PRODUCER_PID
from proxy.settings.model import Settings, redacted
from storage.record import Record, ToolCall
from storage.writer.writer import Writer


class InflightBuilder(Protocol):
    """Shows running exchanges as records; see `proxy.enrich.records`."""

    def running(self, exchange: InflightExchange, descriptor: Descriptor) -> Record:
        """Make a preliminary record."""
        ...

    def running_tools(self, exchange: InflightExchange, descriptor: Descriptor) -> list[ToolCall]:
        """Show its tool calls."""
        ...

    def waiting_tools(self) -> list[ToolCall]:
        """Show the tool calls that wait for another stream."""
        ...


class StatusView:
    """Reads the state of rings and writer."""

    def __init__(
        self, settings: Settings, instance: str, sources: Sources, writer: Writer, builder: InflightBuilder
    ) -> None:
        """Look at these parts."""
        self._settings = settings
        self._instance = instance
        self._sources = sources
        self._writer = writer
        self._builder = builder
        self._started_s = time.monotonic()
        self.is_draining = False
        self.store_reason: Callable[[], str] = str
        """Why the store has not been there since the start; empty when it was."""
        self.retention: Callable[[], dict[str, object]] = dict
        """Describes how far retention has come; set when there is one."""

    def worker_totals(self) -> WorkerTotals:
        """Add up the data plane's counters, for the metrics."""
        counters = self._sources.counters()
        attached = list(self._sources.attached.values())
        return WorkerTotals(
            requests=counters.requests,
            request_bytes=counters.request_bytes,
            response_bytes=counters.response_bytes,
            connections_open={
                "downstream": counters.connections_downstream,
                "upstream": counters.connections_upstream,
            },
            requests_in_flight=counters.requests_in_flight,
            upstream_errors=counters.upstream_errors,
            auth_failures=counters.auth_failures,
            ring_bytes={str(index): source.reader.used_bytes for index, source in enumerate(attached)},
            ring_capacity_bytes=attached[0].segment.capacity if attached else self._settings.ring.bytes,
        )

    def in_flight(self) -> list[Record]:
        """Show the exchanges that have run for 100 ms or more."""
        return [
            self._builder.running(exchange, source.descriptor)
            for source in self._sources.attached.values()
            if source.segment.producer_alive()
            for exchange in source.in_flight()
        ]

    def running_tools(self) -> list[ToolCall]:
        """Show the tool calls of those exchanges, and those whose answer will come on another stream."""
        running = [
            call
            for source in self._sources.attached.values()
            if source.segment.producer_alive()
            for exchange in source.in_flight()
            for call in self._builder.running_tools(exchange, source.descriptor)
        ]
        return running + self._builder.waiting_tools()

    def describe(self) -> dict[str, object]:
        """Describe everything an operator asks for."""
        writer = self._writer
        return {
            "version": VERSION,
            "instance": self._instance,
            "uptime_s": round(time.monotonic() - self._started_s, 1),
            "draining": self.is_draining,
            "rings": [_describe_ring(source) for source in self._sources.attached.values()],
            "writer": {
                "waiting_records": writer.waiting_records,
                "oldest_unstored_s": round(writer.oldest_unstored_s, 3),
                "batches": dict(writer.counters.batches),
                "spooled_records": writer.spooled_records,
                "records_escaped": writer.counters.records_escaped,
                "records_quarantined": writer.counters.records_quarantined,
                "last_flush_s": round(writer.counters.last_flush_s, 4),
                "is_full": writer.is_full,
            },
            "collector": {"pid": os.getpid(), "uptime_s": round(time.monotonic() - self._started_s, 1)},
            "storage": {
                "up": writer.is_storage_up,
                "reason": self.store_reason() or writer.availability.reason or None,
            },
            "retention": self.retention(),
            "configuration": redacted(self._settings),
        }


def _describe_ring(source: Source) -> dict[str, object]:
    reader, counts, counters = source.reader, source.producer_counts, source.counters()
    is_alive, held_since_us = source.segment.producer_alive(), source.segment.cells[HELD_SINCE_US]
    return {
        "source": source.id.hex(),
        "worker_alive": is_alive,
        "pid": source.segment.cells[PRODUCER_PID] or None,
        "uptime_s": round(max(0.0, time.time() - held_since_us / 1e6), 1) if is_alive and held_since_us else None,
        "requests": None if counters is None else sum(counters.requests.values()),
        "in_flight": None if counters is None or not is_alive else counters.requests_in_flight,
        "capacity_bytes": source.segment.capacity,
        "used_bytes": reader.used_bytes,
        "pushed": counts.pushed,
        "taken": source.position.taken,
        "refused": counts.refused,
        "corrupt": reader.corrupt_records,
    }
