"""Learned endpoints, kept in the store: they survive restarts, and sidecars of one store learn
together.

They are one value of the store, read at the start and written at most every half minute when
something was learned. A writer merges the stored value first. Only an erasure removes names, so the
order of writers does not matter. Names that are lost by a kill are learned again from the next
requests.

Names are pieces of paths. After an erasure only names that a stored record still has are kept.
Erasures are counted in the value, and a sidecar that sees a new erasure by another does the same
before it writes.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from proxy.enrich.endpoints.endpoints import Endpoints, Key, Learned, key_of
from proxy.settings.model import Settings
from storage.backends import is_shared
from storage.base import Storage
from storage.errors import StorageError
from storage.query import Filter, TopQuery

log = logging.getLogger(__name__)

META: Final = "endpoints"
"""Name of the value in the store."""
EVERY_S: Final = 30.0
FIRST_S: Final = 1.0
"""Pause between two attempts to read the store."""


class Kept(msgspec.Struct):
    """The stored value."""

    erasures: int
    """Number of erasures, by all sidecars, after which endpoints were forgotten."""
    learned: Learned


class LearnedEndpoints:
    """Keeps the learned endpoints of one sidecar and shares them through the store."""

    def __init__(
        self,
        storage: Storage,
        settings: Settings,
        on_kept: Callable[[], object] = lambda: None,
    ) -> None:
        """Keep the endpoints of a store. If other sidecars may share it, `on_kept` is called within
        half a minute after each erasure.
        """
        self._storage = storage
        self.endpoints = Endpoints(
            {route.id: route.endpoints for route in settings.routes if route.endpoints}
        )
        self._is_read = False
        self._erasures = 0
        self._has_erased = False
        self._lock = asyncio.Lock()
        self._on_kept = on_kept
        self._is_shared = is_shared(settings.storage.url)

    async def run(self) -> None:
        while True:  # noqa: ASYNC110 - the store sends no event
            await asyncio.sleep(EVERY_S if await self.save() else FIRST_S)

    async def forget(self) -> None:
        """Forget endpoints without any stored record, now or once the store can be queried."""
        self._has_erased = True
        await self.save()

    async def save(self) -> bool:
        """Merge the stored names and write those that are new; return whether the store could be
        read.
        """
        async with self._lock:
            try:
                await self._save()
            except StorageError as error:
                log.debug("what was learned of endpoints could not be kept: %s", error)
                return False
            return True

    async def _save(self) -> None:
        if not self._is_read:
            await self.read()
            self._is_read = True
        has_to_write = self._has_erased or self.endpoints.is_changed
        # Names that are shown must respect other sidecars' erasures.
        if has_to_write or self._is_shared:
            await self.read()
        if not has_to_write:
            return

        if self._has_erased:
            await self._keep()
            self._erasures += 1
        document = msgspec.json.encode(Kept(self._erasures, self.endpoints.take_changes()))
        await self._storage.put_meta(META, document.decode(), replace=True)
        self._has_erased = False

    async def read(self) -> None:
        """Merge the stored names without writing.

        Raises:
            StorageError: the store cannot be read.
        """
        value = await self._storage.meta(META)
        if value is None:
            return

        try:
            kept = msgspec.json.decode(value, type=Kept)
        except (msgspec.DecodeError, RecursionError) as error:
            log.warning(
                "cannot read the stored endpoints; learning them again from traffic: %s", error
            )
            return

        if kept.erasures > self._erasures:
            if self._is_read:
                await self._keep()
            self._erasures = kept.erasures

        self.endpoints.merge(kept.learned)

    async def _keep(self) -> None:
        names = await self._stored_names()
        self.endpoints.keep(names)
        if self._is_shared:
            self._on_kept()

    async def _stored_names(self) -> dict[Key, set[str]]:
        """Return the endpoints of stored records. A bounded search may miss some, which are learned
        again.
        """
        names: defaultdict[Key, set[str]] = defaultdict(set)
        for row in (await self._storage.read(TopQuery(Filter(), "endpoint"))).rows:
            _, name, route, project = row.names
            if name is not None and row.exchanges:
                key, template = key_of(name, route, project)
                names[key].add(template)
        return names
