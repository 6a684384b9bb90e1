"""The life of a connection before its PROXY header is read: counted, capped and timed from accept on.

Strategy: a look at what is there, which stays in the kernel, tells how much of it is header; exactly that is taken, so
whoever serves the connection next, TLS or not, finds its first byte. Headers of strangers are never looked for: they
are clients like any other, and what they write is read as a request.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.network.proxy_header import MAX_V2_BYTES, MalformedHeader, header_end, read_source

MAX_HEADER_S: Final = 10.0
"""From accept to the end of the header, which a load balancer sends before anything else."""


class Door(Protocol):
    """What the connections of a worker share, as far as one that nobody knows the client of yet needs it."""

    def register(self, connection: "ProxyAccept", peer: bytes) -> str:
        """Count it in, or return which limit it would exceed."""

    def unregister(self, connection: "ProxyAccept", peer: bytes) -> None:
        """Count it out; doing it twice is harmless."""

    def count_proxy_failure(self, reason: str) -> None:
        """Count a connection whose client was never known (`ring/counters.PROXY_FAILURES`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPort:
    """What the connections of one port share that load balancers open."""

    door: Door
    is_trusted: Callable[[bytes], bool]
    """Whether an address is that of a load balancer."""
    serve: Callable[[socket.socket, bytes], object]
    """Takes the connection over, with the address of the client."""
    max_header_s: float = MAX_HEADER_S

    def accept(self, connection: socket.socket) -> None:
        """Take an accepted connection; above a limit it is closed at once."""
        peer = peer_of(connection)
        if self.is_trusted(peer):
            ProxyAccept(self, connection, peer).start()
        else:
            self.serve(connection, peer)


class ProxyAccept:
    """A connection of a load balancer that has not said whose it is; the worker's tick times it as any other."""

    __slots__ = ("_connection", "_header", "_is_waiting", "_loop", "_peer", "_port", "_since_ns")

    is_flushing: Final = False

    def __init__(self, port: ProxyPort, connection: socket.socket, peer: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._connection = connection
        self._peer = peer
        self._header = b""
        self._is_waiting = False
        self._since_ns = time.monotonic_ns()

    def start(self) -> None:
        if self._port.door.register(self, self._peer):
            self._connection.close()
            return
        self._is_waiting = True
        self._loop.add_reader(self._connection.fileno(), self._read)

    def check(self, now_ns: int) -> None:
        """Enforce the deadline; called by the worker's tick."""
        if now_ns - self._since_ns >= self._port.max_header_s * 1e9:
            self._fail("timeout")

    def close_if_idle(self) -> None:
        """Draining: nothing was asked yet."""
        self._close()

    def abort_for_shutdown(self) -> None:
        self._close()

    def _read(self) -> None:
        """Take what is there of the header; once it is whole, let the connection begin."""
        try:
            seen = self._connection.recv(MAX_V2_BYTES, socket.MSG_PEEK)
            if not seen:
                self._fail("closed")
                return
            end, is_whole = header_end(self._header + seen)
            self._header += self._connection.recv(end - len(self._header))
            if is_whole:
                self._begin(read_source(self._header))
        except MalformedHeader:
            self._fail("malformed")
        except BlockingIOError:
            pass
        except OSError:
            self._fail("closed")

    def _begin(self, source: bytes) -> None:
        self._leave()
        self._port.serve(self._connection, source or self._peer)

    def _fail(self, reason: str) -> None:
        if self._is_waiting:
            self._port.door.count_proxy_failure(reason)
            self._close()

    def _close(self) -> None:
        if self._is_waiting:
            self._leave()
            self._connection.close()

    def _leave(self) -> None:
        """Be no connection of the worker's any more."""
        self._is_waiting = False
        self._loop.remove_reader(self._connection.fileno())
        self._port.door.unregister(self, self._peer)


def peer_of(connection: socket.socket) -> bytes:
    """Return the address at the other end; empty where it is gone already."""
    try:
        return str(connection.getpeername()[0]).encode()
    except OSError:
        return b""
