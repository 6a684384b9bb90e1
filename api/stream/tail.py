"""The live tail: one core for all streams of committed records, for every client and format.

Strategy: subscribers hold no queue but a position, the id after which they continue. A commit
appends to a ring of records and wakes all waiting subscribers. A subscriber then reads from its
position: from the ring, or from the store if the ring has moved on. A record is encoded when the
first reader needs it, once for all: a hundred equal streams cost one encoding and a hundred writes.

Ids: entries are numbered by arithmetic on `seq` (`api/dialects/entries.py`). A frame's id is that
number plus the offset K, which the store keeps, so ids continue over restarts and any of them can
be found again in the store.

Invariant: for one interest, the frames that a reader gets, by any sequence of reads, disconnects
and resumes, are exactly its interest's entries in rising id, each once. Records that retention
removed before its position are reported as a gap.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from api.http.paging import first_kept_seq
from api.stream.sse import encode_event
from api.stream.tail_ring import Encode, EncodeEntry, Frame, Interest, TailRing, encode_frames
from storage.base import Storage
from storage.errors import StorageOpening
from storage.query import EVERYTHING, Filter, RecordQuery, matches
from storage.record import Batch, Payload, Record
from storage.relational.blocks.portions import body_bytes, portions
from storage.search.expression import asked_values

SLICE_S: Final = 0.001
"""Time for which frames are encoded or joined before the loop gets a turn."""
MAX_CHUNK_BYTES: Final = 256 * 1024
"""Limit of one write: the most that is pending for a slow client, in addition to its socket."""
MAX_RING_BYTES: Final = 32 * 1024 * 1024
STORE_READERS: Final = 2
"""Streams that read the store at once: half of its readers, the others are for queries."""
BACKFILL_RECORDS: Final = 200
"""Records read from the store at once: 2 ms of decoding on its thread."""

PAYLOAD_RECORDS: Final = 50
"""Records whose heads and bodies are in memory at a time; fewer if they are large."""

_EVERY_RECORD: Final = Filter(kind="all")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a stream: whole frames, and the position after them."""

    content: bytes
    """Frames; empty if no entry in between was of interest."""
    after_id: int
    frames: int


@dataclass(slots=True)
class Subscriber:
    """One open stream: its position, and its end."""

    interest: Interest
    after_id: int
    """Entry id. The reader advances it when a chunk is written."""
    ended: bytes | None = None
    """The event that closes the stream."""


@dataclass(slots=True)
class TailCounters:
    """Counters for the metrics."""

    dropped_subscribers: int = 0
    """Number of streams closed because their client read nothing."""
    events: int = 0
    """Number of frames written, over all subscribers."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The start of a stream."""

    after_id: int
    reset_reason: str | None = None
    """Reason why the client's id is not valid here; None if it is."""


class Tail:
    """The tail of one store. Runs on a single loop; `on_commit` never waits."""

    def __init__(
        self,
        storage: Storage,
        *,
        head_seq: int = 0,
        offset: int = 0,
        max_entries: int = 5000,
        max_bytes: int = MAX_RING_BYTES,
        is_begun: bool = True,
    ) -> None:
        """Begin after `head_seq`, the end of the stored records.

        `offset` is K, added to entry ids on the wire. The storage serves records that the ring
        (limited in entries and bytes) no longer has. It is unrestricted: the filter of an interest
        carries the scope.
        """
        self.offset = offset
        self.counters = TailCounters()
        self.subscribers: dict[int, Subscriber] = {}
        self._storage = storage
        self._turns = asyncio.Semaphore(STORE_READERS)
        self._ring = TailRing(offset=offset, max_entries=max_entries, max_bytes=max_bytes)
        self._committed_seq = head_seq
        self._news = asyncio.Event()
        self._is_closed = False
        self.is_begun = is_begun
        """False until the store has returned its last id. No ids can be assigned before."""

    def begin(self, head_seq: int, offset: int) -> None:
        """Begin after the records of a store that has just opened; nothing was committed before."""
        self.offset = offset
        self._ring.offset = offset
        self._committed_seq = head_seq
        self.is_begun = True

    async def check_begun(self) -> None:
        """Raise StorageUnavailable if ids cannot be assigned yet; else update the newest one."""
        if not self.is_begun or self._storage.has_late_prefix:
            self.note_head(await self._storage.last_seq())
        if not self.is_begun:
            raise StorageOpening("streams begin in a moment")

    @property
    def head_id(self) -> int:
        return 2 * self._committed_seq

    def on_commit(self, batch: Batch) -> None:
        """Add a committed batch: references only, nothing is encoded here.

        While other writers may still store earlier records, these wait until the store rules that
        out (`note_head`). Without subscribers nothing is kept: a client that comes back reads from
        the store. A record that outlives its commit costs 1.5 µs of CPU in the collector, most of
        it cache misses when it is freed (bench/macro, get).
        """
        if not batch.entries or self._storage.has_late_prefix:
            return
        if self.subscribers:
            self._ring.extend([entry.record for entry in batch.entries])
        else:
            self._ring.clear()

        self.note_head(batch.entries[-1].record.seq)

    def note_head(self, last_seq: int) -> None:
        """Record the end of the store. Records of other sidecars are not in the ring, and are read
        from the store.
        """
        if last_seq > self._committed_seq:
            self._committed_seq = last_seq
            self._wake()

    def resume(self, last_event_id: int | None) -> Resume:
        """Return the position at which a client continues.

        It is after the client's id, or live without a valid id. Ids below the offset come from an
        earlier numbering of another store; 0 means from the beginning.
        """
        if last_event_id is None:
            return Resume(self.head_id)
        if last_event_id == 0:
            return Resume(0)

        after_id = last_event_id - self.offset
        if after_id > self.head_id:
            return Resume(
                self.head_id,
                "the id is above the newest: the store was emptied, replaced or restored",
            )
        if after_id < 0:
            return Resume(
                self.head_id, "the id is of an earlier store: it was emptied, replaced or restored"
            )

        return Resume(after_id)

    def enter(self, interest: Interest, after_id: int) -> Subscriber:
        """Register a subscriber. The caller must pass it to `leave`."""
        subscriber = Subscriber(interest, after_id)
        self.subscribers[id(subscriber)] = subscriber
        if self._is_closed:
            self._end(subscriber, "shutdown", {"reason": "sidelog is shutting down"})
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        self.subscribers.pop(id(subscriber), None)

    def close(self) -> None:
        """End every stream, with an event that gives the reason. Clients reconnect and resume."""
        self._is_closed = True
        for subscriber in self.subscribers.values():
            self._end(subscriber, "shutdown", {"reason": "sidelog is shutting down"})
        self._wake()

    def destroy_container(self, container: str) -> None:
        """End the streams that are confined to a container, with `scope-destroyed`."""
        for subscriber in self.subscribers.values():
            filter = subscriber.interest.filter
            if (container,) in (asked_values(filter.where, "container"), filter.scope.containers):
                self._end(subscriber, "scope-destroyed", {"containerId": container})
        self._wake()

    def forget(self) -> None:
        """Drop all records from memory after an erasure; the remaining ones are in the store."""
        self._ring.clear()

    def event(self, name: str, data: dict[str, object], after_id: int) -> bytes:
        """Return a named event. Its id lets a client resume after `after_id`."""
        return encode_event(msgspec.json.encode(data), event_id=self.offset + after_id, name=name)

    async def wait(self, subscriber: Subscriber, timeout_s: float) -> bool:
        """Wait until there are entries after a subscriber's position, or it was ended.

        Return False after `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while 2 * self._committed_seq <= subscriber.after_id and subscriber.ended is None:
                    await self._news.wait()
        except TimeoutError:
            return False

        return True

    async def read(self, interest: Interest, after_id: int) -> list[Chunk]:
        """Read the entries after a position, up to the limit of one write.

        Returns:
            Chunks in order, none if there is nothing new. A gap is a chunk of its own.

        Raises:
            StorageUnavailable: the store cannot be reached; the position stays.
        """
        seq = after_id // 2 + 1
        if seq > self._committed_seq:
            return []

        first_seq = self._ring.first_seq
        last_seq = self._ring.last_seq
        until_seq = self._committed_seq

        if (
            first_seq is not None
            and last_seq is not None
            and seq <= last_seq
            and not interest.reads_store
        ):
            if seq >= first_seq:
                return [self._read_ring(interest, after_id, seq)]
            until_seq = min(until_seq, first_seq - 1)

        async with self._turns:
            return await self._read_store(interest, after_id, until_seq)

    def _read_ring(self, interest: Interest, after_id: int, seq: int) -> Chunk:
        joined = _Joined(after_id, interest.kinds)
        is_everything = interest.filter == _EVERY_RECORD
        for slot in self._ring.since(seq, self._committed_seq):
            is_wanted = is_everything or matches(interest.filter, slot.record)
            joined.add(
                slot.record.seq, self._ring.frames(slot, interest.encode) if is_wanted else ()
            )
            if joined.is_full:
                break

        self._ring.trim()
        return joined.chunk()

    async def _read_store(self, interest: Interest, after_id: int, until_seq: int) -> list[Chunk]:
        """Read a page from the store, preceded by the gap that retention may have left."""
        filter = replace(interest.filter, seq_after=after_id // 2, seq_until=until_seq)
        page = await self._storage.read(
            RecordQuery(filter=filter, order="asc", limit=BACKFILL_RECORDS)
        )
        # Read last, so that records removed in between are reported, and the page does not silently
        # lack any.
        kept_seq = await first_kept_seq(self._storage, self._committed_seq)
        if kept_seq > after_id // 2 + 1 and await self._has_removed():
            return [self._gap(interest, after_id, min(kept_seq - 1, until_seq))]

        chunks = []
        joined = _Joined(after_id, interest.kinds)
        async for record, frames in self._frames(interest, page.records):
            joined.add(record.seq, frames)
            if joined.is_full:
                chunks.append(joined.chunk())
                joined = _Joined(2 * record.seq, interest.kinds)
                await asyncio.sleep(0)

        joined.add(until_seq if page.next_after is None else page.next_after, ())
        return [*chunks, joined.chunk()]

    async def _frames(
        self, interest: Interest, records: Sequence[Record]
    ) -> AsyncIterator[tuple[Record, tuple[Frame, ...]]]:
        for step in portions(records, PAYLOAD_RECORDS, body_bytes):
            encode = interest.encode
            if interest.encode_entry is not None:
                payloads = await self._storage.payloads([record.seq for record in step])
                encode = _encoder(interest.encode_entry, payloads)
            for record in step:
                yield record, encode_frames(record, encode, self.offset)

    async def _has_removed(self) -> bool:
        """Return True if missing numbers belong to records that retention removed."""
        if self._storage.has_late_prefix:
            state = await self._storage.retention()
        else:
            state = None
        return state is None or bool(state.purge_floor_us or state.purged_through_seq)

    def _gap(self, interest: Interest, after_id: int, last_seq: int) -> Chunk:
        """Return a report of what retention removed. A scoped reader does not learn the number of
        records.
        """
        is_counted = interest.filter.scope == EVERYTHING and not self._storage.has_late_prefix
        data: dict[str, object] = {
            "count": last_seq - after_id // 2 if is_counted else None,
            "reason": "retention",
            "fromId": self.offset + after_id + 1,
            "toId": self.offset + 2 * last_seq,
        }
        return Chunk(self.event("gap", data, 2 * last_seq), 2 * last_seq, 1)

    def _end(self, subscriber: Subscriber, name: str, data: dict[str, object]) -> None:
        subscriber.ended = self.event(name, data, subscriber.after_id)

    def _wake(self) -> None:
        news = self._news
        self._news = asyncio.Event()
        news.set()


def _encoder(encode: EncodeEntry, payloads: Mapping[int, Payload]) -> Encode:
    return lambda record: encode(record, payloads.get(record.seq))


class _Joined:
    """Collects frames after a position until one write is full, or a slice of time is over."""

    __slots__ = ("_after_id", "_bytes", "_ends_s", "_kinds", "_parts", "_place")

    def __init__(self, after_id: int, kinds: frozenset[str]) -> None:
        self._after_id = after_id
        self._kinds = kinds
        self._place = after_id
        self._parts: list[bytes] = []
        self._bytes = 0
        self._ends_s = time.perf_counter() + SLICE_S

    def add(self, seq: int, frames: tuple[Frame, ...]) -> None:
        """Advance past a record, adding its wanted frames after the position."""
        for entry_id, kind, content in frames:
            if entry_id > self._after_id and kind in self._kinds:
                self._parts.append(content)
                self._bytes += len(content)
        self._place = max(self._place, 2 * seq)

    @property
    def is_full(self) -> bool:
        return self._bytes >= MAX_CHUNK_BYTES or time.perf_counter() > self._ends_s

    def chunk(self) -> Chunk:
        return Chunk(b"".join(self._parts), self._place, len(self._parts))
