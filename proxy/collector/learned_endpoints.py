"""What was learned of endpoints, kept in the store: it survives restarts, and sidecars of one store learn together.

Strategy: one value of the store, read at the start and written when something was learned, at most every half minute. A
writer first learns what is there: nothing that was learned is unlearned, so it does not matter who comes first. What a
kill loses is learned again from the next requests.
"""

import asyncio
import logging
from typing import Final

import msgspec

from proxy.enrich.endpoints.endpoints import Endpoints, Learned
from proxy.settings.model import Settings
from storage.base import Storage
from storage.errors import StorageError
from storage.query import Scope

log = logging.getLogger(__name__)

META: Final = "endpoints"
"""Name of the value in the store."""
EVERY_S: Final = 30.0
FIRST_S: Final = 1.0
"""How often the store is tried until it could be read."""


class LearnedEndpoints:
    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._routes = {route.id: route for route in settings.routes}
        self.endpoints = Endpoints({route.id: route.endpoints for route in settings.routes if route.endpoints})
        self._is_read = False

    async def run(self) -> None:
        while True:  # noqa: ASYNC110 - the store sends no event
            await asyncio.sleep(EVERY_S if await self.save() else FIRST_S)

    async def save(self) -> bool:
        """Read what is kept, and write what was learned beyond it; returns whether the store could be read."""
        try:
            if not self._is_read:
                await self._read()
                self._is_read = True
            if self.endpoints.is_changed:
                await self._read()
                document = msgspec.json.encode(self.endpoints.take_changes())
                await self._storage.put_meta(META, document.decode(), replace=True)
        except StorageError as error:
            log.debug("what was learned of endpoints could not be kept: %s", error)
            return False
        return True

    async def _read(self) -> None:
        kept = await self._storage.meta(META)
        if kept is None:
            return
        try:
            self.endpoints.merge(msgspec.json.decode(kept, type=Learned))
        except msgspec.DecodeError as error:
            log.warning("what is kept of endpoints cannot be read, they are learned anew: %s", error)

    def current(self, route: str | None, project: str | None, name: str) -> str:
        """Return what an endpoint is called now; see `api.access.endpoint_names`."""
        return self.endpoints.current(route, project, name)

    def former(self, name: str, scope: Scope) -> tuple[str, ...]:
        """Return all names that an endpoint had within a scope."""
        routes = None
        if scope.containers or scope.clients:
            routes = {
                id
                for id, route in self._routes.items()
                if (not scope.containers or route.container in scope.containers)
                and (not scope.clients or route.client in scope.clients)
            }
        return self.endpoints.former(name, scope.projects, routes)
