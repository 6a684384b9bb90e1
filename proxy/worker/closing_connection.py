"""The end of a client connection: closed so that everything written for the client arrives.

Strategy: a close with unread input is a reset, and a reset destroys the data that the kernel has
yet to send. If a client may be sending, its connection therefore *lingers*: it is half-closed, its
input is discarded, and it closes once the client has received everything (P16). The tick asks the
kernel how much is left, and cuts off a client that receives nothing for too long (P17).
"""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from proxy.network.pacing import FairLoop, PacedReader
from proxy.network.sockets import is_flushing, is_reset_by_peer, unsent_bytes
from proxy.worker.deadlines import CLOSE_NS, LINGER_NS, MAX_LINGER_BYTES, MAX_LINGER_NS, STALLED_NS


class Served(Protocol):
    """The service of a client's connection: the relay of HTTP/1.1, or all streams of HTTP/2."""

    @property
    def stall_limit(self) -> tuple[bool, int]:
        """Return True if it holds an upstream connection that other requests wait for; and how long
        its client may receive nothing, in ns (0: no limit).
        """

    def client_stalled(self, *, is_awaited: bool) -> None:
        """Note that the client has received nothing for too long; its connection is cut afterwards."""


class ClosingConnection(PacedReader):
    """The base of client connections: closes them, and watches clients that receive nothing."""

    __slots__ = (
        "_is_lingering",
        "_lingered_bytes",
        "_since_ns",
        "_stalled_bytes",
        "_stalled_ns",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, turns: FairLoop) -> None:
        super().__init__(turns)
        self._since_ns = 0
        """When the current phase of the connection, or its close, began."""
        self._stalled_ns = 0
        """Since when the client receives nothing of the written bytes; 0 while it does."""
        self._stalled_bytes = 0
        """Bytes written and not received when the tick last looked."""
        self._is_lingering = False
        """True if input is discarded until the client has received everything, or a second longer.
        """
        self._lingered_bytes = 0
        """Bytes of input discarded so far."""

    @property
    def is_flushing(self) -> bool:
        """True if bytes for the client are still in our buffer, or an end now would destroy some."""
        own = self._transport
        is_left = self._is_lingering and (
            unsent_bytes(own) > 0 or not (own.can_write_eof() or own.is_closing())
        )
        return is_left or is_flushing(own)

    def _stop_reading(self) -> None:
        self._transport.pause_reading()

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _linger(self) -> None:
        """Half-close, discard input, and close once the client has received everything."""
        self._is_lingering = True
        self._paused = 0
        self._transport.resume_reading()
        if not self._stalled_ns:
            self._time_stall()
        if self._transport.can_write_eof():
            # The client may have reset the connection.
            with suppress(OSError):
                self._transport.write_eof()
        elif not is_flushing(self._transport):
            self._close_once()

    def _discard(self, size: int) -> None:
        """Discard `size` bytes of input; above a limit, stop reading or close."""
        self._lingered_bytes += size
        if self._lingered_bytes > MAX_LINGER_BYTES:
            if unsent_bytes(self._transport):
                self._stop_reading()
            else:
                self._close_once()

    def _close_once(self) -> None:
        """Close once everything is written, and watch if the client receives it."""
        # The TLS transport of asyncio loses its protocol, and fails, at a second close.
        if not self._transport.is_closing():
            self._since_ns = time.monotonic_ns()
            self._transport.close()
            if not self._stalled_ns and (self.is_flushing or not self._transport.can_write_eof()):
                # Without a limit of ours the loop would wait forever for the client to receive the
                # rest, and a TLS layer for its peer's end.
                self._time_stall()

    def _time_stall(self) -> None:
        """Start watching a client that receives nothing."""
        self._stalled_ns = time.monotonic_ns()
        self._stalled_bytes = self._transport.get_write_buffer_size()

    def _end_stall(self) -> None:
        """Note that the client receives bytes again; if the connection is closing, start its time
        anew.
        """
        if self._is_lingering or self._transport.is_closing():
            self._stalled_ns = time.monotonic_ns()
        else:
            self._stalled_ns = 0

    def _check_stall(self, now_ns: int, served: Served) -> None:
        """Cut off a client that has received nothing for too long; close a lingering connection
        once its client has everything.
        """
        size = unsent_bytes(self._transport)
        is_awaited, limit_ns = served.stall_limit if size else (False, CLOSE_NS)
        if size < self._stalled_bytes:
            self._stalled_ns = now_ns
        is_over = 0 < limit_ns <= now_ns - self._stalled_ns
        if is_over or (self._is_lingering and self._is_over(size, now_ns)):
            served.client_stalled(is_awaited=is_awaited)
            self._transport.abort()
        elif (
            self._is_lingering
            and not self._transport.can_write_eof()
            and not is_flushing(self._transport)
        ):
            self._close_once()

        self._stalled_bytes = size

    def _is_over(self, size: int, now_ns: int) -> bool:
        """Return True if a lingering client is out of time, or is gone, with `size` bytes not
        received.

        Over TLS, after a close, the loop itself reads the client's remaining input, in one turn and
        without us: the client then has less time.
        """
        if is_reset_by_peer(self._transport):
            return True
        if self._transport.is_closing() and not self._transport.can_write_eof():
            return now_ns - self._since_ns >= (STALLED_NS if size else LINGER_NS)
        if not size and self._lingered_bytes > MAX_LINGER_BYTES:
            return True

        return now_ns - self._stalled_ns >= (MAX_LINGER_NS if size else LINGER_NS)
