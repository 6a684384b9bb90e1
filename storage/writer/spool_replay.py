"""The writer's use of its spool: batches are spooled as frames, and replayed as batches that are
committed once.

Strategy: a replayed batch belongs to the pseudo-source `SOURCE_SPOOL`, whose position moves record
by record in the same transactions, so a kill between two parts of a frame duplicates nothing. A
frame also has the positions of the rings when it was written; replaying commits those that live
batches have not passed meanwhile.

If the store was away at the start, its positions are unknown. Frames of such an outage name the
source of each record and its end offset there. Of every source the store may have the first
records, up to the batch whose commit got no answer, and no others. Its positions tell which, once
it is back. After a restart, live batches may have moved those positions; the newest stored record
is then found by id.

Invariant: a record is in the spool or in the store. A frame whose batch may have been committed
before it was spooled is marked as doubtful, and looked up in the store before it is committed.
"""

import asyncio
import errno
import logging
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.ledger import SOURCE_INTERNAL, SOURCE_SPOOL, is_ahead, with_dropped
from storage.record import Batch, Body, Entry, Position, now_us
from storage.writer.pending_batch import PendingBatch, PositionUpdate, SourceRun
from storage.writer.spool import FrameLocation, Spool, SpoolFull
from storage.writer.spool_frames import Frame, FrameDamaged, Origins
from storage.writer.state_file import StateFile

log = logging.getLogger(__name__)

POSITIONS_FILE: Final = "positions"
_PASSING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Transient errors that do not mean that the file is damaged: descriptors or memory are short."""
RETRY_S: Final = 1.0
"""Pause after the spool refused a frame: a full disk may have room again."""


def positions_file(directory: Path) -> StateFile[dict[bytes, Position]]:
    """Return the file next to a spool that keeps the store's positions, for a start while the store
    is away.

    It is written after the commit, so it may be one batch behind: its reader looks up the records
    of one batch beyond it.
    """
    return StateFile(directory / POSITIONS_FILE, msgspec.msgpack.Decoder(dict[bytes, Position]))


class SpoolReplay:
    """A spool, written and replayed by one writer."""

    def __init__(
        self, spool: Spool, committed: Mapping[bytes, Position], *, offline_since: int | None = None
    ) -> None:
        """Continue a loaded spool from the positions committed in the store. The spool's owner
        closes it.

        `offline_since`, Unix µs, is given when the store could not be read: the positions may then
        be one batch behind.
        """
        self.spool = spool
        self._known = dict(committed)
        self._base = committed.get(SOURCE_SPOOL, Position(closed=True))
        self._reported_drops = self._base.dropped
        self._offline_since = offline_since
        self._positions_file = positions_file(spool.directory)
        self._is_file_failing = False
        self._reconciled: dict[int, Mapping[bytes, Position]] = {}
        """Outage that ended in this process → positions of the store before any later commit."""
        self._new_sources: set[tuple[int, bytes]] = set()
        """Outages and sources of which the store has no further records."""
        self._searched: dict[tuple[int, bytes], tuple[int, int]] = {}
        """Frame and source → how many of its records are known to be stored, and how many may be.
        """
        self._full_until_s = 0.0
        self._synced_at_s = time.monotonic()

    @property
    def is_writable(self) -> bool:
        return time.monotonic() >= self._full_until_s

    @property
    def is_full(self) -> bool:
        """True if the newest batch found no room, and nothing was committed since."""
        return self._full_until_s > 0.0

    @property
    def has_pending(self) -> bool:
        return self.spool.oldest is not None or self.spool.pending_records > 0

    @property
    def oldest_s(self) -> float:
        """Age of the oldest record in the spool; 0 without one."""
        oldest = self.spool.oldest
        if oldest is None:
            return 0.0
        return max(0.0, (now_us() - oldest.frame.opened_at_us) / 1_000_000)

    def reconcile(self, stored: Mapping[bytes, Position]) -> None:
        """Continue from the positions in the store, now that they can be read."""
        if self._offline_since is not None:
            self._reconciled[self._offline_since] = dict(stored)
        self._offline_since = None
        self._known = dict(stored)
        self._base = stored.get(SOURCE_SPOOL, Position(closed=True))
        self._reported_drops = self._base.dropped
        self.spool.settle(self._base)
        self._write_positions()

    def catch_up(
        self, stored: Mapping[bytes, Position], poison: int
    ) -> dict[bytes, Position] | None:
        """Take over the result of a replay whose commit got no answer; return the positions it
        moved, or None if it was not stored.

        `stored` are the store's present positions; `poison` is the number of dropped records that
        the writer has added to the spool's.
        """
        position = stored.get(SOURCE_SPOOL)
        if position is None or (position.taken, position.offset) <= (
            self._base.taken,
            self._base.offset,
        ):
            return None

        moved = {
            s: p for s, p in stored.items() if s not in self._known or is_ahead(p, self._known[s])
        }
        self._known = dict(stored)
        dropped = position.dropped | (
            {"poison": position.dropped["poison"] - poison} if poison else {}
        )
        self._base = msgspec.structs.replace(
            position, stored=position.stored + poison, dropped=dropped
        )
        self.spool.settle(position)
        return moved

    async def send(self, part: PendingBatch, batch: Batch) -> bool:
        """Write the batch made of `part` to the spool; False when there is no room at present.

        Raises:
            FrameTooLarge: It must be split.
        """
        opened_at_us = now_us() - round((time.monotonic() - part.opened_at_s) * 1_000_000)
        origins = None
        is_doubtful = part.is_doubtful

        if self._offline_since is not None:
            sources = [run.source for run in part.runs for _ in run.positions]
            ends = [position.offset for run in part.runs for position in run.positions]
            origins = Origins.of(self._offline_since, sources, ends)
            is_doubtful = False

        try:
            location = await asyncio.to_thread(
                self.spool.write,
                batch,
                opened_at_us=opened_at_us,
                is_doubtful=is_doubtful,
                origins=origins,
            )
        except SpoolFull as error:
            if self._full_until_s == 0.0:
                log.error("the spool is full, records are kept in the rings: %s", error)
            self._full_until_s = time.monotonic() + RETRY_S
            return False

        self._full_until_s = 0.0
        self.spool.append(location)
        return True

    async def synchronize(self, every_s: float) -> None:
        """Sync what was written, unless the last sync is less than `every_s` ago."""
        if time.monotonic() - self._synced_at_s >= every_s:
            self._synced_at_s = time.monotonic()
            await asyncio.to_thread(self.spool.synchronize)

    async def next_batch(self, storage: Storage) -> PendingBatch:
        """Return the records of the oldest frame that are not stored yet. Needs `has_pending`.

        Raises:
            StorageUnavailable: The store could not be asked whether it has the frame, or no file descriptor is free.
        """
        location = self.spool.oldest
        base = self._base
        if base.taken < self.spool.began_at:
            base = msgspec.structs.replace(base, taken=self.spool.began_at)
        pending = PendingBatch(time.monotonic(), is_replayed=True)
        if location is None:
            # The last frames are damaged; the end file tells how many records they had.
            pending.updates.append(
                PositionUpdate(0, SOURCE_SPOOL, _lost(base, self.spool.pending_records))
            )
            return pending

        frame = location.frame
        base = _lost(base, max(0, frame.first_record - base.taken))
        done = base.taken - frame.first_record
        entries = await self._entries(location)
        if entries is None:
            base = _lost(base, frame.records - done)
            entries = []
        else:
            entries = await _rest_of(frame, entries[done:], storage)

        stored = await self._stored_records(frame, entries, storage)
        kept = [
            (record, entry) for record, entry in enumerate(entries, done) if record not in stored
        ]
        pending.entries.extend(entry for _, entry in kept)
        if kept:
            ends = [frame.first_record + record + 1 for record, _ in kept]
            run = [msgspec.structs.replace(base, taken=end) for end in ends]
            pending.runs.append(SourceRun(SOURCE_SPOOL, run))
            base = run[-1]
        self._add_positions(pending, frame, base)
        return pending

    def _add_positions(self, pending: PendingBatch, frame: Frame, base: Position) -> None:
        """Add the positions that a commit of the frame's entries moves: its end in the spool, and
        those of its sources.
        """
        end = msgspec.structs.replace(base, offset=frame.number, taken=frame.end_record)
        settled = len(pending.entries)
        pending.updates.append(PositionUpdate(settled, SOURCE_SPOOL, end))
        for source, position in frame.positions.items():
            if source not in self._known or is_ahead(position, self._known[source]):
                pending.updates.append(PositionUpdate(settled, source, position))
        pending.retired = [(settled, source) for source in frame.retired]

    async def _stored_records(
        self, frame: Frame, entries: list[Entry], storage: Storage
    ) -> set[int]:
        """Return which of `entries`, the last records of a frame, were stored before the outage in
        which it was written.
        """
        stored: set[int] = set()
        if frame.origins is not None and entries:
            for source, records in frame.origins.records().items():
                count = await self._count_stored(
                    frame, frame.origins, source, records, entries, storage
                )
                stored.update(records[:count])

        return stored

    async def _count_stored(
        self,
        frame: Frame,
        origins: Origins,
        source: bytes,
        records: list[int],
        entries: list[Entry],
        storage: Storage,
    ) -> int:
        """Return how many of a source's records in a frame are stored; these are always the first
        ones.

        A binary search that resumes where it was interrupted, so it ends however slowly the store
        answers. It begins with the last record that may be stored, as those before it may have been
        erased; for a new ring, with the first one.
        """
        before = self._reconciled.get(origins.offline_since, {}).get(source)
        if before is not None and source != SOURCE_INTERNAL:  # Internal records have no offset.
            return origins.until(records, before.offset)

        done = frame.records - len(entries)
        outage = (origins.offline_since, source)

        search = (frame.number, source)
        if search in self._searched:
            low, high = self._searched[search]
            probe = (low + high) // 2
        elif outage in self._new_sources:
            return 0
        else:
            known = self._known.get(source)
            low = bisect_left(records, done)
            if known is None:
                high = len(records)
            else:
                high = origins.until(records, known.offset)
            probe = low if known is None else high - 1

        while low < high:
            is_stored = await storage.get(entries[records[probe] - done].record.id) is not None
            low, high = (probe + 1, high) if is_stored else (low, probe)
            self._searched[search] = low, high
            probe = (low + high) // 2

        if high < len(records):
            self._new_sources.add(outage)
        return high

    def note_commit(self, part: PendingBatch, batch: Batch) -> None:
        """Take over the positions that a commit moved."""
        self._full_until_s = 0.0
        self._known.update(batch.positions)
        for source in batch.retired:
            self._known.pop(source, None)
        self._write_positions()
        position = batch.positions.get(SOURCE_SPOOL)
        if position is None:
            return

        # Take the position without the correction for poison, since the writer adds that to every
        # position again.
        updates = [update.position for update in part.updates if update.source == SOURCE_SPOOL]
        self._base = (updates or part.runs[-1].positions)[-1]
        self.spool.settle(position)

    def new_drops(self) -> list[tuple[str, int]]:
        """Return the records that the store has counted as dropped since the last call, by reason.

        It includes drops of commits that got no answer. The writer counts its own poison.
        """
        before = self._reported_drops
        self._reported_drops = self._base.dropped
        news = {
            reason: count - before.get(reason, 0) for reason, count in self._base.dropped.items()
        }
        return [(reason, count) for reason, count in news.items() if count > 0]

    def _write_positions(self) -> None:
        try:
            self._positions_file.write(self._known)
            self._is_file_failing = False
        except OSError as error:  # the file keeps an older state, which is safe
            if not self._is_file_failing:
                log.warning("the positions file of the spool cannot be written: %s", error)
            self._is_file_failing = True

    async def _entries(self, location: FrameLocation) -> list[Entry] | None:
        try:
            return await asyncio.to_thread(self.spool.read, location)
        except (FrameDamaged, OSError) as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                raise StorageUnavailable(
                    f"the spool cannot be read at present: {error.strerror}"
                ) from error

            log.error(
                "records in the spool are lost: %s",
                error,
                extra={"records": location.frame.records},
            )
            return None


async def is_committed(storage: Storage, batch: Batch) -> bool:
    """True if a commit without an answer has stored a batch: then the store's positions are not
    behind the batch's.

    Looking for the records would not tell: retention or an erasure may have hidden them meanwhile.
    """
    moved = {
        source: position
        for source, position in batch.positions.items()
        if source not in batch.retired
    }
    if not batch.entries or not moved:
        return False  # Positions alone may be committed twice.

    stored = await storage.positions(
        batch.instance
    )  # The store answers after any commit that may still run.
    return not any(
        is_ahead(position, stored.get(source, Position())) for source, position in moved.items()
    )


async def _rest_of(frame: Frame, rest: list[Entry], storage: Storage) -> list[Entry]:
    """Return the unstored entries of a frame: none if its doubtful commit turns out to have
    happened.
    """
    is_stored = rest and frame.is_doubtful and await _has_any(storage, (rest[0], rest[-1]))
    if is_stored:
        return []
    return rest


async def _has_any(storage: Storage, entries: Iterable[Entry]) -> bool:
    """True if the store has at least one of the entries; others may be hidden by retention, or
    erased.
    """
    for entry in entries:
        if await storage.get(entry.record.id) is not None:
            return True
    return False


async def as_stored(storage: Storage, batch: Batch) -> Batch:
    """Return a batch that turned out to be stored with only its last entry, whose `seq` is looked
    up; without entries if it is not found.

    The last `seq` tells how far the store has come, and one request is answered within an attempt
    however slow the store is.
    """
    last = batch.entries[-1]
    record = await storage.get(last.record.id)
    if record is not None:
        last.record.seq = record.seq
    return Batch(batch.instance, [] if record is None else [last], batch.positions, batch.retired)


def without_bodies(entry: Entry) -> Entry:
    """Return an entry without its bodies, for one that is too large for the spool."""
    payload = entry.payload
    if payload is not None:
        request, response = (
            None if body is None else Body(b"", b"", body.size, True, body.coding, "shed")
            for body in (payload.request_body, payload.response_body)
        )
        payload = msgspec.structs.replace(
            payload, request_body=request, response_body=response, timeline=[]
        )

    calls = [
        msgspec.structs.replace(call, arguments=None, result=None, search="")
        for call in entry.tool_calls
    ]
    return Entry(msgspec.structs.replace(entry.record, shed="bodies"), payload, calls, entry.jobs)


def _lost(position: Position, records: int) -> Position:
    """Count lost records as dropped: they were counted as stored when they were spooled."""
    if records <= 0:
        return position
    return msgspec.structs.replace(
        position,
        taken=position.taken + records,
        stored=position.stored - records,
        dropped=with_dropped(position.dropped, "corrupt", records),
    )
