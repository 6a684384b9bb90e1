"""The export of all signals that the settings name: its tasks, and how they are doing."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from proxy.otel.exporter import Exporter, Progress
from proxy.otel.reading import Reader
from proxy.otel.sender import Sender
from proxy.settings.outgoing_model import OtelSettings
from storage.base import Storage

FINISH_S: Final = 5.0
"""How long a stop waits for what is stored to be sent; the rest is sent after the next start."""


class Export:
    """Runs an export of each signal. Without an endpoint there is none."""

    def __init__(
        self,
        settings: OtelSettings,
        storage: Storage,
        instance: str,
        stored_records: Callable[[], int],
    ) -> None:
        """Make exports that have not begun; see `Exporter`."""
        self._sender = Sender(settings)
        send = self._sender.send
        reader = Reader(storage, instance)
        self.exporters: Final = [
            Exporter(signal, reader, send, storage, stored_records)
            for signal in (settings.signals if settings.endpoint else ())
        ]

    def begin_at(self, start: Progress) -> None:
        """Set where an export without a position begins, before the store can be asked for one."""
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
        """Send what is stored by now, as far as that is possible in `FINISH_S`."""
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
