"""The life of a connection before its PROXY header is read: counted, capped and timed from accept
on.

Strategy: peeked bytes, which stay in the kernel, show how long the header is; exactly that much is
read, so the protocol that serves the connection next, TLS or not, finds its first byte. Untrusted
peers get no header parsed: they are clients like any other, and what they write is read as a
request.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.http1.forwarded import peer_address
from proxy.network.early_connection import ConnectionRegistry, EarlyConnection
from proxy.network.proxy_header import MAX_V2_BYTES, MalformedHeader, header_end, read_source

MAX_HEADER_S: Final = 10.0
"""From accept to the end of the header, which a load balancer sends before anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPort:
    """Shared state of the connections that load balancers open to one port."""

    registry: ConnectionRegistry
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


class ProxyAccept(EarlyConnection):
    """A connection of a load balancer that has not named its client yet."""

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
        self.hand_over()
        self._port.serve(self._connection, source or self._balancer)

    def _drop(self) -> None:
        self._connection.close()


def peer_of(connection: socket.socket) -> bytes:
    """Return the address at the other end; empty where it is gone already."""
    try:
        return peer_address(connection.getpeername())
    except OSError:
        return b""
