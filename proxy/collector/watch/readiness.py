"""Whether traffic may come, and why not: the answer of `/readyz`.

Not ready: no worker accepts, a ring is not read, or a stop has begun. Clients would fail, or
records get lost unnoticed. Where records only wait, as while the store is away, or a restart would
lose them, the instance is `degraded`: taking it out of service would not help.
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
    """Decides by the state of all watched parts."""

    status: StatusView
    writer: Writer
    workers: Workers
    places: WatchedPaths
    keys: KeyPublisher
    own_keys: bool = False
    """Whether the API keys are in a store of their own."""
    has_data_port: bool = True

    def answer(self) -> tuple[bool, dict[str, object]]:
        """Return whether traffic may come, and members to show beside it."""
        workers = self.workers
        against = self._objections()
        away = self._away()
        gone = self.places.gone
        members: dict[str, object] = {
            "draining": self.status.is_draining,
            "degraded": bool(away or gone),
        }

        if not self.has_data_port:
            members["data_port"] = False
        elif workers.shown is not None:
            members |= {"workers_ready": workers.accepting, "rings_unread": len(workers.unread)}

        if away:
            members["away"] = away
        if gone:
            members["gone"] = gone
        degrading = [f"the {what} is {self._how_away(what)}" for what in away]
        degrading += [f"the {what} was removed: restart" for what in gone]
        if reasons := against + degrading:
            members["reasons"] = reasons
        return not against, members

    def _objections(self) -> list[str]:
        """Return why no traffic may come."""
        workers = self.workers
        found = []
        if self.status.is_draining:
            found.append("it is stopping")
        if workers.shown is not None and not workers.accepting and self.has_data_port:
            found.append("no worker accepts connections")
        found += [
            f"the ring of {name} is unread: its records are lost when it ends"
            for name in workers.unread
        ]
        return found

    def _away(self) -> list[str]:
        """Return the stores that records or keys wait for."""
        away = [] if self.writer.is_storage_up else ["store"]
        if self.keys.reason and self.own_keys:
            away.append("store of API keys")
        elif self.keys.reason and not self.has_data_port:
            away = ["store"]  # nothing is written here that would fail
        return away

    def _how_away(self, what: str) -> str:
        if what == "store" and self.status.deferred.state == "opening":
            return "being opened"
        return "away"

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                self.workers.look()
                self.places.look()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self.places.close()
