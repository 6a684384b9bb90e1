"""Records that were committed a moment ago: what the next cells are made of while the index keeps up. No I/O.

Strategy: a commit hands its entries over, so nothing of them has to be looked up, inflated and decoded, which takes
two thirds of the time of a cell that is read. They are one run of neighbours: what does not follow it, or is more than
may be held, is left to the store, where the index comes upon it. A run that has ended makes room when it is in cells.

Invariant: who writes a cell of them compares their ids with those of its rows in the same transaction. Between commit
and cell they may have been erased, and behind a failover that lost commits their rows may be others'.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from storage.record import Entry
from storage.relational.blocks.portions import data_bytes
from storage.relational.slices import Range

MAX_RECORDS: Final = 2048
"""As many as are committed in half a second of much traffic; about 1 KB each beside their texts."""
MAX_BYTES: Final = 4 * 1024 * 1024
"""Of their texts and data."""


class FreshRecords:
    """Neighbouring records, the oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._sizes: deque[int] = deque()
        self._size_bytes = 0
        self.is_ended = False
        """Whether something was committed behind these that was not taken: they stay as many as they are."""

    @property
    def first_seq(self) -> int | None:
        return self._entries[0].record.seq if self._entries else None

    @property
    def has_little_room(self) -> bool:
        return self.is_ended or len(self._entries) * 2 >= MAX_RECORDS or self._size_bytes * 2 >= MAX_BYTES

    def are_all_of(self, rows: Range) -> bool:
        return self.first_seq == rows.first and len(self._entries) == rows.size

    def offer(self, entries: Sequence[Entry]) -> None:
        """Take what was committed together, with its `seq`s, as far as there is room."""
        if not entries:
            return
        if self.is_ended or not _are_neighbours(entries) or not self._is_followed_by(entries[0]):
            self.is_ended = bool(self._entries)
            return
        for entry in entries:
            if entry.tool_calls:  # their texts are in the bodies, too
                entry = Entry(entry.record, entry.payload)
            size = data_bytes(entry)
            if len(self._entries) >= MAX_RECORDS or self._size_bytes + size > MAX_BYTES:
                self.is_ended = bool(self._entries)
                return
            self._entries.append(entry)
            self._sizes.append(size)
            self._size_bytes += size

    def _is_followed_by(self, entry: Entry) -> bool:
        return not self._entries or self._entries[-1].record.seq + 1 == entry.record.seq

    def drop_before(self, seq: int) -> None:
        """Let go of what is in a cell."""
        while self._entries and self._entries[0].record.seq < seq:
            self._entries.popleft()
            self._size_bytes -= self._sizes.popleft()
        self.is_ended = self.is_ended and bool(self._entries)

    def clear(self) -> None:
        self.is_ended = False
        self._entries.clear()
        self._sizes.clear()
        self._size_bytes = 0

    def portions(self, size_bytes: int, max_records: int, max_bytes: int) -> "list[Portion]":
        """Cut off what makes whole cells; the records stay here.

        A cell has at least so many bytes of text, the last one three quarters of it, or so many records; `max_bytes`
        are about those of the text of all cells.
        """
        found: list[Portion] = []
        entries = iter(self._entries)
        count = size = whole = 0
        for added in self._sizes:
            count, size = count + 1, size + added
            if size >= size_bytes or count >= max_records:
                found.append(Portion(list(islice(entries, count)), size))
                count, size, whole = 0, 0, whole + size
                if whole >= max_bytes:
                    break
        if count and size >= size_bytes * 3 // 4:
            found.append(Portion(list(islice(entries, count)), size))
        return found


@dataclass(frozen=True, slots=True)
class Portion:
    """The records of a cell to be."""

    entries: Sequence[Entry]
    size_bytes: int
    """Of their texts."""


def _are_neighbours(entries: Sequence[Entry]) -> bool:
    """Whether all of a batch was stored now: of one whose answer was lost, some may have been stored before."""
    first, last = entries[0].record.seq, entries[-1].record.seq
    return first > 0 and last - first + 1 == len(entries)
