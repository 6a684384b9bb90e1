"""What the writer has taken and not settled: the open group, and the closed ones in the order they came in.

Pure: the clock is an argument. Bounded in bytes by its callers' heeding `is_full`.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from storage.record import Entry, Position
from storage.writer.batcher import Batcher, Group, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogLimits:
    """When a group is closed, and when there are enough of them."""

    max_records: int = 3000
    """Entries in one group (3000: half the cost per row of 500, measured)."""
    max_bytes: int = 8 * 1024 * 1024
    """Size of one group's entries."""
    max_age_s: float = 0.2
    """How long the first entry of a group waits for others."""
    queue_max_bytes: int = 16 * 1024 * 1024
    """Size of all entries from which it is full."""


class Backlog:
    """A queue of groups, the last of them open."""

    def __init__(self, limits: BacklogLimits) -> None:
        """Begin empty."""
        self._batcher = Batcher(max_records=limits.max_records, max_bytes=limits.max_bytes, max_age_s=limits.max_age_s)
        self._max_bytes = limits.queue_max_bytes
        self._closed: deque[Group] = deque()
        self._closed_bytes = 0
        self._replay_bytes = min(limits.max_bytes, limits.queue_max_bytes // 2)
        self._lent_bytes = 0
        self._is_relieving = False

    @property
    def size_bytes(self) -> int:
        """Size of the entries in it, and of what it has lent."""
        return self._closed_bytes + self._batcher.size_bytes + self._lent_bytes

    @contextmanager
    def lending(self) -> Iterator[None]:
        """Leave the room of one group, half of it all at most, to a group that comes from elsewhere."""
        self._lent_bytes = self._replay_bytes
        try:
            yield
        finally:
            self._lent_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing should be added."""
        return self.size_bytes >= self._max_bytes

    def needs_relief(self) -> bool:
        """Whether the oldest should go elsewhere: once it was full, until half of it is gone.

        Stopping any sooner would leave a store that is asked again no time to answer before it is full once more.
        """
        if self.is_full:
            self._is_relieving = True
        elif self.size_bytes * 2 <= self._max_bytes:
            self._is_relieving = False
        return self._is_relieving

    @property
    def records(self) -> int:
        """Entries in it; those of a group that is being cut in parts count until it is dropped."""
        return self._batcher.records + sum(len(group.entries) for group in self._closed)

    @property
    def opened_at_s(self) -> float | None:
        """When its oldest entry came in; None when it is empty."""
        return self._closed[0].opened_at_s if self._closed else self._batcher.opened_at_s

    @property
    def groups(self) -> Iterator[Group]:
        """The closed groups, oldest first."""
        return iter(self._closed)

    def extend(self, entries: list[Entry], size_bytes: int, run: Run, now_s: float) -> bool:
        """Add a run of entries; tells whether a group was opened or closed, so that there is something to wait for."""
        room = self._batcher.room
        if len(entries) > room:
            here = size_bytes * room // len(entries)
            self.extend(entries[:room], here, Run(run.source, run.positions[:room]), now_s)
            self.extend(entries[room:], size_bytes - here, Run(run.source, run.positions[room:]), now_s)
            return True
        opens = self._batcher.opened_at_s is None
        group = self._batcher.extend(entries, size_bytes, run, now_s)
        if group is not None:
            self._enqueue(group)
        return opens or group is not None

    def advance(self, source: bytes, position: Position, now_s: float) -> None:
        """Move the position of a source without an entry."""
        self._batcher.advance(source, position, now_s)

    def retire(self, source: bytes, now_s: float) -> None:
        """Remove the position of a source."""
        self._batcher.retire(source, now_s)

    def close_open(self) -> None:
        """Close the open group, if there is one."""
        group = self._batcher.take()
        if group is not None:
            self._enqueue(group)

    def oldest(self, now_s: float, *, at_once: bool = False) -> Group | None:
        """Give the oldest group that is closed, or due by its age, or open when it is wanted `at_once`."""
        if not self._closed and (due_at_s := self.due_at_s()) is not None and (at_once or due_at_s <= now_s):
            self.close_open()
        return self._closed[0] if self._closed else None

    def due_at_s(self) -> float | None:
        """When the open group is closed for its age; None without one."""
        return self._batcher.due_at_s()

    def has_group(self, now_s: float) -> bool:
        """Whether a group is closed or due."""
        due_at_s = self.due_at_s()
        return bool(self._closed) or (due_at_s is not None and due_at_s <= now_s)

    def drop_oldest(self) -> None:
        """Let go of the oldest closed group: it is settled."""
        self._closed_bytes -= self._closed.popleft().size_bytes

    def _enqueue(self, group: Group) -> None:
        self._closed.append(group)
        self._closed_bytes += group.size_bytes
