"""Client connections from accept to their first request: their PROXY header, their TLS handshake,
and which idle connection gives way at the limit.
"""

import asyncio
import errno
import logging
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Protocol

from proxy.http1.forwarded import peer_address
from proxy.network.proxy_header import MAX_V2_BYTES, MalformedHeader, header_end, read_source
from proxy.network.sockets import probe_silent_peers
from proxy.process.tls import HELLO_BYTES

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.2
"""Pause when there are no descriptors; closing a connection rarely takes longer."""
MAX_PER_TURN: Final = 16
"""Number of connections accepted per turn: half a millisecond."""
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts the connections of one listening socket, from its creation until `close`.

    An event loop's own server silently closes its socket for good if `accept` fails for lack of
    descriptors or memory. Here such an error pauses accepting; connections wait in the kernel's
    queue until others are closed. uvloop accepts one connection per turn, however long a turn
    takes: during a surge, newcomers waited for seconds. Here a turn accepts several, few enough not
    to delay others.
    """

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
        """Pause accepting after an error; log the error once until accepting works again."""
        if not self._is_exhausted:
            self._is_exhausted = True
            name = self._listener.getsockname()
            log.error("cannot accept connections on %s for now: %s", name, error.strerror or error)
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(PAUSE_S, self._resume)


class ConnectionRegistry(Protocol):
    """Counts a worker's connections: the part of the engine that an early connection needs."""

    def register(self, connection: "EarlyConnection", peer: bytes) -> str:
        """Count a connection, or return the limit that it would exceed. An empty `peer` means that
        the client is not known yet.
        """

    def unregister(self, connection: "EarlyConnection", peer: bytes) -> None:
        """Stop counting a connection that was registered; idempotent."""


class EarlyConnection(ABC):
    """A connection between accept and its first request, while something else comes first: counted,
    capped and timed. The worker's tick enforces its deadline.

    Invariant: the worker counts it as exactly one connection until `hand_over`; if it ends before,
    the reason is counted.
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
        """Return the time since which the connection has waited for its first request; 0 if it is
        gone or handed over.
        """
        if self._is_waiting:
            return self.since_ns
        return 0

    def evict(self, reason: str) -> None:
        """Close the connection now without an answer, because no request has come."""
        self._close()

    def is_expected(self, since_ns: int) -> bool:
        """Return True if the connection was accepted after `since_ns`, so that a request is likely
        to be on its way.
        """
        return self.since_ns >= since_ns

    def close_if_idle(self, since_ns: int) -> None:
        """Close the connection while draining, unless a request is likely to be on its way."""
        if not self.is_expected(since_ns):
            self._close()

    def abort_for_shutdown(self) -> None:
        self._close()

    @abstractmethod
    def _look(self) -> None:
        """Handle new bytes of the connection, or its end."""

    @abstractmethod
    def _drop(self) -> None:
        """Close the socket of a connection that the worker no longer counts."""

    def _fail(self, reason: str) -> None:
        if self._is_waiting:
            self._count_failure(reason)
            self._close()

    def _close(self) -> None:
        if self._is_waiting:
            self.hand_over()
            self._drop()


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
    count_failure: Callable[[str], None]
    """Counts a connection whose header did not name its client, by the reason
    (`ring/counters.PROXY_FAILURES`).
    """
    max_header_s: float = MAX_HEADER_S

    def accept(self, connection: socket.socket) -> None:
        """Start a connection; above a limit it is closed at once."""
        peer = peer_of(connection)
        if self.is_trusted(peer):
            ProxyAccept(self, connection, peer).start()
        else:
            self.serve(connection, peer)


class ProxyAccept(EarlyConnection):
    """A load balancer's connection that has not named its client yet.

    Peeked bytes, which stay in the kernel, show the length of the PROXY header; exactly that much
    is read, so the next protocol, TLS or not, finds its first byte. Headers of untrusted peers are
    not parsed: they are ordinary clients, and their bytes are read as a request.
    """

    __slots__ = ("_balancer", "_header", "_port")

    def __init__(self, port: ProxyPort, connection: socket.socket, balancer: bytes) -> None:
        super().__init__(
            connection,
            b"",
            port.registry,
            count_failure=port.count_failure,
            max_s=port.max_header_s,
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
    """Return the address of a socket's peer; empty if the peer is already gone."""
    try:
        return peer_address(connection.getpeername())
    except OSError:
        return b""


MAX_HANDSHAKE_S: Final = 10.0
"""Time from accept to the end of the handshake."""

SHUTDOWN_S: Final = 86400.0
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
    count_failure: Callable[[str], None]
    """Counts a connection that was never secured, by its reason (`ring/counters.TLS_FAILURES`)."""
    max_handshake_s: float = MAX_HANDSHAKE_S

    def accept(self, connection: socket.socket, client: bytes = b"") -> None:
        """Start a connection; above a limit it is closed at once, since no answer is possible
        before TLS.

        Its client is the peer, unless a trusted proxy named the `client`.
        """
        TlsAccept(self, connection, client or peer_of(connection)).start()


class TlsAccept(EarlyConnection):
    """A connection whose TLS handshake is not done.

    The first bytes, peeked so that they stay in the kernel, tell a handshake (RFC 8446 §5.1) from
    plain HTTP, which is answered with that reason. The loop runs the handshake; failures are
    counted by reason.
    """

    __slots__ = ("_port", "_task")

    def __init__(self, port: TlsPort, connection: socket.socket, client: bytes) -> None:
        super().__init__(
            connection,
            client,
            port.registry,
            count_failure=port.count_failure,
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
                ssl_shutdown_timeout=SHUTDOWN_S,
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
    """Return the reason why a TLS handshake failed, one of `TLS_FAILURES`."""
    if not isinstance(error, ssl.SSLError):
        return "closed"
    reason = error.reason or ""
    return next((ours for part, ours in _PARTS_OF_REASONS if part in reason), "other")


LEAST_WAIT_NS: Final = (250_000_000, 1_000_000_000)
"""Least time that a connection keeps its place, before its first response and after it, so that one
about to ask is not cut off. A crowd that reconnects at once waits less than a second in a table
that it fills.
"""

_NEAR_PART: Final = 0.75
"""Fraction of the limit from which the sweep notes waiting connections."""
_MOMENT_BITS: Final = 26
"""Bits of a time that are dropped to group notes: 2²⁶ ns, 67 ms, or 4,500 groups in five minutes.
"""
_SERVED: Final = 1 << 63
"""Added to the group of connections that have had a response."""


class Waiting(Protocol):
    """A client connection that may be evicted."""

    @property
    def waits_since_ns(self) -> int:
        """Return the time since which the connection has waited for a request or the rest of a
        head; 0 while it is busy.
        """

    @property
    def has_been_served(self) -> bool:
        """Return True if the connection has had a response."""

    def evict(self, reason: str) -> None:
        """Close the connection now, and stop counting it."""


class IdleEviction:
    """Chooses the idle connection to close for a new one: the one that has waited longest.

    Silent connections cost an attacker nothing. If they were kept until their deadline, a crowd of
    them would lock everyone else out. While connections are near their limit, each sweep of the
    deadlines notes the waiting ones. A new connection takes the place of the first of them; those
    without a response yet go before those that wait for their next request. Notes are grouped by
    the time since which they wait, and only the current group is sorted: sorting all 10,000, or a
    tuple for each, delayed requests by 3 to 9 ms several times a second (`bench.hostile`).

    Invariant: a noted connection is evicted only if it has been waiting ever since. Notes may be
    outdated, so each is checked before use.
    """

    __slots__ = ("_limit", "_moment", "_moments", "_noted", "_noting", "_turn")

    def __init__(self, limit: int) -> None:
        """`limit` is the largest number of open connections."""
        self._limit = limit
        self._noting: dict[int, list[Waiting]] = {}
        """Group → connections, of the current sweep."""
        self._noted: dict[int, list[Waiting]] = {}
        self._moments: list[int] = []
        """Groups of the last sweep, the next one at the end."""
        self._moment = 0
        """The current group."""
        self._turn: list[Waiting] = []
        """Its connections, the next one at the end."""

    def __len__(self) -> int:
        """Return the number of notes of the last sweep that are left."""
        return len(self._turn) + sum(map(len, self._noted.values()))

    def is_near(self, open_connections: int) -> bool:
        """Return True if so many connections are open that the sweep must note the waiting ones."""
        return open_connections >= self._limit * _NEAR_PART

    def note(self, connection: Waiting, now_ns: int) -> None:
        """Note a waiting connection in the current sweep, if it has waited long enough to be
        evicted.
        """
        since_ns = connection.waits_since_ns
        if since_ns and now_ns - since_ns >= LEAST_WAIT_NS[connection.has_been_served]:
            moment = _moment(connection)
            noted = self._noting.get(moment)
            if noted is None:
                self._noting[moment] = [connection]
            else:
                noted.append(connection)

    def swept(self) -> None:
        """End a sweep: replace the connections that the last one noted by those of this one."""
        self._noted = self._noting
        self._noting = {}
        self._moments = sorted(self._noted, reverse=True)
        self._turn = []

    def evict(self) -> bool:
        """Close the connection that has waited longest; return False if none has waited long
        enough.
        """
        while self._turn or self._moments:
            if not self._turn:
                self._moment = self._moments.pop()
                self._turn = sorted(
                    self._noted.pop(self._moment), key=attrgetter("waits_since_ns"), reverse=True
                )

            connection = self._turn.pop()
            if connection.waits_since_ns and _moment(connection) == self._moment:
                connection.evict(
                    f"{self._limit} connections are open, the limit, and a new one came"
                )
                return True

        return False


def _moment(connection: Waiting) -> int:
    return (connection.waits_since_ns >> _MOMENT_BITS) + (
        _SERVED if connection.has_been_served else 0
    )
