"""The writer: gathers entries into batches and commits them in order, each exactly once, whatever the store does.

Strategy: entries are gathered by the pure `Batcher`; one task takes the oldest closed batch, commits it, and only then
takes the next. While a commit runs, entries gather for the next one, so a slow store gets larger batches.

What the store answers decides what comes next. Unavailable: the same batch again, for ever, with growing pauses.
Rejected: the batch is cut in halves until the refused record stands alone; every part is a transaction of its own that
carries the exact positions of its entries, so a process that dies in between has neither lost nor doubled anything. The
refused record is stored escaped under its id; only if that is refused too, it goes to a file and counts as `poison`.

Invariant: positions are committed in the order in which entries were added, and never ahead of an entry that is not
settled. Memory is bounded in bytes: the caller stops adding while `is_full`, and the ring takes over.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from storage.base import Storage
from storage.batcher import Batcher, Group
from storage.errors import StorageRejected, StorageUnavailable
from storage.escape import escape
from storage.record import Batch, Entry, Position, format_id

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 5.0

BatchOutcome = Literal["stored", "retried", "rejected"]
OnCommit = Callable[[Batch, int], None]
"""Told of every commit, in order: the batch as stored, positions corrected, and the newest `seq` of the store."""


@dataclass(slots=True)
class WriterCounters:
    """What the writer has done since it was made."""

    batches: dict[BatchOutcome, int] = field(default_factory=lambda: {"stored": 0, "retried": 0, "rejected": 0})
    """Commits by how they ended."""
    records_stored: int = 0
    records_escaped: int = 0
    """Of those stored, how many had to be escaped."""
    records_quarantined: int = 0
    last_flush_s: float = 0.0
    """How long the newest successful commit took."""


class Writer:
    """Takes entries from the collector and settles them. `run` is the task; `close` ends it."""

    def __init__(
        self,
        storage: Storage,
        *,
        instance: str,
        quarantine_directory: Path,
        max_records: int = 3000,
        max_bytes: int = 8 * 1024 * 1024,
        max_age_s: float = 0.2,
        queue_max_bytes: int = 64 * 1024 * 1024,
        on_commit: OnCommit = lambda batch, last_seq: None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Make a writer that has nothing to do yet.

        Args:
            storage: Where batches go; not closed by the writer.
            instance: Name of this sidecar, the owner of the positions.
            quarantine_directory: Where records are written that the store refuses even escaped; made when needed.
            max_records: Entries in one batch (3000: half the cost per row of 500, measured).
            max_bytes: Size of one batch's entries.
            max_age_s: How long the first entry of a batch waits for others.
            queue_max_bytes: Size of all entries taken and not settled from which `is_full` holds.
            on_commit: Called after every commit, on the loop; must be quick.
            clock: Monotonic seconds.
            jitter: Random number from 0 to 1, spreads the pauses of several sidecars.
        """
        self._storage = storage
        self._instance = instance
        self._quarantine_directory = quarantine_directory
        self._queue_max_bytes = queue_max_bytes
        self._on_commit = on_commit
        self._clock = clock
        self._jitter = jitter

        self.counters = WriterCounters()
        self.is_storage_up = True
        """Whether the store took, or could have taken, the newest batch."""
        self._batcher = Batcher(max_records=max_records, max_bytes=max_bytes, max_age_s=max_age_s)
        self._queue: deque[Group] = deque()  # Bounded in bytes, by the callers' heeding `is_full`.
        self._queued_bytes = 0
        self._poison: dict[bytes, int] = {}
        self._is_closing = False
        self._is_stopped = False
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether the caller should stop adding: entries then wait in the ring."""
        return self._queued_bytes + self._batcher.size_bytes >= self._queue_max_bytes

    @property
    def waiting_records(self) -> int:
        """Entries taken and not settled; those of a batch that is being cut in parts count until its last part is."""
        return self._batcher.records + sum(len(group.entries) for group in self._queue)

    @property
    def oldest_unstored_s(self) -> float:
        """Age of the oldest entry that is not settled; 0 without one."""
        opened_at_s = self._queue[0].opened_at_s if self._queue else self._batcher.opened_at_s
        return 0.0 if opened_at_s is None else max(0.0, self._clock() - opened_at_s)

    def add(self, entry: Entry, size_bytes: int, source: bytes, position: Position) -> None:
        """Take an entry. Never waits.

        Args:
            entry: What to store. Its `seq` is set when it is committed.
            size_bytes: What it takes of memory, about.
            source: Uuid of its ring.
            position: The source's position after this entry, in which it counts as taken and as stored. Absolute; the
                writer corrects it, and all that follow, for records it had to drop.
        """
        opens = self._batcher.opened_at_s is None
        group = self._batcher.add(entry, size_bytes, source, position, self._clock())
        if group is not None:
            self._enqueue(group)
        if opens or group is not None:
            self._wake.set()

    def advance(self, source: bytes, position: Position) -> None:
        """Move the position of a source without an entry, after those added before."""
        self._batcher.advance(source, position, self._clock())
        self._wake.set()

    def retire(self, source: bytes) -> None:
        """Remove the row of a source whose committed counts were folded into a position given to `advance`."""
        self._batcher.retire(source, self._clock())
        self._wake.set()

    async def run(self) -> None:
        """Settle batches until `close`. Cancelling leaves a batch stored or not, as its positions tell."""
        try:
            while (group := await self._next()) is not None and await self._settle(group):
                self._queue.popleft()
                self._queued_bytes -= group.size_bytes
        finally:
            self._ended.set()

    async def close(self, deadline_s: float) -> int:
        """Settle everything that was added, within a time, and end `run`.

        Returns:
            How many entries are not settled: the store was not available, or too slow.
        """
        self._is_closing = True
        self._wake.set()
        try:
            async with asyncio.timeout(deadline_s):
                await self._ended.wait()
        except TimeoutError:
            self._is_stopped = True
            self._wake.set()
        return self.waiting_records

    async def _next(self) -> Group | None:
        while not self._is_stopped:
            if self._queue:
                return self._queue[0]
            due_at_s = self._batcher.due_at_s()
            if due_at_s is None:
                if self._is_closing:
                    return None
                await self._wait(None)
            elif self._is_closing or due_at_s <= self._clock():
                group = self._batcher.take()
                assert group is not None
                self._enqueue(group)
            else:
                await self._wait(due_at_s - self._clock())
        return None

    def _enqueue(self, group: Group) -> None:
        self._queue.append(group)
        self._queued_bytes += group.size_bytes

    async def _wait(self, seconds: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _settle(self, group: Group) -> bool:
        """Commit a group, in parts where the store refuses some of it; False when the writer was stopped before."""
        parts = [group]
        while parts:
            part = parts.pop()
            try:
                if not await self._commit(part):
                    return False
            except StorageRejected as error:
                self.counters.batches["rejected"] += 1
                if len(part.entries) > 1:
                    parts += reversed(part.split())
                elif not await self._settle_refused(part, error):
                    return False
        return True

    async def _settle_refused(self, part: Group, error: StorageRejected) -> bool:
        if not part.entries:
            raise error  # Not a record's fault: a bug of the positions.
        part.entries = [escape(part.entries[0])]
        try:
            is_settled = await self._commit(part)
        except StorageRejected as second:
            await asyncio.to_thread(_quarantine, self._quarantine_directory, part.entries[0], second)
            self._poison[part.sources[0]] = self._poison.get(part.sources[0], 0) + 1
            self.counters.records_quarantined += 1
            part.entries = []
            return await self._commit(part)
        if is_settled:
            self.counters.records_escaped += 1
            logger.warning("a record was stored escaped: %s", error)
        return is_settled

    async def _commit(self, part: Group) -> bool:
        """Commit one part, waiting for the store as long as it takes; False when the writer was stopped before."""
        batch = part.batch(self._instance, self._poison)
        pause_s = FIRST_PAUSE_S
        while not self._is_stopped:
            began_s = self._clock()
            try:
                last_seq = await self._storage.commit(batch)
            except StorageUnavailable as error:
                self._note_down(error)
                await self._pause(pause_s * (0.5 + self._jitter() / 2))
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
                continue
            self._note_stored(batch, self._clock() - began_s)
            self._on_commit(batch, last_seq)
            return True
        return False

    async def _pause(self, seconds: float) -> None:
        ends_at_s = self._clock() + seconds
        while not self._is_stopped and (rest_s := ends_at_s - self._clock()) > 0:
            await self._wait(rest_s)

    def _note_down(self, error: StorageUnavailable) -> None:
        self.counters.batches["retried"] += 1
        if self.is_storage_up:
            self.is_storage_up = False
            logger.warning("the store is unavailable, nothing is lost yet: %s", error)

    def _note_stored(self, batch: Batch, took_s: float) -> None:
        self.counters.batches["stored"] += 1
        self.counters.records_stored += len(batch.entries)
        self.counters.last_flush_s = took_s
        if not self.is_storage_up:
            self.is_storage_up = True
            logger.warning("the store is available again")


def _quarantine(directory: Path, entry: Entry, error: StorageRejected) -> None:
    """Write a record to a file of its own; one that cannot even be written is only logged."""
    path = directory / f"{entry.record.id.hex()}.msgpack"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.msgpack.encode(entry))
    except (OSError, ValueError, TypeError, OverflowError) as failure:
        logger.error("record %s was refused (%s) and could not be kept: %s", entry.record.id.hex(), error, failure)
    else:
        logger.error("record %s was refused (%s) and is kept in %s", format_id(entry.record.id), error, path)
