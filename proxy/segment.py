"""The shared memory of one worker process: header page, descriptor, counters, in-flight table and ring in one file.

Strategy: one file per process, mapped by the worker (producer) and the collector (consumer). Everything of fixed size
lies in the *static* part of the header page, written once, under a CRC; everything that moves is a native 8-byte cell
with exactly one writer, on 64-byte lines of its own. The file appears under its name only when it is complete.

Invariant: no size or offset of a file is used before it was checked against the size of that file, and every byte is
really allocated, because touching a hole of a full file system kills the process with SIGBUS.

Liveness: the producer holds `flock(LOCK_EX)` for its whole life and the kernel releases it at death, kill -9 included.
A flock belongs to the *open file description*: descriptors that were inherited or duplicated share it. So each side
opens the file itself, by path or through `/proc/self/fd/N`, and never asks through the descriptor it was handed.
"""

import fcntl
import os
import stat
import struct
import tempfile
import time
import zlib
from itertools import pairwise
from mmap import mmap
from pathlib import Path
from typing import Final

MAGIC: Final = b"sidelogR"
LAYOUT_VERSION: Final = 1
PAGE: Final = 4096
SLOT_BYTES: Final = 4096
"""Size of one slot of the in-flight table."""

HEAD: Final = 64
"""Cell, producer: end of the newest entry in bytes, and in its three low bits the count of entries modulo 8."""
PUSHED: Final = 65
"""Cell, producer: entries pushed; stored just after `HEAD`, so it may lag behind it by one."""
REFUSED_RECORDS: Final = 72
"""Cell, producer: entries that did not fit."""
REFUSED_BYTES: Final = 73
"""Cell, producer: their bytes, prefix included."""
FIRST_REFUSED_US: Final = 74
"""Cell, producer: Unix time of the first refusal in microseconds, 0 = none."""
LAST_REFUSED_US: Final = 75
"""Cell, producer: Unix time of the newest refusal."""
INFLIGHT_OVERFLOW: Final = 80
"""Cell, producer: exchanges that found no free slot in the in-flight table."""
RELEASED: Final = 88
"""Cell, consumer: bytes before this offset may be overwritten."""
SLEEPING: Final = 96
"""Cell, set by the consumer, cleared by either: 1 = the reader waits for a wake-up."""

_STATIC: Final = struct.Struct("<8sI16s36s8Q")
_CRC: Final = struct.Struct("<I")
_MAX_BYTES: Final = 1 << 40
"""Above this a size is taken for damage."""
_HOLD_ATTEMPTS: Final = 100
_HOLD_PAUSE_S: Final = 0.001


class SegmentError(OSError):
    """A segment cannot be made, held or read: no space, no permission, or a damaged header."""


def boot_id() -> str:
    """Return the kernel's id of this boot, 36 characters, or "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:36]
    except (OSError, UnicodeDecodeError):
        return ""


def _pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


class Segment:
    """One mapped segment. Made by `create`, `from_fd` or `attach`; whoever made it closes it."""

    __slots__ = (
        "boot_id", "capacity", "cells", "counters", "data", "data_offset", "descriptor", "fd", "inflight",
        "inflight_slots", "is_held", "mapping", "path", "source", "view",
    )  # fmt: skip

    path: Path | None
    """Where it lies; None for an anonymous file."""
    fd: int
    """This side's own descriptor."""
    mapping: mmap
    """The whole file; its slice assignment is faster than a memoryview's (81 against 88 ns, bench/micro)."""
    view: memoryview
    """The whole file, for slices that are not copied."""
    data_offset: int
    """Where in `mapping` the ring begins."""
    capacity: int
    """Bytes of the ring."""
    source: bytes
    """Uuid of this segment, 16 bytes."""
    boot_id: str
    """`boot_id()` of the creator."""
    descriptor: bytes
    """What the producer wrote at creation; opaque here."""
    cells: "memoryview[int]"
    """Header page as native u64; index it with the constants of this module only."""
    counters: "memoryview[int]"
    """Counters as native u64."""
    inflight: memoryview
    """In-flight table, `inflight_slots` times `SLOT_BYTES`."""
    data: memoryview
    """The ring's bytes."""
    is_held: bool
    """Whether this object holds the producer's lock."""

    def __init__(self, fd: int, path: Path | None, *, is_held: bool = False) -> None:
        """Map the file behind `fd` and take the descriptor over.

        Raises:
            SegmentError: the header is damaged; the descriptor stays the caller's then.
        """
        self.fd, self.path, self.is_held = fd, path, is_held
        fields = _checked_header(fd, str(path or "anonymous ring"))
        self.source, boot, descriptor_bytes, counters_at, cells, inflight_at, slots, self.data_offset, self.capacity = (
            fields[:9]
        )
        self.boot_id = boot.rstrip(b"\0").decode("ascii", "replace")
        self.inflight_slots = slots
        self.mapping = mmap(fd, self.data_offset + self.capacity)
        self.view = whole = memoryview(self.mapping)
        self.descriptor = bytes(whole[PAGE : PAGE + descriptor_bytes])
        self.cells = whole[:PAGE].cast("Q")
        self.counters = whole[counters_at : counters_at + cells * 8].cast("Q")
        self.inflight = whole[inflight_at : inflight_at + slots * SLOT_BYTES]
        self.data = whole[self.data_offset : self.data_offset + self.capacity]

    @classmethod
    def create(
        cls,
        directory: Path | None,
        descriptor: bytes,
        *,
        ring_bytes: int,
        counter_cells: int,
        inflight_slots: int = 1024,
    ) -> "Segment":
        """Make a segment with a new source uuid, all bytes allocated and zero.

        With a directory the file is `<source hex>.ring`, mode 0600, and the maker holds it from the first moment, so
        that no consumer takes it for abandoned. Without one it is an anonymous memory file, *not* held: its maker
        hands `fd` to the producer, which opens it with `from_fd` and calls `hold`.

        Args:
            directory: an existing directory, private to this user; None for an anonymous file.
            descriptor: opaque bytes for the consumer.
            ring_bytes: capacity of the ring, rounded up to whole pages.
            counter_cells: number of u64 counters.
            inflight_slots: slots of the in-flight table.

        Raises:
            SegmentError: no space or no permission; nothing is left behind.
        """
        source = os.urandom(16)
        header, total = _new_header(source, len(descriptor), counter_cells, inflight_slots, ring_bytes)
        if directory is None:
            return cls._create_anonymous(header, descriptor, total)
        path = directory / f"{source.hex()}.ring"
        unfinished = path.with_suffix(".new")
        fd = -1
        try:
            fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _fill(fd, header, descriptor, total)
            os.rename(unfinished, path)
            return cls(fd, path, is_held=True)
        except OSError as exc:
            if fd >= 0:
                os.close(fd)
                unfinished.unlink(missing_ok=True)
            raise SegmentError(f"cannot make a ring of {total} bytes in {directory}: {exc.strerror}") from exc

    @classmethod
    def _create_anonymous(cls, header: bytes, descriptor: bytes, total: int) -> "Segment":
        fd = -1
        try:
            fd = _anonymous_file()
            _fill(fd, header, descriptor, total)
            return cls(fd, None)
        except OSError as exc:
            if fd >= 0:
                os.close(fd)
            raise SegmentError(f"cannot make an anonymous ring of {total} bytes: {exc.strerror}") from exc

    @classmethod
    def from_fd(cls, fd: int) -> "Segment":
        """Map a segment through a descriptor somebody else made; `fd` itself stays the caller's to close.

        Serves producer (then `hold`) and consumer. The file is opened anew through `/proc/self/fd`, so that locks are
        this process' own. Where that does not exist the descriptor is duplicated: the lock then lasts until the last
        holder of the descriptor is gone, and only the parent knows that a producer died.

        Raises:
            SegmentError: not a segment, or a damaged header.
        """
        try:
            link = f"/proc/self/fd/{fd}"
            own = os.open(link, os.O_RDWR | os.O_CLOEXEC) if os.path.exists(link) else os.dup(fd)
        except OSError as exc:
            raise SegmentError(f"cannot open the ring behind descriptor {fd}: {exc.strerror}") from exc
        return cls._mapped(own, None)

    @classmethod
    def attach(cls, path: Path) -> "Segment":
        """Map the segment at `path` as its consumer.

        Raises:
            SegmentError: it cannot be opened, or "damaged header": no size in it was trusted.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as exc:
            raise SegmentError(f"cannot open the ring {path}: {exc.strerror}") from exc
        return cls._mapped(fd, path)

    @classmethod
    def _mapped(cls, fd: int, path: Path | None) -> "Segment":
        try:
            return cls(fd, path)
        except OSError as exc:
            os.close(fd)
            if isinstance(exc, SegmentError):
                raise
            raise SegmentError(f"cannot map the ring {path or 'behind a descriptor'}: {exc.strerror}") from exc

    def hold(self) -> None:
        """Become the producer: hold the lock until `close` or death. Doing it twice is harmless.

        Raises:
            SegmentError: another producer holds it.
        """
        for _ in range(0 if self.is_held else _HOLD_ATTEMPTS):
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.is_held = True
                break
            except BlockingIOError:
                # A consumer that asks `producer_alive` holds a shared lock for some microseconds.
                time.sleep(_HOLD_PAUSE_S)
        if not self.is_held:
            raise SegmentError(f"the ring {self.path or self.source.hex()} is held by another producer")

    def producer_alive(self) -> bool:
        """Whether some process, this one included, holds the segment as its producer."""
        if self.is_held:
            return True
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return False

    def unlink(self) -> None:
        """Remove the file's name, if it has one; the mapping stays usable."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up lock, descriptor and mapping. Views of entries still held keep the memory mapped until they go."""
        if self.fd < 0:
            return
        if self.is_held:
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            self.is_held = False
        os.close(self.fd)
        self.fd = -1
        for view in (self.cells, self.counters, self.inflight, self.data, self.view):
            view.release()
        try:
            self.mapping.close()
        except BufferError:
            pass


def _new_header(source: bytes, descriptor: int, cells: int, slots: int, ring: int) -> tuple[bytes, int]:
    counters_at = PAGE + _pages(descriptor)
    inflight_at = counters_at + _pages(cells * 8)
    data_at = inflight_at + slots * SLOT_BYTES
    capacity = _pages(max(ring, PAGE))
    boot = boot_id().encode("ascii")
    static = _STATIC.pack(
        MAGIC, LAYOUT_VERSION, source, boot, descriptor, counters_at, cells, inflight_at, slots, data_at, capacity, 0
    )
    return static + _CRC.pack(zlib.crc32(static)), data_at + capacity


def _checked_header(fd: int, name: str) -> tuple[bytes, bytes, int, int, int, int, int, int, int]:
    """Read the static header; every area it names lies in the file, in order, on page borders."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size < PAGE:
        raise SegmentError(f"damaged header of {name}: {status.st_size} bytes, no ring is shorter than {PAGE}")
    raw = os.pread(fd, _STATIC.size + _CRC.size, 0)
    magic, version, source, boot, *sizes = _STATIC.unpack_from(raw)
    if magic != MAGIC or zlib.crc32(raw[: _STATIC.size]) != _CRC.unpack_from(raw, _STATIC.size)[0]:
        raise SegmentError(f"damaged header of {name}: magic or checksum is wrong")
    if version != LAYOUT_VERSION:
        raise SegmentError(f"ring {name} has layout {version}, this sidelog reads layout {LAYOUT_VERSION}")
    descriptor, counters_at, cells, inflight_at, slots, data_at, capacity, _ = sizes
    borders = (PAGE + descriptor, counters_at, counters_at + cells * 8, inflight_at, inflight_at + slots * SLOT_BYTES)
    ordered = (*borders, data_at, data_at + capacity, status.st_size)
    is_sound = all(low <= high for low, high in pairwise(ordered))
    if not is_sound or (counters_at | inflight_at | data_at | capacity) % PAGE or not 0 < capacity < _MAX_BYTES:
        raise SegmentError(f"damaged header of {name}: an area lies outside of the {status.st_size} bytes of the file")
    return source, boot, descriptor, counters_at, cells, inflight_at, slots, data_at, capacity


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sidelog-ring", os.MFD_CLOEXEC)
    fd, name = tempfile.mkstemp(prefix="sidelog-ring-")
    os.unlink(name)
    return fd


def _fill(fd: int, header: bytes, descriptor: bytes, total: int) -> None:
    allocate(fd, total)
    os.pwrite(fd, descriptor, PAGE)
    os.pwrite(fd, header, 0)


def allocate(fd: int, total: int) -> None:
    """Give the empty file behind `fd` a size of `total` bytes, all of them allocated and zero.

    Raises:
        OSError: no space.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, total)
        return
    zeros = bytes(1 << 20)
    done = 0
    while done < total:
        done += os.pwrite(fd, zeros[: total - done], done)
