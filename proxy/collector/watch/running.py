"""What runs at the moment: exchanges and tool calls that have no record yet, made into preliminary
ones.

They are read from shared memory on request; nothing here is kept up to date.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.collector.rings.sources import Source, Sources
from proxy.enrich.records import RecordBuilder
from proxy.ring.inflight import InflightExchange
from storage.record import Entry, ToolCall


@dataclass(frozen=True, slots=True)
class Running:
    """The exchanges of living workers that have run for 100 ms or more."""

    sources: Sources
    builder: RecordBuilder

    def exchanges(self) -> list[Entry]:
        """Return what is known of each."""
        return [
            self.builder.running(exchange, source.descriptor) for source, exchange in self._each()
        ]

    def tools(self) -> list[ToolCall]:
        """Return their tool calls, and those that wait for another stream."""
        running = [
            call
            for source, exchange in self._each()
            for call in self.builder.running_tools(exchange, source.descriptor)
        ]
        return running + self.builder.waiting_tools()

    def _each(self) -> Iterator[tuple[Source, InflightExchange]]:
        for source in self.sources.attached.values():
            if source.segment.producer_alive():
                for exchange in source.in_flight():
                    yield source, exchange
