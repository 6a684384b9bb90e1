"""The default engine without sockets: real connections, pools and recorder over transports that
only keep bytes.

Everything that a loop would do later is queued and done by `pump`, in order, so that a run is a
function of its input: thousands of connections a second, each repeatable.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, cast

from proxy.http1.forwarded import TrustedProxies
from proxy.network.pacing import FairLoop
from proxy.ring.counters import CounterLayout
from proxy.ring.exchange import KIND_EXCHANGE, CapturedExchange
from proxy.ring.inflight import InflightWriter
from proxy.ring.message import KIND_WEBSOCKET, CapturedMessage, decode_message
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.settings.model import LimitSettings, ProxySettings, RouteSettings, Settings
from proxy.worker.admission.key_auth import Gate
from proxy.worker.deadlines import LINGER_NS
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Engine
from proxy.worker.recorder import Recorder
from proxy.worker.relay.ending import end_answered
from proxy.worker.routes import compile_routes
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.pool import Pool

INSTANCE: Final = "Side-1"
RING_BYTES: Final = 2 << 20
INFLIGHT_SLOTS: Final = 8
MAX_ENTRIES: Final = 10_000
SETTINGS: Final = Settings(
    proxy=ProxySettings(limits=LimitSettings(upstream_keep_alive_s=60), http2="off"),
    routes=(RouteSettings(id="default", upstream="http://up:81"),),
)


class Wire(asyncio.Transport):
    """One end of a connection: keeps what is written, and how it ended."""

    def __init__(self, world: "World", protocol: asyncio.Protocol) -> None:
        """Belong to a protocol; `connect` tells it."""
        super().__init__()
        self._world = world
        self._protocol = protocol
        self.written = bytearray()
        self.on_write: Callable[[], None] = lambda: None
        self.is_tls = False
        """Whether it looks like a TLS transport: it has a context, and cannot close one side."""
        self.route = 0
        """Of an upstream connection: index of the route it serves."""
        self.is_paused = False
        self.is_closed = False
        self.has_sent_eof = False
        self.was_reset = False
        """A close with SO_LINGER 0: the peer sees an error and not an end."""
        self.unsent_bytes = 0
        self._waiting: list[bytes] = []
        self._ends: list[Exception | None] = []
        self._is_full = False

    def connect(self) -> None:
        """Tell the protocol."""
        self._protocol.connection_made(self)

    def deliver(self, data: bytes) -> None:
        """Let bytes arrive; they wait while reading is paused, and vanish after the end."""
        if self.is_closed or not data:
            return
        if self.is_paused or self._waiting:
            self._waiting.append(data)
        else:
            self._protocol.data_received(data)

    def fill(self, *, is_full: bool) -> None:
        """Let the other side stop taking bytes, or take them again."""
        if is_full != self._is_full and not self.is_closed:
            self._is_full = is_full
            if is_full:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()

    def end(self, error: Exception | None = None) -> None:
        """Let the other side end the connection, in order or with an error; not seen while reading
        is paused.
        """
        if self.is_closed:
            return
        if self.is_paused or self._waiting:
            self._ends.append(error)
        elif error is not None:
            self._lose(error)
        elif not self._protocol.eof_received():
            self.close()

    def lose(self) -> None:
        """End it from our side of the wire."""
        if not self.is_closed:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        self.is_closed = True
        self._world.soon(lambda: self._protocol.connection_lost(error))

    # asyncio.Transport

    def write(self, data: Any) -> None:
        if not self.is_closed and not self.has_sent_eof:
            self.written += data
            self.on_write()

    def close(self) -> None:
        self.lose()

    def abort(self) -> None:
        self.lose()

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return not self.is_tls

    def write_eof(self) -> None:
        self.has_sent_eof = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False
        self._world.soon(self._drain)

    def _drain(self) -> None:
        while self._waiting and not self.is_paused and not self.is_closed:
            self._protocol.data_received(self._waiting.pop(0))
        if self._ends and not self.is_paused:
            self.end(self._ends.pop())

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    set_read_buffer_limits = set_write_buffer_limits

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"peername": ("10.0.0.1", 4000), "socket": self, "sslcontext": self.is_tls or None}
        return known.get(name, default)

    def setsockopt(self, *arguments: object) -> None:
        """Stand in for the socket: the only option ever set is the one that makes a close a reset."""
        self.was_reset = True

    def fileno(self) -> int:
        """Stand in for the socket once more: nothing lies unread in a kernel."""
        return -1


class _Ring:
    """A ring in anonymous memory, and what was read from it."""

    def __init__(self, counter_cells: int) -> None:
        self.segment = Segment.create(
            None,
            b"{}",
            ring_bytes=RING_BYTES,
            counter_cells=counter_cells,
            inflight_slots=INFLIGHT_SLOTS,
        )
        self.writer = RingWriter(self.segment, lambda: None)
        self._reader = RingReader(self.segment)
        self._entries: list[CapturedExchange] = []
        self._messages: list[CapturedMessage] = []

    def drain(self) -> None:
        """Read what was pushed, and make room."""
        for kind, header, sections, end in self._reader.read(MAX_ENTRIES, RING_BYTES):
            if kind == KIND_EXCHANGE:
                self._entries.append(CapturedExchange(header, bytes(sections)))
            elif kind == KIND_WEBSOCKET:
                self._messages.append(decode_message(kind, header, bytes(sections)))
            self._reader.release(end)

    def take_entries(self) -> list[CapturedExchange]:
        self.drain()
        found = self._entries
        self._entries = []
        return found

    def take_messages(self) -> list[CapturedMessage]:
        self.drain()
        found = self._messages
        self._messages = []
        return found


@cache
def _ring(counter_cells: int) -> _Ring:
    """One for all worlds, which come one after the other: making a case small makes hundreds of
    them.
    """
    return _Ring(counter_cells)


class _Task:
    """A coroutine that never waits, run by `pump`."""

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._is_over = False

    def cancel(self) -> bool:
        if not self._is_over:
            self._is_over = True
            self._coroutine.close()
        return True

    def run(self) -> None:
        if not self._is_over:
            self._is_over = True
            try:
                self._coroutine.send(None)
            except StopIteration:
                return
            raise AssertionError("bug: a task waited")


class _Tasks:
    def __init__(self, world: "World") -> None:
        self._world = world

    def create_task(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> _Task:
        task = _Task(coroutine)
        self._world.soon(task.run)
        return task


class _Opener:
    """Opens wires."""

    def __init__(self, world: "World", pool: Pool) -> None:
        self._world = world
        self._pool = pool

    async def open(self, *, may_repeat: bool) -> UpstreamConnection:
        """Open at once."""
        connection = self._pool.new_connection()
        wire = Wire(self._world, connection)
        wire.route = self._pool.route.index
        wire.connect()
        self._pool.begin_opening()
        self._pool.opened(connection)
        self._world.upstreams.append(wire)
        self._world.on_upstream(wire)
        return connection


class World:
    """An engine, the client connections made to it, and the upstream connections it made."""

    def __init__(self, settings: Settings = SETTINGS, *, is_tls: bool = False) -> None:
        """Build the engine; it is used for many runs, as in life. `is_tls`: clients come over TLS."""
        self.settings: Final = settings
        self.is_tls: Final = is_tls
        self._clock = 0
        self._queue: deque[Callable[[], None]] = deque()
        layout = CounterLayout(len(settings.routes))
        self._ring = _ring(layout.size)
        self.clear_records()
        segment = self._ring.segment
        recorder = Recorder(self._ring.writer, segment.counters, layout, InflightWriter(segment))
        gate = Gate(segment.cells, Path(), TrustedProxies(()), recorder, is_keyed=False)
        tasks = cast(asyncio.TaskGroup, _Tasks(self))
        self.engine = Engine(
            settings,
            compile_routes(settings),
            recorder,
            gate,
            tasks,
            INSTANCE,
            FairLoop(self.soon),
            partial(_Opener, self),
        )
        self.engine.pace._call_later = lambda delay_s, call: self.soon(call)
        self.upstreams: list[Wire] = []
        self.on_upstream: Callable[[Wire], None] = lambda wire: None

    def soon(self, callback: Callable[[], None]) -> None:
        """Queue what a loop would do in its next round."""
        self._queue.append(callback)

    def pump(self) -> None:
        """Do what is queued, and what that queues; records that wait for a body (P24) have waited
        long enough then.
        """
        while self._queue:
            self._queue.popleft()()
            if not self._queue:
                for connection in list(self.engine.connections):
                    assert isinstance(connection, Downstream)
                    if connection._relay.is_answered:
                        end_answered(connection._relay)

        self._ring.drain()

    def now(self) -> int:
        """Count on: a moment later than all before."""
        self._clock += 1
        return self._clock

    def client(self) -> Wire:
        """Make a client connection."""
        wire = Wire(self, Downstream(self.engine))
        wire.is_tls = self.is_tls
        wire.connect()
        return wire

    def clear_records(self) -> None:
        self.messages()
        self.records()

    def messages(self) -> list[CapturedMessage]:
        """Take the WebSocket messages pushed since the last call."""
        return self._ring.take_messages()

    def records(self) -> list[CapturedExchange]:
        """Take the records pushed since the last call."""
        return self._ring.take_entries()

    def leftovers(self) -> str:
        """What is still held for clients, all of which have gone."""
        self.end_lingering()
        engine = self.engine
        busy = sum(
            connection.handler is not None
            for pool in engine.pools.values()
            for connection in pool._connections
        )
        if engine.connections or engine.in_flight or busy:
            return (
                f"left: {len(engine.connections)} clients, {len(engine.in_flight)} exchanges, "
                f"{busy} upstreams"
            )

        return ""

    def end_lingering(self) -> None:
        """Let so much time pass that clients which were only given time to take everything are
        closed.
        """
        for connection in list(self.engine.connections):
            assert isinstance(connection, Downstream)
            if connection._is_lingering:
                connection.check(time.monotonic_ns() + LINGER_NS)
        self.pump()

    def clear(self) -> None:
        """End what is left of a run and forget it."""
        for pool in self.engine.pools.values():
            pool.close()
        self.pump()
        self.upstreams = []
        self.on_upstream = lambda wire: None
        self.records()
        self.messages()
