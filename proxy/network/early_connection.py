"""A connection between accept and its first request, while something else comes first: counted,
capped and timed.

Invariant: the worker counts it as exactly one connection until `hand_over`; if it ends before, the
reason is counted.
"""

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol


class ConnectionRegistry(Protocol):
    """Counts a worker's connections: the part of the engine that an early connection needs."""

    def register(self, connection: "EarlyConnection", peer: bytes) -> str:
        """Count a connection, or return the limit that it would exceed. An empty `peer` means that
        the client is not known yet.
        """

    def unregister(self, connection: "EarlyConnection", peer: bytes) -> None:
        """Stop counting a connection; idempotent."""

    def count_tls_failure(self, reason: str) -> None:
        """Count a connection whose handshake failed (`ring/counters.TLS_FAILURES`)."""

    def count_proxy_failure(self, reason: str) -> None:
        """Count a connection whose client stayed unknown (`ring/counters.PROXY_FAILURES`)."""


class EarlyConnection(ABC):
    """Base of early connections; the worker's tick enforces their deadline like any other."""

    __slots__ = (
        "_connection",
        "_count_failure",
        "_is_waiting",
        "_loop",
        "_max_s",
        "_registry",
        "peer",
        "since_ns",
    )

    is_flushing: Final = False
    has_been_served: Final = False

    def __init__(
        self,
        connection: socket.socket,
        peer: bytes,
        registry: ConnectionRegistry,
        *,
        count_failure: Callable[[str], None],
        max_s: float,
    ) -> None:
        """Start the deadline; `count_failure` counts a failure by its reason."""
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self.peer = peer
        self._registry = registry
        self._count_failure = count_failure
        self._max_s = max_s
        self._is_waiting = False
        """Whether the worker still counts this object as the connection."""
        self.since_ns = time.monotonic_ns()
        """When it was accepted."""

    def start(self) -> None:
        """Wait for the first byte; above a limit the connection is closed at once."""
        if self._registry.register(self, self.peer):
            self._connection.close()
            return
        self._is_waiting = True
        self._loop.add_reader(self._connection.fileno(), self._look)

    def hand_over(self) -> None:
        """Hand the connection over to the object that serves it from now on."""
        self._is_waiting = False
        self._registry.unregister(self, self.peer)

    def check(self, now_ns: int) -> None:
        """Enforce the deadline; called by the worker's tick."""
        if now_ns - self.since_ns >= self._max_s * 1e9:
            self._fail("timeout")

    @property
    def waits_since_ns(self) -> int:
        """Time since which it waits for its first request; 0 if it is gone or handed over."""
        return self.since_ns if self._is_waiting else 0

    def evict(self, reason: str) -> None:
        """Close now without an answer, since nothing was asked."""
        self._close()

    def is_expected(self, since_ns: int) -> bool:
        """Whether it was accepted after `since_ns`, so that a request is likely to be on its way."""
        return self.since_ns >= since_ns

    def close_if_idle(self, since_ns: int) -> None:
        """Close it while draining: nothing was asked yet."""
        if not self.is_expected(since_ns):
            self._close()

    def abort_for_shutdown(self) -> None:
        self._close()

    @abstractmethod
    def _look(self) -> None:
        """Handle new bytes, or the end."""

    @abstractmethod
    def _drop(self) -> None:
        """Close the socket, which the worker no longer counts."""

    def _fail(self, reason: str) -> None:
        if self._is_waiting:
            self._count_failure(reason)
            self._close()

    def _close(self) -> None:
        if self._is_waiting:
            self.hand_over()
            self._drop()
