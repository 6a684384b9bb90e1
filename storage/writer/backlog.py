"""The writer's queue: one open batch, and closed ones in the order of opening.

A batch is closed by count, by bytes, or by age. Pure: the clock is an argument. Callers keep it
bounded in bytes by heeding `is_full`.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from storage.record import Entry, Position
from storage.writer.pending_batch import PendingBatch, SourceRun


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogLimits:
    """Limits at which a batch is closed and the queue is full."""

    max_records: int = 3000
    """Entries of one batch (3000: half the cost per row of 500, measured)."""
    max_bytes: int = 8 * 1024 * 1024
    """Size of one batch's entries."""
    max_age_s: float = 0.2
    """How long the first entry of a batch waits for others."""
    queue_max_bytes: int = 16 * 1024 * 1024
    """Size of all entries at which the queue is full."""


class Backlog:
    """A queue of batches, the last of them open."""

    def __init__(self, limits: BacklogLimits) -> None:
        self._limits = limits
        self._open: PendingBatch | None = None
        self._closed: deque[PendingBatch] = deque()
        self._closed_bytes = 0
        self._reserved_bytes = 0
        self.prepared_bytes = 0
        """Size of the store's preparations for the batch that is being settled."""
        self._is_spilling = False
        self._is_early = False
        """True if the open batch is due before its age limit."""

    @property
    def size_bytes(self) -> int:
        open_bytes = 0 if self._open is None else self._open.size_bytes
        return self._closed_bytes + open_bytes + self._reserved_bytes + self.prepared_bytes

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Reserve the memory of one batch, up to half of the queue, for a batch that is read from
        the spool.
        """
        self._reserved_bytes = min(self._limits.max_bytes, self._limits.queue_max_bytes // 2)
        try:
            yield
        finally:
            self._reserved_bytes = 0
            self.prepared_bytes = 0

    @property
    def is_full(self) -> bool:
        return self.size_bytes >= self._limits.queue_max_bytes

    def should_spill(self) -> bool:
        """True if the oldest batches should go to the spool: from when the queue is full until it
        is half empty.

        Stopping sooner would fill the queue again before a retried store could answer.
        """
        if self.is_full:
            self._is_spilling = True
        elif self.size_bytes * 2 <= self._limits.queue_max_bytes:
            self._is_spilling = False
        return self._is_spilling

    @property
    def records(self) -> int:
        """Entries in the queue. A batch that is committed in parts counts in full until it is
        removed.
        """
        return self._open_records + sum(len(batch.entries) for batch in self._closed)

    @property
    def opened_at_s(self) -> float | None:
        """When its oldest entry was added; None when it is empty."""
        oldest = self._closed[0] if self._closed else self._open
        if oldest is None:
            return None
        return oldest.opened_at_s

    @property
    def batches(self) -> Iterator[PendingBatch]:
        """The closed batches, oldest first."""
        return iter(self._closed)

    def extend(self, entries: list[Entry], size_bytes: int, run: SourceRun, now_s: float) -> bool:
        """Add a run of at least one entry; return whether this opened or closed a batch."""
        room = self._limits.max_records - self._open_records
        if len(entries) > room:
            here = size_bytes * room // len(entries)
            self.extend(entries[:room], here, SourceRun(run.source, run.positions[:room]), now_s)
            self.extend(
                entries[room:],
                size_bytes - here,
                SourceRun(run.source, run.positions[room:]),
                now_s,
            )
            return True

        is_new = self._open is None
        batch = self._opened(now_s)
        batch.entries += entries
        batch.runs.append(run)
        batch.size_bytes += size_bytes

        if (
            len(batch.entries) < self._limits.max_records
            and batch.size_bytes < self._limits.max_bytes
        ):
            return is_new

        self.close_open()
        return True

    def advance(self, source: bytes, position: Position, now_s: float) -> None:
        self._opened(now_s).move(source, position)

    def drop_source(self, source: bytes, now_s: float) -> None:
        """Delete the position of a source, in the part that commits the positions moved just
        before.
        """
        batch = self._opened(now_s)
        batch.retired.append((len(batch.entries), source))

    def close_open(self) -> None:
        if self._open is not None:
            self._closed.append(self._open)
            self._closed_bytes += self._open.size_bytes
            self._open = None
            self._is_early = False

    def oldest(self, now_s: float, *, at_once: bool = False) -> PendingBatch | None:
        """Return the oldest batch that is closed or due, or with `at_once` the open one; None
        without one.
        """
        if not self._closed and (at_once or self.has_batch(now_s)):
            self.close_open()
        if self._closed:
            return self._closed[0]
        return None

    def due_at_s(self) -> float | None:
        """When the open batch becomes due; None if no batch is open."""
        if self._open is None:
            return None
        if self._is_early:
            return self._open.opened_at_s
        return self._open.opened_at_s + self._limits.max_age_s

    def has_batch(self, now_s: float) -> bool:
        due_at_s = self.due_at_s()
        return bool(self._closed) or (due_at_s is not None and due_at_s <= now_s)

    def expect_pause(self, until_s: float) -> bool:
        """Make the open batch due now if it would become due during a pause without new entries;
        return whether it is due.
        """
        due_at_s = self.due_at_s()
        self._is_early = due_at_s is not None and due_at_s <= until_s
        return self._is_early

    def remove_oldest(self) -> None:
        """Remove the oldest closed batch after it was settled."""
        self._closed_bytes -= self._closed.popleft().size_bytes
        self.prepared_bytes = 0

    @property
    def _open_records(self) -> int:
        if self._open is None:
            return 0
        return len(self._open.entries)

    def _opened(self, now_s: float) -> PendingBatch:
        if self._open is None:
            self._open = PendingBatch(now_s)
        return self._open
