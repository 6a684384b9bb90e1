"""The writer: gathers entries into batches and commits them in order, each exactly once, whatever the store does.

Strategy: entries are gathered by the pure `Batcher`; one task takes the oldest closed batch, commits it, and only then
takes the next. While a commit runs, entries gather for the next one, so a slow store gets larger batches.

What the store answers decides what comes next. Unavailable: the same batch again, for ever, with growing pauses.
Rejected: the batch is cut in halves until the refused record stands alone; every part is a transaction of its own that
carries the exact positions of its entries, so a process that dies in between has neither lost nor doubled anything. The
refused record is stored escaped under its id; only if that is refused too, it goes to a file and counts as `poison`.

Invariant: positions are committed in the order in which entries were added, and never ahead of an entry that is not
settled. Memory is bounded in bytes: while the store is away and the queue is full, the oldest batches go to the
spool, if there is one; when that is full too, `is_full` holds, the caller stops adding, and the ring takes over. When
the store is back, batches and spooled frames are committed in turn, and a frame takes its room from the queue.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from storage.base import Storage
from storage.errors import StorageRejected, StorageUnavailable
from storage.ledger import RETIRED_TOTALS, SOURCE_INTERNAL, SOURCE_SPOOL
from storage.record import Batch, Entry, Position
from storage.writer.attempts import WriterCounters, WriterEvents
from storage.writer.availability import Availability
from storage.writer.backlog import Backlog, BacklogLimits
from storage.writer.batcher import Group, Run
from storage.writer.escape import escape
from storage.writer.patience import Patience
from storage.writer.quarantine import quarantine
from storage.writer.spool import FrameTooLarge, Spool
from storage.writer.spool_frames import Origins
from storage.writer.spool_replay import Spooling, is_committed, without_bodies

logger = logging.getLogger(__name__)

SYNC_EVERY_S: Final = 0.5
"""How long what is spooled may not be synced."""


_LIMITS: Final = BacklogLimits()
_EVENTS: Final = WriterEvents()


class Writer:
    """Takes entries from the collector and settles them. `run` is the task; `close` ends it."""

    def __init__(
        self,
        storage: Storage,
        *,
        instance: str,
        quarantine_directory: Path,
        limits: BacklogLimits = _LIMITS,
        events: WriterEvents = _EVENTS,
        spool: Spool | None = None,
        committed: Mapping[bytes, Position] | None = None,
        period: int = 0,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Make a writer that has nothing to do yet.

        Args:
            storage: Where batches go; not closed by the writer.
            instance: Name of this sidecar, the owner of the positions.
            quarantine_directory: Where records are written that the store refuses even escaped; made when needed.
            limits: Of a batch, and of all that was taken and is not settled.
            events: Who is told.
            spool: Loaded; closed by its owner. None for no spool.
            committed: Positions as they are in the store; needed with a spool.
            period: Not 0: the store could not be asked, `committed` may be behind by a batch. Unique to this time.
            patience: How long an answer of the store is waited for, with a spool.
            clock: Monotonic seconds.
            jitter: From 0 to 1, spreads the pauses of several sidecars.
        """
        self._storage = storage
        self._instance = instance
        self._quarantine_directory = quarantine_directory
        self._events = events
        self._spooling = None if spool is None else Spooling(spool, committed or {}, clock)
        self._patience = Patience(None) if spool is None else patience or Patience()
        self._clock = clock
        self._period = period
        # What a store had that has just come, until the batch that met it is settled.
        self._stored: dict[bytes, Position] = {}
        self.counters = WriterCounters()
        self.availability = Availability(clock, jitter, is_up=not period)
        self._backlog = Backlog(limits)
        self._poison: dict[bytes, int] = {}
        self._is_spool_due = False
        self._is_closing = False
        self._is_stopped = False
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def is_storage_up(self) -> bool:
        """Whether the store took, or could have taken, the newest batch."""
        return self.availability.is_up

    @property
    def is_full(self) -> bool:
        """Whether the caller should stop adding: entries then wait in the ring."""
        return self._backlog.is_full

    @property
    def spooled_records(self) -> int:
        """Records in the spool that are not replayed yet."""
        return 0 if self._spooling is None else self._spooling.spool.pending_records

    @property
    def waiting_records(self) -> int:
        """Entries taken and not settled; those of a batch that is being cut in parts count until its last part is."""
        return self._backlog.records

    @property
    def held_bytes(self) -> int:
        """Size of what is held of the entries taken and not settled, a frame that is replayed included."""
        return self._backlog.size_bytes

    @property
    def oldest_unstored_s(self) -> float:
        """Age of the oldest entry that is not settled; 0 without one."""
        opened_at_s = self._backlog.opened_at_s
        queued_s = 0.0 if opened_at_s is None else max(0.0, self._clock() - opened_at_s)
        return queued_s if self._spooling is None else max(queued_s, self._spooling.oldest_s)

    def add(self, entry: Entry, size_bytes: int, source: bytes, position: Position) -> None:
        """Take an entry. Never waits.

        Args:
            entry: What to store. Its `seq` is set when it is committed.
            size_bytes: What it takes of memory, about.
            source: Uuid of its ring.
            position: The source's position after this entry, in which it counts as taken and as stored. Absolute; the
                writer corrects it, and all that follow, for records it had to drop.
        """
        self.extend([entry], size_bytes, Run(source, (position,)))

    def extend(self, entries: list[Entry], size_bytes: int, run: Run) -> None:
        """Take entries of one source, at least one, as `add` does."""
        if self._backlog.extend(entries, size_bytes, run, self._clock()):
            self._wake.set()
        if self._backlog.is_full:
            self._patience.press()
            self._wake.set()  # for relief: nothing more is added that would close the open group

    def advance(self, source: bytes, position: Position) -> None:
        """Move the position of a source without an entry, after those added before."""
        self._backlog.advance(source, position, self._clock())
        self._wake.set()

    def retire(self, source: bytes) -> None:
        """Remove the row of a source whose committed counts were folded into a position given to `advance`."""
        self._backlog.retire(source, self._clock())
        self._wake.set()

    async def run(self) -> None:
        """Settle batches until `close`. Cancelling leaves a batch stored or not, as its positions tell."""
        try:
            while await self._step():
                pass
        finally:
            self._ended.set()

    async def _step(self) -> bool:
        """Settle one batch, or replay one frame, in turn; False when all is done."""
        if self._has_replay and (self._is_spool_due or not self._backlog.has_group(self._clock())):
            self._is_spool_due = False
            await self._replay()
            return True
        group = await self._next()
        if group is None:
            return self._has_replay
        self._is_spool_due = True
        if not await self._settle(group):
            return False
        self._backlog.drop_oldest()
        self._stored = {}
        return True

    @property
    def _has_replay(self) -> bool:
        """Whether a frame can be replayed now: the store is there, or is to be asked again."""
        return (
            self._spooling is not None
            and self._spooling.has_pending
            and not self._is_closing
            and self._clock() >= self.availability.retry_at_s
        )

    def adopt(self, stored: Mapping[bytes, Position]) -> None:
        """Learn what the store has, now that it can be asked: it is not given what it has already."""
        self._period = 0
        self._stored = {
            source: position
            for source, position in stored.items()
            if source not in (SOURCE_INTERNAL, RETIRED_TOTALS, SOURCE_SPOOL)
        }
        self._backlog.close_open()
        for group in self._backlog.groups:
            group.forget(self._stored)
        if self._spooling is not None:
            self._spooling.adopt(stored)
        self.availability.retry_at_s = 0.0
        self._wake.set()

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
        """Wait for the oldest batch; None when there is none and the writer closes, or when a frame can be replayed."""
        while not self._is_stopped:
            group = self._backlog.oldest(self._clock(), at_once=self._is_closing)
            if group is not None:
                return group
            if self._is_closing or self._has_replay:
                return None
            await self._wait(self._until(self._backlog.due_at_s()))
        return None

    def _until(self, due_at_s: float | None) -> float | None:
        """Tell how long to wait at most: until the open batch is due, or a frame may be replayed."""
        times_s = [] if due_at_s is None else [due_at_s]
        if self._spooling is not None and self._spooling.has_pending:
            times_s.append(self.availability.retry_at_s)
        return max(0.0, min(times_s) - self._clock()) if times_s else None

    async def _wait(self, seconds: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _settle(self, group: Group, *, may_wait: bool = True) -> bool:
        """Commit a group, in parts where the store refuses some of it; False when the writer was stopped before."""
        parts = [group]
        while parts:
            part = parts.pop()
            try:
                if not await self._commit(part, may_wait=may_wait):
                    return False
            except FrameTooLarge:
                parts += reversed(part.split())
            except StorageRejected as error:
                self.counters.batches["rejected"] += 1
                self._events.on_attempt("rejected", len(part.entries), 0.0)
                if len(part.entries) > 1:
                    parts += reversed(part.split())
                elif not await self._settle_refused(part, error, may_wait=may_wait):
                    return False
        return True

    async def _settle_refused(self, part: Group, error: StorageRejected, *, may_wait: bool) -> bool:
        if not part.entries:
            raise error  # Not a record's fault: a bug of the positions.
        part.entries = [escape(part.entries[0])]
        try:
            is_settled = await self._commit(part, may_wait=may_wait)
        except StorageRejected as second:
            await asyncio.to_thread(quarantine, self._quarantine_directory, part.entries[0], second)
            source = part.runs[0].source
            self._poison[source] = self._poison.get(source, 0) + 1
            self.counters.records_quarantined += 1
            part.entries = []
            is_settled = await self._commit(part, may_wait=may_wait)
            if is_settled:
                self._events.on_dropped("poison", 1)
            return is_settled
        if is_settled:
            self.counters.records_escaped += 1
            logger.warning("a record was stored escaped: %s", error)
        return is_settled

    async def _commit(self, part: Group, *, may_wait: bool = True) -> bool:
        """Commit one part, waiting for the store as long as it takes; False when the writer was stopped before.

        Raises:
            StorageUnavailable: The store is away, and it was not to wait.
        """
        is_doubtful = False
        while not self._is_stopped:
            if self._stored:
                part.forget(self._stored)
            batch = part.batch(self._instance, self._poison)
            if may_wait and self._clock() < self.availability.retry_at_s:
                if await self._spool(part, batch, is_doubtful=is_doubtful):
                    return True
                await self._wait(self.availability.retry_at_s - self._clock())
                continue
            began_s = self._clock()
            try:
                last_seq = await self._attempt(batch, is_doubtful=is_doubtful)
            except StorageUnavailable as error:
                self._note_down(batch, self._clock() - began_s, error)
                is_doubtful = True
                if not may_wait:
                    raise
                continue
            self._note_stored(batch, self._clock() - began_s)
            if self._spooling is not None:
                corrupt = self._spooling.on_commit(part, batch)
                if corrupt:
                    self._events.on_dropped("corrupt", corrupt)
            self._events.on_commit(batch, last_seq)
            return True
        return False

    async def _attempt(self, batch: Batch, *, is_doubtful: bool) -> int:
        """Commit a batch once, unless an attempt before has done so unnoticed."""
        async with self._patience.bounded(is_pressed=self.is_full):
            if is_doubtful and await is_committed(self._storage, batch):
                return await self._storage.last_seq()
            return await self._storage.commit(batch)

    async def _spool(self, part: Group, batch: Batch, *, is_doubtful: bool) -> bool:
        """Put a part into the spool, if there is one, when the queue needs relief or the writer closes."""
        spooling = self._spooling
        if spooling is None:
            return False
        is_sent = False
        if (self._backlog.needs_relief() or self._is_closing) and spooling.is_taking:
            age_s = self._clock() - part.opened_at_s
            sources = [run.source for run in part.runs for _ in run.positions] if self._period else ()
            origins = Origins.of(self._period, sources) if self._period else None
            try:
                is_sent = await spooling.send(batch, age_s, is_doubtful=is_doubtful and not origins, origins=origins)
            except FrameTooLarge:
                if len(part.entries) > 1:
                    raise
                part.entries = [without_bodies(part.entries[0])]  # Stored so, now or with the next attempt.
        await spooling.synchronize(0.0 if self._is_closing else SYNC_EVERY_S)
        if is_sent:
            self.counters.batches["spooled"] += 1
            self._events.on_attempt("spooled", len(batch.entries), 0.0)
            self._events.on_spooled(batch)
        return is_sent

    async def _replay(self) -> None:
        """Commit the oldest frame of the spool; a store that goes away leaves the rest of it for the next time."""
        spooling = self._spooling
        assert spooling is not None
        try:
            with self._backlog.lending():
                group = await self._next_frame(spooling)
                if group is not None:
                    await self._settle(group, may_wait=False)
        except StorageUnavailable as error:
            if self._clock() >= self.availability.retry_at_s:
                self._note_down(Batch(self._instance, []), 0.0, error)
        await spooling.collect()

    async def _next_frame(self, spooling: Spooling) -> Group | None:
        """Read the oldest frame that the store does not have; None when it turns out to have it."""
        async with self._patience.bounded(is_pressed=self.is_full):
            stored = await self._storage.positions(self._instance)  # Behind a commit that may still run.
            unheard = spooling.catch_up(stored, self._poison.get(SOURCE_SPOOL, 0))
            if unheard is not None:
                self._events.on_commit(Batch(self._instance, [], unheard), await self._storage.last_seq())
            return await spooling.next_group(self._storage) if unheard is None and spooling.has_pending else None

    def _note_down(self, batch: Batch, took_s: float, error: StorageUnavailable) -> None:
        self.counters.batches["retried"] += 1
        self._events.on_attempt("retried", len(batch.entries), took_s)
        self.availability.note_down(error)

    def _note_stored(self, batch: Batch, took_s: float) -> None:
        self.counters.batches["stored"] += 1
        self.counters.records_stored += len(batch.entries)
        self.counters.last_flush_s = took_s
        self._events.on_attempt("stored", len(batch.entries), took_s)
        self.availability.note_up()
