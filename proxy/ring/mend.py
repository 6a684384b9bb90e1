"""A ring whose file was cut gets its size back, and loses only what lay behind the cut.

Strategy: zeros take the place of what is missing, so that no process dies of touching it. The entries that lay there
are then damage like any other, skipped and counted exactly, because the header page knows how many there were. One of
them may begin before the cut and end behind it, and its checksum covers its header only: it is made invalid.

Invariant: what is read was written whole. A file without its header page is not mended.
"""

import os
import sys
from pathlib import Path
from typing import Final

from proxy.ring.entry import PREFIX, PREFIX_BYTES, Buffer
from proxy.ring.segment_layout import HEADER_BYTES, MAGIC, PAGE, PUSHED, file_bytes

MAX_FILE_BYTES: Final = 65 << 30
"""More than the largest ring that can be set: no header asks for more memory than that."""


def restore_size(fd: int) -> int | None:
    """Give a ring's file its size back; return the size it had been cut to, None if it had not been.

    Raises:
        OSError: there is no space for it.
    """
    size = os.fstat(fd).st_size
    if size < PAGE or not size < (whole := file_bytes(os.pread(fd, HEADER_BYTES, 0))) <= MAX_FILE_BYTES:
        return None
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, whole)
    else:
        os.ftruncate(fd, whole)
    return size


def pushed_in(path: Path) -> int:
    """Return how many entries a file says its ring was given; 0 where its header page ends before that.

    For files that cannot be read otherwise; nothing else of them is believed.
    """
    try:
        with path.open("rb") as file:
            page = file.read(PAGE)
    except OSError:
        return 0
    cell = page[8 * PUSHED : 8 * PUSHED + 8]
    return int.from_bytes(cell, sys.byteorder) if len(cell) == 8 and page.startswith(MAGIC) else 0


def invalidate_cut_entry(buffer: Buffer, released: int, head: int, cut_at: int) -> None:
    """Make the entry invalid that crosses byte `cut_at` of the ring's area, if it lies in `released` to `head`."""
    capacity = len(buffer.view)
    cut = released - released % capacity + cut_at
    cut += capacity if cut < released else 0
    if not 0 < cut_at < capacity or cut >= head or released % 8 or head - released > capacity:
        return
    start = released
    while start < cut:
        at = start % capacity
        if buffer.is_entry(start, head):
            length = PREFIX.unpack_from(buffer.view, at)[0]
            if start + length > cut:
                buffer.view[at : at + PREFIX_BYTES] = bytes(PREFIX_BYTES)
            start += length
        elif capacity - at < PREFIX_BYTES:
            start += capacity - at
        else:
            start = buffer.find(start + 8, head)
