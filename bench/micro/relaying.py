"""A worker's data plane without sockets: the half of `bench.micro.worker` that runs in each tree.

A process of its own, given a tree by PYTHONPATH. It reads a scenario a line, lets 64 client connections send requests
of it to as many upstream connections that answer, all by calls, and prints its CPU time, ns a request: the lower
quartile of short batches, since a batch that is interrupted finds its caches cold. Only what older trees have too is
imported, and only from `proxy`.
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from proxy.process.memory import garbage
from proxy.ring.segment_layout import HEAD, PUSHED, RELEASED
from proxy.settings.model import RouteSettings, Settings
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Engine
from proxy.worker.routes import compile_routes
from proxy.worker.server import data_plane, make_segment
from proxy.worker.upstream.connection import UpstreamConnection

CONNECTIONS: Final = 64
BATCHES: Final = 100
"""In a turn; each connection sends one request in each."""

_BATCH_MAX_NS: Final = 600 * 10**9
"""A POST goes over no connection that was idle for a second, and a busy machine may leave us waiting longer."""

_NINE: Final = (
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.8,de;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nReferer: https://app.example.com/projects/42/overview\r\n"
    b"Cookie: theme=dark; locale=en; consent=all\r\nCache-Control: no-cache\r\n"
)
_TRACED: Final = b"X-Request-Id: %032x\r\nTraceparent: 00-%032x-%016x-01\r\n"
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 02:30:04 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n"
)
_TEXT: Final = b"lorem ipsum dolor sit amet consetetur sadipscing elitr "


def _head(line: bytes, fields: bytes) -> bytes:
    return b"%b HTTP/1.1\r\nHost: bench.local\r\n%b\r\n" % (line, fields)


def _body(size_bytes: int, number: int = 0) -> bytes:
    return b'{"number":"%08d","text":"%b"}' % (number, (_TEXT * 300)[: size_bytes - 30])


def _posted(line: bytes, fields: bytes, number: int) -> bytes:
    body = _body(1024, number)
    return _head(line, fields + b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)) + body


def _varied(number: int) -> tuple[bytes, bytes]:
    return b"%d?run=%x" % (number % 5000, number), _NINE + _TRACED % (number, number + 1, number + 2)


Scenario = tuple[Callable[[int], bytes], Callable[[int], bytes]]
"""The request of a number, and the body of its answer."""


def _getvar(number: int) -> bytes:
    path, fields = _varied(number)
    return _head(b"GET /json/items/" + path, fields)


def _postvar(number: int) -> bytes:
    path, fields = _varied(number)
    return _posted(b"POST /vary/" + path, fields, number)


SCENARIOS: Final[dict[str, Scenario]] = {
    "get": (lambda number: _head(b"GET /json", b""), lambda number: _body(470)),
    "get10": (lambda number: _head(b"GET /json", _NINE + _TRACED % (1, 2, 3)), lambda number: _body(470)),
    "post1k": (lambda number: _posted(b"POST /echo", b"", 0), lambda number: _body(1024)),
    "get16k": (lambda number: _head(b"GET /16k", b""), lambda number: _body(16384)),
    "getvar": (_getvar, lambda number: _body(470)),
    "postvar": (_postvar, lambda number: _body(1024, number)),
}


class Wire(asyncio.Transport):
    """A transport that takes everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        """What was written last."""

    def write(self, data: Any) -> None:
        self.sent = data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 50000) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def abort(self) -> None: ...


class Worker:
    """An engine with connections on both sides."""

    def __init__(self, engine: Engine, cells: "memoryview[int]") -> None:
        self._engine = engine
        self._cells = cells
        self._numbers: Iterator[int] = itertools.count(1)
        self.clients: list[Downstream] = []
        self.upstreams: list[UpstreamConnection] = []

    def connect(self) -> None:
        """Open connections; idle ones of an upstream are closed after some seconds, so each turn has its own."""
        pool = self._engine.pools[0]
        self.clients = [Downstream(self._engine) for _ in range(CONNECTIONS)]
        self.upstreams = [pool.new_connection() for _ in range(CONNECTIONS)]
        for client, upstream in zip(self.clients, self.upstreams, strict=True):
            client.connection_made(Wire())
            upstream.connection_made(Wire())
            pool.begin_opening()
            pool.opened(upstream)
            pool.release(upstream, time.monotonic_ns())

    def disconnect(self) -> None:
        for client, upstream in zip(self.clients, self.upstreams, strict=True):
            client.connection_lost(None)
            upstream.close()

    def batch_ns(self, scenario: str) -> float:
        """Let each client send one request; return the CPU time of one, ns.

        Raises:
            RuntimeError: not every exchange was recorded.
        """
        request, answer = SCENARIOS[scenario]
        numbers = list(itertools.islice(self._numbers, CONNECTIONS))
        requests = [request(number) for number in numbers]
        bodies = [answer(number) for number in numbers]
        answers = [_ANSWER % len(body) + body for body in bodies]
        for upstream in self.upstreams:
            upstream.idle_since_ns = time.monotonic_ns() + _BATCH_MAX_NS
        pushed = self._cells[PUSHED]
        before_ns = time.thread_time_ns()
        for client, data in zip(self.clients, requests, strict=True):
            client.data_received(data)
        for upstream, data in zip(self.upstreams, answers, strict=True):
            upstream.data_received(data)
        took_ns = time.thread_time_ns() - before_ns
        if self._cells[PUSHED] - pushed != CONNECTIONS:
            raise RuntimeError(f"{self._cells[PUSHED] - pushed} of {CONNECTIONS} exchanges were recorded")
        self._cells[RELEASED] = self._cells[HEAD] & ~7
        return took_ns / CONNECTIONS

    def turn_ns(self, scenario: str, batches: int = BATCHES) -> float:
        self.connect()
        costs_ns = [self.batch_ns(scenario) for _ in range(batches)]
        self.disconnect()
        return statistics.quantiles(costs_ns, n=4, method="inclusive")[0]


async def serve() -> None:
    """Answer each line of standard input until it ends."""
    settings = Settings(routes=(RouteSettings(id="default", upstream="http://127.0.0.1:9000"),))
    segment = make_segment(settings, None)
    async with asyncio.TaskGroup() as tasks:
        plane: Any = data_plane(settings, compile_routes(settings), segment, lambda: None, tasks, "bench")
        worker = Worker(plane.engine, segment.cells)
        garbage.tune(garbage.WORKER)
        while scenario := (await asyncio.to_thread(sys.stdin.readline)).strip():
            print(worker.turn_ns(scenario), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
