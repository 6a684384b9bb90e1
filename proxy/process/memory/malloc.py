"""Return freed memory to the kernel: the queue that an outage filled must not stay allocated.

Strategy: with glibc all threads share one arena, because each arena keeps the memory of its busiest
moment, and a frame of the spool is written and read in any free thread. Blocks of a frame's size
are
mapped and unmapped individually. Remaining free pages are returned periodically: an outage leaves
holes between live blocks, and so do full caches that replace their content. With other C libraries
nothing is changed.
"""

import asyncio
import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
MAPPED_BYTES: Final = 1024 * 1024
"""Size from which a block is mapped individually; larger than the blocks of a usual batch."""
KEPT_BYTES: Final = 8 * 1024 * 1024
"""Free memory at the end of the heap that is not returned at once: a batch takes and leaves as
much.
"""
TRIM_EVERY_S: Final = 15.0


def tune() -> None:
    """Make the allocator keep little freed memory. Call it before any thread starts."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in (
            (_ARENA_MAX, 1),
            (_MMAP_THRESHOLD, MAPPED_BYTES),
            (_TRIM_THRESHOLD, KEPT_BYTES),
        ):
            mallopt(option, value)


def trim() -> None:
    """Return free pages to the kernel: 1 to 5 ms, without the interpreter's lock."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


async def trim_regularly() -> None:
    """Trim the heap four times a minute, until cancelled."""
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        await asyncio.to_thread(trim)
