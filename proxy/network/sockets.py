"""The kernel's view of a connection: whether its peer lives, the unsent bytes, and the last bytes of
a lost peer; and the memory of a connection whose peer does not read (P16).

The queries are for connections that stall or are lost, never on the path of a byte. An event loop
does not report this: it sees a reset only while it reads, and asks for more data only after a third
of the kernel's buffer, up to megabytes, has gone, so a slow peer would look like a stalled one.
"""

import asyncio
import ctypes
import fcntl
import gc
import mmap
import os
import select
import socket
import struct
import termios
from collections.abc import Callable
from functools import partial
from typing import Any, Final

_INT: Final = struct.Struct("i")
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that turns a close into a reset."""

MAX_LAST_BYTES: Final = 1 << 18
"""Largest size of the last bytes: one read of the loop."""

_LEAST_QUEUE_BYTES: Final = 4096
"""Smallest send queue of an active connection (`tcp_wmem`)."""

_SIOCOUTQNSD: Final = 0x894B
"""Asks how much of a queue the kernel could not send yet because the peer's window is full (Linux).
"""

_PROBES: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""TCP keep-alive: a probe after a minute of silence, and another minute until the peer is given up.
The kernel's default is two hours, although many gateways forget a connection after minutes.
"""


def probe_silent_peers(own: socket.socket) -> None:
    """Enable TCP keep-alive probes; connections accepted by a listening socket inherit them."""
    if own.family == socket.AF_UNIX:
        return
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES:
            if hasattr(socket, name):
                own.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError:
        pass  # it is gone already


def is_reset_by_peer(transport: asyncio.Transport, events: int = 0) -> bool:
    """Whether the peer has reset the connection. After an orderly close this is False: the peer may
    only have stopped sending.
    """
    own = transport.get_extra_info("socket")
    if transport.is_closing() or own is None or own.fileno() < 0:
        return False
    return _has_event(own, events)


def _has_event(own: socket.socket, events: int) -> bool:
    """Whether the kernel reports one of the events, a reset or an error."""
    poller = select.poll()
    poller.register(own.fileno(), events)
    return bool(poller.poll(0))


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset instead of a close, so that nothing sent on it looks complete."""
    own = transport.get_extra_info("socket")
    if own is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def has_ended(transport: asyncio.Transport) -> bool:
    """Whether the peer has ended its side, even if the loop has not read the end yet."""
    return is_reset_by_peer(transport, select.POLLRDHUP)


def has_stopped_sending(own: socket.socket) -> bool:
    """Whether the peer of a socket that no loop reads has ended its side."""
    return _has_event(own, select.POLLRDHUP)


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return the number of written bytes that the peer's kernel has not acknowledged: the
    transport's and our kernel's (`SIOCOUTQ`).

    A closing connection may still have some; for a closed one the result is 0.
    """
    own = transport.get_extra_info("socket")
    if own is None or own.fileno() < 0:
        return 0
    queued = fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
    return transport.get_write_buffer_size() + int(_INT.unpack(queued)[0])


def untaken_bytes(transport: asyncio.Transport) -> int:
    """Like `unsent_bytes`, but 0 if all bytes are on their way: a vanished peer never acknowledges
    those, and a peer that does not read still does.
    """
    unsent = unsent_bytes(transport)
    own = transport.get_extra_info("socket")
    if not unsent or own.family == socket.AF_UNIX or transport.get_write_buffer_size():
        return unsent
    waiting = fcntl.ioctl(own.fileno(), _SIOCOUTQNSD, bytes(_INT.size))
    if _INT.unpack(waiting)[0]:
        return unsent
    return 0


def is_flushing(transport: asyncio.Transport) -> bool:
    """Whether some written bytes have not reached our kernel.

    For TLS this excludes bytes that were handed to the layer below. That layer only holds bytes
    while the kernel's queue is nearly full; a few may be the closing alert to a vanished peer.
    """
    is_tls = transport.get_extra_info("sslcontext") is not None
    return transport.get_write_buffer_size() > 0 or (
        is_tls and unsent_bytes(transport) >= _LEAST_QUEUE_BYTES
    )


def last_bytes(transport: asyncio.Transport) -> bytes:
    """Return the unread bytes of a lost peer; call it in `connection_lost`, while the socket is
    open.

    A loop whose write fails stops reading, so the answer of a peer that refuses an upload and
    closes would be lost. Empty for TLS, for which `dial.secure` reads the socket.
    """
    if transport.get_extra_info("ssl_object") is not None:
        return b""
    pieces = []
    size = 0
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        while size < MAX_LAST_BYTES and (piece := os.read(descriptor, MAX_LAST_BYTES - size)):
            pieces.append(piece)
            size += len(piece)
    except OSError:
        pass  # nothing more: the reset itself, or an empty queue

    return b"".join(pieces)


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
    """Bound the write buffers of a new connection; return the function that writes to it.

    A TLS layer encrypts a whole write into a buffer that never shrinks, hands all of it to the
    layer below, and reads 256 KiB ahead for a paused reader. A client that stopped reading
    therefore cost 1.1 MiB (tests/e2e/test_stopped_readers.py). Here large writes are split,
    back-pressure starts at one TLS record, less is read ahead, and buffers start with fresh pages.
    """
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
