"""A store that may be away at the start: calls raise `StorageUnavailable` until it is open.

Strategy: a handle that is `opening`, `away` or `open`, and forwards calls to the store in the last
state only. One task opens the store, retrying as long as it takes. The handle is open only after
`enable`, once the store's positions were reconciled with the assumed ones: nothing is committed
before its place is known.

A store whose file is removed, or that is emptied, counts as away until it is back in place, or
until the next start: nothing is replaced under a running process.

It retries errors that can be fixed without touching sidelog: no answer, a name that does not
resolve, a lock, a full disk, a refused password, a database that does not exist yet or that a newer
sidelog wrote. An address that the driver cannot read ends the start.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Literal, cast

from storage import errors
from storage.base import Storage

log = logging.getLogger(__name__)

OpenStore = Callable[[], Awaitable[Storage]]
WATCH_S: Final = 1.0
"""Time between two checks that the store is still in place."""
REMOVED: Final = (
    "the store was removed, emptied or replaced while sidelog runs: bring it back, or restart "
    "sidelog to go on with what is there now"
)
RETRY_S: Final = 2.0
"""Pause between two attempts to open the store."""


class DeferredStorage:
    """A store that is opened later. All methods of `storage.base.Storage` are forwarded to it."""

    def __init__(self, open_store: OpenStore, retry_s: float = RETRY_S) -> None:
        """Make a handle; `open` opens the store, with pauses of `retry_s` between attempts."""
        self._open_store = open_store
        self._retry_s = retry_s
        self._store: Storage | None = None
        self._has_attempted = asyncio.Event()
        self._is_there = asyncio.Event()
        """Set once the store was opened."""
        self.state: Literal["opening", "away", "open"] = "opening"
        """`opening`: no error so far. `away`: it is being retried. `open`: it answers."""
        self.reason = "it has not answered yet"
        """Why the store is not open."""

    async def open(self) -> None:
        """Open the store, however long that takes. After a cancellation the store is either open or
        not, nothing in between.

        Raises:
            StorageMisconfigured: Its address cannot be used.
        """
        started_s = time.monotonic()
        while self._store is None:
            try:
                self._store = await self._open_store()
            except (errors.StorageUnavailable, errors.SchemaTooNew) as error:
                self.state = "away"
                if str(error) != self.reason:
                    self.reason = str(error)
                    log.error(
                        "the store is unavailable, retrying every %g s: %s",
                        self._retry_s,
                        error,
                    )

                self._has_attempted.set()
                await asyncio.sleep(self._retry_s)
            except errors.StorageRejected as error:
                raise errors.StorageMisconfigured(
                    f"the address of the store cannot be used: {error}"
                ) from error

        if self._has_attempted.is_set():
            log.warning(
                "the store is available now",
                extra={"after_s": round(time.monotonic() - started_s, 1)},
            )

        self._has_attempted.set()
        self._is_there.set()

    async def first_attempt(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for the end of the first attempt; return whether the store is
        open.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_attempted.wait()
        except TimeoutError:
            self._has_attempted.set()
        return self._is_there.is_set()

    async def opened(self) -> Storage:
        """Wait for the store itself, to read positions before `enable`."""
        await self._is_there.wait()
        assert self._store is not None
        return self._store

    def enable(self) -> None:
        """Forward calls to the store from now on."""
        assert self._store is not None
        self.state = "open"

    async def watch(self) -> None:
        """Treat a store that was moved or removed as away until it is back in place; runs until
        cancelled.
        """
        is_removed = False
        while True:
            await asyncio.sleep(WATCH_S)
            if self._store is None or not (is_removed or self.state == "open"):
                continue
            try:
                is_in_place = await self._store.is_in_place()
            except errors.StorageUnavailable:
                continue  # commits report it

            if is_in_place and is_removed:
                is_removed = False
                self.state = "open"
                log.warning("the store is back in its place")
            elif not is_in_place and not is_removed:
                is_removed = True
                self.state = "away"
                self.reason = REMOVED
                log.error(REMOVED)

    def _current(self) -> Storage:
        """Return the store behind an open handle.

        Raises:
            StorageUnavailable: The handle is not open.
        """
        if self.state == "open" and self._store is not None:
            return self._store
        if self.state == "opening":
            raise errors.StorageOpening("the store is being opened")
        raise errors.StorageUnavailable(f"the store is not available yet: {self.reason}")

    @property
    def has_late_prefix(self) -> bool:
        return self._store is not None and self._store.has_late_prefix

    @property
    def warning(self) -> str:
        if self._store is None:
            return ""
        return self._store.warning

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return a method that calls the one of the same name of the store, once that is open."""
        if not hasattr(Storage, name):
            raise AttributeError(name)

        async def forward(*args: Any, **kwargs: Any) -> Any:
            return await getattr(self._current(), name)(*args, **kwargs)

        return forward

    @property
    def storage(self) -> Storage:
        """This handle as a store."""
        return cast(Storage, self)
