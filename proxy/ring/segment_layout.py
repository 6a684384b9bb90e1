"""The header page of a segment: the position of each area, and the owner of each cell.

The *static* part is written once, under a CRC. Everything that moves is a native 8-byte cell with
one writer, on 64-byte lines of its own, so that no two processes write into one cache line.
Invariant: `checked_header` returns only areas that lie inside the file, in order, on page borders.
"""

import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from proxy.process.shared_memory import SharedMemoryError

MAGIC: Final = b"sidelogR"
LAYOUT_VERSION: Final = 1
PAGE: Final = 4096
SLOT_BYTES: Final = 4096
"""Size of one slot of the in-flight table."""

HEAD: Final = 64
"""Cell, producer: end of the newest entry in bytes, and in its three low bits the count of entries
modulo 8.
"""
PUSHED: Final = 65
"""Cell, producer: number of entries pushed. Stored just after `HEAD`, so it may lag behind it by
one.
"""
REFUSED_RECORDS: Final = 72
"""Cell, producer: number of entries that did not fit."""
REFUSED_BYTES: Final = 73
"""Cell, producer: bytes of the refused entries, prefix included."""
FIRST_REFUSED_US: Final = 74
"""Cell, producer: Unix time of the first refusal in µs; 0 if there was none."""
LAST_REFUSED_US: Final = 75
"""Cell, producer: Unix time of the newest refusal in µs."""
PRODUCER_PID: Final = 81
"""Cell, producer: its process id; 0 if it has let go of the ring."""
HELD_SINCE_US: Final = 82
"""Cell, producer: Unix time in µs since which it holds the ring."""
RELEASED: Final = 88
"""Cell, consumer: offset below which bytes may be overwritten."""
WAKE_AT: Final = 96
"""Cell, set by the consumer, and to `NO_WAKE` by either side: the push that moves `HEAD` beyond
this offset wakes the reader. A fresh header has 0, so the first push announces a new ring.
"""
NO_WAKE: Final = (1 << 64) - 1
"""An offset that no ring reaches."""
KEYS_GENERATION: Final = 104
"""Cell, consumer: changes when a new key snapshot is in place; 0 until the first one."""

_STATIC: Final = struct.Struct("<8sI16s36s7Q")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _STATIC.size + _CRC.size
"""Bytes of a file that `checked_header` needs."""


class SegmentError(SharedMemoryError):
    """A segment cannot be made, held or read: no space, no permission, or a damaged header."""


class RingDamaged(SegmentError):
    """A header is damaged: no later attempt will read the ring."""


def boot_id() -> str:
    """Return the kernel's id of this boot, 36 characters; empty if there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:36]
    except (OSError, UnicodeDecodeError):
        return ""


def _pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


class Areas(NamedTuple):
    """The decoded static header. Offsets and sizes are in bytes unless named otherwise."""

    source: bytes
    boot_id: str
    descriptor_bytes: int
    counters_at: int
    counter_cells: int
    inflight_at: int
    inflight_slots: int
    data_at: int
    capacity: int


def new_header(
    source: bytes, descriptor: int, cells: int, slots: int, ring: int
) -> tuple[bytes, int]:
    """Lay out a segment for parts of these sizes; return its static header and the size of the
    file.
    """
    counters_at = PAGE + _pages(descriptor)
    inflight_at = counters_at + _pages(cells * 8)
    data_at = inflight_at + slots * SLOT_BYTES
    capacity = _pages(max(ring, PAGE))
    boot = boot_id().encode("ascii")
    static = _STATIC.pack(
        MAGIC,
        LAYOUT_VERSION,
        source,
        boot,
        descriptor,
        counters_at,
        cells,
        inflight_at,
        slots,
        data_at,
        capacity,
    )
    return static + _CRC.pack(zlib.crc32(static)), data_at + capacity


def checked_header(raw: bytes, file_bytes: int, name: str) -> Areas:
    """Read a static header from the first bytes of a file of `file_bytes`.

    Raises:
        RingDamaged: the checksum is wrong, or an area lies outside of the file.
        SegmentError: the layout is another one.
    """
    if file_bytes < PAGE or len(raw) < HEADER_BYTES:
        raise RingDamaged(
            f"damaged header of {name}: {file_bytes} bytes, no ring is shorter than {PAGE}"
        )

    magic, version, source, boot, *sizes = _STATIC.unpack_from(raw)
    if magic != MAGIC or zlib.crc32(raw[: _STATIC.size]) != _CRC.unpack_from(raw, _STATIC.size)[0]:
        raise RingDamaged(f"damaged header of {name}: magic or checksum is wrong")
    if version != LAYOUT_VERSION:
        raise SegmentError(
            f"the ring {name} has layout {version}, this sidelog reads layout {LAYOUT_VERSION}"
        )

    areas = Areas(source, boot.rstrip(b"\0").decode("ascii", "replace"), *sizes)
    borders = (
        PAGE + areas.descriptor_bytes,
        areas.counters_at,
        areas.counters_at + areas.counter_cells * 8,
        areas.inflight_at,
        areas.inflight_at + areas.inflight_slots * SLOT_BYTES,
        areas.data_at,
        areas.data_at + areas.capacity,
        file_bytes,
    )
    is_ordered = all(low <= high for low, high in pairwise(borders))

    starts = areas.counters_at | areas.inflight_at | areas.data_at | areas.capacity
    if not is_ordered or starts % PAGE or not areas.capacity:
        raise RingDamaged(
            f"damaged header of {name}: an area lies outside of the {file_bytes} bytes of the file"
        )

    return areas
