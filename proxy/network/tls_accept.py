"""A TLS connection before its handshake is done: counted, capped and timed from accept on.

The first bytes, peeked so that they stay in the kernel, tell a handshake (RFC 8446 §5.1) from plain
HTTP, which is answered with that reason. The loop runs the handshake; failures are counted by
reason.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.network.early_connection import ConnectionRegistry, EarlyConnection
from proxy.network.proxy_accept import peer_of
from proxy.process.tls import HELLO_BYTES

MAX_HANDSHAKE_S: Final = 10.0
"""Time from accept to the end of the handshake."""

_SHUTDOWN_S: Final = 86400.0
"""Shutdown timeout of the loop, long because the connection has its own deadlines: a shorter one
would cut a response that a slow client is still reading.
"""

_HANDSHAKE_RECORD: Final = 22
_PARTS_OF_REASONS: Final = (
    ("WRONG_VERSION_NUMBER", "not_tls"),
    ("CERTIFICATE", "certificate"),
    ("UNKNOWN_CA", "certificate"),
    ("VERSION", "version"),
    ("UNSUPPORTED_PROTOCOL", "version"),
    ("CIPHER", "cipher"),
    ("KEY_SHARE", "cipher"),
    ("GROUP", "cipher"),
    ("ALERT_HANDSHAKE_FAILURE", "cipher"),
)
"""Part of OpenSSL's name of a failure → our reason; the first match counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPort:
    """Shared state of one TLS port's connections."""

    context_of: Callable[[bytes], ssl.SSLContext]
    """Chooses the context by the first bytes of a handshake."""
    registry: ConnectionRegistry
    tasks: asyncio.TaskGroup
    secured: Callable[["TlsAccept"], asyncio.Protocol]
    """Makes the protocol of a secured connection, which calls `hand_over` when it starts."""
    plain: Callable[["TlsAccept"], asyncio.Protocol]
    """Makes the protocol for a client that speaks plain HTTP."""
    max_handshake_s: float = MAX_HANDSHAKE_S

    def accept(self, connection: socket.socket, client: bytes = b"") -> None:
        """Start a connection; above a limit it is closed at once, since no answer is possible
        before TLS.

        Its client is the peer, unless a trusted proxy named the `client`.
        """
        TlsAccept(self, connection, client or peer_of(connection)).start()


class TlsAccept(EarlyConnection):
    """A connection whose handshake is not done."""

    __slots__ = ("_port", "_task")

    def __init__(self, port: TlsPort, connection: socket.socket, client: bytes) -> None:
        count_failure = port.registry.count_tls_failure
        super().__init__(
            connection,
            client,
            port.registry,
            count_failure=count_failure,
            max_s=port.max_handshake_s,
        )
        self._port = port
        self._task: asyncio.Task[None] | None = None
        """The running handshake, after the first byte."""

    def _look(self) -> None:
        """Decide by the first byte which protocol is spoken, or handle the end."""
        self._loop.remove_reader(self._connection.fileno())
        try:
            first = self._connection.recv(HELLO_BYTES, socket.MSG_PEEK)
        except OSError:
            first = b""

        if not first:
            self._fail("closed")
        elif first[0] == _HANDSHAKE_RECORD:
            self._task = self._port.tasks.create_task(self._secure(first), name="tls handshake")
        elif 32 < first[0] < 127 or first[0] in b"\r\n":
            self._count_failure("plain_http")
            self._task = self._port.tasks.create_task(
                self._serve_plain(), name="plain http on a tls port"
            )
        else:
            self._fail("not_tls")

    async def _secure(self, hello: bytes) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._port.secured(self),
                self._connection,
                ssl=self._port.context_of(hello),
                ssl_handshake_timeout=2 * self._port.max_handshake_s,  # the tick comes first
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )
        except OSError as error:
            self._fail(tls_failure(error))
        else:
            self._fail("closed")  # unless it was handed over

    async def _serve_plain(self) -> None:
        await self._loop.connect_accepted_socket(lambda: self._port.plain(self), self._connection)

    def _drop(self) -> None:
        if self._task is None:
            self._loop.remove_reader(self._connection.fileno())
            self._connection.close()
        else:
            self._task.cancel()  # the socket is its transport's


def tls_failure(error: OSError) -> str:
    """Return the reason why a handshake failed."""
    if not isinstance(error, ssl.SSLError):
        return "closed"
    reason = error.reason or ""
    return next((ours for part, ours in _PARTS_OF_REASONS if part in reason), "other")
