"""A collector that empties a prepared ring on demand: the half of `bench.micro.collector` that runs
in each tree.

A process of its own, given a tree by PYTHONPATH. It reads a scenario a line, and how many records
where they are not `RECORDS`, fills a ring with exchanges or WebSocket messages of it, lets the
whole collector (drain, enrichment, writer, SQLite, index of words) do all that is to be done for
them, and answers with its CPU time, ns a record. Only what older trees have too is imported, and
only from `proxy` and `storage`; contents are those of this file's tree.
"""

import asyncio
import importlib
import importlib.util
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from proxy.collector.control_plane import ControlPlane, control_plane
from proxy.http1.websocket_frames import Message, Opcode
from proxy.process.data_dir import DataDir
from proxy.process.memory import garbage, malloc
from proxy.process.wakeup import Wakeup
from proxy.ring.counters import CounterLayout
from proxy.ring.descriptor import write_descriptor
from proxy.ring.exchange import (
    FLAG_REQUEST_COMPLETE,
    KIND_EXCHANGE,
    NOTES_RESPONSE_TRAILERS,
    Exchange,
)
from proxy.ring.http2_notes import StreamState
from proxy.ring.ring import RingWriter, Section
from proxy.ring.segment import Segment
from proxy.settings.model import RouteSettings, Settings, StorageSettings
from storage.record import new_id

if TYPE_CHECKING:
    from bench.contents import Kind


def _contents() -> Any:
    """Import the contents of this file's tree: that of `proxy` may have others, or none."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    try:
        return importlib.import_module("bench.contents")
    finally:
        del sys.path[0]


_CONTENTS: Final = _contents()
_MESSAGES: Final = importlib.import_module(
    "proxy.ring."
    + ("message" if importlib.util.find_spec("proxy.ring.message") else "websocket_message")
)
"""Under the name that older trees have, too."""
_WEBSOCKET: Final = 2
"""Ring entry kind of its messages."""
RING_BYTES: Final = 128 << 20
RECORDS: Final = 6000
"""Two batches."""

PATIENCE_S: Final = 600.0

Made = tuple[bytes, bytes, bytes, bytes]
"""Request head, request body, response head, response body."""
Pushed = tuple[int, bytes, Sequence[Section]]
"""Kind, header and sections of a ring entry."""

_NINE: Final = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.8,de;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nReferer: "
    "https://app.example.com/projects/42/overview\r\n"
    "Cookie: theme=dark; locale=en; consent=all\r\nCache-Control: no-cache\r\n"
)
_TRACED: Final = (
    "X-Request-Id: 6f1c2b7e9d304f5fa1d6c0be7a5e8d11\r\n"
    "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
)
_CALL_HEAD: Final = (
    b"POST /bench.Items/Get HTTP/2\r\nHost: bench.local:8080\r\n"
    b"user-agent: grpc-python/1.85.0 grpc-c/53.0.0 (linux; chttp2)\r\ncontent-type: "
    b"application/grpc\r\n"
    b"te: trailers\r\ngrpc-accept-encoding: identity, deflate, gzip\r\ngrpc-timeout: 5S\r\n"
    b"x-request-id: 6f1c2b7e9d304f5fa1d6c0be7a5e8d11\r\n\r\n"
)
_CALL_ANSWERED: Final = (
    b"HTTP/2 200\r\nserver: nginx/1.22.1\r\ndate: Sat, 28 Nov 2026 18:00:00 GMT\r\n"
    b"content-type: application/grpc\r\ncontent-length: %d\r\n\r\n"
)


EMPTY: Final = "empty"
"""The scenario whose answers have no body: what all others pay beside their content."""


@dataclass(frozen=True, slots=True)
class Content:
    """A body, and what its head says of it."""

    body: bytes = b""
    content_type: str = "application/json"
    content_encoding: str = ""

    @property
    def fields(self) -> str:
        """The lines of a head that tell of it."""
        coding = f"Content-Encoding: {self.content_encoding}\r\n" if self.content_encoding else ""
        return f"Content-Type: {self.content_type}\r\n{coding}Content-Length: {len(self.body)}\r\n"


def content_of(kind: "Kind", number: int) -> Content:
    """Return the content of a number."""
    return Content(kind.body(number), kind.content_type, kind.content_encoding)


def _json(number: int, name: str = "json-1k") -> Content:
    return content_of(_CONTENTS.kind_of(name), number)


_NOTHING: Final = Content()


def _fixed(method: str, target: str, fields: str, asked: Content, answer: Content) -> Made:
    if asked.body:
        fields += asked.fields
    head = f"{method} {target} HTTP/1.1\r\nHost: bench.local\r\n{fields}\r\n"
    return head.encode(), asked.body, _answered(answer), answer.body


def _answered(answer: Content) -> bytes:
    return (
        "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: "
        f"{time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}"
        f"\r\n{answer.fields}Connection: keep-alive\r\n\r\n"
    ).encode()


def _varied(method: str, number: int, asked: Content, answer: Content) -> Made:
    """Make an exchange of a traced client: path, query, ids, cookie and bodies differ from every
    other.
    """
    fields = _NINE.replace("dark", f"dark-{number:x}")
    fields += (
        f"X-Request-Id: {number:032x}\r\nTraceparent: 00-{number + 1:032x}-{number + 1:016x}-01\r\n"
    )
    return _fixed(method, f"/json/items/{number % 5000}?run={number:x}", fields, asked, answer)


def _carried(kind: "Kind", number: int) -> Made:
    """Make a varied exchange that carries a content the way it goes."""
    content = content_of(kind, number)
    if kind.is_request:
        return _varied("POST", number, content, _NOTHING)
    return _varied("GET", number, _NOTHING, content)


def _exchange(made: Made, number: int, stream: StreamState | None = None) -> Pushed:
    request_head, request_body, response_head, response_body = made
    at_ns = time.time_ns()
    exchange = Exchange(new_id(at_ns, 1, number & 0xFFFFF), b"", 0, at_ns, b"127.0.0.1")
    exchange.route = 0
    exchange.status = 200
    exchange.flags = FLAG_REQUEST_COMPLETE
    exchange.upstream = b"127.0.0.1:9000"
    exchange.request_head = request_head
    exchange.request_whole = request_body
    exchange.response_head = response_head
    exchange.response_whole = response_body
    exchange.sent_ns = 50_000
    exchange.first_byte_ns = 300_000 + number % 977
    exchange.done_ns = 350_000 + number % 977
    exchange.ended_ns = 380_000 + number % 977
    if stream is not None:
        exchange.stream = stream
        exchange.note_trailers(NOTES_RESPONSE_TRAILERS, b"grpc-status: 0\r\n", ())
    return KIND_EXCHANGE, *exchange.encode(0)


def _unary(number: int) -> Pushed:
    """Make a call of gRPC as a client of the comparison sends it: only its message differs from
    others.
    """
    asked = b"\0\0\0\0\x12\x0a\x0eitem-%09d\x10\x2a" % (number % 1_000_000_000)
    answer = (
        b"\0\0\0\0\x42\x0a\x40"
        + b"one of many things that a shop sells, no. %08d" % number
        + b", or any other"
    )
    made = _CALL_HEAD, asked, _CALL_ANSWERED % len(answer), answer
    state = StreamState(1 + number % 16, 2 * number + 1)
    state.count_messages()
    for counter, body in ((state.requests, asked), (state.responses, answer)):
        assert counter is not None
        counter.add(body)
    return _exchange(made, number, state)


def _message(data: bytes, number: int) -> Pushed:
    """Make a message of one of 200 connections."""
    at_ns = time.time_ns()
    message = Message(Opcode.TEXT, len(data), data, is_compressed=False)
    exchange_id = (number % 200).to_bytes(16, "big")
    record_id = new_id(at_ns, 1, number & 0xFFFFF)
    return _WEBSOCKET, *_MESSAGES.encode_message(
        record_id, exchange_id, at_ns, 0, _MESSAGES.IN, message, b""
    )


SCENARIOS: Final[dict[str, Callable[[int], Pushed]]] = {
    "get": lambda number: _exchange(_fixed("GET", "/json", "", _NOTHING, _json(0)), number),
    "get10": lambda number: _exchange(
        _fixed("GET", "/json", _NINE + _TRACED, _NOTHING, _json(0)), number
    ),
    "post1k": lambda number: _exchange(_fixed("POST", "/echo", "", _json(1), _json(0)), number),
    "get16k": lambda number: _exchange(
        _fixed("GET", "/16k", "", _NOTHING, _json(number, "json-16k")), number
    ),
    "getvar": lambda number: _exchange(_varied("GET", number, _NOTHING, _json(number)), number),
    "postvar": lambda number: _exchange(
        _varied("POST", number, _json(-number), _json(number)), number
    ),
    "unary": _unary,
    "message": lambda number: _message(
        b'{"number":"%08d","text":"%s"}' % (number, _json(number).body[-90:-2]), number
    ),
    "message0": lambda number: _message(b"", number),
}


def maker_of(scenario: str) -> Callable[[int], Pushed]:
    """Return what makes the entries of a scenario, or of a kind of content by its name."""
    if scenario in SCENARIOS:
        return SCENARIOS[scenario]
    if scenario == EMPTY:
        return lambda number: _exchange(_varied("GET", number, _NOTHING, _NOTHING), number)
    kind = _CONTENTS.kind_of(scenario)
    return lambda number: _exchange(_carried(kind, number), number)


class Filled:
    """A worker's ring, and the traffic that goes into it."""

    def __init__(self, settings: Settings) -> None:
        self.segment = Segment.create(
            None,
            write_descriptor(msgspec.to_builtins(settings)),
            ring_bytes=RING_BYTES,
            counter_cells=CounterLayout(len(settings.routes)).size,
            inflight_slots=8,
        )
        self.segment.hold()
        self._ring = RingWriter(self.segment, lambda: None)
        self._numbers: Iterator[int] = itertools.count(1)

    def fill(self, scenario: str, records: int) -> int:
        """Push so many entries; return where the last one ends."""
        make = maker_of(scenario)
        for number in itertools.islice(self._numbers, records):
            if not self._ring.push(*make(number)):
                raise RuntimeError(
                    f"a ring of {RING_BYTES} bytes does not hold {records} entries of {scenario}"
                )

        return self._ring.head


class OneAtATime:
    """A store that makes steps of the index of words for two: the collector itself, and who waits
    for the end.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._turn = asyncio.Lock()

    async def index_text(self, **options: Any) -> Any:
        async with self._turn:
            return await self._storage.index_text(**options)

    async def text_index(self) -> Any:
        return await self._storage.text_index()


async def _done(plane: ControlPlane, source: bytes, end: int) -> None:
    """Wait until all that is in the ring is stored and indexed, but for a last cell that is not
    full.

    Raises:
        TimeoutError: it is not after `PATIENCE_S`.
    """
    async with asyncio.timeout(PATIENCE_S):
        positions = plane.committed.positions
        while source not in positions or positions[source].offset < end:
            await asyncio.sleep(0.01)
            positions = plane.committed.positions

        while not (await plane.status.text_indexing.storage.index_text()).is_done:
            pass


@asynccontextmanager
async def collector(
    directory: Path, filled: "Filled", settings: Settings
) -> AsyncIterator[ControlPlane]:
    """Start a collector on a ring."""
    wakeup = Wakeup.create()
    data = DataDir(directory, "bench", "token", -1)
    async with control_plane(
        settings, data, wakeup, None, lambda sources, *_: sources.attach_fd(filled.segment.fd)
    ) as plane:
        store: Any = OneAtATime(plane.storage)
        plane.status.text_indexing.storage = store
        garbage.tune(garbage.COLLECTOR)
        yield plane


async def serve(directory: Path) -> None:
    """Answer each line of standard input until it ends."""
    routes = (RouteSettings(id="default", upstream="http://127.0.0.1:9000"),)
    settings = Settings(
        routes=routes, data_dir=str(directory), storage=StorageSettings(url="sqlite:///sidelog.db")
    )

    filled = Filled(settings)
    async with collector(directory, filled, settings) as plane:
        while asked := (await asyncio.to_thread(sys.stdin.readline)).split():
            records = int(asked[1]) if len(asked) > 1 else RECORDS
            end = filled.fill(asked[0], records)
            begin_ns = time.process_time_ns()
            await _done(plane, filled.segment.source, end)
            print((time.process_time_ns() - begin_ns) / records, flush=True)

        filled.segment.let_go()


def main() -> None:
    """Run as the collector does: its loop, its memory, its garbage collection."""
    malloc.tune()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        asyncio.run(serve(Path(directory)))


if __name__ == "__main__":
    main()
