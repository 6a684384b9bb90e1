"""The shared memory of one worker process: header page, descriptor, counters, in-flight table and
ring in one file.

Strategy: one file per process, mapped by the worker (producer) and the collector (consumer).
Everything of fixed size lies in the *static* part of the header page, written once, under a CRC;
everything that moves is a native 8-byte cell with exactly one writer, on 64-byte lines of its own.
The file appears under its name only when it is complete.

Invariant: no size or offset of a file is used before it was checked against the size of that file,
and every byte is really allocated, because touching a hole of a full file system kills the process
with SIGBUS.

Liveness: the producer holds `flock(LOCK_EX)` for its whole life and the kernel releases it at
death, kill -9 included. A flock belongs to the *open file description*: descriptors that were
inherited or duplicated share it. So each side opens the file itself, by path or through
`/proc/self/fd/N`, and never asks through the descriptor it was handed.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from typing import Final

from proxy.process.memfd import anonymous_file
from proxy.process.shared_memory import allocate
from proxy.ring.entry import PREFIX_BYTES
from proxy.ring.segment_layout import (
    HEAD,
    HEADER_BYTES,
    HELD_SINCE_US,
    MAGIC,
    PAGE,
    PRODUCER_PID,
    PUSHED,
    SLOT_BYTES,
    SegmentError,
    checked_header,
    new_header,
)

_MADV_POPULATE_WRITE: Final = 23
"""madvise(2), Linux 5.14; the standard library has no name for it."""
_MADV_REMOVE: Final = 9
ANONYMOUS: Final = "sidelog-ring"
"""Name under which `/proc` shows an anonymous ring."""
_OWN_DESCRIPTORS: Final = "/proc/self/fd"
SUFFIX: Final = ".ring"
"""Suffix of a ring's file, after its source as hex."""
INFLIGHT_SLOTS: Final = 1024
"""Exchanges that can be in the in-flight table at once. Further ones are left out."""
_HOLD_ATTEMPTS: Final = 100
_HOLD_PAUSE_S: Final = 0.001


class Segment:
    """One mapped segment. Made by `create`, `from_fd` or `attach`; the caller closes it."""

    __slots__ = (
        "boot_id", "capacity", "cells", "counters", "data", "data_offset", "descriptor", "fd", "inflight",
        "inflight_slots", "is_held", "is_shared", "mapping", "path", "source", "view",
    )  # fmt: skip

    path: Path | None
    """Path of the file; None for an anonymous file."""
    fd: int
    """This side's own descriptor."""
    mapping: mmap
    """The whole file; its slice assignment is faster than a memoryview's (81 against 88 ns,
    measured).
    """
    view: memoryview
    """The whole file, for slices that are not copied."""
    data_offset: int
    """Offset of the ring in `mapping`."""
    capacity: int
    """Bytes of the ring."""
    source: bytes
    """UUID of this segment, 16 bytes."""
    boot_id: str
    """`boot_id()` of the creator."""
    descriptor: bytes
    """Description written by the producer at creation; opaque here."""
    cells: "memoryview[int]"
    """Header page as native u64; indexed with the constants of `segment_layout.py` only."""
    counters: "memoryview[int]"
    """Counters as native u64."""
    inflight: memoryview
    """In-flight table, `inflight_slots` times `SLOT_BYTES`."""
    data: memoryview
    """The ring's bytes."""
    is_held: bool
    """True if this object holds the producer's lock."""
    is_shared: bool
    """True if `fd` may be the producer's own open file, so that locking it would take over its
    lock.
    """

    def __init__(self, fd: int, path: Path | None, *, is_held: bool = False) -> None:
        """Map the file of `fd` and take the descriptor over.

        Raises:
            SegmentError: the header is damaged; the caller still owns the descriptor then.
        """
        self.fd = fd
        self.path = path
        self.is_held = is_held
        self.is_shared = False
        areas = checked_header(
            os.pread(fd, HEADER_BYTES, 0), os.fstat(fd).st_size, str(path or "anonymous ring")
        )
        self.source = areas.source
        self.boot_id = areas.boot_id
        self.inflight_slots = areas.inflight_slots
        self.data_offset = areas.data_at
        self.capacity = areas.capacity
        self.mapping = mmap(fd, self.data_offset + self.capacity)
        whole = memoryview(self.mapping)
        self.view = whole
        self.descriptor = bytes(whole[PAGE : PAGE + areas.descriptor_bytes])
        self.cells = whole[:PAGE].cast("Q")
        self.counters = whole[areas.counters_at : areas.counters_at + areas.counter_cells * 8].cast(
            "Q"
        )
        self.inflight = whole[
            areas.inflight_at : areas.inflight_at + areas.inflight_slots * SLOT_BYTES
        ]
        self.data = whole[self.data_offset : self.data_offset + self.capacity]

    @classmethod
    def create(
        cls,
        directory: Path | None,
        descriptor: bytes,
        *,
        ring_bytes: int,
        counter_cells: int,
        inflight_slots: int = INFLIGHT_SLOTS,
        is_lean: bool = False,
    ) -> "Segment":
        """Make a segment with a new source UUID, all bytes allocated and zero.

        With a directory the file is `<source hex>.ring`, mode 0600, and the creator holds it from
        the first moment, so that no consumer takes it for abandoned. Without one it is an anonymous
        memory file, not held.

        Args:
            directory: existing directory, private to this user; None for an anonymous file.
            descriptor: opaque bytes for the consumer.
            ring_bytes: capacity of the ring, rounded up to whole pages.
            counter_cells: number of u64 counters.
            inflight_slots: number of slots of the in-flight table.
            is_lean: True to leave the ring unallocated; a `LeanRoom` allocates its pages on demand.

        Raises:
            SegmentError: no space or no permission; nothing is left behind.
        """
        source = os.urandom(16)
        header, total = new_header(
            source, len(descriptor), counter_cells, inflight_slots, ring_bytes
        )
        needed = total - ring_bytes // PAGE * PAGE if is_lean else total
        if directory is None:
            return cls._create_anonymous(header, descriptor, total, needed)

        path = directory / f"{source.hex()}{SUFFIX}"
        unfinished = path.with_suffix(".new")

        fd = -1
        try:
            fd = os.open(
                unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _fill(fd, header, descriptor, total, needed)
            os.rename(unfinished, path)
            return cls(fd, path, is_held=True)
        except OSError as exc:
            if fd >= 0:
                os.close(fd)
                unfinished.unlink(missing_ok=True)
            raise SegmentError(
                f"cannot make a ring of {total} bytes in {directory}: {exc.strerror or exc}"
            ) from exc

    @classmethod
    def _create_anonymous(
        cls, header: bytes, descriptor: bytes, total: int, needed: int
    ) -> "Segment":
        fd = -1
        try:
            fd = anonymous_file(ANONYMOUS)
            _fill(fd, header, descriptor, total, needed)
            return cls(fd, None)
        except OSError as exc:
            if fd >= 0:
                os.close(fd)
            raise SegmentError(
                f"cannot make an anonymous ring of {total} bytes: {exc.strerror or exc}"
            ) from exc

    @classmethod
    def from_fd(cls, fd: int) -> "Segment":
        """Map a segment through a descriptor from another process. The caller still closes `fd`.

        Serves the producer (then call `hold`) and the consumer.

        Raises:
            SegmentError: not a segment, or a damaged header.
        """
        try:
            own = _opened_anew(fd)
        except OSError as exc:
            raise SegmentError(
                f"cannot open the ring behind descriptor {fd}: {exc.strerror or exc}"
            ) from exc

        segment = cls._mapped(own, None)
        segment.is_shared = not os.path.exists(_OWN_DESCRIPTORS)
        return segment

    @classmethod
    def attach(cls, path: Path) -> "Segment":
        """Map the segment at `path` as its consumer.

        Raises:
            RingDamaged: a size in its header cannot be trusted.
            SegmentError: it cannot be opened, or has another layout.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as exc:
            raise SegmentError(f"cannot open the ring {path}: {exc.strerror or exc}") from exc
        return cls._mapped(fd, path)

    @classmethod
    def _mapped(cls, fd: int, path: Path | None) -> "Segment":
        try:
            return cls(fd, path)
        except OSError as exc:
            os.close(fd)
            if isinstance(exc, SegmentError):
                raise
            raise SegmentError(
                f"cannot map the ring {path or 'behind a descriptor'}: {exc.strerror or exc}"
            ) from exc

    def hold(self) -> None:
        """Become the producer: hold the lock until `close` or death. Calling it twice is harmless.

        Raises:
            SegmentError: another producer holds it.
        """
        for _ in range(0 if self.is_held else _HOLD_ATTEMPTS):
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.is_held = True
                break
            except BlockingIOError:
                # A consumer that checks `producer_alive` holds a shared lock for some microseconds.
                time.sleep(_HOLD_PAUSE_S)

        if not self.is_held:
            raise SegmentError(
                f"the ring {self.path or self.source.hex()} is held by another producer"
            )

        self._touch_all()
        self.cells[PRODUCER_PID], self.cells[HELD_SINCE_US] = os.getpid(), time.time_ns() // 1000

    def _touch_all(self) -> None:
        """Map every page for writing now: 5 ms for 64 MiB, instead of 1 µs per page during
        requests.
        """
        is_whole = os.fstat(self.fd).st_blocks * 512 >= self.data_offset + self.capacity
        try:
            self.mapping.madvise(
                _MADV_POPULATE_WRITE, 0, len(self.mapping) if is_whole else self.data_offset
            )
        except OSError:  # a kernel before 5.14: pages are mapped as they are written
            pass

    def producer_alive(self) -> bool:
        """Return True if a process, possibly this one, holds the segment as its producer."""
        if self.is_held:
            return True
        if self.is_shared:
            return _is_running(self.cells[PRODUCER_PID])

        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True

        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return False

    def share(self) -> int:
        """Return a new descriptor, which keeps the file alive in another process even without its
        name.

        Raises:
            OSError: there is no descriptor left.
        """
        return _opened_anew(self.fd)

    def give_back_ring(self, released: int, head: int) -> None:
        """Free the unused pages of the ring between two offsets. Its producer is gone, or lean."""
        if not 0 <= head - released <= self.capacity:
            return
        for at, length in self._parts(
            -(-head // PAGE) * PAGE, (released + self.capacity) // PAGE * PAGE
        ):
            self._free(at, length)

    def take_back_ring(self, start: int, end: int) -> None:
        """Allocate the pages between two offsets again, as far as they were given back.

        Raises:
            OSError: there is no space, or a sandbox refuses the system call.
        """
        for at, length in self._parts(start, end):
            os.posix_fallocate(self.fd, at, length)

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the position in the file and the length of each contiguous part between two
        offsets.
        """
        while start < end:
            at = start % self.capacity
            length = min(end - start, self.capacity - at)
            yield self.data_offset + at, length
            start += length

    def give_back_inflight(self) -> None:
        """Free the pages of the in-flight table. Its producer is gone."""
        size = self.inflight_slots * SLOT_BYTES
        self._free(self.data_offset - size, size)

    def _free(self, at: int, size: int) -> None:
        try:
            self.mapping.madvise(_MADV_REMOVE, at, size)
        except OSError:  # the file system of a configured directory may not support it
            pass

    def unlink(self) -> None:
        """Delete the name of the segment's file, if it has one; the mapping stays usable."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def let_go(self) -> None:
        """Stop being the producer and keep the mapping. The consumer may then finish the ring."""
        if self.is_held:
            self.cells[PRODUCER_PID] = 0
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            self.is_held = False

    def close(self) -> None:
        """Release lock, descriptor and mapping. Views of entries keep the memory mapped until they
        go.
        """
        if self.fd < 0:
            return
        self.let_go()
        os.close(self.fd)
        self.fd = -1
        for view in (self.cells, self.counters, self.inflight, self.data, self.view):
            view.release()
        try:
            self.mapping.close()
        except BufferError:
            pass


def _opened_anew(fd: int) -> int:
    """Open the file of a descriptor once more, so that locks are not shared with it.

    Without `/proc/self/fd` the descriptor is duplicated, and shares its lock with the producer's.
    """
    link = f"{_OWN_DESCRIPTORS}/{fd}"
    if os.path.exists(link):
        return os.open(link, os.O_RDWR | os.O_CLOEXEC)
    return os.dup(fd)


def _is_running(pid: int) -> bool:
    """Return True if a process of any user has this id; False for 0."""
    try:
        if pid:
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass

    return bool(pid)


def _fill(fd: int, header: bytes, descriptor: bytes, total: int, needed: int) -> None:
    allocate(fd, total, needed)
    os.pwrite(fd, descriptor, PAGE)
    os.pwrite(fd, header, 0)


def segments_in(directory: Path) -> list[Path]:
    """Return the paths of the rings in a directory, sorted by name; an empty list if the directory
    does not exist.
    """
    # A glob takes ten times as long, and the collector polls ten times a second.
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [directory / name for name in sorted(names) if name.endswith(SUFFIX)]


def pushed_in(path: Path) -> int:
    """Return the number of entries that a file's header claims; 0 if its header page is incomplete.

    For files that cannot be read otherwise. A number is trusted only if so many entries fit before
    the head.
    """
    try:
        with path.open("rb") as file:
            page = file.read(PAGE)
    except OSError:
        return 0

    head, pushed = (
        int.from_bytes(page[8 * cell : 8 * cell + 8], sys.byteorder) for cell in (HEAD, PUSHED)
    )
    if page.startswith(MAGIC) and pushed * PREFIX_BYTES <= head:
        return pushed

    return 0


def remove_unfinished(directory: Path) -> int:
    """Remove files of creators that were killed before their segment was complete; return their
    number.
    """
    removed = 0
    for path in directory.glob("*.new"):
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue

        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            removed += 1
        except BlockingIOError:
            pass
        finally:
            os.close(fd)

    return removed
