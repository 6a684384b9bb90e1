"""Freed memory goes back to the kernel: the queue that an outage filled must not stay allocated.

Strategy: with glibc all threads share one arena, because each arena keeps what its busiest moment
took, and a frame of the spool is written and read in whichever thread is free. Blocks of a frame's
size are mapped and unmapped each for itself. What is still left in between is given back now and
then: an outage leaves holes between what stays, and so do memories that are full and change what
they hold. Other C libraries are left alone: what is missing there is not called.
"""

import asyncio
import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
MAPPED_BYTES: Final = 1024 * 1024
"""A block of this size is mapped for itself: larger than what a batch of every day needs."""
KEPT_BYTES: Final = 8 * 1024 * 1024
"""What may stay free at the end of the heap without being given back at once: a batch takes and
leaves as much.
"""
TRIM_EVERY_S: Final = 15.0


def tune() -> None:
    """Make the allocator keep little freed memory. Before any thread is started."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in (
            (_ARENA_MAX, 1),
            (_MMAP_THRESHOLD, MAPPED_BYTES),
            (_TRIM_THRESHOLD, KEPT_BYTES),
        ):
            mallopt(option, value)


def trim() -> None:
    """Give free pages back to the kernel: 1 to 5 ms, without the interpreter's lock."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


async def trim_regularly() -> None:
    """Trim the heap four times a minute, until cancelled."""
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        await asyncio.to_thread(trim)
