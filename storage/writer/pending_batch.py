"""Entries that will be committed as one batch, with the positions between them. Pure.

Every entry comes with the position of its source once the entry is settled. So a batch can be split
anywhere, and each part still carries the exact positions of its entries: bisecting a refused batch
stays exactly-once. Entries of a ring come in runs, whose positions are computed only where a batch
ends or is split.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import msgspec

from storage.base import Prepared
from storage.ledger import SOURCE_SPOOL, is_ahead, with_dropped
from storage.record import Batch, Entry, Position


class PositionUpdate(NamedTuple):
    """A position that moves without an entry."""

    settled: int
    """Number of entries of the batch that must be settled first."""
    source: bytes
    position: Position


class LazyPositions(Sequence[Position]):
    """The positions of a ring after each of consecutive stored entries, computed on access.

    Storing a position per entry would take 200 bytes that are rarely read, and 1 us of CPU per
    exchange (bench/macro, get).
    """

    __slots__ = ("_base", "_ends")

    def __init__(self, base: Position, ends: Sequence[int]) -> None:
        """Continue from `base`; `ends` are the end offsets of the entries."""
        self._base = base
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Position: ...
    @overload
    def __getitem__(self, index: slice) -> "LazyPositions": ...
    def __getitem__(self, index: int | slice) -> "Position | LazyPositions":
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self._ends))
            return LazyPositions(self[start - 1] if start else self._base, self._ends[start:stop])
        entry = range(len(self._ends))[index]
        base = self._base
        count = entry + 1
        return Position(
            self._ends[entry], base.taken + count, base.stored + count, 0, base.dropped, False
        )


class SourceRun(NamedTuple):
    """Consecutive entries of one source."""

    source: bytes
    positions: Sequence[Position]
    """The source's position after each entry."""


@dataclass(slots=True)
class PendingBatch:
    """Entries in the order in which they were added; becomes one or several batches."""

    opened_at_s: float
    """When its first entry was added, by the caller's clock."""
    entries: list[Entry] = field(default_factory=list)
    runs: list[SourceRun] = field(default_factory=list)
    """Sources of the entries, in their order; position updates lie between runs."""
    updates: list[PositionUpdate] = field(default_factory=list)
    retired: list[tuple[int, bytes]] = field(default_factory=list)
    """Sources to delete, each with the number of entries that must be settled first: they go with
    the part that adds their counts to another position.
    """
    size_bytes: int = 0
    is_doubtful: bool = False
    """True if an attempt to commit it got no answer, so that the store may have it."""
    is_replayed: bool = False
    """True if it comes from the spool: its positions of other sources were corrected when they were
    spooled.
    """
    prepared: Prepared | None = None
    """The store's preparations for these entries, kept for all attempts to commit them."""

    @property
    def prepared_bytes(self) -> int:
        if self.prepared is None:
            return 0
        return self.prepared.size_bytes

    def replace(self, entries: list[Entry]) -> None:
        """Exchange the entries for others that settle the same positions."""
        self.entries = entries
        self.prepared = None

    def move(self, source: bytes, position: Position) -> None:
        """Move a source's position without an entry; the position counts the records that were
        skipped.
        """
        update = PositionUpdate(len(self.entries), source, position)
        # Keep one update per source between two entries, so that they do not pile up while the
        # store is down.
        for index in range(len(self.updates) - 1, -1, -1):
            if self.updates[index].settled != update.settled:
                break
            if self.updates[index].source == source:
                self.updates[index] = update
                return

        self.updates.append(update)

    def split(self) -> tuple["PendingBatch", "PendingBatch"]:
        middle = len(self.entries) // 2
        assert middle
        self.prepared = None  # it covers the whole batch, and each part is prepared again
        before, after = _split_runs(self.runs, middle)
        first = PendingBatch(
            self.opened_at_s,
            self.entries[:middle],
            before,
            [update for update in self.updates if update.settled <= middle],
            [(settled, source) for settled, source in self.retired if settled <= middle],
            is_doubtful=self.is_doubtful,
            is_replayed=self.is_replayed,
        )
        second = PendingBatch(
            self.opened_at_s,
            self.entries[middle:],
            after,
            [
                update._replace(settled=update.settled - middle)
                for update in self.updates
                if update.settled > middle
            ],
            [(settled - middle, source) for settled, source in self.retired if settled > middle],
            is_doubtful=self.is_doubtful,
            is_replayed=self.is_replayed,
        )
        return first, second

    def discard_stored(self, stored: Mapping[bytes, Position]) -> None:
        """Remove entries that the store has, and positions that are not ahead of its own."""
        entries = []
        runs = []
        done = 0
        moved = {0: 0}

        for run in self.runs:
            known = stored.get(run.source)
            end = done + len(run.positions)
            if known is None:
                skipped = 0
            else:
                skipped = bisect_right(run.positions, known.offset, key=lambda step: step.offset)
            if done + skipped < end:
                entries += self.entries[done + skipped : end]
                runs.append(SourceRun(run.source, run.positions[skipped:]))
            done = end
            moved[done] = len(entries)

        if len(entries) < len(self.entries):
            self.replace(entries)
        self.runs = runs
        self.updates = [
            update._replace(settled=moved[update.settled])
            for update in self.updates
            if update.source not in stored or is_ahead(update.position, stored[update.source])
        ]
        self.retired = [(moved[settled], source) for settled, source in self.retired]

    def batch(self, instance: str, poison: Mapping[bytes, int]) -> Batch:
        """Return the batch of `instance`; `poison` counts, per source, records that were dropped
        although the positions count them as stored.
        """
        positions: dict[bytes, Position] = {}
        done = 0
        next_update = 0

        for run in (*self.runs, None):
            while next_update < len(self.updates) and (
                run is None or self.updates[next_update].settled <= done
            ):
                _, source, position = self.updates[next_update]
                positions[source] = position
                next_update += 1

            if run is not None:
                positions[run.source] = run.positions[-1]
                done += len(run.positions)

        for source, dropped in poison.items():
            if source in positions and (source == SOURCE_SPOOL or not self.is_replayed):
                positions[source] = _corrected(positions[source], dropped)
        return Batch(
            instance, self.entries, positions, [source for _, source in self.retired], self.prepared
        )


def _split_runs(runs: list[SourceRun], middle: int) -> tuple[list[SourceRun], list[SourceRun]]:
    before: list[SourceRun] = []
    after: list[SourceRun] = []
    for run in runs:
        here = min(middle, len(run.positions))
        if here:
            before.append(SourceRun(run.source, run.positions[:here]))
        if here < len(run.positions):
            after.append(SourceRun(run.source, run.positions[here:]))
        middle -= here

    return before, after


def _corrected(position: Position, poison: int) -> Position:
    dropped = with_dropped(position.dropped, "poison", poison)
    return msgspec.structs.replace(position, stored=position.stored - poison, dropped=dropped)
