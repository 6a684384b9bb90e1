"""The data plane in this process: on an event loop in a thread, with a segment on disk and a reader
of its ring.

Tests speak to it through real sockets. Its end is part of every test: what was pushed must be what
was counted, and no connection, task, future, in-flight slot or descriptor may be left.
"""

import asyncio
import contextlib
import dataclasses
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from proxy.process.event_loop import new_event_loop
from proxy.ring.counters import CounterLayout, CounterSnapshot
from proxy.ring.exchange import KIND_EXCHANGE, CapturedExchange
from proxy.ring.inflight import InflightReader
from proxy.ring.ring import RingReader
from proxy.ring.segment import Segment
from proxy.settings.model import (
    CaptureSettings,
    LimitSettings,
    ProxySettings,
    RingSettings,
    RouteSettings,
    Settings,
)
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Engine
from proxy.worker.routes import compile_routes
from proxy.worker.server import DataPlane, data_plane, recording
from tests.support.client import Client
from tests.support.reference import ReferencePlane

Value = TypeVar("Value")
Loop = Literal["uvloop", "asyncio"]
EngineName = Literal["protocol", "reference"]
"""The product's, and the one that judges it (`tests/support/reference.py`)."""

INSTANCE = "Side-1"
PATIENCE_S = 60.0


def eventually(probe: Callable[[], Value], timeout_s: float = PATIENCE_S) -> Value:
    """Call `probe` until it returns something true; fail with its last answer."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value or time.monotonic() >= deadline:
            assert value, f"did not come true within {timeout_s} s: {value!r}"
            return value
        time.sleep(0.002)


_LIMITS: Final = {
    "drain_timeout_s": 0.05,
    "timeout_headers_s": 60.0,
    "timeout_connect_s": 60.0,
    "upstream_keep_alive_s": 60.0,
}
"""A starved process may take more than the few seconds that a connection has by default, new or
idle.
"""


def settings_for(
    upstream: str,
    *,
    route: dict[str, Any] | None = None,
    capture: CaptureSettings | None = None,
    ring_bytes: int = 8 << 20,
    **proxy: Any,
) -> Settings:
    """Settings of one route to `upstream`; limits and other settings of [proxy] by name."""
    limits = {key: proxy.pop(key) for key in list(proxy) if key in LimitSettings.__struct_fields__}
    return Settings(
        proxy=ProxySettings(limits=LimitSettings(**{**_LIMITS, **limits}), **proxy),
        capture=capture or CaptureSettings(),
        ring=RingSettings(bytes=ring_bytes),
        routes=(RouteSettings(id="default", upstream=upstream, **(route or {})),),
    )


def limit_requests(plane: "Plane", count: int) -> None:
    """Let each connection to an upstream carry `count` requests."""
    for pool in (*plane.engine.pools.values(), *plane.engine.http2_pools.values()):
        pool.max_requests = count


@dataclasses.dataclass
class Plane:
    """A running data plane."""

    plane: DataPlane | ReferencePlane
    settings: Settings
    segment: Segment
    reader: RingReader
    layout: CounterLayout
    loop: asyncio.AbstractEventLoop
    port: int
    _stop: asyncio.Event
    egress_port: int = 0
    """The port of outgoing calls, where the settings have one."""
    messages: int = 0
    """Messages among the records, as far as the test has read them."""

    def connect(self, receive_bytes: int = 0) -> Client:
        """Open a client connection, perhaps with little room for what it is sent; the caller closes
        it.
        """
        connection = socket.socket()
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(PATIENCE_S)
        connection.connect(("127.0.0.1", self.port))
        return Client(connection)

    @property
    def engine(self) -> Engine:
        """The product's engine."""
        assert isinstance(self.plane, DataPlane)
        return self.plane.engine

    @property
    def downstreams(self) -> list[Downstream]:
        """Client connections, but those that are not secured yet; to be asked on the loop while
        they come and go.
        """
        return [each for each in self.engine.connections if isinstance(each, Downstream)]

    def has_downstream(self, holds: Callable[[Downstream], object]) -> bool:
        """Whether something holds for a client connection."""
        return self.run(lambda: any(map(holds, self.downstreams)))

    def trust_upstreams(self) -> "Plane":
        """Keep idle connections for their whole time, as those of upstreams that were seen to serve
        several at once.
        """
        for pool in self.engine.pools.values():
            self.run(partial(pool._concurrency.served, 1000))
        return self

    def age(self, by_s: int) -> None:
        """Let the only client connection have waited for so much longer."""

        def move_back() -> None:
            [connection] = self.downstreams
            connection._since_ns -= by_s * 1_000_000_000

        self.run(move_back)

    def call(self, raw: bytes, method: str = "GET") -> bytes:
        """Send bytes on a fresh connection, read one answer, close; returns its body."""
        with self.connect() as client:
            client.send(raw)
            return client.answer(method).body

    def exchanges(self, count: int = 1) -> list[CapturedExchange]:
        """Wait for `count` more records, oldest first."""
        found: list[CapturedExchange] = []

        def has_all() -> bool:
            for kind, header, sections, _ in self.reader.read(count - len(found), 1 << 30):
                if kind == KIND_EXCHANGE:
                    found.append(CapturedExchange(header, sections))
                else:
                    self.messages += 1
            return len(found) >= count

        eventually(has_all)
        return found

    def exchange(self) -> CapturedExchange:
        """Wait for one more record."""
        return self.exchanges()[0]

    @property
    def unread(self) -> int:
        """Records pushed and not asked for yet."""
        return self.reader.pushed - self.reader.taken

    def counters(self) -> CounterSnapshot:
        """What the counters page says now."""
        return self.layout.read(self.segment.counters)

    def in_flight(self) -> list[bytes]:
        """Request heads in the in-flight table."""
        return [exchange.head for exchange in InflightReader(self.segment).scan()]

    def run(self, function: Callable[[], Value]) -> Value:
        """Call a function on the plane's loop."""
        result: Future[Value] = Future()

        def call() -> None:
            try:
                result.set_result(function())
            except BaseException as error:
                result.set_exception(error)

        self.loop.call_soon_threadsafe(call)
        return result.result(PATIENCE_S)

    def stop(self) -> None:
        """Begin to drain."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self.loop.call_soon_threadsafe(self._stop.set)

    def leftovers(self) -> list[str]:
        """What a drained plane still holds; nothing of it may stay."""
        counted = self.counters()
        left = {
            "tasks": sum(not task.done() for task in asyncio.all_tasks(self.loop)) - 1,
            "downstream gauge": counted.connections_downstream,
            "upstream gauge": counted.connections_upstream,
            "slots": len(self.in_flight()),
        }
        if isinstance(self.plane, DataPlane):
            engine = self.engine
            left["connections"] = len(engine.connections)
            left["in flight"] = len(engine.in_flight)
            left["upstreams"] = sum(
                len(pool._connections) + pool._opening for pool in engine.pools.values()
            )
            left["waiting"] = sum(
                not waiter.done() for pool in engine.pools.values() for waiter in pool._waiting
            )

        return [f"{what}: {count}" for what, count in left.items() if count]


@contextlib.contextmanager
def running_plane(
    settings: Settings, directory: Path, loop_name: Loop = "uvloop", engine: EngineName = "protocol"
) -> Iterator[Plane]:
    """Run a data plane; drains it at the end and checks that it leaves nothing."""
    new_event_loop().close()  # libuv opens a pipe for signals with the first loop, for good
    descriptors = _descriptors()
    loop = new_event_loop() if loop_name == "uvloop" else asyncio.new_event_loop()
    loop.set_debug(loop_name == "asyncio")
    problems: list[str] = []
    loop.set_exception_handler(lambda _, context: problems.append(repr(context)))
    layout = CounterLayout(len(settings.recorded_routes))

    with contextlib.ExitStack() as stack:
        segment = Segment.create(
            directory,
            b"{}",
            ring_bytes=settings.ring.bytes,
            counter_cells=layout.size,
            inflight_slots=64,
        )
        stack.callback(segment.close)
        stack.callback(segment.unlink)
        listener, outgoing = (
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
            for _ in range(2)
        )
        started: Future[Plane] = Future()
        thread = threading.Thread(
            target=_serve,
            args=(loop, engine, settings, segment, (listener, outgoing), layout, started, problems),
            name="plane",
        )
        thread.start()

        plane = started.result(PATIENCE_S)
        try:
            yield plane
        finally:
            plane.stop()
            thread.join(60)

        assert not thread.is_alive()
        assert not problems, problems
        _check_accounts(plane)

    # Empty once is enough: an upstream of this process may still accept what the plane has closed,
    # and close it.
    with contextlib.suppress(AssertionError):
        eventually(lambda: not _new_since(descriptors))
        return
    left = _new_since(descriptors)
    raise AssertionError(f"left open: {left}, {_tcp_ends(left)}; the plane's port was {plane.port}")


def _serve(
    loop: asyncio.AbstractEventLoop,
    engine: EngineName,
    settings: Settings,
    segment: Segment,
    listeners: tuple[socket.socket, socket.socket],
    layout: CounterLayout,
    started: "Future[Plane]",
    problems: list[str],
) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            plane = await _listening(engine, settings, segment, listeners[0], tasks)
            ports = [listener.getsockname()[1] for listener in listeners]
            if isinstance(plane, DataPlane) and settings.egress.listen:
                plane.listen_outgoing(listeners[1])
            face = Plane(
                plane,
                settings,
                segment,
                RingReader(segment),
                layout,
                loop,
                ports[0],
                stop,
                ports[1],
            )
            started.set_result(face)
            await stop.wait()
            await plane.drain()

        for _ in range(3000):
            if not face.leftovers():
                break
            await asyncio.sleep(0.01)

        problems.extend(face.leftovers())
        if isinstance(plane, ReferencePlane):
            await asyncio.sleep(0.05)  # aiohttp's client closes its transports a little later

    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
    except BaseException as error:
        problems.append(repr(error))
        if not started.done():
            started.set_exception(error)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _listening(
    engine: EngineName,
    settings: Settings,
    segment: Segment,
    listener: socket.socket,
    tasks: asyncio.TaskGroup,
) -> DataPlane | ReferencePlane:
    routes = compile_routes(settings)
    if engine == "reference":
        reference = ReferencePlane(
            settings, routes, *recording(settings, routes, segment, lambda: None), INSTANCE
        )
        await reference.listen(listener)
        return reference

    plane = data_plane(settings, routes, segment, lambda: None, tasks, INSTANCE)
    plane.start()
    plane.listen(listener)
    return plane


def _check_accounts(plane: Plane) -> None:
    """Every recorded exchange was counted, and every counted one recorded, unless somebody may
    record nothing.
    """
    counted = sum(plane.counters().requests.values())
    capture = plane.settings.capture
    if "none" not in (plane.settings.routes[0].capture, capture.level):
        plane.messages += sum(
            entry[0] != KIND_EXCHANGE for entry in plane.reader.read(100_000, 1 << 30)
        )
        assert counted == plane.reader.pushed - plane.messages + plane.reader.refused

    assert plane.reader.corrupt_records == 0


def _descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return found


def _new_since(before: set[str]) -> set[str]:
    # A mapping of a closed segment lives as long as the views of it, which are the garbage
    # collector's.
    return {
        what
        for what in _descriptors() - before
        if not what.startswith("/proc/") and ".ring" not in what
    }


def _tcp_ends(descriptors: set[str]) -> list[list[str]]:
    """Look up sockets in the kernel's tables: both ends of each, hexadecimal, and its state
    (proc_net_tcp).
    """
    tables = [Path(f"/proc/self/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return [row[1:4] for row in rows if f"socket:[{row[9]}]" in descriptors]
