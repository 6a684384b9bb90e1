"""The rings that a collector drains: found, attached, read up to a position, and removed when their
worker is gone.

The position of a source covers all entries *added to the writer* so far; the committed position,
which the ledger uses, is in `CommittedPositions`. The steps at the end of a source can be repeated
after a kill at any point:

1. the worker is dead, its ring read to the end, everything committed;
2. one batch stores the unfinished exchanges of the in-flight table (`worker_lost`) and the position
   marked `closed`;
3. after that commit the file is unlinked, and one more batch adds the counts to `RETIRED_TOTALS`.

A ring file with a closed position is only unlinked. A position without a ring file is a lost ring.
A damaged file counts as lost, too, with or without a position: the file stays for the operator, and
its position stays closed.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from proxy.ring.counters import CounterLayout, CounterSnapshot, add_counts
from proxy.ring.descriptor import Descriptor, read_descriptor
from proxy.ring.inflight import InflightExchange, InflightReader
from proxy.ring.ring import RingEntry, RingReader
from proxy.ring.segment import SUFFIX, Segment, pushed_in, segments_in
from proxy.ring.segment_layout import RingDamaged, SegmentError
from storage.ledger import SAMPLED, DropReason, ProducerCounts, with_dropped
from storage.record import Position
from storage.writer.pending_batch import LazyPositions, SourceRun
from storage.writer.state_file import StateFile

log = logging.getLogger(__name__)

GIVEN_FILE: Final = "ring-counts"
"""Name of the file in the data directory."""


def counters_file(fd: int) -> StateFile[CounterSnapshot]:
    """Return the state file behind a descriptor of the supervisor, which outlives collectors.

    Without it the workers' counters would fall at a reload by those of retired workers, and a
    scraper would take that for a reset to zero.
    """
    return StateFile(Path(f"/proc/self/fd/{fd}"), msgspec.msgpack.Decoder(CounterSnapshot))


def given_file(data_dir: Path) -> StateFile[dict[bytes, int]]:
    """Return the file with the number of records that each ring was given; it outlives the rings."""
    return StateFile(data_dir / GIVEN_FILE, msgspec.msgpack.Decoder(dict[bytes, int]))


class Source:
    """One attached ring."""

    def __init__(self, segment: Segment, position: Position) -> None:
        self.segment = segment
        self.id = segment.source
        self.descriptor: Descriptor = read_descriptor(segment.descriptor)
        self.restart(position)
        self._inflight = InflightReader(segment)
        self._layout = CounterLayout(len(self.descriptor.routes))
        self._given_back_to = -1
        self._has_in_flight = True
        self.is_closing = False
        """Whether the closing batch was added to the writer."""

    def restart(self, position: Position) -> None:
        """Continue reading the ring at another committed position, read from the store."""
        self.position = position
        self.reader = RingReader(self.segment, start=position.offset, taken=position.taken)
        self._corrupt_before = 0
        # Released by a store that is no longer ours (it was replaced): those records are in its
        # accounts.
        self.is_foreign = self.reader.cursor > position.offset
        self._unreported: dict[str, int] = {}

    @property
    def boot_id(self) -> str:
        """Boot of the machine in which the ring was made."""
        return self.segment.boot_id

    def read(self, max_records: int, max_bytes: int) -> list[RingEntry]:
        """Return the next entries, oldest first. Damaged entries are skipped and counted in the
        position.
        """
        entries = self.reader.read(max_records, max_bytes)
        damaged = self.reader.corrupt_records - self._corrupt_before
        if damaged:
            self._corrupt_before = self.reader.corrupt_records
            self.drop(self.position.offset, "corrupt", damaged)
            log.error(
                "damaged ring entries were skipped", extra={"count": damaged, "ring": self.id.hex()}
            )

        if self.is_foreign and self.reader.cursor >= self.reader.head:
            self.is_foreign = False
            counted = self.position.taken + len(entries) + sum(self._unreported.values())
            self.drop(self.position.offset, "other_store", max(0, self.reader.pushed - counted))

        return entries

    def take(self, ends: list[int]) -> SourceRun:
        """Advance over consecutive entries that become records; return their positions.

        `ends` are the offsets after each entry.
        """
        positions = LazyPositions(self.position, ends)
        self.position = positions[-1]
        return SourceRun(self.id, positions)

    def leave_out(self, end: int) -> None:
        """Advance over an entry that a capture rule leaves out."""
        old = self.position
        dropped = with_dropped(old.dropped, SAMPLED, 1)
        self.position = Position(end, old.taken + 1, old.stored, old.received, dropped, old.closed)

    def drop(self, end: int, reason: DropReason, count: int = 1) -> None:
        """Advance to `end` over entries that cannot be stored. They count as waiting until
        `report_drop`.

        After a kill in between, the next reader counts them as corrupt.
        """
        if count:
            self.position = msgspec.structs.replace(self.position, offset=end)
            self._unreported[reason] = self._unreported.get(reason, 0) + count

    def report_drop(self) -> tuple[str, int] | None:
        """Count the drops of one reason, and advance over damage at the end; return None if there
        are none left.

        Call it once all read entries are taken; a gap record reports the drops in the same batch.
        """
        if not self._unreported:
            return None
        reason, count = self._unreported.popitem()
        old = self.position
        dropped = with_dropped(old.dropped, reason, count)
        self.position = Position(
            self.reader.cursor, old.taken + count, old.stored, 0, dropped, False
        )
        return reason, count

    def report_refusals(self, count: int) -> Position:
        """Count records that the ring refused and that a gap record reports; return the new
        position.
        """
        old = self.position
        self.position = msgspec.structs.replace(
            old, dropped=with_dropped(old.dropped, "ring_full", count)
        )
        return self.position

    def note_reported(self, known: Position) -> None:
        """Take over refusals whose gap record was committed although the store's answer was lost."""
        count = known.dropped.get("ring_full", 0)
        if count > self.position.dropped.get("ring_full", 0):
            dropped = {**self.position.dropped, "ring_full": count}
            self.position = msgspec.structs.replace(self.position, dropped=dropped)

    def finish(self) -> Position:
        """Close the position of the ring with the producer's final counts, and return it."""
        old = self.position
        counts = self.producer_counts
        received = counts.pushed + counts.refused + counts.messages_shed
        if counts.messages_shed:
            dropped = {**old.dropped, "message_limit": counts.messages_shed}
        else:
            dropped = old.dropped
        self.position = Position(old.offset, old.taken, old.stored, received, dropped, True)
        self.is_closing = True
        return self.position

    def give_up(self) -> Position:
        """Close the position of a damaged ring with the counts known so far, and return it. The
        counts in a damaged header cannot be trusted.
        """
        old = self.position
        received = old.taken + old.dropped.get("ring_full", 0)
        self.position = Position(old.offset, old.taken, old.stored, received, old.dropped, True)
        self.is_closing = True
        return self.position

    @property
    def unreported_refusals(self) -> int:
        """Number of records that the full ring refused since the last gap record."""
        return self.reader.refused - self.position.dropped.get("ring_full", 0)

    @property
    def producer_counts(self) -> ProducerCounts:
        """The producer's own counts, or the counts read so far if the header is damaged."""
        try:
            return ProducerCounts(self.reader.pushed, self.reader.refused, self._messages_shed)
        except SegmentError:
            return ProducerCounts(self.position.taken, self.position.dropped.get("ring_full", 0))

    @property
    def given(self) -> int:
        """Return the number of records that the worker made, including those that the ring refused."""
        counts = self.producer_counts
        return counts.pushed + counts.refused

    @property
    def waiting_records(self) -> int:
        """Return the number of entries in the ring that are not read yet."""
        if self.reader.head > self.reader.cursor:
            return max(0, self.producer_counts.pushed - self.reader.taken)
        return 0

    @property
    def _messages_shed(self) -> int:
        if not self.descriptor.routes:  # damaged: where the counter lies depends on their number
            return 0
        cells = self.segment.counters
        counters = ("dropped_messages", "dropped_grpc_messages")
        return sum(cells[self._layout.cell(counter)] for counter in counters)

    @property
    def is_finished(self) -> bool:
        """Whether the worker is gone, its ring read to the end, and no entry missing that an
        earlier reader dropped.
        """
        reader = self.reader
        return (
            not self.segment.producer_alive()
            and reader.cursor >= reader.head
            and reader.taken >= reader.pushed
        )

    def give_back(self) -> None:
        """Free the memory of released entries of a dead worker's ring, once after each release."""
        released = self.reader.released
        if released == self._given_back_to or self.segment.producer_alive():
            return

        self._given_back_to = released
        self.segment.give_back_ring(released, self.reader.head)
        if self._has_in_flight and not self._inflight.scan():
            self._has_in_flight = False  # another look would allocate its pages once more
            self.segment.give_back_inflight()

    def in_flight(self) -> list[InflightExchange]:
        if self._has_in_flight:
            return self._inflight.scan()
        return []

    def counters(self) -> CounterSnapshot | None:
        try:
            return self._layout.read(
                self.segment.counters, [route.id for route in self.descriptor.routes]
            )
        except ValueError:
            return None

    def close(self, *, unlink: bool) -> None:
        """Close the segment of the ring; with `unlink` also delete its file."""
        if unlink:
            self.segment.unlink()
        self.segment.close()


@dataclass(slots=True)
class Sources:
    """Finds and keeps the attached rings."""

    directory: Path | None
    """Directory with ring files of earlier runs; None if rings were anonymous. New rings arrive as
    descriptors.
    """
    positions: dict[bytes, Position]
    """Committed positions by source, as in the store at the start."""
    attached: dict[bytes, Source] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    """Files that cannot be read. Each is logged once and left for the operator."""
    left: dict[bytes, int | None] = field(default_factory=dict)
    """Sources of unreadable files → the least number of entries their rings were given. None: a
    later start may read them, with other rights or another version.
    """
    retired_counters: CounterSnapshot = field(default_factory=CounterSnapshot)
    """Counters of the workers whose rings were removed."""
    _kept: StateFile[CounterSnapshot] | None = None
    given: dict[bytes, int] = field(default_factory=dict)
    """Number of records that each ring was given, as last noted: a lower bound for a ring that is
    gone.
    """
    _given_file: StateFile[dict[bytes, int]] | None = None
    _is_note_failing: bool = False
    given_up: int = 0
    """Number of rings whose header was found damaged while they were read."""
    removed: set[bytes] = field(default_factory=set)
    """Sources of removed rings: a holder may offer one again before it learns of the removal."""
    _on_found: list[Callable[[Source], object]] = field(default_factory=list)
    _on_removed: list[Callable[[bytes], object]] = field(default_factory=list)

    def subscribe(
        self,
        *,
        on_found: Callable[[Source], object] | None = None,
        on_removed: Callable[[bytes], object] | None = None,
    ) -> None:
        """Call `on_found` for every ring attached from now on, and `on_removed` for every ring that
        is removed.
        """
        if on_found is not None:
            self._on_found.append(on_found)
        if on_removed is not None:
            self._on_removed.append(on_removed)

    def keep_counters(self, file: StateFile[CounterSnapshot]) -> None:
        """Continue the counters of removed rings from earlier collectors, and save them for later
        ones.
        """
        self._kept = file
        if file.value is not None:
            self.retired_counters = file.value

    def keep_given(self, file: StateFile[dict[bytes, int]]) -> None:
        """Continue the noted counts of earlier rings, and note those of current rings from now on."""
        self._given_file = file
        self.given = file.value or {}

    def note_given(self) -> None:
        """Note how many records each ring was given, for a start that finds the ring gone."""
        self._note(self.given | {source.id: source.given for source in self.attached.values()})

    def forget(self, source_id: bytes) -> None:
        """Forget the noted count of a ring that is accounted for."""
        self._note({known: given for known, given in self.given.items() if known != source_id})

    def _note(self, given: dict[bytes, int]) -> None:
        if given == self.given or self._given_file is None:
            return
        self.given = given
        try:
            self._given_file.write(given)
        except OSError as error:
            if not self._is_note_failing:
                log.warning(
                    "cannot note how many records the rings were given; if they are lost with the "
                    "machine, it cannot be said how many: %s",
                    error,
                )
            self._is_note_failing = True
        else:
            self._is_note_failing = False

    def find(self) -> None:
        """Attach the rings in the directory that are not attached yet."""
        if self.directory is None:
            return
        known = {source_id.hex() for source_id in self.attached}
        for path in segments_in(self.directory):
            if path.stem in known or path.name in self.damaged:
                continue
            try:
                self._attach(Segment.attach(path))
            except SegmentError as error:
                self.damaged.add(path.name)
                records = self._note_left(path, is_lost=isinstance(error, RingDamaged))
                log.error(
                    "a ring cannot be read and is left in place, with at least %d records: %s",
                    records,
                    error,
                )

    def _note_left(self, path: Path, *, is_lost: bool) -> int:
        try:
            source_id = bytes.fromhex(path.stem)
        except ValueError:
            return 0
        pushed = pushed_in(path)
        self.left[source_id] = pushed if is_lost else None
        return max(0, pushed - self.positions.get(source_id, Position()).taken)

    def attach_fd(self, fd: int) -> None:
        """Attach the ring of a descriptor unless it is attached; the caller closes the descriptor.

        A ring whose file was removed is read like any other; a file that still has a name is
        unlinked at the end.
        """
        try:
            segment = Segment.from_fd(fd)
            if segment.source in self.attached or segment.source in self.removed:
                segment.close()
                return

            segment.path = self._path_of(segment)
            # Opened by its name it has a lock of its own.
            if segment.is_shared and segment.path is not None:
                path = segment.path
                segment.close()
                segment = Segment.attach(path)

            self._attach(segment)
        except SegmentError as error:
            inode = f"inode {os.fstat(fd).st_ino}"
            if inode not in self.damaged:
                self.damaged.add(inode)
                log.error("a worker's ring cannot be read: %s", error)

    def _path_of(self, segment: Segment) -> Path | None:
        if self.directory is None:
            return None
        path = self.directory / f"{segment.source.hex()}{SUFFIX}"
        try:
            if os.path.samestat(path.stat(), os.fstat(segment.fd)):
                return path
            return None
        except OSError:
            return None

    def _attach(self, segment: Segment) -> None:
        position = self.positions.get(segment.source, Position())
        if position.closed:
            segment.unlink()
            segment.close()
            self._notify_removed(segment.source)
            return

        try:
            source = Source(segment, position)
        except SegmentError:
            segment.close()
            raise

        self.attached[segment.source] = source
        for notify in self._on_found:
            notify(source)

    def remove(self, source: Source) -> None:
        """Detach a source whose closed position is committed, and unlink its file."""
        self.attached.pop(source.id, None)
        counters = source.counters()
        if counters is not None:
            self.retired_counters = add_counts(self.retired_counters, counters)
            self._keep_retired()
        source.close(unlink=True)
        self._notify_removed(source.id)

    def _keep_retired(self) -> None:
        if self._kept is None:
            return
        try:
            self._kept.write(self.retired_counters)
        except OSError as error:
            log.warning(
                "cannot save the counters of ended workers; a restart will lose them: %s", error
            )

    def _notify_removed(self, source_id: bytes) -> None:
        self.removed.add(source_id)
        for notify in self._on_removed:
            notify(source_id)

    def counters(self) -> CounterSnapshot:
        total = self.retired_counters
        for source in self.attached.values():
            snapshot = source.counters()
            if snapshot is not None:
                total = add_counts(total, snapshot, is_alive=source.segment.producer_alive())
        return total

    def close(self) -> None:
        """Detach all rings. Their files stay for the next start."""
        self.note_given()
        for source in self.attached.values():
            source.close(unlink=False)
        self.attached.clear()
