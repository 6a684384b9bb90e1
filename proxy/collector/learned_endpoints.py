"""What was learned of endpoints, kept in the store: it survives restarts, and sidecars of one store
learn together.

Strategy: one value of the store, read at the start and written when something was learned, at most
every half minute. A writer first learns what is there: nothing is unlearned but by an erasure, so
it does not matter who comes first. What a kill loses is learned again from the next requests.

Names are pieces of paths, so after an erasure only those are known that a stored record still has.
Erasures are counted in the value, and a sidecar that learns of another one's does the same before
it writes.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec

from proxy.enrich.endpoints.endpoints import Endpoints, Key, Learned, key_of
from proxy.settings.model import Settings
from storage.base import Storage
from storage.errors import StorageError
from storage.query import Filter, TopQuery

log = logging.getLogger(__name__)

META: Final = "endpoints"
"""Name of the value in the store."""
EVERY_S: Final = 30.0
FIRST_S: Final = 1.0
"""Pause between two attempts to read the store."""


OnKept = Callable[[Mapping[Key, Collection[str]]], object]


class Kept(msgspec.Struct):
    """What is in the store."""

    erasures: int
    """After which endpoints were forgotten, by all sidecars."""
    learned: Learned


class LearnedEndpoints:
    """What the endpoints of one sidecar learn, kept and shared."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self.endpoints = Endpoints(
            {route.id: route.endpoints for route in settings.routes if route.endpoints}
        )
        self._is_read = False
        self._erasures = 0
        self._has_erased = False
        self._lock = asyncio.Lock()
        self._on_kept: list[OnKept] = []

    def subscribe(self, on_kept: OnKept) -> None:
        """Call `on_kept` with the names that are left after each erasure."""
        self._on_kept.append(on_kept)

    async def run(self) -> None:
        while True:  # noqa: ASYNC110 - the store sends no event
            await asyncio.sleep(EVERY_S if await self.save() else FIRST_S)

    async def forget(self) -> None:
        """Forget endpoints whose records were all erased, now or once the store can be queried."""
        self._has_erased = True
        await self.save()

    async def save(self) -> bool:
        """Read what is kept, and write what was learned beyond it; returns whether the store could
        be read.
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
        if has_to_write or self._on_kept:
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
        """Learn what is kept; nothing is written.

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
        for on_kept in self._on_kept:
            on_kept(names)

    async def _stored_names(self) -> dict[Key, set[str]]:
        """Find the endpoints that records have; some too few are learned again."""
        names: defaultdict[Key, set[str]] = defaultdict(set)
        for row in (await self._storage.read(TopQuery(Filter(), "endpoint"))).rows:
            _, name, route, project = row.names
            if name is not None and row.exchanges:
                key, template = key_of(name, route, project)
                names[key].add(template)
        return names
