"""The collector's loop: it turns ring entries into records, slice by slice, and accounts for every
entry.

Slices are short, so that requests to the admin port are served between them. Once the rings are
empty, the loop commits and pauses, so that records are made in groups; a ring that fills up ends
the pause. After a pause without new entries it sleeps until a push wakes it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from proxy.collector.committed import CommittedPositions
from proxy.collector.internal_events import InternalEvents
from proxy.collector.rings.capture_rules import CaptureRules
from proxy.collector.rings.slices import Observer, SliceReader
from proxy.collector.rings.sources import Source, Sources
from proxy.enrich.records import RecordBuilder
from proxy.process.wakeup import Wakeup
from proxy.ring.segment_layout import SegmentError, boot_id
from proxy.settings.model import CaptureRuleSettings
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.record import Position
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

SLICE_RECORDS: Final = 256
SLICE_BYTES: Final = 1024 * 1024
POLL_S: Final = 0.005
"""Time between two looks while no push would wake the loop."""
WAKING_PART: Final = 1 / 8
"""Part of a ring that may fill during a pause. From a half on, requests wait for recording."""
MAX_SLEEP_S: Final = 0.25
"""Longest sleep. A wake-up may be missed between a store and a load, and new rings are looked for.
"""
FIND_EVERY_S: Final = 0.5
"""Time between two looks for new rings, and for rings of dead workers to be closed."""
NOTE_EVERY_S: Final = 0.25
"""Shortest time between two notes of how many records each ring was given."""


class Drain:
    """Moves records from all rings to the writer."""

    def __init__(
        self,
        sources: Sources,
        builder: RecordBuilder,
        writer: Writer,
        storage: Storage,
        committed: CommittedPositions,
        events: InternalEvents,
        observers: Sequence[Observer],
        rules: Sequence[CaptureRuleSettings] = (),
        *,
        pause_s: float,
    ) -> None:
        """Make a drain without rings.

        Args:
            storage: Asked whether a dead worker's exchange was recorded.
            observers: Called with all records.
            pause_s: Time between two looks while there is traffic, at most `MAX_SLEEP_S`. Records
                that are made and committed together find the caches warm.
        """
        self._sources = sources
        self._builder = builder
        self._slices = SliceReader(
            builder, writer, observers, CaptureRules(rules) if rules else None
        )
        self._writer = writer
        self._storage = storage
        self._committed = committed
        self._events = events
        self._pause_s = min(pause_s, MAX_SLEEP_S)
        self._is_stopping = False
        self._is_provisional = False
        self._is_holding = False
        self._reconcile: Callable[[], None] | None = None
        self._is_unexplained = False
        """Whether a wake-up came since the last entry: a new worker, rather than a push, may have
        sent it.
        """
        self._is_woken = asyncio.Event()
        self._closing: set[bytes] = set()
        """Rings of dead workers whose last exchanges are being looked up in the store."""

    def start_offline(self, *, is_holding: bool) -> None:
        """Start without a store; call it before `run`. Until `reconcile`, no ring is closed and
        events wait.

        A ring that was released beyond its known position waits as well; with `is_holding` all
        rings do.
        """
        self._is_provisional = True
        self._is_holding = is_holding
        self._events.defer()

    def reconcile(self, apply: Callable[[], None]) -> None:
        """Continue with the store. After the current slice, `apply` moves all positions to those in
        the store.
        """
        self._reconcile = apply
        self._is_woken.set()

    def on_found(self, source: Source) -> None:
        """Learn the open connections of a ring, as their first messages may have been read before
        this process began. Report a ring of an earlier boot, whose newest entries may be missing.
        """
        self._builder.know_connections(source.in_flight(), source.descriptor)
        if source.boot_id != boot_id():
            self._events.add_unclean_start("other_boot", source.id)

    async def run(self, wakeup: Wakeup) -> None:
        """Drain until `stop`, then until every ring is empty, committed and removed."""
        loop = asyncio.get_running_loop()
        loop.add_reader(wakeup.read_fd, self._on_wake, wakeup)
        try:
            async with asyncio.TaskGroup() as closing:
                await self._drain(closing)
        finally:
            loop.remove_reader(wakeup.read_fd)

    async def _drain(self, closing: asyncio.TaskGroup) -> None:
        has_moved = False
        last_found_s = 0.0
        last_noted_s = 0.0
        while True:
            now_s = time.monotonic()
            if self._reconcile is not None:
                self._reconcile()
                self._is_provisional = False
                self._is_holding = False
                self._reconcile = None

            if now_s - last_found_s >= FIND_EVERY_S or self._is_stopping:
                last_found_s = now_s
                self._update_sources(closing)

            if now_s - last_noted_s >= NOTE_EVERY_S:
                last_noted_s = now_s
                self._sources.note_given()

            if await self._move():
                has_moved = True
                self._is_unexplained = False
                await asyncio.sleep(0)
            elif self._is_unexplained:  # not by a push: a new worker has a ring
                self._is_unexplained = False
                last_found_s = 0.0
            elif self._is_stopping and (not self._sources.attached or self._is_provisional):
                return  # Without a store no ring can be closed: the next start finds them.
            elif self._must_poll:
                await asyncio.sleep(POLL_S)
            elif has_moved:
                has_moved = False
                self._writer.expect_pause(self._pause_s)
                await self._sleep(self._pause_s, WAKING_PART)
            else:
                await self._sleep(MAX_SLEEP_S, 0)

    @property
    def _must_poll(self) -> bool:  # a ring may hold what is not taken yet, and no push will wake us
        return self._is_stopping or self._is_provisional or self._writer.is_full

    def stop(self) -> None:
        """End `run` once all rings are gone. Workers must have stopped; the caller bounds the wait
        for the store.
        """
        self._is_stopping = True
        self._is_woken.set()

    def _on_wake(self, wakeup: Wakeup) -> None:
        wakeup.clear()
        self._is_unexplained = True
        self._is_woken.set()

    async def _sleep(self, longest_s: float, waking_part: float) -> None:
        """Sleep until a part of a ring has filled, something else happens, or the time has passed."""
        self._is_woken.clear()
        # A ring that was given up is not read any more, even if its header says it has entries.
        sources = [source for source in self._sources.attached.values() if not source.is_closing]

        # Every ring is asked to wake us, even if an earlier one has entries already.
        asked = [source.reader.ask_to_wake(waking_part) for source in sources]
        if all(asked) and not self._is_stopping:
            try:
                async with asyncio.timeout(longest_s):
                    await self._is_woken.wait()
            except TimeoutError:
                pass
        else:
            await asyncio.sleep(0)  # other tasks run between two slices, also under full load

        for source in sources:
            if source.id in self._sources.attached:
                source.reader.stay_awake()

    def _update_sources(self, closing: asyncio.TaskGroup) -> None:
        """Attach new rings, report refusals, close the rings of dead workers."""
        self._sources.find()
        for source in self._sources.attached.values():
            source.give_back()
        if self._is_provisional:
            return

        if not self._writer.spooled_records:
            self._committed.close_lost_rings()
        for entry in self._builder.expired():
            self._events.add(entry)
        for source in list(self._sources.attached.values()):
            if source.is_closing:
                continue
            self._report_refusals(source)
            if source.id not in self._closing and source.is_finished and self._is_settled(source):
                self._closing.add(source.id)
                closing.create_task(self._close(source), name="close a ring")

    def _is_settled(self, source: Source) -> bool:
        """Whether everything the worker pushed is committed, and everything its ring refused is
        reported.

        False while the spool holds frames: the batch that closes a ring must be committed after all
        of its records.
        """
        if self._writer.spooled_records:
            return False
        committed = self._committed.positions.get(source.id, Position())
        return committed.offset >= source.reader.head and source.unreported_refusals <= 0

    def _report_refusals(self, source: Source) -> None:
        count = source.unreported_refusals
        if count <= 0 or source.is_closing or self._writer.is_full:
            return

        # Both in one batch: the gap record is there exactly once, or not yet.
        self._writer.advance(source.id, source.report_refusals(count))
        first_us = source.reader.first_refused_us
        last_us = source.reader.last_refused_us
        self._events.add_gap("ring_full", count, first_us // 1000, last_us // 1000)
        log.error("records were dropped: the ring is full", extra={"count": count})

    async def _close(self, source: Source) -> None:
        """Record the dead worker's unfinished exchanges and close its position, in one batch.

        This runs as its own task, since the store may answer slowly while other rings fill up.
        """
        left = self._builder.lost(source.in_flight(), source.descriptor)
        try:
            lost = [entry for entry in left if await self._storage.get(entry.record.id) is None]
        except StorageUnavailable:
            return  # tried again at the next update
        finally:
            self._closing.discard(source.id)

        if source.is_closing:
            return  # given up meanwhile

        for entry in lost:
            self._events.add(entry)
        self._writer.advance(source.id, source.finish())

    async def _move(self) -> bool:
        """Move one slice of entries from every ring to the writer; return True if any ring had an
        entry.
        """
        moved = False
        if self._is_holding:
            return moved

        for source in list(self._sources.attached.values()):
            if self._writer.is_full:
                break
            if source.is_closing or (self._is_provisional and source.is_foreign):
                continue

            try:
                entries = source.read(SLICE_RECORDS, SLICE_BYTES)
            except SegmentError as error:
                self._give_up(source, error)
                continue

            await self._slices.take(source, entries)
            self._report_drops(source)
            moved = moved or bool(entries)

        return moved

    def _report_drops(self, source: Source) -> None:
        """Count entries that could not become records, and report them in the same batch."""
        while drop := source.report_drop():
            self._writer.advance(source.id, source.position)
            self._events.add_gap(*drop)

    def _give_up(self, source: Source, error: SegmentError) -> None:
        """Close a ring with a damaged header. The number of its remaining records is unknown; an
        event reports the loss.
        """
        log.error("stopped reading a damaged ring: %s", error)
        self._sources.given_up += 1
        self._events.add_unclean_start("ring_damaged", source.id)
        self._writer.advance(source.id, source.give_up())
