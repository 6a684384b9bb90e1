"""What the writer does with its spool: batches go there as frames, and come back as groups that are committed once.

Strategy: a replayed group is a group of the pseudo-source `SOURCE_SPOOL`, whose position moves record by record in the
same transactions, so a kill between two parts of a frame doubles nothing. The positions of the rings in a frame were
effective when it was written; replaying commits those that the store has not passed meanwhile with live batches.

A store that was away from the start could not say what it has. Frames of such a time name the source of each record:
of every source the store may have the first ones, up to the batch whose commit nobody heard of, and no other. They are
looked for by id until one is missing.

Invariant: a record is in the spool or in the store. A frame whose commit may have happened before it was spooled says
so, and is looked for in the store before it is committed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec

from storage.base import Storage
from storage.ledger import SOURCE_SPOOL, is_ahead
from storage.record import Batch, Body, Entry, Payload, Position, now_us
from storage.writer.batcher import Group, Mark, Run
from storage.writer.spool import Place, Spool, SpoolFull
from storage.writer.spool_frames import FrameDamaged, Origins
from storage.writer.state_file import POSITIONS_FILE, PositionFile

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""Pause after the spool could not take a frame: a disk that was full may have room again."""


class Spooling:
    """A spool in the hands of one writer."""

    def __init__(self, spool: Spool, committed: Mapping[bytes, Position], clock: Callable[[], float]) -> None:
        """Go on with a loaded spool.

        Args:
            spool: Loaded; closed by its owner.
            committed: Positions as they are in the store.
            clock: Monotonic seconds.
        """
        self.spool = spool
        self._clock = clock
        self._known = dict(committed)
        self._base = committed.get(SOURCE_SPOOL, Position(closed=True))
        self._file = PositionFile(spool.directory / POSITIONS_FILE)
        self._new_sources: set[tuple[int, bytes]] = set()
        """Periods and sources of which the store is known to have no more."""
        self._full_until_s = 0.0
        self._synced_at_s = clock()

    @property
    def is_taking(self) -> bool:
        """Whether a frame may be tried."""
        return self._clock() >= self._full_until_s

    @property
    def has_pending(self) -> bool:
        """Whether there is something to replay."""
        return self.spool.oldest is not None or self.spool.pending_records > 0

    @property
    def oldest_s(self) -> float:
        """Age of the oldest record in the spool; 0 without one."""
        place = self.spool.oldest
        return 0.0 if place is None else max(0.0, (now_us() - place.frame.opened_at_us) / 1_000_000)

    def adopt(self, stored: Mapping[bytes, Position]) -> None:
        """Learn what the store has, which could not be asked before."""
        self._known = dict(stored)
        self._base = stored.get(SOURCE_SPOOL, Position(closed=True))
        self.spool.settle(self._base)
        self._file.write(self._known)

    def catch_up(self, stored: Mapping[bytes, Position], poison: int) -> dict[bytes, Position] | None:
        """Take over what a replay has stored though nobody heard of it; answers the positions it moved, None: nothing.

        Args:
            stored: Positions in the store now.
            poison: How many dropped records the writer has added to the spool's position.
        """
        position = stored.get(SOURCE_SPOOL)
        if position is None or (position.taken, position.offset) <= (self._base.taken, self._base.offset):
            return None
        moved = {s: p for s, p in stored.items() if s not in self._known or is_ahead(p, self._known[s])}
        self._known = dict(stored)
        dropped = position.dropped | ({"poison": position.dropped["poison"] - poison} if poison else {})
        self._base = msgspec.structs.replace(position, stored=position.stored + poison, dropped=dropped)
        self.spool.settle(position)
        return moved

    async def send(self, batch: Batch, age_s: float, *, is_doubtful: bool, origins: Origins | None = None) -> bool:
        """Write a batch; False when there is no room at present. See `Spool.write` for `origins`.

        Raises:
            FrameTooLarge: It must be cut.
        """
        opened_at_us = now_us() - round(age_s * 1_000_000)
        try:
            place = await asyncio.to_thread(
                self.spool.write, batch, opened_at_us=opened_at_us, is_doubtful=is_doubtful, origins=origins
            )
        except SpoolFull as error:
            if self._full_until_s == 0.0:
                log.error("the spool takes no more, rings fill up: %s", error)
            self._full_until_s = self._clock() + RETRY_S
            return False
        self._full_until_s = 0.0
        self.spool.admit(place)
        return True

    async def synchronize(self, every_s: float) -> None:
        """Sync what was written, when the last time is long enough ago."""
        if self._clock() - self._synced_at_s >= every_s:
            self._synced_at_s = self._clock()
            await asyncio.to_thread(self.spool.synchronize)

    async def next_group(self, storage: Storage) -> Group:
        """Make the group of the oldest frame: what of it is not stored yet. Needs `has_pending`.

        Raises:
            StorageUnavailable: The store was asked whether it has the frame, and is away.
        """
        place, base = self.spool.oldest, self._base
        if base.taken < self.spool.began_at:
            base = msgspec.structs.replace(base, taken=self.spool.began_at)
        group = Group(self._clock())
        if place is None:
            # Nothing follows what is missing: it was damaged, and the end is known from the mark.
            group.marks.append(Mark(0, SOURCE_SPOOL, _lost(base, self.spool.pending_records)))
            return group
        frame = place.frame
        base = _lost(base, max(0, frame.first_record - base.taken))
        entries = await self._entries(place)
        done = base.taken - frame.first_record
        if entries is None:
            base, entries = _lost(base, frame.records - done), []
        elif done < len(entries) and frame.is_doubtful and await storage.get(entries[done].record.id) is not None:
            entries = []
        else:
            entries = entries[done:]
        taken = []
        for record, entry in enumerate(entries, done):
            if frame.origins is None or not await self._is_stored(frame.origins, record, entry, storage):
                group.entries.append(entry)
                taken.append(frame.first_record + record + 1)
        if taken:
            run = Run(SOURCE_SPOOL, [msgspec.structs.replace(base, taken=count) for count in taken])
            group.runs.append(run)
            base = run.positions[-1]
        end = msgspec.structs.replace(base, offset=frame.number, taken=frame.end_record)
        settled = len(group.entries)
        group.marks.append(Mark(settled, SOURCE_SPOOL, end))
        for source, position in frame.positions.items():
            if source not in self._known or is_ahead(position, self._known[source]):
                group.marks.append(Mark(settled, source, position))
        group.retired = [(settled, source) for source in frame.retired]
        return group

    async def _is_stored(self, origins: Origins, record: int, entry: Entry, storage: Storage) -> bool:
        """Whether a record of a time without a store is there already; asks until its source has shown a new one."""
        key = (origins.period, origins.source(record))
        if key in self._new_sources:
            return False
        if await storage.get(entry.record.id) is not None:
            return True
        self._new_sources.add(key)
        return False

    def on_commit(self, part: Group, batch: Batch) -> int:
        """Take over what a commit moved; answers how many records it counted as lost in the spool."""
        self._known.update(batch.positions)
        for source in batch.retired:
            self._known.pop(source, None)
        self._file.write(self._known)
        position = batch.positions.get(SOURCE_SPOOL)
        if position is None:
            return 0
        # Without the writer's correction for poison, which it adds to every position anew.
        marked = [mark.position for mark in part.marks if mark.source == SOURCE_SPOOL]
        before = self._base.dropped.get("corrupt", 0)
        self._base = (marked or part.runs[-1].positions)[-1]
        self.spool.settle(position)
        return self._base.dropped.get("corrupt", 0) - before

    async def collect(self) -> None:
        """Delete segments that are done."""
        await asyncio.to_thread(self.spool.collect)

    async def _entries(self, place: Place) -> list[Entry] | None:
        try:
            return await asyncio.to_thread(self.spool.read, place)
        except (FrameDamaged, OSError) as error:
            log.error("records in the spool are lost: %s", error, extra={"records": place.frame.records})
            return None


async def is_committed(storage: Storage, batch: Batch) -> bool:
    """Look whether a batch is stored already: a commit may have happened though nobody heard of it. Sets `seq` then."""
    if not batch.entries:
        return False  # Positions alone may be committed twice.
    await storage.positions(batch.instance)  # Behind a commit that may still run.
    first = await storage.get(batch.entries[0].record.id)
    if first is None or first.instance != batch.entries[0].record.instance:
        return False
    for place, entry in enumerate(batch.entries):
        entry.record.seq = first.seq + place
    return True


def without_bodies(entry: Entry) -> Entry:
    """Leave the bodies of a record out that is too large for the spool."""
    payload = entry.payload
    if payload is not None:
        request, response = (
            None if body is None else Body(b"", b"", body.size, True, body.coding, "shed")
            for body in (payload.request_body, payload.response_body)
        )
        payload = Payload(payload.request_head, payload.response_head, request, response)
    calls = [msgspec.structs.replace(call, arguments=None, result=None, search="") for call in entry.tool_calls]
    return Entry(msgspec.structs.replace(entry.record, shed="bodies"), payload, calls)


def _lost(position: Position, records: int) -> Position:
    """Count records that are gone: they were counted as stored when they were spooled."""
    if records <= 0:
        return position
    dropped = {**position.dropped, "corrupt": position.dropped.get("corrupt", 0) + records}
    return msgspec.structs.replace(
        position, taken=position.taken + records, stored=position.stored - records, dropped=dropped
    )
