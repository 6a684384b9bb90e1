"""Account for every record: received = stored + spooled + waiting + sampled + dropped.

Pure. `received` and `ring_full` come from the producers' own counters, `stored` and the other drops
from the positions that were committed with the rows. So the two sides of the equation are counted
independently.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from storage.record import Position

RETIRED_TOTALS = bytes(16)
"""Pseudo-source that carries the folded counts of removed sources."""

SOURCE_INTERNAL = bytes(15) + b"\x01"
"""Pseudo-source of the records the collector makes itself: events, and exchanges lost with their
worker.
"""


SOURCE_SPOOL = bytes(15) + b"\x02"
"""The spool as a source. Its offset is the newest frame replayed; `taken` counts the records of all
frames up to there. Records that the spool loses were already counted as stored when they were
spooled, so its `stored` is a negative correction.
"""


SAMPLED: Final = "sampled"
"""Key in the counts of a position: records that a capture rule left out."""

DropReason = Literal["ring_full", "corrupt", "poison", "other_store", "message_limit"]
DROP_REASONS: Final[tuple[DropReason, ...]] = (
    "ring_full",
    "corrupt",
    "poison",
    "other_store",
    "message_limit",
)
"""Why a record is not stored.

* `ring_full`: the ring had no room.
* `corrupt`: its bytes are damaged or missing.
* `poison`: the store refuses it in every form.
* `other_store`: it was in a store that was removed, replaced or restored from a backup.
* `message_limit`: it is a WebSocket message above the rate, or the part of the ring, that messages
  have.
"""


@dataclass(frozen=True, slots=True)
class ProducerCounts:
    """A living ring's own counters, since it was created."""

    pushed: int
    refused: int
    messages_shed: int = 0
    """WebSocket messages that were forwarded and not offered to the ring; the record of their
    exchange counts them too.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts of all records since the data directory was created, by what happened to them."""

    received: int
    stored: int
    spooled: int
    waiting: int
    sampled: int = 0
    """Left out by a capture rule."""
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

    Read positions first and counts second, without a commit in between.

    Args:
        positions: By source, the later of the store's and the spool's; they count spooled records as stored.
        counts: Counters of living rings, by source.
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
            pass  # Their own sources already count these records as received.
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
    """Return the counts by reason with `count` more for one of them."""
    return {**dropped, reason: dropped.get(reason, 0) + count}


def is_ahead(position: Position, other: Position) -> bool:
    return _progress(position) > _progress(other)


def merge(
    committed: Mapping[bytes, Position],
    spooled: Mapping[bytes, Position],
    retired: Collection[bytes] = (),
) -> dict[bytes, Position]:
    """Return the later position of every source, from the store's and the spool's, without sources
    that the spool retired.
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
