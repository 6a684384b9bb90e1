"""The copies of the store on several servers, as they were seen last: for status, metrics and the health page."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from storage.base import Storage
from storage.errors import StorageError
from storage.query import Replica

LOOK_EVERY_S: Final = 10.0


class ReplicaWatch:
    """Asks the store for them every ten seconds."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.seen: Sequence[Replica] = ()
        """As of the last look; none before the store is open, and where it is on one server."""

    async def run(self) -> None:
        """Ask, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Ask once; that the store is away is reported elsewhere."""
        with suppress(StorageError):
            self.seen = await self._storage.replicas()

    def describe(self) -> list[dict[str, object]]:
        return [
            {
                "host": replica.host,
                "name": replica.name,
                "version": replica.version,
                "state": replica.state,
                "reason": replica.reason or None,
                "read_only": replica.is_read_only,
                "waiting": replica.waiting,
                "delay_s": replica.delay_s,
            }
            for replica in self.seen
        ]
