"""A store that may be away at the start: calls raise `StorageUnavailable` until it is open and enabled.

Strategy: one task opens the store, trying again for as long as it takes. An open store is handed out by `enable` only,
after its positions were reconciled with what was assumed: nothing is committed whose place in it is not known.

Retried is whatever may be fixed without touching sidelog: no answer, a name that does not resolve, a lock, a full
disk, a refused password or a database that is not there yet. Anything else (`SchemaTooNew`, an address the driver
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
"""Pause between two attempts to open the store."""


class DeferredStorage:
    """`storage.base.Storage`, and `storage.tools.ToolStorage`, of a store that is opened later."""

    def __init__(self, open_store: Callable[[], Awaitable[Storage]], retry_s: float = RETRY_S) -> None:
        self._open_store = open_store
        self._retry_s = retry_s
        self._store: Storage | None = None
        self._is_enabled = False
        self._has_attempted = asyncio.Event()
        self._is_open = asyncio.Event()
        self.reason = "it has not answered yet"
        """Why it is not open."""

    async def open(self) -> None:
        """Open the store, however long that takes. When this is cancelled the store is open or not, nothing in between.

        Raises:
            SchemaTooNew: A newer sidelog wrote it.
            StorageMisconfigured: Its address cannot be used.
        """
        started_s = time.monotonic()
        while self._store is None:
            try:
                self._store = await self._open_store()
            except StorageUnavailable as error:
                if str(error) != self.reason:
                    self.reason = str(error)
                    log.error("the store is unavailable, retrying every %g s: %s", self._retry_s, error)
                self._has_attempted.set()
                await asyncio.sleep(self._retry_s)
            except StorageRejected as error:
                raise StorageMisconfigured(f"the address of the store cannot be used: {error}") from error
        if self._has_attempted.is_set():
            log.warning("the store is available now", extra={"after_s": round(time.monotonic() - started_s, 1)})
        self._has_attempted.set()
        self._is_open.set()

    async def first_attempt(self, timeout_s: float) -> bool:
        """Wait for the end of the first attempt, `timeout_s` at most; return whether the store is open."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_attempted.wait()
        except TimeoutError:
            self._has_attempted.set()
        return self._is_open.is_set()

    async def opened(self) -> Storage:
        """Wait for the store itself, which is for reading positions before it is enabled."""
        await self._is_open.wait()
        assert self._store is not None
        return self._store

    def enable(self) -> None:
        assert self._store is not None
        self._is_enabled = True

    @property
    def is_enabled(self) -> bool:
        return self._is_enabled

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self._store is None or not self._is_enabled:
            raise StorageUnavailable(f"the store is not available yet: {self.reason}")
        return await getattr(self._store, name)(*arguments, **options)

    def as_storage(self) -> Storage:
        return cast(Storage, self)


def _forward(name: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: DeferredStorage, *arguments: Any, **options: Any) -> Any:
        return await self._call(name, *arguments, **options)

    return call


for _protocol in (Storage, ToolStorage):  # every method is awaited and forwarded, so none is written out
    for _name in vars(_protocol):
        if not _name.startswith("_") and _name != "close":
            setattr(DeferredStorage, _name, _forward(_name))
