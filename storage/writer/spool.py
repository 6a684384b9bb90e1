"""The spool: batches on disk that wait while the store is away. Append-only segments, read in
order, then deleted.

Strategy: a segment is a file of fixed size, allocated before it is used, so that a full disk shows
when a segment is opened and never inside one. A frame's records are written first and its header
last: after a kill a frame is there completely or not at all. After a start, writing continues in a
new segment.

Invariant: apart from damage, the files hold exactly the frames from the first one not replayed to
the newest. Frame numbers and record counts have no gaps, so damage is counted to the record: by the
frame after it, or, at the end, by the end file.

A lock lets one thread at a time use the files: a task that is cancelled while it awaits a thread
may close the spool while that thread still works, and a descriptor closed twice could belong to
another file by then. The index is changed on the event loop only (`append`, `settle`).
"""

import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.record import Batch, Entry, Position
from storage.writer import spool_frames
from storage.writer.state_file import StateFile

log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 16 * 1024 * 1024
SUFFIX: Final = ".spool"
OTHER_SUFFIX: Final = ".spool-other"
"""Suffix of segments that another version wrote in an unknown format; they are kept."""
END_FILE: Final = "mark"


class SpoolFull(Exception):
    """A frame has no room: the budget is used up, or the disk is full or broken."""


class FrameTooLarge(Exception):
    """A frame is larger than a segment: split the batch."""


@dataclass(frozen=True, slots=True)
class FrameLocation:
    """A frame with its segment and its offset there."""

    frame: spool_frames.Frame
    path: Path
    offset: int


@dataclass(slots=True)
class _Segment:
    path: Path
    fd: int
    end: int = 0
    is_dirty: bool = False


class Spool:
    """Frames in order. Call `load` first."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        allocate: Callable[[int, int, int], None] = os.posix_fallocate,
        synchronize: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Make an empty index of a directory; `load` reads its files. The directory is created when
        needed.
        """
        self.directory = directory
        self._end_file = StateFile(directory / END_FILE, spool_frames.end_decoder)
        self._allocate = allocate
        self._synchronize = synchronize
        self.segment_bytes = min(SEGMENT_BYTES, max_bytes // 4)
        self._max_segments = max_bytes // self.segment_bytes

        self._files = threading.RLock()
        self._is_closed = False
        self._is_end_failing = False
        self._segment: _Segment | None = None
        self._paths: list[Path] = []
        self._pending: deque[FrameLocation] = deque()
        self._next_number = 1
        self._end_record = 0
        self._settled_record = 0
        self.began_at = 0
        """Record count at which this spool began; lower ones belong to an earlier spool with the
        same name and position in the store.
        """
        self.positions: dict[bytes, Position] = {}
        """Positions of the sources after all spooled frames; only of sources that occur in them."""
        self.retired: set[bytes] = set()
        """Sources that frames remove from the store."""
        self.errors = 0
        """Number of failed writes and syncs."""

    @property
    def pending_records(self) -> int:
        return self._end_record - self._settled_record

    @property
    def size_bytes(self) -> int:
        return len(self._paths) * self.segment_bytes

    @property
    def capacity_bytes(self) -> int:
        return self._max_segments * self.segment_bytes

    @property
    def oldest(self) -> FrameLocation | None:
        if self._pending:
            return self._pending[0]
        return None

    def load(self, replayed: Position) -> None:
        """Read the index from the files; frames that `replayed` covers, and damaged ones, are
        skipped.

        `replayed` is the spool's position in the store: its offset is the number of the newest
        replayed frame, and `taken` counts its records.
        """
        self._set_others_aside()
        self.inspect(replayed)
        self.collect()

    def inspect(self, replayed: Position) -> None:
        """Read the index as `load` does, without changing any file."""
        last = replayed.offset
        if self.directory.is_dir():
            self._paths = sorted(self.directory.glob("*" + SUFFIX))
        else:
            self._paths = []

        locations = [location for path in self._paths for location in _frames_in(path)]
        for location in sorted(locations, key=lambda location: location.frame.number):
            if location.frame.number > last:
                self._pending.append(location)
                last = location.frame.number
                self._advance(location.frame)

        end = self._end_file.value
        self.began_at = max((location.frame.began_at for location in self._pending), default=0)
        if end is not None:
            self.began_at = max(self.began_at, end.began_at)
        self._settled_record = max(replayed.taken, self.began_at)
        self._end_record = max(
            self._settled_record, self._pending[-1].frame.end_record if self._pending else 0
        )
        self._next_number = last + 1

        if end is not None and end.end_record > self._end_record:
            self._end_record = end.end_record
            self._next_number = max(self._next_number, end.next_number)
            self.positions = end.positions
            self.retired = set(end.retired)

    def _set_others_aside(self) -> None:
        for path in self.directory.glob("*" + SUFFIX):
            try:
                with path.open("rb") as file:
                    magic = file.read(len(spool_frames.MAGIC))
                if magic[:-1] == spool_frames.MAGIC[:-1] and magic != spool_frames.MAGIC:
                    aside = path.with_suffix(OTHER_SUFFIX)
                    path.rename(aside)
                    log.error(
                        "a segment of the spool was written by another version of sidelog, and is "
                        "kept as %s",
                        aside,
                    )
            except OSError as error:
                log.error("a segment of the spool cannot be checked: %s", error)

    def start_at(self, count: int) -> None:
        """Count frames and records from a given number, because the spool's position in the store
        could not be read.

        Only effective for a spool that was never used. `count` must be above the count of every
        other spool.
        """
        if self._next_number == 1 and not self._end_record:
            self.began_at = count
            self._settled_record = count
            self._end_record = count
            self._next_number = count

    def write(
        self,
        batch: Batch,
        *,
        opened_at_us: int,
        is_doubtful: bool,
        origins: spool_frames.Origins | None = None,
    ) -> FrameLocation:
        """Write a frame to the file; call `append` to add it to the index.

        Args:
            batch: Records and positions of the frame.
            opened_at_us: When its oldest record arrived, Unix µs.
            is_doubtful: Whether it may have been committed.
            origins: Given while the positions in the store are unknown: it may then have any of the records.

        Raises:
            FrameTooLarge: It does not fit into a segment.
            SpoolFull: There is no room.
        """
        packed = spool_frames.encode_entries(batch.entries)
        head = spool_frames.encode_head(
            batch,
            packed,
            number=self._next_number,
            first_record=self._end_record,
            opened_at_us=opened_at_us,
            is_doubtful=is_doubtful,
            began_at=self.began_at,
            origins=origins,
        )
        if len(head) + len(packed) > self.segment_bytes:
            raise FrameTooLarge(
                f"{len(batch.entries)} records take {len(head) + len(packed)} bytes"
            )

        with self._files:
            try:
                return self._write(head, packed)
            except OSError as error:
                # The segment may be damaged: its frames stay to be replayed, and a new segment is
                # tried once.
                self._abandon_segment(error)

            try:
                return self._write(head, packed)
            except OSError as error:
                self._abandon_segment(error)
                raise SpoolFull(f"the spool cannot be written: {error}") from error

    def append(self, location: FrameLocation) -> None:
        self._pending.append(location)
        self._next_number = location.frame.number + 1
        self._end_record = location.frame.end_record
        self._advance(location.frame)

    def read(self, location: FrameLocation) -> list[Entry]:
        """Return the records of a frame.

        Raises:
            FrameDamaged: The records are damaged.
            OSError: The file cannot be read.
        """
        frame = location.frame
        with location.path.open("rb") as file:
            file.seek(location.offset + spool_frames.HEADER_BYTES + frame.meta_bytes)
            return spool_frames.decode_entries(frame, file.read(frame.records_bytes))

    def settle(self, position: Position) -> None:
        """Remove from the index the frames that the store has, by the position of the spool there."""
        self._settled_record = max(self._settled_record, position.taken)
        self._end_record = max(self._end_record, self._settled_record)
        while self._pending and self._pending[0].frame.number <= position.offset:
            self._pending.popleft()
        if not self._pending and not self.pending_records:
            self.positions, self.retired = {}, set()

    def synchronize(self) -> None:
        """Sync what was written. A segment that cannot be synced may be damaged and is not written
        any more.
        """
        with self._files:
            segment = self._segment
            if segment is None or not segment.is_dirty:
                return
            try:
                self._synchronize(segment.fd)
                segment.is_dirty = False
            except OSError as error:
                self._abandon_segment(error)

    def collect(self) -> None:
        """Delete the segments whose frames are all replayed."""
        with self._files:
            if not self._is_closed:
                self._collect()

    def _collect(self) -> None:
        needed = {location.path for location in self._pending}
        for path in list(self._paths):
            if path in needed:
                continue
            if self._segment is not None and self._segment.path == path:
                if self._segment.end == 0:
                    continue
                self._close_segment()

            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self.errors += 1
                log.warning("a replayed segment of the spool cannot be deleted: %s", error)
                return

            self._paths.remove(path)

    def close(self) -> None:
        """Sync and close. The files stay, and threads that are still running no longer change them."""
        with self._files:
            self.synchronize()
            self._close_segment()
            self._is_closed = True

    def _write(self, head: bytes, packed: bytes) -> FrameLocation:
        if self._is_closed:
            raise SpoolFull("the spool is closed")
        size = len(head) + len(packed)
        if self._segment is not None and self._segment.end + size > self.segment_bytes:
            self.synchronize()
            self._close_segment()
        segment = self._segment or self._open_segment()
        offset = segment.end
        _write_all(segment.fd, packed, offset + len(head))
        _write_all(segment.fd, head, offset)
        segment.end = -(-(offset + size) // spool_frames.ALIGNMENT) * spool_frames.ALIGNMENT
        segment.is_dirty = True
        frame = spool_frames.decode_head(memoryview(head + packed))
        assert frame is not None
        self._note_end(frame)
        return FrameLocation(frame, segment.path, offset)

    def _note_end(self, frame: spool_frames.Frame) -> None:
        """Write the end file. If that fails, the frame is still valid; only damage after it would
        go unnoticed.
        """
        retired = self.retired | set(frame.retired)
        positions = {
            source: position
            for source, position in (self.positions | frame.positions).items()
            if source not in retired
        }

        end = spool_frames.SpoolEnd(
            frame.number + 1, frame.end_record, positions, list(retired), self.began_at
        )
        try:
            self._end_file.write(end)
            self._is_end_failing = False
        except OSError as error:
            if not self._is_end_failing:
                self.errors += 1
                log.warning("the end file of the spool cannot be written: %s", error)
            self._is_end_failing = True

    def _advance(self, frame: spool_frames.Frame) -> None:
        self.positions |= frame.positions
        self.retired.update(frame.retired)
        for source in frame.retired:
            self.positions.pop(source, None)

    def _open_segment(self) -> _Segment:
        if len(self._paths) >= self._max_segments:
            raise SpoolFull(
                f"the spool is full: {self._max_segments} segments of {self.segment_bytes} bytes"
            )

        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / f"{self._next_number:020}{SUFFIX}"
        while path in self._paths:  # Left by an attempt that failed.
            path = path.with_name("1" + path.name)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._allocate(fd, 0, self.segment_bytes)
        except OSError as error:
            os.close(fd)
            path.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                reason = (
                    f"no room for {self.segment_bytes} bytes in {self.directory}: {error.strerror}"
                )
                raise SpoolFull(reason) from error

            raise

        self._paths.append(path)
        self._segment = _Segment(path, fd)
        return self._segment

    def _abandon_segment(self, error: OSError) -> None:
        self.errors += 1
        log.error("a segment of the spool may be damaged, writing continues in another: %s", error)
        self._close_segment()

    def _close_segment(self) -> None:
        if self._segment is not None:
            os.close(self._segment.fd)
            self._segment = None


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset = offset + written


def _frames_in(path: Path) -> Iterator[FrameLocation]:
    try:
        block = memoryview(path.read_bytes())
    except OSError as error:
        log.error("a segment of the spool cannot be read: %s", error)
        return

    offset = 0
    while offset + spool_frames.HEADER_BYTES <= len(block):
        frame = spool_frames.decode_head(block[offset:])
        if frame is not None:
            yield FrameLocation(frame, path, offset)
            offset += frame.size_bytes
            continue

        # The end, or damage: continue at the next magic.
        found = bytes(block[offset + 1 :]).find(spool_frames.MAGIC)
        if found < 0:
            return

        offset = -(-(offset + 1 + found) // spool_frames.ALIGNMENT) * spool_frames.ALIGNMENT
