"""The data plane of one process: an engine with its recorder, and the listeners it serves.

Built by `__main__.py` and `single.py`.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from proxy.http1.forwarded import TrustedProxies
from proxy.network.accept import MAX_HANDSHAKE_S, MAX_HEADER_S, Acceptor, ProxyPort, TlsPort
from proxy.network.pacing import FairLoop
from proxy.process.memfd import why_refused
from proxy.process.shared_memory import (
    RING_OVERHEAD_BYTES,
    SHARED_MEMORY,
    SharedMemoryError,
    check_room,
    free_bytes,
)
from proxy.process.tls import ContextOf, context_chooser, server_context
from proxy.ring.counters import CounterLayout
from proxy.ring.descriptor import write_descriptor
from proxy.ring.inflight import InflightWriter
from proxy.ring.ring import RingWriter
from proxy.ring.segment import Segment
from proxy.settings.addresses import parse_listen
from proxy.settings.model import Settings
from proxy.worker.admission.key_auth import Gate
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Engine
from proxy.worker.recorder import Recorder
from proxy.worker.routes import RouteTable
from proxy.worker.tls_downstream import PlainDownstream, TlsDownstream
from proxy.worker.upstream.opener import Opener

log = logging.getLogger(__name__)

DRAIN_STEP_S: Final = 0.02
"""The interval at which a draining process checks if the last exchange is done."""
EXPECTED_NS: Final = 1_000_000_000
"""How long a stop waits for the request of a connection that is new, or has sent half a head (P29).
"""
LEAST_RING_BYTES: Final = 1 << 20
"""The smallest size of a ring, and the least value of its setting."""
FAREWELL_LOOKS: Final = 50
"""Checks, one second in all, during which clients may still receive the end of broken-off
responses.
"""
_LULL_LOOKS: Final = 2
"""Checks in a row that must find no client before a retiring process goes on."""


def make_segment(settings: Settings, directory: Path | None, *, is_lean: bool = False) -> Segment:
    """Return a new segment for this process, held until it is closed.

    It is a file in `directory`. If shared memory has no room, or the directory is gone, it is an
    anonymous file, and readers open it by its descriptor. With `is_lean` its ring has no pages yet.

    Raises:
        SharedMemoryError: the configured directory has no room for it, or creating it there failed.
    """
    routes = settings.recorded_routes
    descriptor = write_descriptor(
        msgspec.to_builtins(msgspec.structs.replace(settings, routes=routes))
    )
    cells = CounterLayout(len(routes)).size
    size = settings.ring.bytes
    segment: Segment | None = None

    if directory is not None:
        try:
            needed = RING_OVERHEAD_BYTES + (0 if is_lean else size)
            check_room(directory if settings.ring.directory else SHARED_MEMORY, needed)
            segment = Segment.create(
                directory, descriptor, ring_bytes=size, counter_cells=cells, is_lean=is_lean
            )
        except SharedMemoryError as error:
            if settings.ring.directory and directory.is_dir():
                raise
            log.warning("%s; the ring is in anonymous memory instead", error)

    if segment is None:
        segment = _anonymous_segment(descriptor, size, cells, is_lean=is_lean)
    segment.hold()
    return segment


def _anonymous_segment(descriptor: bytes, size: int, cells: int, *, is_lean: bool) -> Segment:
    """Return a segment without a name; its ring is smaller than `size` bytes if these do not fit.

    If memfd_create is refused, it is a file of /dev/shm. A container has 64 MiB of that.

    Raises:
        SharedMemoryError: not even the smallest ring fits; the message names the call, the size and
            the limit.
    """
    ring_bytes = size
    while True:
        try:
            segment = Segment.create(
                None, descriptor, ring_bytes=ring_bytes, counter_cells=cells, is_lean=is_lean
            )
        except SharedMemoryError as error:
            if ring_bytes <= LEAST_RING_BYTES:
                raise SharedMemoryError(f"{error}{_without_memory()}") from error
            ring_bytes = max(ring_bytes // 2, LEAST_RING_BYTES)
            continue

        if ring_bytes < size:
            log.error(
                "the ring has %d bytes instead of %d ([ring] bytes)%s",
                ring_bytes,
                size,
                _without_memory(),
            )

        return segment


def _without_memory() -> str:
    """Return the end of a message about refused anonymous memory: the reason, and a remedy; empty
    if it is allowed.
    """
    reason = why_refused()
    if not reason:
        return ""

    try:
        room = f"{free_bytes(SHARED_MEMORY)} bytes free"
    except OSError as error:
        room = f"no room ({error.strerror})"

    return (
        f": memfd_create is refused ({reason}), and {SHARED_MEMORY} has {room}: allow the call, "
        "or make that larger"
    )


class DataPlane:
    """Accepts on listening sockets, and serves the connections with raw protocols."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        """Wire the ports; the engine's tick and new connections run in the engine's tasks."""
        self._drain_timeout_s = settings.proxy.limits.drain_timeout_s
        tasks = engine.tasks
        self._tasks = tasks
        self._tick: asyncio.Task[None] | None = None
        self._beginning: set[asyncio.Task[None]] = set()
        """The tasks of accepted connections that have no transport yet."""
        self.engine = engine
        self._acceptors: dict[int, Acceptor] = {}
        self._accept_outgoing: Callable[[socket.socket], None] | None = None
        if settings.egress.listen:
            from proxy.worker.egress.port import egress_port  # brings cryptography along

            self._accept_outgoing = egress_port(settings, engine).accept
        limit_s = settings.proxy.limits.timeout_headers_s

        self._tls_port: TlsPort | None = None
        self._accept: Callable[[socket.socket], None] = self._serve_client
        context = tls_of(settings)
        if context is not None:
            self._tls_port = TlsPort(
                context_of=_context_of(settings, context),
                registry=engine,
                tasks=tasks,
                secured=partial(TlsDownstream, engine),
                plain=partial(PlainDownstream, engine),
                count_failure=partial(engine.recorder.count, "tls_failures"),
                max_handshake_s=limit_s or MAX_HANDSHAKE_S,
            )
            self._accept = self._tls_port.accept

        if settings.proxy.proxy_protocol:
            # The PROXY header comes first, before TLS.
            self._accept = ProxyPort(
                registry=engine,
                is_trusted=lambda peer: engine.trusted.has(peer.decode()),
                serve=self._serve_client,
                count_failure=partial(engine.recorder.count, "proxy_failures"),
                max_header_s=limit_s or MAX_HEADER_S,
            ).accept

    def start(self) -> None:
        """Start the engine's background tasks."""
        self._tick = self._tasks.create_task(self.engine.tick(), name="engine tick")

    def listen(
        self, listener: socket.socket, accept: Callable[[socket.socket], None] | None = None
    ) -> None:
        """Accept connections on a listening socket, ours or a dead worker's. The socket stays the
        caller's.

        They are connections to the data port, unless `accept` takes them. The loop's own server
        would take one connection a turn, so newcomers would wait behind a crowd. Ours costs 17 µs
        more for a new connection, of about 200, and nothing for a kept one.
        """
        duplicate = listener.dup()
        duplicate.setblocking(False)
        self._acceptors[listener.fileno()] = Acceptor(duplicate, accept or self._accept)

    def listen_outgoing(self, listener: socket.socket) -> None:
        """Accept outgoing calls on a listening socket."""
        self.listen(listener, self._accept_outgoing)

    def release(self, listener: socket.socket) -> None:
        """Stop accepting connections on a socket whose own worker is running again."""
        if (acceptor := self._acceptors.pop(listener.fileno(), None)) is not None:
            acceptor.close()

    def stop_listening(self) -> None:
        """Stop accepting on all sockets."""
        for acceptor in self._acceptors.values():
            acceptor.close()

    def _serve_client(self, connection: socket.socket, client: bytes = b"") -> None:
        """Serve a connection; `client` is the address of a PROXY header, empty without one."""
        if self._tls_port is not None:
            self._tls_port.accept(connection, client)
        else:
            beginning = self._tasks.create_task(
                self._begin(connection, client), name="new connection"
            )
            self._beginning.add(beginning)
            beginning.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket.socket, client: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: Downstream(self.engine, client), connection)
        except OSError:
            # The client is gone already.
            connection.close()

    async def retire(self, deadline: asyncio.Event) -> None:
        """Announce the end of the connection with each client's next response, and wait for the
        last client to leave.

        It returns at `deadline` at the latest; then `drain` ends the rest.
        """
        self.stop_listening()
        self.engine.keeps_alive = False
        empty = 0
        while not deadline.is_set() and empty < _LULL_LOOKS:
            empty = 0 if self.engine.connections else empty + 1
            await asyncio.sleep(DRAIN_STEP_S)

    async def drain(self) -> None:
        """Stop listening and let exchanges finish; at the timeout, record the running ones as
        `shutdown`.
        """
        self.stop_listening()
        if self._beginning:
            await asyncio.wait(self._beginning)
        try:
            async with asyncio.timeout(self._drain_timeout_s):
                await self._finish()
        except TimeoutError:
            log.warning(
                "exchanges were cut off at the drain timeout",
                extra={"count": len(self.engine.in_flight)},
            )

        await self._cut_off()
        if self._tick is not None:
            self._tick.cancel()

    async def _cut_off(self) -> None:
        """End the remaining exchanges; clients of HTTP/2 get a GOAWAY, and a moment to receive it."""
        self.engine.abort()
        for _ in range(FAREWELL_LOOKS):
            if not (self.engine.connections or self.engine.in_flight):
                break
            await asyncio.sleep(DRAIN_STEP_S)
        self.engine.abort()

    async def _finish(self) -> None:
        """Wait until nothing runs; connections that began just now may still send a request (P29)."""
        began_ns = time.monotonic_ns()
        await self.engine.drain(began_ns - EXPECTED_NS)
        has_waited = False

        # Polling costs requests nothing; an event would cost each of them a check.
        while self._is_busy():
            await asyncio.sleep(DRAIN_STEP_S)
            if not has_waited and time.monotonic_ns() - began_ns > EXPECTED_NS:
                await self.engine.drain(time.monotonic_ns())
                has_waited = True

    def _is_busy(self) -> bool:
        since_ns = time.monotonic_ns() - EXPECTED_NS
        connections = self.engine.connections
        if (
            self._beginning
            or self.engine.in_flight
            or any(pool.is_draining for pool in self.engine.pools.values())
        ):
            return True

        return any(c.is_flushing or c.is_expected(since_ns) for c in connections)


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Return the data port's TLS context; None without a certificate in the settings."""
    own = settings.proxy
    return server_context(own.tls_cert_file, own.tls_key_file, http2=own.http2)


def _context_of(settings: Settings, context: ssl.SSLContext) -> ContextOf:
    """Return the function that chooses the context of a connection; there are two contexts only if
    HTTP/2 is preferred.
    """
    own = settings.proxy
    if own.http2 != "prefer":
        return lambda _: context
    other = server_context(own.tls_cert_file, own.tls_key_file, http2="on")
    return context_chooser(context, other or context)


def recording(
    settings: Settings, routes: RouteTable, segment: Segment, wake: Callable[[], None]
) -> tuple[Recorder, Gate]:
    """Return the recorder that writes to `segment`, and the gate that checks the keys of callers
    and counts its refusals in the recorder.
    """
    layout = CounterLayout(len(settings.recorded_routes))
    recorder = Recorder(
        RingWriter(segment, wake), segment.counters, layout, InflightWriter(segment)
    )
    trusted = TrustedProxies(settings.proxy.trusted_proxies)
    return recorder, Gate(
        segment.cells, Path(settings.data_dir), trusted, recorder, is_keyed=routes.is_keyed
    )


def data_plane(
    settings: Settings,
    routes: RouteTable,
    segment: Segment,
    wake: Callable[[], None],
    tasks: asyncio.TaskGroup,
    instance: str,
) -> DataPlane:
    """Build the data plane of this process, recording into `segment`."""
    recorder, gate = recording(settings, routes, segment, wake)
    own = frozenset(parse_listen(text) for text in settings.listens.values())
    engine = Engine(
        settings,
        routes,
        recorder,
        gate,
        tasks,
        instance,
        FairLoop(),
        lambda pool: Opener(pool, own),
    )
    return DataPlane(settings, engine)
