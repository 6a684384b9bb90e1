"""Bounds the memory of connections whose peer does not read (P16).

A TLS layer encrypts a whole write into a buffer that never shrinks, hands all of it to the layer
below, and reads 256 KiB ahead for a paused reader. A client that stopped reading therefore cost 1.1
MiB (tests/e2e/test_stopped_readers.py). Here large writes are split, back-pressure starts at one
TLS record, less is read ahead, and buffers start with fresh pages.
"""

import asyncio
import ctypes
import gc
import mmap
from collections.abc import Callable
from functools import partial
from typing import Any, Final

PIECE_BYTES: Final = 65536
"""Size of a piece of a TLS write, and of data read ahead over TLS; without TLS, the unsent bytes at
which a peer counts as full.
"""
RECORD_BYTES: Final = 16384
"""Longest TLS record (RFC 8446 §5.1); the unsent rest of a handshake is smaller."""
_LAYER_BYTES: Final = 1 << 18
"""Size of a loop's TLS read buffer; a client that sends little only touches one page of it."""
_madvise: Final = getattr(ctypes.CDLL(None), "madvise", None)


def bound_buffers(transport: asyncio.Transport) -> Callable[[bytes], None]:
    """Bound the buffers of a new connection; return its writer."""
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
    """Return a buffer's whole pages to the kernel (madvise(2)); later they read as zeros.

    A large block of the heap is seldom fresh: it reuses pages of earlier blocks, which stay
    resident although nothing is written to them.
    """
    start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    first = start + -start % mmap.PAGESIZE
    size = (start + buffer.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0 and _madvise is not None:
        _madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), mmap.MADV_DONTNEED)
