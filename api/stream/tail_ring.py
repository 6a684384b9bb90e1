"""The newest committed records with their encoded frames, for live subscribers and short replays.

Strategy: a commit only appends references to its records; a frame is encoded when the first
subscriber needs it, and kept. Bounded in entries (two per exchange, one per event) and in bytes
(texts of the records and their frames).
Invariant: the ring holds consecutive `seq`s. A commit that does not follow on (another sidecar
wrote in between) starts it anew, and readers find the earlier records in the store.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from api.stream.sse import encode_event
from storage.query import Filter
from storage.record import Payload, Record

RECORD_BYTES: Final = 1024
"""Assumed size of a record without its texts (measured: 700 to 1 100 bytes with its objects)."""


class Frame(NamedTuple):
    """One event of a stream."""

    entry_id: int
    """Number of the entry, without the tail's offset."""
    kind: str
    """`request`, `response` or `event`; `record` for a whole one."""
    content: bytes
    """Bytes for the client."""


Encode = Callable[[Record], Iterable[tuple[int, str, bytes]]]
"""Converts a record to (entry id, kind, JSON) by rising id. A module-level function, because frames
are cached under it.
"""


class Slot:
    """One record of the ring."""

    __slots__ = ("frames", "record", "size_bytes")

    def __init__(self, record: Record, size_bytes: int) -> None:
        self.record = record
        self.size_bytes = size_bytes
        self.frames: dict[Encode, tuple[Frame, ...]] = {}


@dataclass(slots=True, eq=False)
class TailRing:
    """The ring of one tail."""

    offset: int = field(kw_only=True)
    """Changed only while the ring is empty."""
    max_entries: int = field(kw_only=True)
    """Limit of entries. The newest record always stays."""
    max_bytes: int = field(kw_only=True)
    """Limit of the bytes of records and frames."""
    _slots: deque[Slot] = field(default_factory=deque, init=False)
    _entries: int = field(default=0, init=False)
    size_bytes: int = field(default=0, init=False)

    @property
    def first_seq(self) -> int | None:
        """The oldest record kept; None when empty."""
        if self._slots:
            return self._slots[0].record.seq
        return None

    @property
    def last_seq(self) -> int | None:
        """The newest record kept; None when empty."""
        if self._slots:
            return self._slots[-1].record.seq
        return None

    def extend(self, records: Iterable[Record]) -> None:
        """Append committed records, in order of `seq`; the oldest go."""
        slots = self._slots
        expected = slots[-1].record.seq + 1 if slots else None
        for record in records:
            if expected is not None and record.seq != expected:
                self.clear()
            expected = record.seq + 1
            size_bytes = _size_of(record)
            slots.append(Slot(record, size_bytes))
            self.size_bytes += size_bytes
            self._entries += 1 if record.kind == "event" else 2

        self.trim()

    def clear(self) -> None:
        self._slots.clear()
        self._entries = 0
        self.size_bytes = 0

    def frames(self, slot: Slot, encode: Encode) -> tuple[Frame, ...]:
        """Return a slot's frames, encoded at the first call."""
        found = slot.frames.get(encode)
        if found is None:
            found = slot.frames[encode] = encode_frames(slot.record, encode, self.offset)
            added = sum(len(frame.content) for frame in found)
            slot.size_bytes += added
            self.size_bytes += added

        return found

    def since(self, seq: int, until_seq: int) -> Iterator[Slot]:
        """Return the slots from one `seq` to another, both inclusive.

        `seq` must not be before the ring.
        """
        if not self._slots:
            return iter(())
        first = self._slots[0].record.seq
        return islice(self._slots, seq - first, max(until_seq - first + 1, 0))

    def trim(self) -> None:
        """Enforce the limits after frames were encoded. Not while `since` is iterated."""
        slots = self._slots
        while len(slots) > 1 and (
            self._entries > self.max_entries or self.size_bytes > self.max_bytes
        ):
            gone = slots.popleft()
            self.size_bytes -= gone.size_bytes
            self._entries -= 1 if gone.record.kind == "event" else 2


def encode_frames(record: Record, encode: Encode, offset: int) -> tuple[Frame, ...]:
    return tuple(
        Frame(entry_id, kind, encode_event(content, event_id=offset + entry_id))
        for entry_id, kind, content in encode(record)
    )


def _size_of(record: Record) -> int:
    """Return a record's estimated memory: its own long texts; repeated ones are shared (0.3 µs a
    record).
    """
    return (
        RECORD_BYTES
        + len(record.path or "")
        + len(record.query or "")
        + len(record.user_agent or "")
        + len(record.data or b"")
    )


EncodeEntry = Callable[[Record, Payload | None], Iterable[tuple[int, str, bytes]]]
"""Converts a record with its stored heads and bodies, as `Encode` does a record."""


@dataclass(frozen=True, slots=True)
class Interest:
    """The records that a stream wants, and their format."""

    encode: Encode
    filter: Filter
    """Filter, including the scope of the credential."""
    kinds: frozenset[str]
    """Kinds of frames."""
    encode_entry: EncodeEntry | None = None
    """Used instead of `encode` for frames that show heads and bodies."""

    @property
    def reads_store(self) -> bool:
        """True if heads and bodies are needed: the ring has records without them."""
        return self.encode_entry is not None or self.filter.needs_more_than_records
