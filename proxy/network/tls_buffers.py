"""How much a connection holds for a side that does not read (P16).

A TLS layer encrypts a write as a whole, into a buffer that keeps its largest size, and hands all of
it to the layer below while that has room; it reads 256 KiB ahead of who reads no more, into a
buffer of as much. A client that stopped reading cost 1.1 MiB so
(tests/e2e/test_stopped_readers.py). Strategy: it gets large writes in pieces, says that it is full
as soon as more than a record stays with it, since what is below it holds enough, reads less ahead,
and begins with a buffer of fresh pages.
"""

import asyncio
import ctypes
import gc
import mmap
from collections.abc import Callable
from functools import partial
from typing import Any, Final

PIECE_BYTES: Final = 65536
"""Of a write over TLS, and read ahead there; without it, what a peer has not taken when it is full.
"""
RECORD_BYTES: Final = 16384
"""The longest of TLS (RFC 8446 §5.1); what a handshake leaves to be sent is less."""
_LAYER_BYTES: Final = 1 << 18
"""What a loop's TLS layer has for reading; of a client that sends little only a page is ever
needed.
"""
_madvise: Final = getattr(ctypes.CDLL(None), "madvise", None)


def bound_buffers(transport: asyncio.Transport) -> Callable[[bytes], None]:
    """Bound what a new connection holds; return what writes to it."""
    if transport.get_extra_info("sslcontext") is None:
        transport.set_write_buffer_limits(high=PIECE_BYTES)
        return transport.write
    for layer in gc.get_referents(transport):  # uvloop hides it
        if hasattr(layer, "get_buffer"):
            give_back(layer.get_buffer(_LAYER_BYTES))
    secured: Any = transport  # both loops' have limits for reading, too
    secured.set_read_buffer_limits(high=PIECE_BYTES)
    transport.set_write_buffer_limits(high=RECORD_BYTES)
    return partial(_write_in_pieces, transport)


def _write_in_pieces(transport: asyncio.Transport, data: bytes) -> None:
    if len(data) <= PIECE_BYTES:
        transport.write(data)
        return
    view = memoryview(data)
    for at in range(0, len(view), PIECE_BYTES):
        transport.write(view[at : at + PIECE_BYTES])


def give_back(buffer: memoryview) -> None:
    """Give the whole pages of a buffer back to the kernel (madvise(2)): what is read of them from
    now on are zeros.

    A large block of the heap is seldom fresh: its pages are those of blocks before it, and stay
    resident though nothing is written to them.
    """
    start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    first = start + -start % mmap.PAGESIZE
    size = (start + buffer.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0 and _madvise is not None:
        _madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), mmap.MADV_DONTNEED)
