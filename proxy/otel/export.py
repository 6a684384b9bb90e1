"""The export of all signals enabled in the settings: its tasks and their state."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from proxy.otel.exporter import Exporter, Progress
from proxy.otel.reading import Reader
from proxy.otel.sender import Sender
from proxy.settings.model import OtelSettings
from storage.base import Storage

FINISH_S: Final = 5.0
"""Time that a stop waits for stored records to be sent. The rest is sent after the next start."""


class Export:
    """Runs one export per signal; none without an endpoint."""

    def __init__(
        self,
        settings: OtelSettings,
        storage: Storage,
        instance: str,
        stored_records: Callable[[], int],
    ) -> None:
        """Create the exports without starting them; see `Exporter`."""
        self._sender = Sender(settings)
        send = self._sender.send
        reader = Reader(storage, instance)
        self.exporters: Final = [
            Exporter(signal, reader, send, storage, stored_records)
            for signal in (settings.signals if settings.endpoint else ())
        ]

    def begin_at(self, start: Progress) -> None:
        """Set the start of exports without a position, before the store is available."""
        for exporter in self.exporters:
            exporter.start = start

    async def run(self) -> None:
        """Export until `finish`, or until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for exporter in self.exporters:
                    tasks.create_task(exporter.run(), name=f"export {exporter.signal}")
        finally:
            await self._sender.close()

    async def finish(self, running: asyncio.Task[None]) -> None:
        """Send the records stored by now, as far as possible within `FINISH_S`."""
        for exporter in self.exporters:
            exporter.stop()
        await asyncio.wait((running,), timeout=FINISH_S)

    def describe(self) -> list[dict[str, object]]:
        return [
            {
                "signal": each.signal,
                **asdict(each.counters),
                "waiting_records": each.waiting_records,
                "lag_s": round(each.lag_s, 1),
                "problem": each.problem or None,
            }
            for each in self.exporters
        ]
