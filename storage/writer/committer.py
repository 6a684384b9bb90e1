"""Commits a batch, in parts where the store refuses it, and notifies listeners of commits.

Strategy: a refused batch is halved until the refused record stands alone. Every part is a
transaction of its own that carries the exact positions of its entries, so a process that dies in
between neither loses nor duplicates a record. The refused record is stored escaped under its id. If
that is refused too, it goes to a quarantine file and counts as `poison`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storage.base import Storage
from storage.errors import StorageRejected, StorageUnavailable
from storage.ledger import RETIRED_TOTALS, SOURCE_INTERNAL, SOURCE_SPOOL
from storage.record import Batch, Position
from storage.writer import attempts
from storage.writer.pending_batch import PendingBatch
from storage.writer.quarantine import escape, quarantine
from storage.writer.spool import FrameTooLarge
from storage.writer.spool_replay import SpoolReplay, as_stored, is_committed

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Committer:
    """Commits one batch at a time to `storage`."""

    storage: Storage
    instance: str
    quarantine_directory: Path
    spool: SpoolReplay | None
    timeout: attempts.CommitTimeout
    availability: attempts.Availability
    on_attempt: attempts.OnAttempt
    make_room: attempts.MakeRoom
    _commit_listeners: tuple[attempts.CommitListener, ...] = field(default=(), init=False)
    _listeners: tuple[attempts.WriterListener, ...] = field(default=(), init=False)
    _stored: dict[bytes, Position] = field(default_factory=dict, init=False)
    counters: attempts.WriterCounters = field(default_factory=attempts.WriterCounters, init=False)
    poison: dict[bytes, int] = field(default_factory=dict, init=False)
    """Source → records that were dropped although its positions count them as stored."""

    def subscribe(
        self, feeder: attempts.WriterListener, *followers: attempts.CommitListener
    ) -> None:
        """Notify `feeder` of stored, spooled and dropped records, and after it `followers` of
        commits.
        """
        self._listeners = (*self._listeners, feeder)
        self._commit_listeners = (*self._commit_listeners, feeder, *followers)

    def reconcile(self, stored: Mapping[bytes, Position]) -> dict[bytes, Position]:
        """Skip entries that the store already has, until `forget_stored`; return its positions of
        real sources.
        """
        pseudo = (SOURCE_INTERNAL, RETIRED_TOTALS, SOURCE_SPOOL)
        self._stored = {
            source: position for source, position in stored.items() if source not in pseudo
        }
        return self._stored

    def forget_stored(self) -> None:
        """Stop skipping entries: the batch that was running at `reconcile` is settled."""
        self._stored = {}

    async def settle(
        self, pending: PendingBatch, commit: Callable[[PendingBatch], Awaitable[bool]]
    ) -> bool:
        """Settle a batch with `commit`, in parts where it is refused or too large; False as soon as
        `commit` returns it.

        Raises:
            StorageRejected: the store refuses positions without entries; this is a bug.
        """
        parts = [pending]
        while parts:
            part = parts.pop()
            try:
                if not await commit(part):
                    return False
            except FrameTooLarge:
                parts += reversed(part.split())
            except StorageRejected as error:
                self._note("rejected", len(part.entries))
                if len(part.entries) > 1:
                    parts += reversed(part.split())
                elif not await self._settle_refused(part, error, commit):
                    return False

        return True

    async def _settle_refused(
        self,
        part: PendingBatch,
        error: StorageRejected,
        commit: Callable[[PendingBatch], Awaitable[bool]],
    ) -> bool:
        if not part.entries:
            raise error  # No record can be the cause; it is a bug in the positions.
        part.replace([escape(part.entries[0])])
        try:
            is_settled = await commit(part)
        except StorageRejected as second:
            return await self._drop_refused(part, second, commit)

        if is_settled:
            self.counters.records_escaped += 1
            log.warning("a record was stored escaped: %s", error)
        return is_settled

    async def _drop_refused(
        self,
        part: PendingBatch,
        error: StorageRejected,
        commit: Callable[[PendingBatch], Awaitable[bool]],
    ) -> bool:
        """Write the only record of a part to quarantine, and commit positions that count it as
        dropped.
        """
        await asyncio.to_thread(quarantine, self.quarantine_directory, part.entries[0], error)
        part.replace([])
        source = part.runs[0].source
        self.poison[source] = self.poison.get(source, 0) + 1

        try:
            is_settled = await commit(part)
        except StorageUnavailable:
            # Only frames of the spool end here. The frame is read again, and its record refused and
            # counted again.
            self.poison[source] -= 1
            raise

        if is_settled:
            self.counters.records_quarantined += 1
            self._notify_dropped("poison", 1)
        return is_settled

    def batch(self, part: PendingBatch) -> Batch:
        if self._stored:
            part.discard_stored(self._stored)
        return part.batch(self.instance, self.poison)

    async def prepare(self, part: PendingBatch) -> None:
        """Let the store prepare a part before its commit, once for all attempts and without a
        timeout.

        Nothing is prepared while the store is away: the part may be spooled instead, and is
        prepared when it is replayed.
        """
        if part.prepared is None and part.entries and self.availability.is_up:
            with suppress(StorageUnavailable):  # the following attempt reports it
                part.prepared = await self.storage.prepare(part.entries)

    async def commit(self, part: PendingBatch, *, is_urgent: bool) -> None:
        """Commit a part once. A doubtful part is first looked up, since an earlier attempt may have
        stored it.

        `is_urgent`: the queue is full, and the spool is not.

        Raises:
            StorageUnavailable: it may have been committed or not.
            StorageRejected: it was not committed.
        """
        batch = self.batch(part)
        started_s = time.monotonic()
        try:
            async with self.timeout.bounded(is_urgent=is_urgent):
                if part.is_doubtful and await is_committed(self.storage, batch):
                    batch = await as_stored(self.storage, batch)
                else:
                    await self.make_room(len(batch.entries), part.size_bytes)
                    await self.storage.commit(batch)
                    self.timeout.note_commit(time.monotonic() - started_s)
        except StorageUnavailable as error:
            part.is_doubtful = True
            self.note_unavailable(error, len(batch.entries), time.monotonic() - started_s)
            raise
        except StorageRejected:
            part.is_doubtful = False
            raise

        self.counters.last_flush_s = time.monotonic() - started_s
        self._note("stored", len(part.entries), self.counters.last_flush_s)
        self.availability.note_up()
        if self.spool is not None:
            self.spool.note_commit(part, batch)
            self.notify_spool_drops()
        self.notify_commit(batch)

    def note_unavailable(
        self, error: StorageUnavailable, records: int = 0, took_s: float = 0.0
    ) -> None:
        self._note("retried", records, took_s)
        self.availability.note_down(error)

    def note_spooled(self, batch: Batch) -> None:
        """Count a spooled batch, and notify the listeners."""
        self._note("spooled", len(batch.entries))
        for listener in self._listeners:
            listener.on_spooled(batch)

    def notify_commit(self, batch: Batch) -> None:
        for listener in self._commit_listeners:
            listener.on_commit(batch)

    def notify_spool_drops(self) -> None:
        """Notify the listeners of records that the spool has lost, as far as commits have counted
        them.
        """
        for reason, records in () if self.spool is None else self.spool.new_drops():
            self._notify_dropped(reason, records)

    def _notify_dropped(self, reason: str, records: int) -> None:
        for listener in self._listeners:
            listener.on_dropped(reason, records)

    def _note(self, outcome: attempts.BatchOutcome, records: int, took_s: float = 0.0) -> None:
        self.counters.batches[outcome] += 1
        self.on_attempt(outcome, records, took_s)
