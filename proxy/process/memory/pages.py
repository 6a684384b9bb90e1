"""Pages of a buffer that holds nothing go back to the kernel, however long the buffer lives (madvise(2)).

A large block of the heap is seldom fresh: its pages are those of blocks before it, and stay resident though nothing is
written to them. Other systems than Linux are left alone.
"""

import ctypes
import mmap
from typing import Final

_DONT_NEED: Final = getattr(mmap, "MADV_DONTNEED", None)
_madvise: Final = getattr(ctypes.CDLL(None), "madvise", None)


def give_back(buffer: memoryview) -> None:
    """Let the whole pages of a buffer hold nothing: what is read of them from now on are zeros."""
    if _DONT_NEED is None or _madvise is None:
        return
    start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    first = start + -start % mmap.PAGESIZE
    size = (start + buffer.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0:
        _madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), _DONT_NEED)
