"""What only the kernel knows of a connection: whether its peer lives, how much it has not taken,
what it sent last.

Queried for connections that stand still or are lost, never on the path of a byte. An event loop
reports none of this: it sees a reset only while it reads, and asks for more to send only after a
third of the kernel's own buffer, up to megabytes, has gone, so a slow peer would look like one that
takes nothing.
"""

import asyncio
import fcntl
import os
import select
import socket
import struct
import termios
from typing import Final

_INT: Final = struct.Struct("i")

MAX_LAST_BYTES: Final = 1 << 18
"""As much as one read of the loop."""

_LEAST_QUEUE_BYTES: Final = 4096
"""The smallest queue of a connection that is being sent on (`tcp_wmem`)."""

_SIOCOUTQNSD: Final = 0x894B
"""Asks how much of its queue the kernel has not sent, as the peer's window is full (Linux)."""

_PROBES: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""A minute of silence, and another until a peer is given up. A kernel's own are two hours, when
gateways and load balancers have long forgotten the connection: many do after some minutes.
"""


def probe_silent_peers(own: socket.socket) -> None:
    """Have the kernel ask a silent peer whether it is there; connections that a listening socket
    accepts inherit it.
    """
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
    """Whether the peer has reset the connection; an orderly close looks like a peer that only
    stopped sending.
    """
    own = transport.get_extra_info("socket")
    if transport.is_closing() or own is None or own.fileno() < 0:
        return False
    poller = select.poll()
    poller.register(own.fileno(), events)
    return bool(poller.poll(0))


def has_ended(transport: asyncio.Transport) -> bool:
    """Whether the peer sends no more, even if the loop has not read the end yet."""
    return is_reset_by_peer(transport, select.POLLRDHUP)


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Bytes written that the peer's kernel has not acknowledged: the transport's and our kernel's
    (`SIOCOUTQ`).

    One that is closing may still have some; of a closed one nothing is known.
    """
    own = transport.get_extra_info("socket")
    if own is None or own.fileno() < 0:
        return 0
    queued = fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
    return transport.get_write_buffer_size() + int(_INT.unpack(queued)[0])


def untaken_bytes(transport: asyncio.Transport) -> int:
    """Like `unsent_bytes`, but 0 where all is on its way: a peer that vanished never acknowledges
    that, and one that reads nothing does.
    """
    unsent = unsent_bytes(transport)
    own = transport.get_extra_info("socket")
    if not unsent or own.family == socket.AF_UNIX or transport.get_write_buffer_size():
        return unsent
    waiting = fcntl.ioctl(own.fileno(), _SIOCOUTQNSD, bytes(_INT.size))
    return unsent if _INT.unpack(waiting)[0] else 0


def is_flushing(transport: asyncio.Transport) -> bool:
    """Whether some of what was written has not reached our kernel.

    A TLS layer leaves out what it has handed to the layer below. That has some only while our
    kernel's queue is nearly full; a few bytes in it may be the goodbye to a peer that has vanished.
    """
    is_tls = transport.get_extra_info("sslcontext") is not None
    return transport.get_write_buffer_size() > 0 or (
        is_tls and unsent_bytes(transport) >= _LEAST_QUEUE_BYTES
    )


def last_bytes(transport: asyncio.Transport) -> bytes:
    """Return the unread bytes of a lost peer; called in `connection_lost`, while the socket is
    open.

    A loop that fails to write gives up without reading on: the answer of a peer that refuses an
    upload and closes would be lost. Empty over TLS, where `tls_dial` reads the socket below it.
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
