"""The accounting of every record: received = stored + spooled + waiting + sampled + dropped,
checked and never assumed.

Pure. `received` and what the ring refused come from the producers' own counters, `stored` and the
other drops from the positions that were committed together with the rows, so the two sides of the
equation are counted by different hands.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from storage.record import Position

RETIRED_TOTALS = bytes(16)
"""Pseudo-source that carries the folded counts of sources that are gone."""

SOURCE_INTERNAL = bytes(15) + b"\x01"
"""Pseudo-source of the records the collector makes itself: events, and exchanges lost with their
worker.
"""


SOURCE_SPOOL = bytes(15) + b"\x02"
"""The spool as a source: offset is the newest frame replayed, taken are all records of the frames
up to it. What it lost was counted as stored when it was spooled: `stored` is therefore what to take
off, a negative number.
"""


SAMPLED: Final = "sampled"
"""In the counts of a position: records that a rule of capture left out."""

DropReason = Literal["ring_full", "corrupt", "poison", "other_store", "message_limit"]
DROP_REASONS: Final[tuple[DropReason, ...]] = (
    *("ring_full", "corrupt", "poison", "other_store", "message_limit"),
)
"""Why a record is not stored: the ring had no room, its bytes were damaged or are gone, no store
takes it, it was in a store that was removed, replaced or set back, or it is a WebSocket message
above the rate or the part of the ring that messages have.
"""


@dataclass(frozen=True, slots=True)
class ProducerCounts:
    """A living ring's own counters, since it was made."""

    pushed: int
    refused: int
    messages_shed: int = 0
    """WebSocket messages that passed and were not offered to the ring; each is on the record of its
    exchange, too.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What became of all records since the data directory was made."""

    received: int
    stored: int
    spooled: int
    waiting: int
    sampled: int = 0
    """Left out by a rule of capture."""
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def is_balanced(self) -> bool:
        """Whether the equation holds; False is a bug of sidelog, never a property of the traffic."""
        return self.received == self.stored + self.spooled + self.waiting + self.sampled + sum(
            self.dropped.values()
        )


def balance(
    positions: Mapping[bytes, Position], counts: Mapping[bytes, ProducerCounts], spooled: int = 0
) -> Ledger:
    """Add up the positions of one sidecar, committed or spooled, and the counts of its living
    rings.

    All must be taken in one go, counts after positions, with no commit in between.

    Args:
        positions: The higher of the store's and the spool's, by source; they count spooled records as stored.
        counts: By source.
        spooled: Records in the spool that are not replayed.
    """
    received = 0
    waiting = 0
    stored = -spooled
    dropped: dict[str, int] = {}

    for source in positions.keys() | counts.keys():
        position = positions.get(source, Position())
        counted = counts.get(source)
        refused = position.dropped.get("ring_full", 0)
        shed = 0

        if source == SOURCE_SPOOL:
            pass  # Its records were received by their own sources.
        elif counted is None or position.closed:
            received += position.received or position.taken + refused
        else:
            received += counted.pushed + counted.refused + counted.messages_shed
            waiting += counted.pushed - position.taken
            refused = counted.refused
            shed = counted.messages_shed

        stored += position.stored
        for reason, count in position.dropped.items():
            if reason != "ring_full":
                dropped[reason] = dropped.get(reason, 0) + count
        for reason, count in (("ring_full", refused), ("message_limit", shed)):
            if count:
                dropped[reason] = dropped.get(reason, 0) + count

    sampled = dropped.pop(SAMPLED, 0)
    return Ledger(
        received=received,
        stored=stored,
        spooled=spooled,
        waiting=waiting,
        sampled=sampled,
        dropped=dropped,
    )


def with_dropped(dropped: Mapping[str, int], reason: str, count: int) -> dict[str, int]:
    """Count more dropped records, by reason."""
    return {**dropped, reason: dropped.get(reason, 0) + count}


def is_ahead(position: Position, other: Position) -> bool:
    return _progress(position) > _progress(other)


def merge(
    committed: Mapping[bytes, Position],
    spooled: Mapping[bytes, Position],
    retired: Collection[bytes] = (),
) -> dict[bytes, Position]:
    """Take the later position of every source, of the store's and the spool's, without those
    retired in the spool.
    """
    merged = {source: position for source, position in committed.items() if source not in retired}
    for source, position in spooled.items():
        if source not in merged or is_ahead(position, merged[source]):
            merged[source] = position
    return merged


def _progress(position: Position) -> tuple[int, int, int, int, bool]:
    dropped = sum(position.dropped.values())
    return position.offset, position.taken, position.received, dropped, position.closed


def add_counts(past: Position, gone: Position) -> Position:
    """Add the counts of a closed source to the folded ones, so that its row can be removed."""
    dropped = dict(past.dropped)
    for reason, count in gone.dropped.items():
        dropped[reason] = dropped.get(reason, 0) + count
    return Position(
        offset=0,
        taken=past.taken + gone.taken,
        stored=past.stored + gone.stored,
        received=past.received + gone.received,
        dropped=dropped,
        closed=True,
    )
