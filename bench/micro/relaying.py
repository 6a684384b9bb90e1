"""A worker's data plane without sockets: the half of `bench.micro.worker` that runs in each tree.

A process of its own, given a tree by PYTHONPATH. It reads a scenario a line, lets 64 client
connections send requests of it to as many upstream connections that answer, all by calls, and
prints its CPU time, ns a request: the lower quartile of short batches, since a batch that is
interrupted finds its caches cold. Only what older trees have too is imported, and only from
`proxy`; bodies are those of `bench.contents`, of this file's tree.

Scenarios of HTTP/2 have four clients, each of which sends 16 requests in one piece, whose answers
come one by one from connections of HTTP/1.1, or in one piece from a connection of HTTP/2.
"""

import asyncio
import importlib
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from hpack import Encoder

from proxy.http2 import frames
from proxy.process.memory import garbage
from proxy.ring.segment_layout import HEAD, PUSHED, RELEASED
from proxy.settings.model import RouteSettings, Settings
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Engine
from proxy.worker.routes import compile_routes
from proxy.worker.server import data_plane, make_segment
from proxy.worker.upstream.connection import UpstreamConnection

CONNECTIONS: Final = 64
HTTP2_CLIENTS: Final = 4
BATCHES: Final = 100
"""In a turn; each connection sends one request in each."""

_BATCH_MAX_NS: Final = 600 * 10**9
"""A POST goes over no connection that was idle for a second, and a busy machine may leave us
waiting longer.
"""

_NINE: Final = (
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.8,de;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nReferer: "
    b"https://app.example.com/projects/42/overview\r\n"
    b"Cookie: theme=dark; locale=en; consent=all\r\nCache-Control: no-cache\r\n"
)
_TRACED: Final = b"X-Request-Id: %032x\r\nTraceparent: 00-%032x-%016x-01\r\n"
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 02:30:04 GMT\r\nContent-Type: "
    b"application/json\r\n"
    b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n"
)
_BODIES: Final = 64
"""Different ones of a size: none of them is read, so more would say the same."""


def _head(line: bytes, fields: bytes) -> bytes:
    return b"%b HTTP/1.1\r\nHost: bench.local\r\n%b\r\n" % (line, fields)


def _bodies(kind: str) -> list[bytes]:
    """Make bodies of a kind of content by the code of this file's tree: that of `proxy` may have
    others, or none.
    """
    sys.path.insert(0, str(Path(__file__).parents[2]))
    try:
        made: list[bytes] = importlib.import_module("bench.contents").variants(kind, _BODIES)
    finally:
        del sys.path[0]
    return made


_SMALL: Final = _bodies("json-1k")
_LARGE: Final = _bodies("json-16k")


def _body(number: int) -> bytes:
    return _SMALL[number % _BODIES]


def _posted(line: bytes, fields: bytes, number: int) -> bytes:
    body = _body(number)
    return (
        _head(
            line, fields + b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        )
        + body
    )


def _varied(number: int) -> tuple[bytes, bytes]:
    return b"%d?run=%x" % (number % 5000, number), _NINE + _TRACED % (
        number,
        number + 1,
        number + 2,
    )


Scenario = tuple[Callable[[int], bytes], Callable[[int], bytes]]
"""The request of a number, and the body of its answer."""


def _getvar(number: int) -> bytes:
    path, fields = _varied(number)
    return _head(b"GET /json/items/" + path, fields)


def _postvar(number: int) -> bytes:
    path, fields = _varied(number)
    return _posted(b"POST /vary/" + path, fields, number)


SCENARIOS: Final[dict[str, Scenario]] = {
    "get": (lambda number: _head(b"GET /json", b""), _body),
    "get10": (lambda number: _head(b"GET /json", _NINE + _TRACED % (1, 2, 3)), _body),
    "post1k": (lambda number: _posted(b"POST /echo", b"", 0), _body),
    "get16k": (lambda number: _head(b"GET /16k", b""), lambda number: _LARGE[number % _BODIES]),
    "getvar": (_getvar, _body),
    "postvar": (_postvar, _body),
}

_WIDE: Final = frames.window_update(0, 1 << 30)
_NOT_INDEXED: Final = (b":path", b"content-length")
"""As nghttp2 sends them: clients and servers of the comparison."""
_GRPC: Final = (
    (b"user-agent", b"grpc-python/1.85.0 grpc-c/53.0.0 (linux; chttp2)"), (b"content-type", b"application/grpc"),
    (b"te", b"trailers"), (b"grpc-accept-encoding", b"identity, deflate, gzip"), (b"grpc-timeout", b"5S"),
    (b"x-request-id", b"6f1c2b7e9d304f5fa1d6c0be7a5e8d11"),
)  # fmt: skip
_ASKED: Final = b"\0\0\0\0\x12\x0a\x0eitem-000000042\x10\x2a"
_SAID: Final = (
    b"\0\0\0\0\x42\x0a\x40" + b"one of many things that a shop sells, with a name of some length"
)

HTTP2_SCENARIOS: Final = ("h2get", "h2h2", "unary")
"""HTTP/2 to an upstream of HTTP/1.1, to one of HTTP/2; a call of gRPC."""


class Wire(asyncio.Transport):
    """A transport that takes everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        """What was written last."""
        self.protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        self.sent = data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return ("127.0.0.1", 50000)
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def abort(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Http2Peer:
    """What a client or a server of HTTP/2 sends on one connection."""

    def __init__(self, *, has_table: bool) -> None:
        self._encoder = Encoder()
        if not has_table:
            self._encoder.header_table_size = 0
        self.stream = -1

    def request(self, scenario: str, number: int) -> bytes:
        self.stream += 2
        is_call = scenario == "unary"
        fields = [
            (b":method", b"POST" if is_call else b"GET"), (b":scheme", b"http"), (b":authority", b"bench.local:8080"),
            (b":path", b"/bench.Items/Get" if is_call else b"/json/items/%d?run=%x" % (number % 5000, 0x5EED)),
            *(_GRPC if is_call else _lower(_NINE + _TRACED % (1, 2, 3))),
        ]  # fmt: skip
        if not is_call:
            return self._head(self.stream, fields, is_end=True)

        return self._head(self.stream, fields) + frames.frame(
            frames.DATA, frames.END_STREAM, self.stream, _ASKED
        )

    def answer(self, stream: int, scenario: str) -> bytes:
        is_call = scenario == "unary"
        body = _SAID if is_call else _body(stream)
        kind = b"application/grpc" if is_call else b"application/json"
        fields = [
            (b":status", b"200"),
            (b"server", b"nginx"),
            (b"date", b"Sun, 22 Nov 2026 02:30:04 GMT"),
        ]
        head = self._head(
            stream, [*fields, (b"content-type", kind), (b"content-length", b"%d" % len(body))]
        )
        if not is_call:
            return head + frames.frame(frames.DATA, frames.END_STREAM, stream, body)

        trailers = self._head(stream, [(b"grpc-status", b"0")], is_end=True)
        return (
            head
            + frames.frame(frames.DATA, 0, stream, body)
            + trailers
            + frames.rst_stream(stream, 0)
        )

    def _head(
        self, stream: int, fields: Sequence[tuple[bytes, bytes]], *, is_end: bool = False
    ) -> bytes:
        block = self._encoder.encode(
            [(name, value, name in _NOT_INDEXED) for name, value in fields]
        )
        return frames.header_frames(stream, block, is_end=is_end)


def _lower(lines: bytes) -> list[tuple[bytes, bytes]]:
    pairs = (line.split(b": ", 1) for line in lines.splitlines())
    return [(name.lower(), value) for name, value in pairs]


class Worker:
    """An engine with connections on both sides."""

    def __init__(self, engine: Engine, cells: "memoryview[int]") -> None:
        self._engine = engine
        self._cells = cells
        self._numbers: Iterator[int] = itertools.count(1)
        self.clients: list[Any] = []
        self.upstreams: list[UpstreamConnection] = []
        self._peers: list[Http2Peer] = []
        self._service = Http2Peer(has_table=False)
        self._service_stream = 1
        self._stream_upstream: Any = None

    def connect(self, scenario: str) -> None:
        """Open connections; idle ones of an upstream are closed after some seconds, so each turn
        has its own.
        """
        pool = self._engine.pools[0]
        self.clients = [Downstream(self._engine) for _ in range(CONNECTIONS)]
        for client in self.clients:
            client.connection_made(Wire())
        if scenario in HTTP2_SCENARIOS:
            self.clients = [self._begin_http2(client) for client in self.clients[:HTTP2_CLIENTS]]
            self._peers = [Http2Peer(has_table=True) for _ in self.clients]
            self._connect_streams()

        self.upstreams = [pool.new_connection() for _ in range(CONNECTIONS)]
        for upstream in self.upstreams:
            upstream.connection_made(Wire())
            pool.begin_opening()
            pool.opened(upstream)
            pool.release(upstream, time.monotonic_ns())

    def _begin_http2(self, client: Downstream) -> Any:
        wire: Any = client._transport
        client.data_received(frames.PREFACE + frames.settings([]) + _WIDE)
        return wire.protocol

    def _connect_streams(self) -> None:
        """Open a connection to an upstream that speaks HTTP/2."""
        pool = self._engine.http2_pools[0]
        upstream = pool.new_connection()
        self._stream_upstream = upstream
        self._service = Http2Peer(has_table=False)
        self._service_stream = 1
        upstream.connection_made(Wire())
        upstream.data_received(
            frames.settings([(frames.MAX_CONCURRENT_STREAMS, 128)])
            + frames.window_update(0, 1 << 30)
        )
        pool.begin_opening()
        pool.opened(upstream)

    def disconnect(self) -> None:
        for client in self.clients:
            client.connection_lost(None)
        for upstream in self.upstreams:
            upstream.close()
        if self._stream_upstream is not None:
            self._stream_upstream.close()
            self._stream_upstream = None

    def _http2_batch_ns(self, scenario: str) -> float:
        """Let each client send its requests in one piece, and answer them; return the CPU time of
        one, ns.
        """
        each = CONNECTIONS // HTTP2_CLIENTS
        numbers = list(itertools.islice(self._numbers, CONNECTIONS))
        requests = [
            b"".join(
                [peer.request(scenario, number) for number in numbers[at * each : (at + 1) * each]]
            )
            for at, peer in enumerate(self._peers)
        ]
        answers: list[tuple[Any, bytes]] = []

        if scenario == "h2get":
            body = _body(0)
            answers = [(upstream, _ANSWER % len(body) + body) for upstream in self.upstreams]
        else:
            for _ in self.clients:
                streams = range(self._service_stream, self._service_stream + 2 * each, 2)
                self._service_stream += 2 * each
                said = b"".join([self._service.answer(stream, scenario) for stream in streams])
                answers.append((self._stream_upstream, said))

        before_ns = time.thread_time_ns()
        for client, data in zip(self.clients, requests, strict=True):
            client.data_received(data)
            while client._codec.has_more:
                client.take_turn()

        for upstream, data in answers:
            upstream.data_received(data)
            while scenario != "h2get" and upstream.codec.has_more:
                upstream.take_turn()

        return (time.thread_time_ns() - before_ns) / CONNECTIONS

    def batch_ns(self, scenario: str) -> float:
        """Let each client send one request; return the CPU time of one, ns.

        Raises:
            RuntimeError: not every exchange was recorded.
        """
        for upstream in self.upstreams:
            upstream.idle_since_ns = time.monotonic_ns() + _BATCH_MAX_NS
        pushed = self._cells[PUSHED]
        took_ns = (self._http2_batch_ns if scenario in HTTP2_SCENARIOS else self._http1_batch_ns)(
            scenario
        )
        if self._cells[PUSHED] - pushed != CONNECTIONS:
            raise RuntimeError(
                f"{self._cells[PUSHED] - pushed} of {CONNECTIONS} exchanges were recorded"
            )

        self._cells[RELEASED] = self._cells[HEAD] & ~7
        return took_ns

    def _http1_batch_ns(self, scenario: str) -> float:
        request, answer = SCENARIOS[scenario]
        numbers = list(itertools.islice(self._numbers, CONNECTIONS))
        requests = [request(number) for number in numbers]
        bodies = [answer(number) for number in numbers]
        answers = [_ANSWER % len(body) + body for body in bodies]
        before_ns = time.thread_time_ns()
        for client, data in zip(self.clients, requests, strict=True):
            client.data_received(data)
        for upstream, data in zip(self.upstreams, answers, strict=True):
            upstream.data_received(data)
        return (time.thread_time_ns() - before_ns) / CONNECTIONS

    def turn_ns(self, scenario: str, batches: int = BATCHES) -> float:
        self.connect(scenario)
        costs_ns = [self.batch_ns(scenario) for _ in range(batches)]
        self.disconnect()
        return statistics.quantiles(costs_ns, n=4, method="inclusive")[0]


async def serve() -> None:
    """Answer each line of standard input until it ends."""
    async with asyncio.TaskGroup() as tasks:
        workers = {is_http2: _worker(tasks, is_http2=is_http2) for is_http2 in (False, True)}
        garbage.tune(garbage.WORKER)
        while scenario := (await asyncio.to_thread(sys.stdin.readline)).strip():
            print(workers[scenario == "h2h2"].turn_ns(scenario), flush=True)


def _worker(tasks: asyncio.TaskGroup, *, is_http2: bool) -> Worker:
    route = RouteSettings(id="default", upstream="http://127.0.0.1:9000", upstream_protocol="auto")
    if is_http2:
        route = msgspec.structs.replace(route, upstream_protocol="http2")
    settings = Settings(routes=(route,))
    segment = make_segment(settings, None)
    plane: Any = data_plane(
        settings, compile_routes(settings), segment, lambda: None, tasks, "bench"
    )
    return Worker(plane.engine, segment.cells)


if __name__ == "__main__":
    asyncio.run(serve())
