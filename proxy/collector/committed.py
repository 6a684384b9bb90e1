"""The committed position of every source, in the store or in the spool. The ledger is computed from
these positions.

Every commit moves them and releases the ring entries that it covered. A source whose committed
position is closed is gone for good: its ring is removed, and one more batch adds its counts to
`RETIRED_TOTALS` and deletes its position.
"""

import logging
from collections.abc import Mapping

import msgspec

from proxy.collector.internal_events import InternalEvents
from proxy.collector.rings.sources import Sources
from storage.ledger import (
    RETIRED_TOTALS,
    SOURCE_INTERNAL,
    SOURCE_SPOOL,
    add_counts,
    is_ahead,
    with_dropped,
)
from storage.record import Batch, Position
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

_PSEUDO_SOURCES = (SOURCE_INTERNAL, RETIRED_TOTALS, SOURCE_SPOOL)


class CommittedPositions:
    """Follows the writer, as `WriterListener`."""

    def __init__(
        self,
        sources: Sources,
        writer: Writer,
        events: InternalEvents,
        positions: Mapping[bytes, Position],
    ) -> None:
        self._sources = sources
        self._writer = writer
        self._events = events
        self.positions = dict(positions)
        """Positions by source, including sources that are not rings."""
        self._retired_totals = self.positions.get(RETIRED_TOTALS, Position(closed=True))
        self._retired: set[bytes] = set()
        self._has_closed_lost = False

    def on_commit(self, batch: Batch) -> None:
        self._move(batch)
        for source_id, position in batch.positions.items():
            if source_id in _PSEUDO_SOURCES:
                continue
            source = self._sources.attached.get(source_id)
            if position.closed:
                if source is not None:
                    self._sources.remove(source)
                self._retire(source_id, position)
            elif source is not None:
                source.reader.release(position.offset)

    def on_spooled(self, batch: Batch) -> None:
        """Release spooled entries in the rings. A closed ring stays until the store has its
        position.
        """
        self._move(batch)
        for source_id, position in batch.positions.items():
            source = self._sources.attached.get(source_id)
            if source is not None:
                source.reader.release(position.offset)

    def _move(self, batch: Batch) -> None:
        """Move positions forward only: a given position may be older than that in the store or the
        spool.
        """
        for source_id, position in batch.positions.items():
            if source_id not in self.positions or is_ahead(position, self.positions[source_id]):
                self.positions[source_id] = position
        for source_id in batch.retired:
            self.positions.pop(source_id, None)

    def on_dropped(self, reason: str, records: int) -> None:
        self._events.add_gap(reason, records)

    def reconcile(self, positions: Mapping[bytes, Position]) -> None:
        """Continue from the positions of a store that has just become readable."""
        self.positions.clear()
        self.positions.update(positions)
        self._retired_totals = self.positions.get(RETIRED_TOTALS, Position(closed=True))

        for source in list(self._sources.attached.values()):
            known = self.positions.get(source.id, Position())
            if known.closed:
                self._sources.remove(source)
            elif source.is_foreign or known.offset > source.position.offset:
                source.restart(known)
            else:
                source.note_reported(known)

        self._events.restart(self.positions)

    def close_lost_rings(self) -> None:
        """Close positions whose ring is gone or damaged, once all rings of the start are attached
        and the store has everything that was spooled of them.

        A closed ring was removed in order before a kill; any other was lost with the machine or its
        /dev/shm. Log, event and ledger report the loss, with the number of records that the ring
        was last known to hold.
        """
        if self._has_closed_lost:
            return
        self._has_closed_lost = True
        left = self._sources.left

        for source_id in dict.fromkeys((*self.positions, *left, *self._sources.given)):
            if source_id in _PSEUDO_SOURCES or source_id in self._sources.attached:
                continue

            position = self.positions.get(source_id, Position())
            pushed = left.get(source_id, 0)
            if pushed is None:
                continue
            if position.closed:
                self._retire(source_id, position)
            else:
                self._close_lost(source_id, position, pushed)

    def _close_lost(self, source_id: bytes, position: Position, pushed: int) -> None:
        """Close the position of a ring whose file is gone, with its lost entries counted. The
        commit of the position retires it.
        """
        counted = position.taken + position.dropped.get("ring_full", 0)
        given = self._sources.given.get(source_id, 0)
        lost = max(0, pushed - position.taken, given - counted)
        if lost:
            dropped = with_dropped(position.dropped, "corrupt", lost)
        else:
            dropped = position.dropped
        closed = msgspec.structs.replace(
            position, received=counted + lost, dropped=dropped, closed=True
        )
        log.error("a ring is lost, with at least %d records", lost, extra={"ring": source_id.hex()})
        # Both in one batch: the event is there exactly once, or not yet.
        self._writer.advance(source_id, closed)
        self._events.add_unclean_start("ring_lost", source_id, lost)

    def _retire(self, source_id: bytes, position: Position) -> None:
        """Add the counts of a source to the totals of retired sources, once. A damaged file is left
        out, since it would be reported again.
        """
        # First: a note of a ring without a position would be taken for a ring that is lost.
        self._sources.forget(source_id)
        if source_id in self._sources.left or source_id in self._retired:
            return
        self._retired.add(source_id)
        self._retired_totals = add_counts(self._retired_totals, position)
        self._writer.advance(RETIRED_TOTALS, self._retired_totals)
        self._writer.drop_source(source_id)
