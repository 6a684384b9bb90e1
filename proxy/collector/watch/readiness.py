"""Whether traffic may come, and why not: the answer of `/readyz`.

Not ready: no worker accepts, one does not answer, a ring is not read, or a stop has begun. Clients would fail, or
records would get lost unnoticed. The instance is `degraded` where taking it out of service would
not help: records only wait, as while the store is away, or would be lost by a restart.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from proxy.collector.key_publisher import KeyPublisher
from proxy.collector.watch.status import StatusView
from proxy.collector.watch.watched_paths import WatchedPaths
from proxy.collector.watch.workers import Workers
from storage.writer.writer import Writer

LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Readiness:
    """Decides by the state of the other parts."""

    status: StatusView
    writer: Writer
    workers: Workers
    places: WatchedPaths
    keys: KeyPublisher
    has_data_port: bool = True

    def answer(self) -> tuple[bool, dict[str, object]]:
        """Return whether traffic may come, and the other members of the answer."""
        workers = self.workers
        objections = self._objections()
        is_store_away = self._is_store_away()
        gone = self.places.gone
        members: dict[str, object] = {
            "draining": self.status.is_draining,
            "degraded": bool(is_store_away or gone),
        }
        if not self.has_data_port:
            members["data_port"] = False
        elif workers.shown is not None:
            members |= {"workers_ready": workers.accepting, "rings_unread": len(workers.unread)}

        if is_store_away:
            members["away"] = ["store"]
        if gone:
            members["gone"] = gone

        reasons = objections[:]
        if is_store_away and self.status.deferred.state == "opening":
            reasons.append("the store is being opened")
        elif is_store_away:
            reasons.append("the store is away")
        reasons += [f"the {place} was removed: restart" for place in gone]
        if reasons:
            members["reasons"] = reasons
        return not objections, members

    def _objections(self) -> list[str]:
        """Return the reasons why the sidecar is not ready for traffic; empty if it is ready."""
        workers = self.workers
        reasons = []
        if self.status.is_draining:
            reasons.append("it is stopping")
        if self.has_data_port and workers.shown is not None and not workers.accepting:
            reasons.append("no worker accepts connections")
        reasons += [f"{name} does not answer, and clients wait for it" for name in workers.silent]
        reasons += [
            f"the ring of {name} is unread: its records are lost when it ends"
            for name in workers.unread
        ]
        return reasons

    def _is_store_away(self) -> bool:
        # Nothing is written without a data port, so that only reads of the keys can fail.
        if not self.has_data_port and self.keys.reason:
            return True
        return not self.writer.is_storage_up

    async def run(self) -> None:
        """Look at workers and places again and again, until cancelled."""
        try:
            while True:
                self.workers.look()
                self.places.look()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self.places.close()
