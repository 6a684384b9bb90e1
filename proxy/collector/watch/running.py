"""Preliminary records of exchanges and tool calls that have not ended.

They are made on request, from the in-flight tables of the rings.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.collector.rings.sources import Source, Sources
from proxy.enrich.records import RecordBuilder
from proxy.ring.inflight import InflightExchange
from storage.record import Entry, ToolCall


@dataclass(frozen=True, slots=True)
class Running:
    """Reads the exchanges of living workers that have run for 100 ms or more."""

    sources: Sources
    builder: RecordBuilder

    def exchanges(self) -> list[Entry]:
        """Return a preliminary record of each exchange in flight."""
        return [
            self.builder.running(exchange, source.descriptor)
            for source, exchange in self._in_flight()
        ]

    def tools(self) -> list[ToolCall]:
        """Return the tool calls of the exchanges in flight, and those whose answer comes on another
        stream.
        """
        calls = [
            call
            for source, exchange in self._in_flight()
            for call in self.builder.running_tools(exchange, source.descriptor)
        ]
        return calls + self.builder.waiting_tools()

    def _in_flight(self) -> Iterator[tuple[Source, InflightExchange]]:
        for source in self.sources.attached.values():
            if source.segment.producer_alive():
                for exchange in source.in_flight():
                    yield source, exchange
