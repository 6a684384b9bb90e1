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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, Self

from storage import errors
from storage.base import Prepared, Storage
from storage.keys import ApiKey, KeyChanges, KeyUpdate
from storage.purge import Erased, Purged, RetentionState, TextIndex, TextStep, Trimmed
from storage.query import Answer, Filter, Query, Replica, StorageInfo
from storage.record import Batch, Entry, Job, Payload, Position, Record, ToolCall
from storage.search.view import PutView, View

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
        return "" if self._store is None else self._store.warning

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

    async def commit(self, batch: Batch) -> int:
        return await self._current().commit(batch)

    async def retention(self) -> RetentionState:
        return await self._current().retention()

    async def trim(self, max_rows: int) -> Trimmed:
        return await self._current().trim(max_rows)

    async def prepare(self, entries: Sequence[Entry]) -> Prepared:
        return await self._current().prepare(entries)

    async def positions(self, instance: str) -> dict[bytes, Position]:
        return await self._current().positions(instance)

    async def read(self, query: Query[Answer]) -> Answer:
        return await self._current().read(query)

    async def get(self, record_id: bytes) -> Record | None:
        return await self._current().get(record_id)

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        return await self._current().payloads(seqs)

    async def move_floors(
        self, purge_floor_us: int, body_floor_us: int, *, down: bool = False
    ) -> None:
        await self._current().move_floors(purge_floor_us, body_floor_us, down=down)

    async def purge(self, max_rows: int) -> Purged:
        return await self._current().purge(max_rows)

    async def reclaim(self) -> None:
        await self._current().reclaim()

    async def is_in_place(self) -> bool:
        return await self._current().is_in_place()

    async def vacuum(self) -> None:
        await self._current().vacuum()

    async def erase(self, filter: Filter) -> Erased:
        return await self._current().erase(filter)

    async def erasing(self) -> int:
        return await self._current().erasing()

    async def index_text(self) -> TextStep:
        return await self._current().index_text()

    async def text_index(self) -> TextIndex:
        return await self._current().text_index()

    async def tool_call(self, record_id: bytes, position: int) -> ToolCall | None:
        return await self._current().tool_call(record_id, position)

    async def tool_calls_of(self, record_seq: int) -> list[ToolCall]:
        return await self._current().tool_calls_of(record_seq)

    async def waiting_calls(self, instance: str) -> list[ToolCall]:
        return await self._current().waiting_calls(instance)

    async def last_seq(self) -> int:
        return await self._current().last_seq()

    async def jobs(self, limit: int) -> list[Job]:
        return await self._current().jobs(limit)

    async def answers_of(self, record_id: bytes) -> list[bytes]:
        return await self._current().answers_of(record_id)

    async def meta(self, name: str) -> str | None:
        return await self._current().meta(name)

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        return await self._current().put_meta(name, value, replace=replace)

    async def keys(self) -> list[ApiKey]:
        return await self._current().keys()

    async def key_version(self) -> int:
        return await self._current().key_version()

    async def create_key(self, key: ApiKey) -> None:
        await self._current().create_key(key)

    async def update_key(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        return await self._current().update_key(key_id, changes)

    async def delete_key(self, key_id: str, at_us: int) -> KeyUpdate | None:
        return await self._current().delete_key(key_id, at_us)

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        await self._current().touch_keys(uses)

    async def views(self, owner: str) -> list[View]:
        return await self._current().views(owner)

    async def put_view(self, owner: str, view: View, replaced: str | None = None) -> PutView:
        return await self._current().put_view(owner, view, replaced)

    async def delete_view(self, owner: str, name: str) -> bool:
        return await self._current().delete_view(owner, name)

    async def info(self) -> StorageInfo:
        return await self._current().info()

    async def replicas(self) -> list[Replica]:
        return await self._current().replicas()
