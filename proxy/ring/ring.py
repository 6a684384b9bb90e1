"""The ring between one worker and the collector: single producer, single consumer, in a segment of
shared memory.

Strategy: the producer writes an entry's bytes (`entry.py`), then publishes them with one native
8-byte store of `head`. Offsets count bytes since the ring was made and never wrap. An entry that
does not fit before the end of the buffer begins at its start; a marker fills the rest.

Invariant: the consumer reads only below `head`, the producer writes only below `released +
capacity`; neither ever waits for the other. What does not fit is refused and counted. Every push
that returned True is read exactly once, and a push cut short by a kill was never published. Three
bits of the entry count travel in the low bits of `head`, so count and offset are known together at
every instant, also when the producer dies between its stores.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

from proxy.ring.entry import PREFIX, PREFIX_BYTES, WRAP, Buffer, checksum, salt_of
from proxy.ring.lean_room import LeanRoom
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import (
    FIRST_REFUSED_US,
    HEAD,
    LAST_REFUSED_US,
    NO_WAKE,
    PUSHED,
    REFUSED_BYTES,
    REFUSED_RECORDS,
    RELEASED,
    WAKE_AT,
    RingDamaged,
    SegmentError,
)

Section = bytes | bytearray | memoryview

RingEntry = tuple[int, bytes, memoryview, int]
"""Kind, header (a copy), sections (not copied, with up to 7 bytes of padding), end offset.

A plain tuple: a named one costs 0.13 µs more per entry (measured). The sections may be overwritten
as soon as the end offset is released.
"""

_CONCAT_BYTES: Final = 16 * 1024
"""Size above which each section is assigned by itself: joining them would copy them once more."""
_RETRY_S: Final = 0.010
_RETRY_PAUSE_S: Final = 0.0005
_COUNT_BITS: Final = 7
_pack = PREFIX.pack
_unpack_from = PREFIX.unpack_from


class RingWriter:
    """The producer's side. One per segment and process; never attached to a ring written before."""

    __slots__ = (
        "_base", "_capacity", "_cells", "_count", "_easy", "_edge", "_head", "_lap_end", "_lean", "_map", "_now_us",
        "_salt", "_wake",
    )  # fmt: skip

    def __init__(
        self,
        segment: Segment,
        wake: Callable[[], None],
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Start on a fresh segment, which the caller closes.

        `wake` is called after a push that the reader asked to be woken by; it must not raise.

        Raises:
            SegmentError: the ring has been written before.
        """
        if segment.cells[HEAD] or segment.cells[RELEASED]:
            raise SegmentError(
                f"the ring {segment.path or segment.source.hex()} has been written before"
            )

        self._cells = segment.cells
        self._map = segment.mapping
        self._capacity = segment.capacity
        self._salt = salt_of(segment.source)
        self._wake = wake
        self._now_us = now_us
        self._head = 0
        self._count = 0
        self._base = -segment.data_offset
        self._edge = self._lap_end = self._capacity
        self._easy = self._capacity * 3 // 4
        self._lean: LeanRoom | None = None

    def be_lean(self, room: LeanRoom) -> None:
        """Keep only the pages in use allocated, from now on."""
        self._lean = room
        self._edge = min(self._edge, room.shrink(self._head))

    @property
    def head(self) -> int:
        """Return the offset of the end of the newest entry."""
        return self._head

    @property
    def released(self) -> int:
        """Return the offset below which bytes may be overwritten."""
        return self._cells[RELEASED]

    @property
    def capacity(self) -> int:
        return self._capacity

    def pressure(self) -> int:
        """Return how full the ring is: 0 normal, 1 above 75 %, 2 above 90 %."""
        # `_easy` is 75 % above the last known `released`: below it no shared memory has to be read.
        if self._head <= self._easy:
            return 0
        released = self._cells[RELEASED]
        self._easy = released + self._capacity * 3 // 4
        if self._head <= self._easy:
            return 0
        if (self._head - released) * 10 > self._capacity * 9:
            return 2

        return 1

    def push(self, kind: int, header: bytes, sections: Sequence[Section]) -> bool:
        """Append one entry, or count it as refused; never waits.

        The header, at most 65 535 bytes, must contain the lengths of the sections. They follow it
        without separators.

        Returns:
            True if the entry is in the ring. An entry larger than half of it may be refused even if
            nothing
            is waiting.
        """
        header_bytes = len(header)
        size = PREFIX_BYTES + header_bytes + sum(map(len, sections))
        length = size + 7 & -8
        head = self._head

        end = head + length
        if end > self._edge:
            head = self._make_room(length)
            if head < 0:
                return False
            end = head + length

        at = head - self._base
        prefix = _pack(length, crc32(header, self._salt + end + kind), header_bytes, kind)
        if size <= _CONCAT_BYTES:
            self._map[at : at + size] = b"".join((prefix, header, *sections))
        else:  # bodies are copied once
            for section in (prefix + header, *sections):
                stop = at + len(section)
                self._map[at:stop] = section
                at = stop

        self._head = end
        count = self._count + 1
        self._count = count
        cells = self._cells
        cells[HEAD] = end | count & _COUNT_BITS
        cells[PUSHED] = count
        if end > cells[WAKE_AT]:
            cells[WAKE_AT] = NO_WAKE
            self._wake()
        return True

    def _make_room(self, length: int) -> int:
        """Return the offset for an entry of `length` bytes; -1, and a counted refusal, if it does
        not fit.
        """
        limit = self._cells[RELEASED] + self._capacity
        start = self._head
        head = start
        if head + length > self._lap_end:
            start = self._lap_end
        if start + length > limit:
            self._edge = min(limit, self._lap_end)
            self._refuse(length)
            return -1

        if self._lean is not None:
            limit = self._lean.grow(head, start + length, limit)
            if limit < 0:
                self._refuse(length)
                return -1

        if start == self._lap_end:
            rest = start - head
            if rest >= PREFIX_BYTES:
                crc = checksum(b"", self._salt, head + rest, WRAP)
                PREFIX.pack_into(self._map, head - self._base, rest, crc, 0, WRAP)
            self._lap_end += self._capacity
            self._base += self._capacity

        self._edge = min(limit, self._lap_end)
        return start

    def _refuse(self, length: int) -> None:
        cells = self._cells
        now_us = self._now_us()
        if not cells[REFUSED_RECORDS]:
            cells[FIRST_REFUSED_US] = now_us
        cells[LAST_REFUSED_US] = now_us
        cells[REFUSED_BYTES] += length
        cells[REFUSED_RECORDS] += 1


class RingReader:
    """The consumer's side, with a private cursor.

    Reading changes nothing for the producer; `release` does.
    """

    __slots__ = (
        "_buffer", "_capacity", "_cells", "_clock", "_corrupt", "_cursor", "_is_counted", "_map", "_name",
        "_offset", "_sleep", "_taken", "_view",
    )  # fmt: skip

    def __init__(
        self,
        segment: Segment,
        start: int | None = None,
        taken: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin at `start`, or at the released offset if that is higher.

        Args:
            segment: mapped segment, closed by the caller after the last read.
            start: end offset of the last entry that is accounted for; None for the released offset.
            taken: number of entries before `start`. Without it, damage is counted exactly only
                after the reader
                has caught up with the producer.
            clock: monotonic time in seconds, for the retry of an entry that is not visible yet.
            sleep: pause between two retries.

        Raises:
            SegmentError: `start` or the header's positions are not offsets of this ring.
        """
        self._name = str(segment.path or segment.source.hex())
        self._cells = segment.cells
        self._map = segment.mapping
        self._view = segment.view
        self._offset = segment.data_offset
        self._capacity = segment.capacity
        self._buffer = Buffer(segment.data, salt_of(segment.source))
        self._clock = clock
        self._sleep = sleep
        released = self._cells[RELEASED]
        self._cursor = max(start or 0, released)

        if self._cursor % 8:
            raise RingDamaged(
                f"damaged header of {self._name}: position {self._cursor} is not a multiple of 8"
            )

        self._corrupt = 0
        self._is_counted = self._cursor == 0 or (taken is not None and self._cursor == start)
        self._taken = taken or 0 if self._is_counted else 0
        self._published()

    def read(self, max_records: int, max_bytes: int) -> list[RingEntry]:
        """Return the next entries, oldest first; empty only when nothing is published beyond the
        cursor.

        Reading stops once `max_bytes` are reached; the last entry may exceed it.

        Raises:
            SegmentError: the header's positions are damaged.
        """
        entries: list[RingEntry] = []
        head, pushed = self._published()
        stop = self._cursor + max(max_bytes, 1)

        while self._cursor < head and len(entries) < max_records:
            if self._cursor >= stop:
                if entries:
                    break
                stop = self._cursor + max(max_bytes, 1)
            if not self._read_lap(entries, min(stop, head), head, max_records):
                self._skip_damage(head)

        self._taken += len(entries)
        if self._cursor == head and (self._taken != pushed or not self._is_counted):
            self._settle(pushed)
        return entries

    def _read_lap(self, entries: list[RingEntry], stop: int, head: int, max_records: int) -> bool:
        """Read up to `stop` or the end of the lap; return False if the cursor is at damage."""
        cursor = self._cursor
        base = cursor - cursor % self._capacity - self._offset
        lap_end = base + self._offset + self._capacity
        limit = min(head, lap_end)
        stop = min(stop, lap_end - PREFIX_BYTES + 1)
        mapping = self._map
        view = self._view
        salt = self._buffer.salt
        add = entries.append
        is_sound = True

        for _ in range(max_records - len(entries)):
            if cursor >= stop:
                break
            at = cursor - base
            length, crc, header_bytes, kind = _unpack_from(mapping, at)
            end = cursor + length
            body = at + PREFIX_BYTES + header_bytes
            header = mapping[at + PREFIX_BYTES : body]
            if crc32(header, salt + end + kind) != crc or end > limit:
                is_sound = False
                break

            if kind != WRAP:
                add((kind, header, view[body : at + length], end))
            cursor = end

        # A rest too short for a marker is skipped like one.
        if lap_end - cursor < PREFIX_BYTES and head > cursor:
            cursor = lap_end
        self._cursor = cursor
        return is_sound

    def _published(self) -> tuple[int, int]:
        """Return `head` and the number of entries below it, both at the same instant."""
        cells = self._cells
        while True:
            before = cells[PUSHED]
            word = cells[HEAD]
            # The count of `word` lies in [before, now + 1]; fewer than eight candidates make its
            # low bits decisive.
            if cells[PUSHED] - before < _COUNT_BITS:
                break

        head = word & ~_COUNT_BITS
        if head - self._cursor > self._capacity:
            raise RingDamaged(
                f"damaged header of {self._name}: head {head} is more than {self._capacity} bytes "
                f"past {self._cursor}"
            )

        return head, before + (word - before & _COUNT_BITS)

    def _settle(self, pushed: int) -> None:
        """Compare the own count with the producer's. The cursor must be at the position of
        `pushed`.

        Missing entries were damaged. An earlier reader may have skipped them.
        """
        if self._is_counted:
            self._corrupt += max(pushed - self._taken, 0)
        self._taken = pushed
        self._is_counted = True

    def _skip_damage(self, head: int) -> None:
        """Move the cursor to the next valid entry. The newest one gets time to become visible
        first.
        """
        found = self._buffer.find(self._cursor + 8, head)
        if found == head:
            deadline = self._clock() + _RETRY_S
            while self._clock() < deadline:
                self._sleep(_RETRY_PAUSE_S)
                if self._buffer.is_entry(self._cursor, head):
                    return

        self._cursor = found
        if not self._is_counted:
            self._corrupt += 1

    def release(self, offset: int) -> None:
        """Let the producer overwrite everything before `offset`, an end offset that was read.

        The released offset never moves back.
        """
        if offset > self._cursor or offset % 8:
            raise ValueError(f"bug: release of {offset}, the cursor is at {self._cursor}")
        if offset > self._cells[RELEASED]:
            self._cells[RELEASED] = offset

    def ask_to_wake(self, part: float) -> bool:
        """Ask to be woken by the push after which more than a part of the ring is unread.

        The offset is stored first and `head` is read again after it, so a push in between is seen
        by one side or the other. Processors may delay a store past a load, and Python has no fence,
        so a reader has to bound its sleep.

        Returns:
            True if the reader may sleep, because no more than that part is unread.
        """
        wake_at = self._cursor + int(self._capacity * part)
        self._cells[WAKE_AT] = wake_at
        return self.head <= wake_at

    def stay_awake(self) -> None:
        """Ask the producer not to wake the reader, because the reader polls."""
        self._cells[WAKE_AT] = NO_WAKE

    @property
    def head(self) -> int:
        """Return the offset of the end of the newest entry."""
        return self._cells[HEAD] & ~_COUNT_BITS

    @property
    def cursor(self) -> int:
        """Return the offset of the end of the last entry read."""
        return self._cursor

    @property
    def released(self) -> int:
        """Return the offset up to which the producer may overwrite entries."""
        return self._cells[RELEASED]

    @property
    def used_bytes(self) -> int:
        """Return how many bytes are published and not released."""
        return max(self.head - self.released, 0)

    @property
    def pushed(self) -> int:
        """Number of entries pushed since the ring was made; exact even if the producer died within
        a push.
        """
        return self._published()[1]

    @property
    def taken(self) -> int:
        """Number of entries up to the cursor, read and corrupt.

        A reader made without `taken` counts from its own start until it has caught up.
        """
        return self._taken

    @property
    def corrupt_records(self) -> int:
        """Number of damaged entries skipped by this reader.

        Exact once the reader has caught up; until then they are not included in `taken`.
        """
        return self._corrupt

    @property
    def refused(self) -> int:
        return self._cells[REFUSED_RECORDS]

    @property
    def first_refused_us(self) -> int:
        """Unix time of the first refusal in microseconds, 0 = none."""
        return self._cells[FIRST_REFUSED_US]

    @property
    def last_refused_us(self) -> int:
        """Return the time at which the ring last refused an entry, as Unix time in microseconds."""
        return self._cells[LAST_REFUSED_US]
