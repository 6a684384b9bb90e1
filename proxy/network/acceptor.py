"""Accepts connections of one listening socket, and keeps accepting: no error of the kernel ends it.

A loop's own server closes its socket for good when `accept` fails for want of descriptors or
memory, and says nothing. Here such an error pauses accepting; meanwhile connections wait in the
kernel's queue, and what is closed makes room. uvloop's takes one connection a turn, however long
the turns are: beside a crowd that comes and goes, newcomers waited for seconds. Here it is some, so
that they do not hold up those who are served either.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from proxy.network.socket_queues import probe_silent_peers

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.2
"""How long nothing is accepted when there are no descriptors: closing one takes a turn of the loop,
rarely more.
"""
MAX_PER_TURN: Final = 16
"""Connections accepted before others get their turn: half a millisecond."""
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts on one socket, from its making until `close`."""

    __slots__ = ("_is_exhausted", "_listener", "_loop", "_on_accept", "_pause")

    def __init__(
        self, listener: socket.socket, on_accept: Callable[[socket.socket], object]
    ) -> None:
        """Give each connection, not blocking, to `on_accept`, which owns it; `listener` is ours
        from now on.
        """
        listener.setblocking(False)
        probe_silent_peers(listener)
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._on_accept = on_accept
        self._pause: asyncio.TimerHandle | None = None
        self._is_exhausted = False
        self._resume()

    def close(self) -> None:
        """Accept nothing more; doing it twice is harmless."""
        if self._listener.fileno() < 0:
            return
        if self._pause is None:
            self._loop.remove_reader(self._listener.fileno())
        else:
            self._pause.cancel()

        self._listener.close()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(MAX_PER_TURN):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._wait(error)
                    return
                # This connection is gone already (accept(2): treat network errors like EAGAIN).
                continue

            connection.setblocking(False)
            self._on_accept(connection)
            if self._listener.fileno() < 0:
                return

        self._is_exhausted = False

    def _wait(self, error: OSError) -> None:
        """Accept nothing for a moment; said once until there is room again."""
        if not self._is_exhausted:
            self._is_exhausted = True
            name = self._listener.getsockname()
            log.error("cannot accept connections on %s for now: %s", name, error.strerror or error)
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(PAUSE_S, self._resume)
