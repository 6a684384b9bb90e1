"""Entries gathered into batches: closed by count, by bytes, or by age. Pure: the clock is an argument.

Every entry comes with the position its source has once the entry is settled, so a group can be cut anywhere and each
part still carries the exact positions of what is in it. That is what makes bisecting a refused batch exactly-once.
What a ring gives comes in runs, whose positions are worked out only where a group ends or is cut.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import msgspec

from storage.ledger import is_ahead
from storage.record import Batch, Entry, Position


class Mark(NamedTuple):
    """A position that moves without an entry, and when it holds."""

    settled: int
    """How many entries of the group must be settled first."""
    source: bytes
    position: Position


class Steps(Sequence[Position]):
    """The positions of a ring after each of consecutive entries that become records, each made when it is asked for.

    A position per entry would be 200 bytes that nearly nobody reads: 1 us of CPU per exchange (bench/macro, get).
    """

    __slots__ = ("_base", "_ends")

    def __init__(self, base: Position, ends: Sequence[int]) -> None:
        """Go on from `base`; `ends` are the offsets behind the entries."""
        self._base = base
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Position: ...
    @overload
    def __getitem__(self, index: slice) -> "Steps": ...
    def __getitem__(self, index: int | slice) -> "Position | Steps":
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self._ends))
            return Steps(self[start - 1] if start else self._base, self._ends[start:stop])
        place = range(len(self._ends))[index]
        base, count = self._base, place + 1
        return Position(self._ends[place], base.taken + count, base.stored + count, 0, base.dropped, False)


class Run(NamedTuple):
    """Consecutive entries of one source."""

    source: bytes
    positions: Sequence[Position]
    """The source's position after each of them."""


@dataclass(slots=True)
class Group:
    """Entries in the order they came in, with the positions between them; becomes one batch, or several."""

    opened_at_s: float
    """When its first entry came in, by the caller's clock."""
    entries: list[Entry] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    """Where the entries come from, in their order; marks lie between runs."""
    marks: list[Mark] = field(default_factory=list)
    retired: list[tuple[int, bytes]] = field(default_factory=list)
    """Sources that go, each with how many entries must be settled first: in one part with where it was folded."""
    size_bytes: int = 0

    def split(self) -> tuple["Group", "Group"]:
        """Cut in the middle. Needs two entries at least."""
        middle = len(self.entries) // 2
        assert middle
        before, after = _cut(self.runs, middle)
        first = Group(
            self.opened_at_s,
            self.entries[:middle],
            before,
            [mark for mark in self.marks if mark.settled <= middle],
            [(settled, source) for settled, source in self.retired if settled <= middle],
        )
        second = Group(
            self.opened_at_s,
            self.entries[middle:],
            after,
            [mark._replace(settled=mark.settled - middle) for mark in self.marks if mark.settled > middle],
            [(settled - middle, source) for settled, source in self.retired if settled > middle],
        )
        return first, second

    def forget(self, stored: Mapping[bytes, Position]) -> None:
        """Leave out what a store turned out to have: entries, and positions that are not ahead of its own."""
        entries, runs, done = [], [], 0
        moved = {0: 0}
        for run in self.runs:
            known, end = stored.get(run.source), done + len(run.positions)
            skipped = 0 if known is None else bisect_right(run.positions, known.offset, key=lambda step: step.offset)
            if done + skipped < end:
                entries += self.entries[done + skipped : end]
                runs.append(Run(run.source, run.positions[skipped:]))
            done = end
            moved[done] = len(entries)
        self.entries, self.runs = entries, runs
        self.marks = [
            mark._replace(settled=moved[mark.settled])
            for mark in self.marks
            if mark.source not in stored or is_ahead(mark.position, stored[mark.source])
        ]
        self.retired = [(moved[settled], source) for settled, source in self.retired]

    def batch(self, instance: str, poison: Mapping[bytes, int]) -> Batch:
        """Make the batch.

        Args:
            instance: Whose positions these are.
            poison: Source → records that were dropped and that its positions count as stored.
        """
        positions: dict[bytes, Position] = {}
        done = next_mark = 0
        for run in (*self.runs, None):
            while next_mark < len(self.marks) and (run is None or self.marks[next_mark].settled <= done):
                _, source, position = self.marks[next_mark]
                positions[source] = position
                next_mark += 1
            if run is not None:
                positions[run.source] = run.positions[-1]
                done += len(run.positions)
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
    def room(self) -> int:
        """How many entries the open group, or a new one, takes; at least one."""
        return self._max_records - self.records

    @property
    def opened_at_s(self) -> float | None:
        """When the open group was opened; None without one."""
        return None if self._group is None else self._group.opened_at_s

    def extend(self, entries: list[Entry], size_bytes: int, run: Run, now_s: float) -> Group | None:
        """Put a run of entries, at least one and at most `room`, into the open group; answers it when it is full."""
        group = self._opened(now_s)
        group.entries += entries
        group.runs.append(run)
        group.size_bytes += size_bytes
        if len(group.entries) >= self._max_records or group.size_bytes >= self._max_bytes:
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


def _cut(runs: list[Run], middle: int) -> tuple[list[Run], list[Run]]:
    """Cut runs behind as many entries as `middle` says."""
    before: list[Run] = []
    after: list[Run] = []
    for run in runs:
        here = min(middle, len(run.positions))
        if here:
            before.append(Run(run.source, run.positions[:here]))
        if here < len(run.positions):
            after.append(Run(run.source, run.positions[here:]))
        middle -= here
    return before, after


def _corrected(position: Position, poison: int) -> Position:
    dropped = dict(position.dropped)
    dropped["poison"] = dropped.get("poison", 0) + poison
    return msgspec.structs.replace(position, stored=position.stored - poison, dropped=dropped)
