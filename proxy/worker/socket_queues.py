"""What only the kernel knows of a connection: whether its peer is gone, and how much the peer has not taken yet.

Asked by the tick about connections that stand still, never on the way of a byte. A loop tells neither: it sees a reset
only while it reads, and is asked for more to send only after a third of the kernel's own buffer, up to megabytes, has
gone, so that a slow peer would look like one that takes nothing.
"""

import asyncio
import fcntl
import select
import struct
import termios
from typing import Final

_INT: Final = struct.Struct("i")


def is_reset_by_peer(transport: asyncio.Transport) -> bool:
    """Whether the peer has reset the connection; an orderly end cannot be told from a peer that only sends no more."""
    if transport.is_closing():
        return False
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), 0)
    return bool(poller.poll(0))


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Bytes written that the peer's kernel has not acknowledged: the transport's and our kernel's (`SIOCOUTQ`)."""
    if transport.is_closing():
        return 0
    queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(_INT.size))
    return transport.get_write_buffer_size() + int(_INT.unpack(queued)[0])
