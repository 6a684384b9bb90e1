"""A connection before its PROXY header is read: counted, capped and timed from accept on.

Peeked bytes, which stay in the kernel, show the header's length; exactly that much is read, so the
next protocol, TLS or not, finds its first byte. Headers of untrusted peers are not parsed: they are
ordinary clients, and their bytes are read as a request.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.http1.forwarded import peer_address
from proxy.network.early_connection import ConnectionRegistry, EarlyConnection
from proxy.network.proxy_header import MAX_V2_BYTES, MalformedHeader, header_end, read_source

MAX_HEADER_S: Final = 10.0
"""Time from accept to the end of the header, which a load balancer sends first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPort:
    """Shared state of a port's connections from load balancers."""

    registry: ConnectionRegistry
    is_trusted: Callable[[bytes], bool]
    """Whether an address belongs to a trusted load balancer."""
    serve: Callable[[socket.socket, bytes], object]
    """Serves the connection, given its client's address."""
    max_header_s: float = MAX_HEADER_S

    def accept(self, connection: socket.socket) -> None:
        """Start a connection; above a limit it is closed at once."""
        peer = peer_of(connection)
        if self.is_trusted(peer):
            ProxyAccept(self, connection, peer).start()
        else:
            self.serve(connection, peer)


class ProxyAccept(EarlyConnection):
    """A load balancer's connection that has not named its client yet."""

    __slots__ = ("_balancer", "_header", "_port")

    def __init__(self, port: ProxyPort, connection: socket.socket, balancer: bytes) -> None:
        count_failure = port.registry.count_proxy_failure
        super().__init__(
            connection, b"", port.registry, count_failure=count_failure, max_s=port.max_header_s
        )
        self._port = port
        self._balancer = balancer
        self._header = b""

    def hand_over(self) -> None:
        self._loop.remove_reader(self._connection.fileno())
        super().hand_over()

    def _look(self) -> None:
        """Read the header as it arrives; once complete, start the connection."""
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
        self.hand_over()
        self._port.serve(self._connection, source or self._balancer)

    def _drop(self) -> None:
        self._connection.close()


def peer_of(connection: socket.socket) -> bytes:
    """Return the peer's address; empty if it is already gone."""
    try:
        return peer_address(connection.getpeername())
    except OSError:
        return b""
