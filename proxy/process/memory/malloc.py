"""Freed memory goes back to the kernel: the queue that an outage filled must not stay allocated.

Strategy: with glibc all threads share one arena, because each arena keeps what its busiest moment took, and a frame of
the spool is written and read in whichever thread is free. Blocks of a frame's size are mapped and unmapped each for
itself. What is still left in between is given back when idle after much was held, and now and then: memories that are
full change what they hold, which leaves holes between what stays. Other C libraries are left alone: what is missing
there is not called.
"""

import asyncio
import ctypes
import time
from collections.abc import Callable
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
MAPPED_BYTES: Final = 1024 * 1024
"""A block of this size is mapped for itself: larger than what a batch of every day needs."""
KEPT_BYTES: Final = 8 * 1024 * 1024
"""What may stay free at the end of the heap without being given back at once: a batch takes and leaves as much."""
CHECK_EVERY_S: Final = 5.0
TRIM_EVERY_S: Final = 60.0


def tune() -> None:
    """Make the allocator keep little freed memory. Before any thread is started."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, MAPPED_BYTES), (_TRIM_THRESHOLD, KEPT_BYTES)):
            mallopt(option, value)


def trim() -> None:
    """Give free pages back to the kernel: 1 to 5 ms, without the interpreter's lock."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


class HighWaterMark:
    """Detects that much memory was held and next to none is left. Pure."""

    def __init__(self, high_bytes: int) -> None:
        """`high_bytes` and more is much, a quarter of it next to nothing."""
        self._high_bytes = high_bytes
        self._was_high = False

    def note(self, held_bytes: int) -> bool:
        """Return true once after each time that much was held."""
        if held_bytes >= self._high_bytes:
            self._was_high = True
        elif self._was_high and held_bytes * 4 <= self._high_bytes:
            self._was_high = False
            return True
        return False


async def trim_regularly(held_bytes: Callable[[], int], high_bytes: int) -> None:
    """Trim the heap every minute, and after each time that `high_bytes` were held, until cancelled."""
    mark, trimmed_s = HighWaterMark(high_bytes), time.monotonic()
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        if mark.note(held_bytes()) or time.monotonic() - trimmed_s >= TRIM_EVERY_S:
            await asyncio.to_thread(trim)
            trimmed_s = time.monotonic()
