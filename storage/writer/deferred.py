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
from types import TracebackType
from typing import Any, Concatenate, Final, Literal, ParamSpec, Self, TypeVar

from storage import errors
from storage.base import Storage
from storage.query import Answer, Query

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
OpenStore = Callable[[], Awaitable[Storage]]
WATCH_S: Final = 1.0
"""Time between two checks that the store is still in place."""
REMOVED: Final = (
    "the store was removed, emptied or replaced while sidelog runs: bring it back, or restart "
    "sidelog to go on with what is there now"
)
RETRY_S: Final = 2.0
"""Pause between two attempts to open the store."""


def _forwarded(
    method: Callable[Concatenate[Storage, P], Awaitable[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Make a method that calls the same method of the store, once that is open."""

    async def forward(self: "DeferredStorage", /, *args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = await getattr(self._current(), method.__name__)(*args, **kwargs)
        return answer

    return forward


class DeferredStorage:
    """`storage.base.Storage` for a store that is opened later."""

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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        await self.close()

    commit = _forwarded(Storage.commit)
    retention = _forwarded(Storage.retention)
    trim = _forwarded(Storage.trim)
    prepare = _forwarded(Storage.prepare)
    positions = _forwarded(Storage.positions)
    get = _forwarded(Storage.get)
    payloads = _forwarded(Storage.payloads)
    move_floors = _forwarded(Storage.move_floors)
    purge = _forwarded(Storage.purge)
    reclaim = _forwarded(Storage.reclaim)
    is_in_place = _forwarded(Storage.is_in_place)
    vacuum = _forwarded(Storage.vacuum)
    erase = _forwarded(Storage.erase)
    erasing = _forwarded(Storage.erasing)
    index_text = _forwarded(Storage.index_text)
    text_index = _forwarded(Storage.text_index)
    tool_call = _forwarded(Storage.tool_call)
    tool_calls_of = _forwarded(Storage.tool_calls_of)
    waiting_calls = _forwarded(Storage.waiting_calls)
    last_seq = _forwarded(Storage.last_seq)
    jobs = _forwarded(Storage.jobs)
    answers_of = _forwarded(Storage.answers_of)
    meta = _forwarded(Storage.meta)
    put_meta = _forwarded(Storage.put_meta)
    keys = _forwarded(Storage.keys)
    key_version = _forwarded(Storage.key_version)
    create_key = _forwarded(Storage.create_key)
    update_key = _forwarded(Storage.update_key)
    delete_key = _forwarded(Storage.delete_key)
    touch_keys = _forwarded(Storage.touch_keys)
    views = _forwarded(Storage.views)
    put_view = _forwarded(Storage.put_view)
    delete_view = _forwarded(Storage.delete_view)
    info = _forwarded(Storage.info)
    replicas = _forwarded(Storage.replicas)

    async def read(self, query: Query[Answer]) -> Answer:
        return await self._current().read(query)
