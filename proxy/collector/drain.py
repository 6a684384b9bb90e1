"""The collector's loop: ring entries become records, in slices, and nothing a ring held is left unaccounted for.

Slices are short, so that readers of the admin port are served between them. While there is traffic the rings are looked
at every few milliseconds; only when they have been empty for a while does the collector ask to be woken. Every entry
leads to exactly one step of its source's position: a record, or a drop with its reason.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol

import msgspec

from proxy.collector.internal_events import OwnRecords
from proxy.collector.sources import Source, Sources
from proxy.enrich.http.bodies import TooLong
from proxy.process.wakeup import Wakeup
from proxy.ring.descriptor import Descriptor
from proxy.ring.exchange import KIND_EXCHANGE, CapturedExchange
from proxy.ring.inflight import InflightExchange
from proxy.ring.ring import RingEntry
from proxy.ring.segment_layout import SegmentError, boot_id
from proxy.ring.websocket_message import KIND_MESSAGE, CapturedMessage, decode_message
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.ledger import RETIRED_TOTALS, SOURCE_INTERNAL, SOURCE_SPOOL, add_counts, is_ahead
from storage.record import Batch, Entry, Position
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

SLICE_RECORDS: Final = 64
"""About 1 ms of work (bench/micro): the loop is never held longer than 2 ms."""
SLICE_BYTES: Final = 256 * 1024
ENTRY_BYTES: Final = 2048
"""Taken by an entry in memory beside its sections (measured, bench/store_away.py)."""
SLICE_S: Final = 0.002
"""A slice is interrupted after so long: strange bodies cost a hundred times what plain ones do."""
LOOP_BYTES: Final = 64 * 1024
"""An exchange with more of it is built in a thread (performance.md), at 0.2 us a byte for the worst of bodies."""
BUSY_PAUSE_S: Final = 0.005
"""Pause while there is traffic: cheaper for workers than a wake-up per push (performance.md)."""
IDLE_AFTER_S: Final = 0.05
"""Rings empty for this long: ask to be woken."""
MAX_SLEEP_S: Final = 0.25
"""Bounds a sleep: a wake-up may be missed between a store and a load, and new rings are looked for."""
FIND_EVERY_S: Final = 0.1
"""How often new ring files are looked for."""


_PSEUDO_SOURCES: Final = (SOURCE_INTERNAL, RETIRED_TOTALS, SOURCE_SPOOL)


class Builder(Protocol):
    """Makes records; see `proxy.enrich.records`."""

    def build(self, captured: CapturedExchange, descriptor: Descriptor, limit_bytes: int = ...) -> Entry:
        """Make the record of an exchange.

        Raises:
            TooLong: it would take long, because more than `limit_bytes` come out of a coded body.
        """
        ...

    def message(self, captured: CapturedMessage, descriptor: Descriptor) -> Entry:
        """Make the event of a WebSocket message."""
        ...

    def lost(self, exchanges: Iterable[InflightExchange], descriptor: Descriptor) -> list[Entry]:
        """Make the records of what a dead worker's in-flight table still shows."""
        ...

    def event(self, name: str, data: dict[str, object]) -> Entry:
        """Make an event of our own."""
        ...


class Drain:
    """Moves records from all rings to the writer."""

    def __init__(
        self,
        sources: Sources,
        builder: Builder,
        writer: Writer,
        storage: Storage,
        committed: dict[bytes, Position],
        observe: Callable[[list[Entry]], None],
    ) -> None:
        """Wire up.

        Args:
            sources: the rings.
            builder: makes records of entries.
            writer: takes them.
            storage: is asked whether an in-flight exchange of a dead worker was recorded after all.
            committed: positions as committed; kept up to date by `on_commit`.
            observe: told of all that becomes a record.
        """
        self._sources = sources
        self._builder = builder
        self._writer = writer
        self._storage = storage
        self.committed = committed
        self._observe = observe
        self.own = OwnRecords(builder, writer, committed)
        self._past = committed.get(RETIRED_TOTALS, Position(closed=True))
        self._is_stopping = False
        self._is_provisional = self._is_holding = False
        self._arrived: Callable[[], Collection[bytes]] | None = None
        self._is_looking = True
        self._is_woken = asyncio.Event()

    def wait_for_store(self, *, is_holding: bool) -> None:
        """Begin without a store: nothing is closed, and events wait, until `meet`. Called before `run`.

        A ring that is released further than is known of it waits as well; with `is_holding` all of them do.
        """
        self._is_provisional, self._is_holding, self.own.is_deferring = True, is_holding, True

    def meet(self, adopt: Callable[[], Collection[bytes]]) -> None:
        """Go on with the store that has come, behind the slice that is being taken.

        `adopt` brings writer and `committed` up to what the store has then, and answers which sources are in the spool.
        """
        self._arrived = adopt
        self._is_woken.set()

    def _meet(self, adopt: Callable[[], Collection[bytes]]) -> None:
        spooled = adopt()
        self._is_provisional, self._is_holding, self._arrived = False, False, None
        self._past = self.committed.get(RETIRED_TOTALS, Position(closed=True))
        for source in list(self._sources.attached.values()):
            known = self.committed.get(source.id, Position())
            if known.closed:
                self._sources.remove(source)
            elif source.is_foreign or known.offset > source.position.offset:
                source.begin(known)
            else:
                source.told(known)
        self.own.begin(self.committed)
        self.account_for_lost_rings(spooled)

    def on_commit(self, batch: Batch, _last_seq: int) -> None:
        """Release what a commit covered, and let go of rings that are closed."""
        self.committed.update(batch.positions)
        for source_id in batch.retired:
            self.committed.pop(source_id, None)
        for source_id, position in batch.positions.items():
            if source_id in _PSEUDO_SOURCES:
                continue
            source = self._sources.attached.get(source_id)
            if position.closed:
                if source is not None:
                    self._sources.remove(source)
                self._retire(source_id, position)
            elif source is not None:
                source.reader.release(position.offset)

    def on_spooled(self, batch: Batch) -> None:
        """Release what the spool took; rings that are closed stay until the store has heard of it."""
        for source_id, position in batch.positions.items():
            # A store that came meanwhile may have been further.
            if source_id not in self.committed or is_ahead(position, self.committed[source_id]):
                self.committed[source_id] = position
        for source_id in batch.retired:
            self.committed.pop(source_id, None)
        for source_id, position in batch.positions.items():
            source = self._sources.attached.get(source_id)
            if source is not None:
                source.reader.release(position.offset)

    def _retire(self, source_id: bytes, position: Position) -> None:
        self._past = add_counts(self._past, position)
        self._writer.advance(RETIRED_TOTALS, self._past)
        self._writer.retire(source_id)

    def account_for_lost_rings(self, spooled: Collection[bytes] = ()) -> None:
        """Close positions whose ring file is gone; called once, when the rings of the start are attached.

        A closed one was unlinked in order before a kill; any other was lost with the machine (or its /dev/shm), and the
        log says so, because nobody knows how much it still held. Those that are in the spool are closed when the store
        has heard of all that is there.
        """
        for source_id, position in list(self.committed.items()):
            if source_id in _PSEUDO_SOURCES or source_id in self._sources.attached or source_id in spooled:
                continue
            if not position.closed:
                received = position.taken + position.dropped.get("ring_full", 0)
                position = msgspec.structs.replace(position, received=received, closed=True)
                self.add_event("unclean_start", {"count": None, "reason": "ring_lost", "ring": source_id.hex()})
            self._retire(source_id, position)

    def on_found(self, source: Source) -> None:
        """Note a ring of an earlier boot: its newest entries may never have reached it."""
        if source.boot_id != boot_id():
            self.add_event("unclean_start", {"count": None, "reason": "other_boot", "ring": source.id.hex()})

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Put a record of our own into the log."""
        self.own.add_event(name, data)

    async def run(self, wakeup: Wakeup) -> None:
        """Drain until `stop`; then on until every ring is empty, committed and gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(wakeup.read_fd, self._on_wake, wakeup)
        last_moved_s = last_found_s = 0.0
        try:
            while True:
                now_s = time.monotonic()
                if self._arrived is not None:
                    self._meet(self._arrived)
                if self._is_looking or now_s - last_found_s >= FIND_EVERY_S or self._is_stopping:
                    last_found_s = now_s
                    self._is_looking = False
                    await self._look_around()
                if await self._move():
                    last_moved_s = now_s
                    await asyncio.sleep(0)
                elif self._is_stopping and (not self._sources.attached or self._is_provisional):
                    return  # Without a store no ring can be closed: the next start finds them.
                elif self._must_look_again or now_s - last_moved_s < IDLE_AFTER_S:
                    await asyncio.sleep(BUSY_PAUSE_S)
                else:
                    await self._sleep()
        finally:
            loop.remove_reader(wakeup.read_fd)

    @property
    def _must_look_again(self) -> bool:  # a ring may hold what is not taken yet, and no push will wake us
        return self._is_stopping or self._is_provisional or self._writer.is_full

    def stop(self) -> None:
        """End `run` once no ring is left. Workers must be gone by then; the caller bounds the wait for the store."""
        self._is_stopping = True
        self._is_woken.set()

    def _on_wake(self, wakeup: Wakeup) -> None:
        wakeup.clear()
        self._is_looking = True
        self._is_woken.set()

    async def _sleep(self) -> None:
        """Wait for a push, a stop, or the time bound."""
        self._is_woken.clear()
        sources = list(self._sources.attached.values())
        is_quiet = min((source.reader.sleep_flag(True) for source in sources), default=True)  # sets every flag
        if is_quiet and not self._is_stopping:
            try:
                async with asyncio.timeout(MAX_SLEEP_S):
                    await self._is_woken.wait()
            except TimeoutError:
                pass
        for source in sources:
            if source.id in self._sources.attached:
                source.reader.sleep_flag(False)

    async def _look_around(self) -> None:
        """Attach new rings, report refusals, close the rings of dead workers."""
        self._sources.find()
        if self._is_provisional:
            return
        for source in list(self._sources.attached.values()):
            if source.is_closing:  # it may be gone by now: a commit may come in while another one is closed
                continue
            self._report_refusals(source)
            if source.is_finished and self._is_settled(source):
                await self._close(source)

    def _is_settled(self, source: Source) -> bool:
        """Whether everything the worker pushed is committed, and everything its ring refused is told.

        Not while the spool holds anything: what closes a ring is committed after all of its records.
        """
        if self._writer.spooled_records:
            return False
        committed = self.committed.get(source.id, Position())
        return committed.offset >= source.reader.head and source.unreported_refusals <= 0

    def _report_refusals(self, source: Source) -> None:
        count = source.unreported_refusals
        if count <= 0 or source.is_closing or self._writer.is_full:
            return
        # Both in one batch: the gap record is there exactly once, or not yet.
        self._writer.advance(source.id, source.report_refusals(count))
        first_us, last_us = source.reader.first_refused_us, source.reader.last_refused_us
        self.own.add_gap("ring_full", count, first_us // 1000, last_us // 1000)
        log.error("records were dropped: the ring is full", extra={"count": count})

    async def _close(self, source: Source) -> None:
        """Record what the dead worker left in flight, and close its position, in one batch."""
        lost = []
        for entry in self._builder.lost(source.in_flight(), source.descriptor):
            try:
                if await self._storage.get(entry.record.id) is None:
                    lost.append(entry)
            except StorageUnavailable:
                return  # asked again at the next look around
        for entry in lost:
            self.own.add(entry)
        self._writer.advance(source.id, source.finish())

    async def _move(self) -> bool:
        """Move one slice of every ring; tell whether there was anything."""
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
            await self._take(source, entries)
            self._tell_drops(source)
            moved = moved or bool(entries)
        return moved

    def _tell_drops(self, source: Source) -> None:
        """Count what could not be taken, and say so: both in one batch, or not yet."""
        while drop := source.tell_drop():
            self._writer.advance(source.id, source.position)
            self.own.add_gap(*drop)

    def _give_up(self, source: Source, error: SegmentError) -> None:
        """Part from a ring whose header is damaged: what it still held is unknown, and the log says so."""
        log.error("a ring is damaged and was given up: %s", error)
        self.add_event("unclean_start", {"count": None, "reason": "ring_damaged", "ring": source.id.hex()})
        self._writer.advance(source.id, source.give_up())

    async def _take(self, source: Source, slice_: list[RingEntry]) -> None:
        """Take a slice in order, in runs; giving way to the loop ends one, and so does what cannot be read."""
        run = _Gathered()
        held_until_s = time.monotonic() + SLICE_S
        for raw in slice_:
            try:
                try:
                    entry = self._build(source, raw)
                except TooLong:
                    self._hand_over(source, run)
                    entry = await self._build_apart(source, raw)
                    held_until_s = time.monotonic() + SLICE_S
            except Exception:  # whatever is wrong with one record, the next is read
                log.exception("a ring entry could not be read and was dropped")
                self._hand_over(source, run)
                source.drop(raw[3], "poison")
                continue
            run.entries.append(entry)
            run.ends.append(raw[3])
            run.size_bytes += len(raw[2]) + ENTRY_BYTES
            if time.monotonic() > held_until_s:  # 45 ns an entry
                self._hand_over(source, run)
                await asyncio.sleep(0)
                held_until_s = time.monotonic() + SLICE_S
        self._hand_over(source, run)

    def _hand_over(self, source: Source, run: "_Gathered") -> None:
        """Give what was gathered to those who count and to the writer, and begin anew."""
        if not run.entries:
            return
        self._observe(run.entries)
        self._writer.extend(run.entries, run.size_bytes, source.take(run.ends))
        run.entries, run.ends, run.size_bytes = [], [], 0

    def _build(self, source: Source, raw: RingEntry) -> Entry:
        """Make the record of an entry.

        Raises:
            TooLong: it would take long.
        """
        kind, header, sections, _ = raw
        if kind == KIND_EXCHANGE:
            if len(sections) > LOOP_BYTES:
                raise TooLong
            return self._builder.build(CapturedExchange(header, sections), source.descriptor, LOOP_BYTES)
        if kind == KIND_MESSAGE:
            return self._builder.message(decode_message(header, sections), source.descriptor)
        raise ValueError(f"unknown ring entry kind {kind}")

    async def _build_apart(self, source: Source, raw: RingEntry) -> Entry:
        """Make the record of a long exchange in a thread. What is behind it waits: positions move in order.

        When this is cancelled the entry stays in the ring.
        """
        return await asyncio.to_thread(self._builder.build, CapturedExchange(raw[1], raw[2]), source.descriptor)


class _Gathered:
    """Entries of one ring that go to the writer together."""

    __slots__ = ("ends", "entries", "size_bytes")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.ends: list[int] = []
        self.size_bytes = 0
