"""The writer: gathers entries into batches and commits them in order, each exactly once, however
the store fails.

Strategy: entries gather in the pure `Backlog`. One task takes the oldest closed batch, settles it,
and only then takes the next. Entries that arrive during a commit gather for the next batch, so a
slow store gets larger batches. While the store is unavailable, the same batch is retried without
end, with growing pauses. A batch that the store refuses is split (`Committer`).

Invariant: positions are committed in the order in which entries were added, and never ahead of an
entry that is not settled. Memory is bounded in bytes. While the store is away and the queue is
full, the oldest batches go to the spool, if there is one. When that is full too, `is_full` holds,
the caller stops adding, and entries wait in the ring. When the store is back, batches and spooled
frames are committed in turn, and a frame reserves its memory from the queue.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.ledger import SOURCE_SPOOL
from storage.record import Batch, Entry, Position
from storage.writer.attempts import (
    Availability,
    CommitListener,
    CommitTimeout,
    MakeRoom,
    OnAttempt,
    WriterListener,
)
from storage.writer.backlog import Backlog, BacklogLimits
from storage.writer.committer import Committer
from storage.writer.pending_batch import PendingBatch, SourceRun
from storage.writer.spool import FrameTooLarge
from storage.writer.spool_replay import SpoolReplay, without_bodies

SYNC_EVERY_S: Final = 0.5
"""Longest time that spooled data stays unsynced."""
_LIMITS: Final = BacklogLimits()


async def no_cap(entries: int, size_bytes: int) -> None:
    """Make no room: the default for a store without a size cap."""


class Writer:
    """Takes entries from the collector and settles them: stored, spooled or dropped. `run` is the
    task; `close` ends it.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        instance: str,
        quarantine_directory: Path,
        limits: BacklogLimits = _LIMITS,
        spool: SpoolReplay | None = None,
        availability: Availability | None = None,
        timeout: CommitTimeout | None = None,
        on_attempt: OnAttempt = lambda outcome, records, seconds: None,
        make_room: MakeRoom = no_cap,
    ) -> None:
        """Make a writer with an empty queue.

        Args:
            storage: Store to commit to; not closed by the writer.
            instance: Name of this sidecar, the owner of the positions.
            quarantine_directory: Where records are written that the store refuses even escaped; made when needed.
            limits: Bounds of a batch, and of all that was added and is not settled.
            spool: None for no spool.
            availability: Whether the store is there at the start; up by default.
            timeout: Bounds requests to the store if there is a spool; without a spool there is no timeout.
            on_attempt: Called on the loop after every attempt and for every batch that is spooled; must be quick.
            make_room: See `SizeCap`.
        """
        self._storage = storage
        self._spool = spool
        if spool is None:
            self._timeout = CommitTimeout(None)
        else:
            self._timeout = timeout or CommitTimeout()
        self._backlog = Backlog(limits)
        self.availability = availability or Availability()
        self._committer = Committer(
            storage,
            instance,
            quarantine_directory,
            spool,
            self._timeout,
            self.availability,
            on_attempt,
            make_room,
        )
        self.counters = self._committer.counters
        self._instance = instance
        self._is_spool_due = False
        self._is_closing = False
        self._is_stopped = False
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    def subscribe(self, feeder: WriterListener, *followers: CommitListener) -> None:
        """Notify `feeder` of stored, spooled and dropped records, and after it `followers` of
        commits. Call it before `run`.
        """
        self._committer.subscribe(feeder, *followers)

    @property
    def is_storage_up(self) -> bool:
        """True if the newest attempt to commit reached the store."""
        return self.availability.is_up

    @property
    def is_full(self) -> bool:
        """True if the caller should stop adding: entries then wait in the ring."""
        return self._backlog.is_full

    @property
    def _is_urgent(self) -> bool:
        """True if attempts should be short: the queue is full, and the spool has room."""
        return self.is_full and self._spool is not None and not self._spool.is_full

    @property
    def spooled_records(self) -> int:
        if self._spool is None:
            return 0
        return self._spool.spool.pending_records

    @property
    def waiting_records(self) -> int:
        """Entries added and not settled. A batch that is committed in parts counts in full until
        its last part is settled.
        """
        return self._backlog.records

    @property
    def held_bytes(self) -> int:
        """Memory of entries that are not settled, of the frame being replayed, and of the store's
        preparations for both.
        """
        return self._backlog.size_bytes

    @property
    def oldest_unstored_s(self) -> float:
        """Age of the oldest entry that is not settled; 0 without one."""
        opened_at_s = self._backlog.opened_at_s
        if opened_at_s is None:
            queued_s = 0.0
        else:
            queued_s = max(0.0, time.monotonic() - opened_at_s)
        if self._spool is None:
            return queued_s
        return max(queued_s, self._spool.oldest_s)

    def add(self, entry: Entry, size_bytes: int, source: bytes, position: Position) -> None:
        """Add an entry. Never waits.

        Args:
            entry: What to store. Its `seq` is set when it is committed.
            size_bytes: Approximate memory it takes.
            source: Uuid of its ring.
            position: The source's position after this entry, which it counts as taken and stored.
                Absolute; the writer corrects it, and all that follow, for records it had to drop.
        """
        self.extend([entry], size_bytes, SourceRun(source, (position,)))

    def extend(self, entries: list[Entry], size_bytes: int, run: SourceRun) -> None:
        """Add entries of one source, at least one, as `add` does."""
        if self._backlog.extend(entries, size_bytes, run, time.monotonic()):
            self._wake.set()
        if self._backlog.is_full:
            if self._is_urgent:
                self._timeout.shorten()
            self._wake.set()  # wake it to spill: no further entry will come to close the open batch

    def advance(self, source: bytes, position: Position) -> None:
        """Move the position of a source without an entry, after those added before."""
        self._backlog.advance(source, position, time.monotonic())
        self._wake.set()

    def drop_source(self, source: bytes) -> None:
        """Delete the position of a source after its counts were added to another position with
        `advance`.
        """
        self._backlog.drop_source(source, time.monotonic())
        self._wake.set()

    def expect_pause(self, seconds: float) -> None:
        """Make the open batch due now if its age limit ends within the pause: no entry would join
        it by waiting.
        """
        if self._backlog.expect_pause(time.monotonic() + seconds):
            self._wake.set()

    async def run(self) -> None:
        """Settle batches until `close`. After a cancellation, the positions in the store tell
        whether the running batch is stored.
        """
        try:
            while await self._step():
                pass
        finally:
            self._ended.set()

    async def close(self, deadline_s: float) -> int:
        """Settle everything that was added, within a deadline, and end `run`.

        Returns:
            Number of entries that are not settled because the store was unavailable or too slow.
        """
        self._is_closing = True
        self._timeout.limit(deadline_s / 2)  # the other half is for the spool
        self._wake.set()

        try:
            async with asyncio.timeout(deadline_s):
                await self._ended.wait()
        except TimeoutError:
            self._is_stopped = True
            self._wake.set()

        return self.waiting_records

    def reconcile(self, stored: Mapping[bytes, Position]) -> None:
        """Continue from the positions in the store, once they can be read: entries that it already
        has are discarded.
        """
        known = self._committer.reconcile(stored)
        self._backlog.close_open()
        for pending in self._backlog.batches:
            pending.discard_stored(known)
        if self._spool is not None:
            self._spool.reconcile(stored)
        # The store has just answered; without a batch to commit, the writer would not notice.
        self.availability.note_up()
        self._wake.set()

    async def _step(self) -> bool:
        """Settle one batch, or replay one frame, in turn; False when the writer has ended."""
        if self._can_replay and (
            self._is_spool_due or not self._backlog.has_batch(time.monotonic())
        ):
            self._is_spool_due = False
            await self._replay()
            return True

        pending = await self._next()
        if pending is None:
            return self._can_replay

        self._is_spool_due = True
        if not await self._committer.settle(pending, self._commit_or_spool):
            return False

        self._backlog.remove_oldest()
        self._committer.forget_stored()
        return True

    @property
    def _can_replay(self) -> bool:
        """True if a frame can be replayed now: frames are pending, and the store is up or due for a
        retry.
        """
        return (
            self._spool is not None
            and self._spool.has_pending
            and not self._is_closing
            and time.monotonic() >= self.availability.retry_at_s
        )

    async def _next(self) -> PendingBatch | None:
        """Wait for the oldest batch; None when the writer is closing without one, or when a frame
        can be replayed.
        """
        while not self._is_stopped:
            pending = self._backlog.oldest(time.monotonic(), at_once=self._is_closing)
            if pending is not None:
                return pending
            if self._is_closing or self._can_replay:
                return None

            if (due_at_s := self._backlog.due_at_s()) is None:
                times_s = []
            else:
                times_s = [due_at_s]
            if self._spool is not None and self._spool.has_pending:
                times_s.append(self.availability.retry_at_s)
            await self._wait_until(min(times_s, default=None))

        return None

    async def _wait_until(self, time_s: float | None) -> None:
        try:
            async with asyncio.timeout(
                None if time_s is None else max(0.0, time_s - time.monotonic())
            ):
                await self._wake.wait()
        except TimeoutError:
            pass

        # Clear after the wait: the caller checks the queue again before it waits once more.
        self._wake.clear()

    async def _commit_or_spool(self, part: PendingBatch) -> bool:
        """Commit one part, or spool it, waiting for the store as long as it takes; False when the
        writer was stopped first.
        """
        while not self._is_stopped:
            is_away = time.monotonic() < self.availability.retry_at_s
            # While closing, the rest of the deadline is for the spool.
            may_spool = is_away or (self._is_closing and not self.availability.is_up)
            if may_spool and await self._try_spool(part):
                return True
            if is_away:
                await self._wait_until(self.availability.retry_at_s)
                continue

            await self._prepare(part)
            try:
                await self._committer.commit(part, is_urgent=self._is_urgent)
            except StorageUnavailable:
                continue

            return True

        return False

    async def _try_spool(self, part: PendingBatch) -> bool:
        """Write a part to the spool if the queue should spill or the writer is closing; False if it
        was not written.
        """
        spool = self._spool
        batch = self._committer.batch(part)
        if spool is None:
            return False

        is_sent = False
        if (self._backlog.should_spill() or self._is_closing) and spool.is_writable:
            try:
                is_sent = await spool.send(part, batch)
            except FrameTooLarge:
                if len(part.entries) > 1:
                    raise
                # Now or with the next attempt, it is stored without its bodies.
                part.replace([without_bodies(part.entries[0])])

        if is_sent:
            # Notify at once: until then the records are both in the spool and at their source.
            self._committer.note_spooled(batch)
        await spool.synchronize(0.0 if self._is_closing else SYNC_EVERY_S)
        return is_sent

    async def _replay(self) -> None:
        """Commit the oldest frame of the spool. If the store becomes unavailable, the rest of the
        frame waits for the next call.
        """
        assert self._spool is not None
        try:
            with self._backlog.reserve():
                pending = await self._next_frame(self._spool)
                if pending is not None:
                    await self._committer.settle(pending, self._commit_once)
        except StorageUnavailable as error:
            if time.monotonic() >= self.availability.retry_at_s:
                self._committer.note_unavailable(error)

        await asyncio.to_thread(self._spool.spool.collect)

    async def _next_frame(self, spool: SpoolReplay) -> PendingBatch | None:
        """Return the oldest frame that is not in the store; None when it turns out to be stored."""
        async with self._timeout.bounded(is_urgent=self._is_urgent):
            # The store answers after any commit that may still run.
            stored = await self._storage.positions(self._instance)
            moved = spool.catch_up(stored, self._committer.poison.get(SOURCE_SPOOL, 0))
            if moved is not None:
                self._committer.notify_spool_drops()
                self._committer.notify_commit(Batch(self._instance, [], moved))
            if moved is None and spool.has_pending:
                return await spool.next_batch(self._storage)

            return None

    async def _commit_once(self, part: PendingBatch) -> bool:
        """Commit a part of a frame; False when the writer was stopped before."""
        if self._is_stopped:
            return False
        await self._prepare(part)
        await self._committer.commit(part, is_urgent=self._is_urgent)
        return True

    async def _prepare(self, part: PendingBatch) -> None:
        """Prepare a part, and count the prepared data as held by the queue."""
        await self._committer.prepare(part)
        self._backlog.prepared_bytes = part.prepared_bytes
