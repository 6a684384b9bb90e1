"""A store that is not there yet: everybody holds it from the start, and hears `StorageUnavailable` until it has come.

Strategy: one task opens the store, trying again for as long as it takes. An open store is handed out by `admit` only,
after who counts has compared notes with it: nothing is committed whose place in it is not known.

Away is whatever may come right without anybody touching sidelog: no answer, a name that does not resolve, a lock, a
full disk, a refused password or a database that is not there yet. Anything else (`SchemaTooNew`, an address the driver
cannot read) ends the start.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from storage.base import Storage
from storage.errors import StorageMisconfigured, StorageRejected, StorageUnavailable
from storage.tools import ToolStorage

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0
"""Pause before a store that is not there yet is asked again."""


class LateStorage:
    """`storage.base.Storage`, and `storage.tools.ToolStorage`, of a store that comes later."""

    def __init__(self, open_store: Callable[[], Awaitable[Storage]], retry_s: float = RETRY_S) -> None:
        """Wait for a store.

        Args:
            open_store: Opens it.
            retry_s: Pause between two attempts.
        """
        self._open_store = open_store
        self._retry_s = retry_s
        self._store: Storage | None = None
        self._is_admitted = False
        self._has_tried = asyncio.Event()
        self._is_open = asyncio.Event()
        self.reason = "it has not answered yet"
        """Why it is not there."""

    async def open(self) -> None:
        """Open the store, however long that takes. The store is whole or not there when this is cancelled.

        Raises:
            SchemaTooNew: A newer sidelog wrote it.
            StorageMisconfigured: Its address cannot be used.
        """
        began_s = time.monotonic()
        while self._store is None:
            try:
                self._store = await self._open_store()
            except StorageUnavailable as error:
                if str(error) != self.reason:
                    self.reason = str(error)
                    log.error("the store is away, it is asked again every %g s: %s", self._retry_s, error)
                self._has_tried.set()
                await asyncio.sleep(self._retry_s)
            except StorageRejected as error:
                raise StorageMisconfigured(f"the address of the store cannot be used: {error}") from error
        if self._has_tried.is_set():
            log.warning("the store has come", extra={"after_s": round(time.monotonic() - began_s, 1)})
        self._has_tried.set()
        self._is_open.set()

    async def tried(self, timeout_s: float) -> bool:
        """Wait for the end of the first attempt, so long at most; tell whether the store is open."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_tried.wait()
        except TimeoutError:
            self._has_tried.set()
        return self._is_open.is_set()

    async def opened(self) -> Storage:
        """Wait for the store itself, which is for reading positions before it is admitted."""
        await self._is_open.wait()
        assert self._store is not None
        return self._store

    def admit(self) -> None:
        """Let everybody use the store from now on. It is open."""
        assert self._store is not None
        self._is_admitted = True

    @property
    def is_admitted(self) -> bool:
        """Whether it is there for everybody."""
        return self._is_admitted

    async def close(self) -> None:
        """Close the store, if it ever came."""
        if self._store is not None:
            await self._store.close()

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self._store is None or not self._is_admitted:
            raise StorageUnavailable(f"the store is not there yet: {self.reason}")
        return await getattr(self._store, name)(*arguments, **options)

    def as_storage(self) -> Storage:
        """Show it as what it stands for."""
        return cast(Storage, self)


def _forward(name: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: LateStorage, *arguments: Any, **options: Any) -> Any:
        return await self._call(name, *arguments, **options)

    return call


for _protocol in (Storage, ToolStorage):  # every method is awaited and handed on, so none is written out
    for _name in vars(_protocol):
        if not _name.startswith("_") and _name != "close":
            setattr(LateStorage, _name, _forward(_name))
