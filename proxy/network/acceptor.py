"""Accepts connections of one listening socket; no error of the kernel ends accepting.

An event loop's own server silently closes its socket for good if `accept` fails for lack of
descriptors or memory. Here such an error pauses accepting; connections wait in the kernel's queue
until others are closed. uvloop accepts one connection per turn, however long a turn takes: during a
surge, newcomers waited for seconds. Here a turn accepts several, few enough not to delay others.
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
"""Pause when there are no descriptors; closing a connection rarely takes longer."""
MAX_PER_TURN: Final = 16
"""Number of connections accepted per turn: half a millisecond."""
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts connections from its creation until `close`."""

    __slots__ = ("_is_exhausted", "_listener", "_loop", "_on_accept", "_pause")

    def __init__(
        self, listener: socket.socket, on_accept: Callable[[socket.socket], object]
    ) -> None:
        """Pass each non-blocking connection to `on_accept`, which owns it. The acceptor owns
        `listener` from now on.
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
        """Stop accepting; idempotent."""
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
        """Pause accepting; logged once until accepting works again."""
        if not self._is_exhausted:
            self._is_exhausted = True
            name = self._listener.getsockname()
            log.error("cannot accept connections on %s for now: %s", name, error.strerror or error)
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(PAUSE_S, self._resume)
