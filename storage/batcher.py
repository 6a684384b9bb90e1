"""Entries gathered into batches: closed by count, by bytes, or by age. Pure: the clock is an argument.

Every entry comes with the position its source has once the entry is settled, so a group can be cut anywhere and each
part still carries the exact positions of what is in it. That is what makes bisecting a refused batch exactly-once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from storage.record import Batch, Entry, Position


class Mark(NamedTuple):
    """A position that moves without an entry, and when it holds."""

    settled: int
    """How many entries of the group must be settled first."""
    source: bytes
    position: Position


@dataclass(slots=True)
class Group:
    """Entries in the order they came in, with the positions between them; becomes one batch, or several."""

    opened_at_s: float
    """When its first entry came in, by the caller's clock."""
    entries: list[Entry] = field(default_factory=list)
    sources: list[bytes] = field(default_factory=list)
    """The source of each entry."""
    positions: list[Position] = field(default_factory=list)
    """The position of that source after each entry."""
    marks: list[Mark] = field(default_factory=list)
    retired: list[tuple[int, bytes]] = field(default_factory=list)
    """Sources that go, each with how many entries must be settled first: in one part with where it was folded."""
    size_bytes: int = 0

    def split(self) -> tuple["Group", "Group"]:
        """Cut in the middle. Needs two entries at least."""
        middle = len(self.entries) // 2
        assert middle
        first = Group(
            self.opened_at_s,
            self.entries[:middle],
            self.sources[:middle],
            self.positions[:middle],
            [mark for mark in self.marks if mark.settled <= middle],
            [(settled, source) for settled, source in self.retired if settled <= middle],
        )
        second = Group(
            self.opened_at_s,
            self.entries[middle:],
            self.sources[middle:],
            self.positions[middle:],
            [mark._replace(settled=mark.settled - middle) for mark in self.marks if mark.settled > middle],
            [(settled - middle, source) for settled, source in self.retired if settled > middle],
        )
        return first, second

    def batch(self, instance: str, poison: Mapping[bytes, int]) -> Batch:
        """Make the batch.

        Args:
            instance: Whose positions these are.
            poison: Source → records that were dropped and that its positions count as stored.
        """
        positions: dict[bytes, Position] = {}
        done = 0
        for mark in self.marks:
            positions.update(zip(self.sources[done : mark.settled], self.positions[done : mark.settled], strict=True))
            positions[mark.source] = mark.position
            done = mark.settled
        positions.update(zip(self.sources[done:], self.positions[done:], strict=True))
        for source, dropped in poison.items():
            if source in positions:
                positions[source] = _corrected(positions[source], dropped)
        return Batch(instance, self.entries, positions, [source for _, source in self.retired])


class Batcher:
    """The group that is open, and when it is closed."""

    def __init__(self, *, max_records: int, max_bytes: int, max_age_s: float) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s

        self._group: Group | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the entries in the open group."""
        return 0 if self._group is None else self._group.size_bytes

    @property
    def records(self) -> int:
        """Entries in the open group."""
        return 0 if self._group is None else len(self._group.entries)

    @property
    def opened_at_s(self) -> float | None:
        """When the open group was opened; None without one."""
        return None if self._group is None else self._group.opened_at_s

    def add(self, entry: Entry, size_bytes: int, source: bytes, position: Position, now_s: float) -> Group | None:
        """Put an entry into the open group; answers the group when that has filled it."""
        group = self._group
        if group is None:
            group = self._opened(now_s)
        entries = group.entries
        entries.append(entry)
        group.sources.append(source)
        group.positions.append(position)
        group.size_bytes += size_bytes
        if len(entries) >= self._max_records or group.size_bytes >= self._max_bytes:
            return self.take()
        return None

    def advance(self, source: bytes, position: Position, now_s: float) -> None:
        """Move a source's position without an entry: what was passed over is counted in it."""
        group = self._opened(now_s)
        mark = Mark(len(group.entries), source, position)
        # One mark per source and place: while the store is down, they must not pile up.
        for place in range(len(group.marks) - 1, -1, -1):
            if group.marks[place].settled != mark.settled:
                break
            if group.marks[place].source == source:
                group.marks[place] = mark
                return
        group.marks.append(mark)

    def retire(self, source: bytes, now_s: float) -> None:
        """Remove a source's position, together with those that were moved just before."""
        group = self._opened(now_s)
        group.retired.append((len(group.entries), source))

    def due_at_s(self) -> float | None:
        """When the open group is closed for its age; None without one."""
        return None if self._group is None else self._group.opened_at_s + self._max_age_s

    def take(self) -> Group | None:
        """Close the open group, whatever is in it; None without one."""
        group, self._group = self._group, None
        return group

    def _opened(self, now_s: float) -> Group:
        if self._group is None:
            self._group = Group(now_s)
        return self._group


def _corrected(position: Position, poison: int) -> Position:
    dropped = dict(position.dropped)
    dropped["poison"] = dropped.get("poison", 0) + poison
    return msgspec.structs.replace(position, stored=position.stored - poison, dropped=dropped)
