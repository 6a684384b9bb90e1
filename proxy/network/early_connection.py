"""A connection between its accept and its first request, while something comes first: counted,
capped and timed.

Invariant: the worker knows it as exactly one connection, this one until `hand_over`; one that ends
before is counted with its reason.
"""

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol


class ConnectionRegistry(Protocol):
    """Counts the connections of a worker: the part of the engine that one before its first request
    needs.
    """

    def register(self, connection: "EarlyConnection", peer: bytes) -> str:
        """Count it in, or return which limit it would exceed; an empty `peer` means the client is
        not known yet.
        """

    def unregister(self, connection: "EarlyConnection", peer: bytes) -> None:
        """Count it out; doing it twice is harmless."""

    def count_tls_failure(self, reason: str) -> None:
        """Count a connection that was never secured (`ring/counters.TLS_FAILURES`)."""

    def count_proxy_failure(self, reason: str) -> None:
        """Count a connection whose client was never known (`ring/counters.PROXY_FAILURES`)."""


class EarlyConnection(ABC):
    """What it has in common, whatever comes first; the worker's tick times it, as it does any
    other.
    """

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
        """Be timed from now on; `count_failure` counts a failure by its reason."""
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self.peer = peer
        self._registry = registry
        self._count_failure = count_failure
        self._max_s = max_s
        self._is_waiting = False
        """Whether this is what the worker knows the connection as."""
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
        """Make room for what is this connection from now on."""
        self._is_waiting = False
        self._registry.unregister(self, self.peer)

    def check(self, now_ns: int) -> None:
        """Enforce the deadline; called by the worker's tick."""
        if now_ns - self.since_ns >= self._max_s * 1e9:
            self._fail("timeout")

    @property
    def waits_since_ns(self) -> int:
        """Since when it waits for its first request; 0: it is gone, or another by now."""
        return self.since_ns if self._is_waiting else 0

    def evict(self, reason: str) -> None:
        """Close now: nothing was said to which a reason could be an answer."""
        self._close()

    def is_expected(self, since_ns: int) -> bool:
        """Whether it is new since then: a request is likely to be on its way."""
        return self.since_ns >= since_ns

    def close_if_idle(self, since_ns: int) -> None:
        """Draining: nothing was asked yet."""
        if not self.is_expected(since_ns):
            self._close()

    def abort_for_shutdown(self) -> None:
        self._close()

    @abstractmethod
    def _look(self) -> None:
        """Bytes are there, or the end."""

    @abstractmethod
    def _drop(self) -> None:
        """Close the socket; it is the worker's no more."""

    def _fail(self, reason: str) -> None:
        if self._is_waiting:
            self._count_failure(reason)
            self._close()

    def _close(self) -> None:
        if self._is_waiting:
            self.hand_over()
            self._drop()
