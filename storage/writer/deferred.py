"""A store that may be away at the start: calls raise `StorageUnavailable` until it is open and
enabled.

Strategy: one task opens the store, trying again for as long as it takes. An open store is handed
out by `enable` only, after its positions were reconciled with what was assumed: nothing is
committed whose place in it is not known.

API keys may be in a store of their own, which is opened beside it and is away or there by itself.

A store that turns out to be damaged in a call that commits depend on, whose file is removed, or
that is emptied, is replaced by an empty one that has its keys and positions, between two calls: no
other part has to know.

Retried is whatever may be fixed without touching sidelog: no answer, a name that does not resolve,
a lock, a full disk, a refused password, a database that is not there yet or that a newer sidelog
wrote. An address that the driver cannot read ends the start.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from storage import errors
from storage.base import Kept, Storage
from storage.keys import CALLS as KEY_CALLS

log = logging.getLogger(__name__)

OpenStore = Callable[[str], Awaitable[Storage]]
WATCH_S: Final = 1.0
"""How often it is looked whether the store is still where it was."""
RETRY_S: Final = 2.0
"""Pause between two attempts to open the store."""
_COMMITS_NEED: Final = frozenset({"commit", "retention", "trim"})
"""Calls that a batch waits for, the last two because of the cap on size: where they fail nothing is
stored any more.
"""


@dataclass(slots=True)
class _Replacement:
    """A store that is to be replaced, as far as that has come."""

    why: str
    reason: str
    was_enabled: bool
    kept: Kept = field(default_factory=dict)
    is_closed: bool = False


class DeferredStorage:
    """`storage.base.Storage` of a store that is opened later."""

    def __init__(
        self,
        open_store: OpenStore,
        retry_s: float = RETRY_S,
        on_removed: Callable[[int], object] = lambda records: None,
        *,
        name: str = "the store",
        keys: "DeferredStorage | None" = None,
    ) -> None:
        """Open nothing yet; between two attempts is a pause of `retry_s`.

        `open_store` gets what is known to be wrong with the store before, or nothing; `on_removed`,
        how many records went with a store that was removed. The name is for the log and errors;
        `keys` has the API keys, where that is another store.
        """
        self._open_store = open_store
        self._retry_s = retry_s
        self._store: Storage | None = None
        self._on_removed = on_removed
        self._name = name
        self._keys = keys
        self._replacement: _Replacement | None = None
        self.replaced = {"damaged": 0, "removed": 0}
        """How often the store was replaced since the start, by reason."""
        self._is_enabled = False
        self._has_attempted = asyncio.Event()
        self._is_open = asyncio.Event()
        self._has_failed = False
        self.reason = "it has not answered yet"
        """Why it is not open."""

    async def open(self) -> None:
        """Open the store, however long that takes. When this is cancelled the store is open or not,
        nothing in between.

        Raises:
            StorageMisconfigured: Its address cannot be used.
        """
        started_s = time.monotonic()
        while self._store is None:
            try:
                self._store = await self._open_store("")
            except (errors.StorageUnavailable, errors.SchemaRefused) as error:
                self._has_failed = True
                if str(error) != self.reason:
                    self.reason = str(error)
                    log.error(
                        "%s is unavailable, retrying every %g s: %s",
                        self._name,
                        self._retry_s,
                        error,
                    )

                self._has_attempted.set()
                await asyncio.sleep(self._retry_s)
            except errors.StorageRejected as error:
                raise errors.StorageMisconfigured(
                    f"the address of {self._name} cannot be used: {error}"
                ) from error

        if self._has_attempted.is_set():
            log.warning(
                "%s is available now",
                self._name,
                extra={"after_s": round(time.monotonic() - started_s, 1)},
            )

        self._has_attempted.set()
        self._is_open.set()

    async def first_attempt(self, timeout_s: float) -> bool:
        """Wait for the end of the first attempt, `timeout_s` at most; return whether the store is
        open.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_attempted.wait()
        except TimeoutError:
            self._has_attempted.set()
        return self._is_open.is_set()

    async def opened(self) -> Storage:
        """Wait for the store itself, which is for reading positions before it is enabled; not one
        to be replaced.
        """
        await self._is_open.wait()
        assert self._store is not None
        return self._store

    def enable(self) -> None:
        assert self._store is not None
        self._is_enabled = True

    @property
    def has_late_prefix(self) -> bool:
        return self._store is not None and self._store.has_late_prefix

    @property
    def warning(self) -> str:
        return "" if self._store is None else self._store.warning

    @property
    def is_enabled(self) -> bool:
        return self._is_enabled

    @property
    def is_opening(self) -> bool:
        """Whether it is being opened, and nothing has gone wrong so far."""
        return not self._is_enabled and self._replacement is None and not self._has_failed

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self._keys is not None and name in KEY_CALLS:
            return await self._keys._call(name, *arguments, **options)
        if self._store is None or not self._is_enabled:
            if self.is_opening:
                raise errors.StorageOpening(f"{self._name} is being opened")
            raise errors.StorageUnavailable(f"{self._name} is not available yet: {self.reason}")

        store = self._store
        try:
            return await getattr(store, name)(*arguments, **options)
        except errors.StorageDamaged as error:
            if name in _COMMITS_NEED:
                self.note_damage(error)
            raise
        except errors.StorageRemoved as error:
            self._begin_replacing("removed", str(error))
            raise

    def note_damage(self, error: errors.StorageDamaged) -> None:
        """Have the store replaced by an empty one, which is enabled if this one was."""
        self._begin_replacing("damaged", str(error))

    async def watch(self) -> None:
        """Replace a store that is damaged, or whose file was removed, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._look()
            except (errors.StorageUnavailable, errors.SchemaRefused) as error:
                if str(error) != self.reason:
                    self.reason = str(error)
                    log.error(
                        "%s cannot be used, retrying every %g s: %s", self._name, WATCH_S, error
                    )

    def _begin_replacing(self, why: str, reason: str) -> None:
        if self._replacement is None:
            self._replacement = _Replacement(why, reason, self._is_enabled)
            self._is_enabled = False
            self.reason = reason
            self._is_open.clear()
            log.error("%s is %s, an empty one replaces it: %s", self._name, why, reason)

    async def _look(self) -> None:
        if self._is_enabled and self._store is not None and not await self._store.is_in_place():
            self._begin_replacing("removed", "what was stored is not where it was")
        pending = self._replacement
        store = self._store
        if pending is None or store is None:
            return

        if not pending.is_closed:
            if pending.why == "removed":
                pending.kept = await store.kept()  # Behind a commit that runs.
            await store.close()
            pending.is_closed = True

        replacement = await self._open_store(pending.reason if pending.why == "damaged" else "")
        lost_records = await replacement.keep(pending.kept) if pending.kept else 0
        self._store = replacement
        self._replacement = None
        self._is_enabled = pending.was_enabled
        self._is_open.set()
        self.replaced[pending.why] += 1
        if pending.why == "removed":
            self._on_removed(lost_records)

    def as_storage(self) -> Storage:
        return cast(Storage, self)


def _forward(name: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: DeferredStorage, *arguments: Any, **options: Any) -> Any:
        return await self._call(name, *arguments, **options)

    return call


# Every method is awaited and forwarded, so none is written out.
for _name in dir(Storage):
    if not _name.startswith("_") and not hasattr(DeferredStorage, _name):
        setattr(DeferredStorage, _name, _forward(_name))
