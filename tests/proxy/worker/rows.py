"""Rows of tests through the data plane: what a client does, what its upstream does, what both get, and the record.

Both scripts are steps, done in order: the client's by the test, the upstream's in a thread for
each connection of HTTP/1.1 and for each stream of HTTP/2. Bytes among them are sent, raw on a
connection of HTTP/1.1, as DATA on a stream. A row is tried over each of its transports.
"""

import dataclasses
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import pytest
from h2.exceptions import ProtocolError

from proxy.http2.errors import ErrorCode
from proxy.ring.exchange import CapturedExchange
from proxy.ring.message import CapturedMessage
from proxy.worker.downstream import Downstream
from storage.record import format_id
from tests.proxy.worker import services
from tests.proxy.worker.clients import (
    Asked,
    Caller,
    Fields,
    Http1Caller,
    Http2Caller,
    Protocol,
    calling,
)
from tests.proxy.worker.records import PARTS, entries, seen
from tests.proxy.worker.services import Http1Service, Http2Service, Signals
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.long import long
from tests.support.plane import (
    EngineName,
    Loop,
    Plane,
    eventually,
    running_plane,
    settings_for,
)
from tests.support.upstream import scripted


class Transport(NamedTuple):
    """What a client speaks, what its upstream speaks, and which engine is between them."""

    client: Protocol
    upstream: Literal["http1", "tls", "http2", "grpc"] = "http1"
    """`http2` by the setting of the route, `grpc` without."""
    engine: EngineName = "protocol"


TRANSPORTS: Final = {
    "h1": Transport("http1"),
    "tls": Transport("tls"),
    "h2-h1": Transport("http2"),
    "h1-h2": Transport("http1", "http2"),
    "h2-h2": Transport("http2", "http2"),
    "h1-tls": Transport("http1", "tls"),
    "h2-tls": Transport("http2 over tls"),
    "grpc": Transport("http2", "grpc"),
    "reference": Transport("http1", engine="reference"),
    "reference-tls": Transport("http1", "tls", "reference"),
}
WIRE: Final = ("h1", "tls")
"""For rows that say which bytes are on a connection."""
TO_HTTP1: Final = (*WIRE, "h2-h1")
ALL: Final = (*TO_HTTP1, "h1-tls", "h1-h2", "h2-h2")
JUDGED: Final = (*ALL, "reference")
"""For rows of which the reference engine knows the outcome, too."""


class Threads:
    """What runs beside a test, and may not fail."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._begun: list[Future[None]] = []

    def begin(self, function: Callable[[], object]) -> None:
        """Run a function, to which the other side may be lost."""

        def run() -> None:
            with suppress(OSError, ProtocolError):
                function()

        self._begun.append(self._pool.submit(run))

    def check(self) -> None:
        """Raise what one of them has raised."""
        for each in self._begun:
            each.result()


class Stage:
    """One run of a row."""

    def __init__(self, plane: Plane, caller: Caller, signals: Signals, threads: Threads) -> None:
        self.threads = threads
        self.plane = plane
        self.caller = caller
        self.signals = signals
        self.messages: list[CapturedMessage] = []
        self.ids: set[str] = set()
        """Of the responses that the client got."""
        self._unchecked: list[CapturedExchange] = []
        self._recorded: set[str] = set()

    def take_record(self) -> CapturedExchange:
        """Wait for the next record."""
        if not self._unchecked:
            self._unchecked, messages = entries(self.plane, 1)
            self.messages += messages
        exchange = self._unchecked.pop(0)
        self._recorded.add(format_id(exchange.id))
        return exchange

    def finish(self) -> None:
        """Check that nothing else is on record, and each response under the id that it has.

        The client has left.
        """
        eventually(lambda: not self.plane.counters().connections_downstream)
        exchanges, _ = entries(self.plane, 0)
        assert self._unchecked + exchanges == []
        assert self.ids <= self._recorded


Step = bytes | Callable[[Stage], object]


@dataclasses.dataclass(frozen=True)
class Row:
    """A sentence, and the scripts that show it."""

    name: str
    client: Sequence[Step]
    upstream: services.Script | Callable[[socket.socket, int], None] | str = services.SERVE
    over: Sequence[str] = ALL
    rule: str = ""
    """Of proxy/http1/RULES.md."""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    patches: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Constants by their full names, and the values that they have meanwhile."""
    is_slow: bool = False
    """Whether the client takes little before it hears a response."""
    prepare: Callable[[Path], object] = lambda data_dir: None
    """Called with the data directory before the plane starts."""


Play = Callable[[Row, str, Loop], None]


def cases(rows: Iterable[Row], *, is_also_over_asyncio: bool = True) -> pytest.MarkDecorator:
    """Try each row over its transports, and the plain ones over asyncio's loop with `make long`."""
    params = []
    for row in rows:
        for name in row.over:
            params.append(pytest.param(row, name, "uvloop", id=f"{row.name}, {name}"))
            if name in (*WIRE, "h1-tls") and is_also_over_asyncio:
                params.append(long(row, name, "asyncio"))
    return pytest.mark.parametrize(("row", "transport", "loop"), params)


def played(rows: Iterable[Row]) -> Callable[..., None]:
    """Make the test that plays each row over its transports."""

    @cases(rows)
    def test(play: Play, row: Row, transport: str, loop: Loop) -> None:
        """See the row."""
        play(row, transport, loop)

    return test


@contextmanager
def staged(
    row: Row, transport: Transport, loop: Loop, directory: Path, certificate: tuple[str, str]
) -> Iterator[tuple[Plane, Callable[[], AbstractContextManager[Stage]]]]:
    """Run what a row is played on; give the plane, and what opens a client connection to it."""
    signals = Signals()
    settings = dict(row.settings)
    if transport.client in ("tls", "http2 over tls"):
        settings |= zip(("tls_cert_file", "tls_key_file"), certificate, strict=True)
    if transport.upstream == "http2":
        settings["route"] = {"upstream_protocol": "http2"} | settings.get("route", {})
    if transport.upstream == "tls":
        settings["route"] = {"upstream_ca_file": certificate[0]} | settings.get("route", {})

    with ExitStack() as stack:
        url = row.upstream
        threads = Threads(stack.enter_context(ThreadPoolExecutor(64)))
        if not isinstance(url, str):
            serve = _serving(url, transport.upstream, signals, threads)
            if transport.upstream == "tls":
                serve = _secured(serve, certificate)
            url = stack.enter_context(scripted(serve))
            if transport.upstream == "tls":
                url = url.replace("http://127.0.0.1", "https://localhost")
        row.prepare(directory)
        made = msgspec.structs.replace(settings_for(url, **settings), data_dir=str(directory))
        plane = stack.enter_context(running_plane(made, directory, loop, transport.engine))
        stack.callback(signals.tell, "go", 1000)

        @contextmanager
        def connect() -> Iterator[Stage]:
            with calling(plane, transport.client, is_slow=row.is_slow) as caller:
                yield Stage(plane, caller, signals, threads)

        yield plane, connect

    threads.check()


def play(
    row: Row, transport: Transport, loop: Loop, directory: Path, certificate: tuple[str, str]
) -> None:
    """Do the scripts of a row, and check what they say."""
    with staged(row, transport, loop, directory, certificate) as (_, connect):
        with connect() as stage:
            act(stage, row.client)
        stage.finish()


def act(stage: Stage, script: Sequence[Step]) -> None:
    """Do the steps of a client."""
    for step in script:
        if isinstance(step, bytes):
            stage.caller.send(step)
        else:
            step(stage)


def _serving(
    script: services.Script | Callable[[socket.socket, int], None],
    protocol: str,
    signals: Signals,
    threads: Threads,
) -> Callable[[socket.socket, int], None]:
    if callable(script):
        return script

    def serve(connection: socket.socket, number: int) -> None:
        services.do(Http1Service(signals, connection, number), script)

    def answer(connection: Connection, request: Request) -> None:
        if not request.is_begun:
            request.is_begun = True
            service = Http2Service(signals, connection, request)
            threads.begin(lambda: services.do(service, script))

    return Http2Upstream(answer) if protocol in ("http2", "grpc") else serve


def _secured(
    serve: Callable[[socket.socket, int], None], certificate: tuple[str, str]
) -> Callable[[socket.socket, int], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def handle(accepted: socket.socket, number: int) -> None:
        with context.wrap_socket(accepted, server_side=True) as secured:
            serve(secured, number)

    return handle


# The client's steps.


def ask(
    method: str = "GET",
    path: str = "/",
    body: bytes = b"",
    fields: Fields = (),
    *,
    length: int | None = None,
    is_end: bool = True,
) -> Step:
    """Send a request, or with `is_end` false or a greater length its beginning."""
    asked = Asked(method, path, body, fields, length, is_end)
    return lambda stage: stage.caller.ask(asked)


def hear(
    status: int = 200,
    body: bytes | None = None,
    *,
    error: str | None = None,
    is_whole: bool = True,
    method: str = "GET",
    fields: Mapping[str, str | None] | None = None,
    trailers: dict[str, str] | None = None,
    trailer_lines: bytes | None = None,
    reset: int | None = None,
    says: bytes = b"",
) -> Step:
    """Read a response; compare its status, and what else is named. Each has the id of its record."""

    def check(stage: Stage) -> None:
        heard = stage.caller.hear(method)
        assert (heard.status, heard.is_whole) == (status, is_whole), heard
        assert body in (None, heard.body), heard.body
        assert trailers in (None, heard.trailers), heard.trailers
        assert trailer_lines in (None, heard.trailer_lines), heard.trailer_lines
        assert says in heard.body, heard.body
        assert reset in (None, heard.reset), heard.reset
        assert heard.fields.get("x-sidelog-error") == error, heard.fields
        for name, value in (fields or {}).items():
            assert heard.fields.get(name) == value, name
        if heard.status:
            stage.ids.add(heard.fields[stage.plane.settings.proxy.record_id_header.lower()])

    return check


def cancelled(stage: Stage) -> None:
    """Read that no more of a request is wanted (RFC 9113 §8.1)."""
    assert isinstance(stage.caller, Http2Caller)
    while stage.caller.stream.reset is None:
        assert stage.caller.client.read()
    assert stage.caller.stream.reset == ErrorCode.NO_ERROR


def hear_interim(status: int, head: bytes | None = None) -> Step:
    """Read an interim response; over HTTP/1.1 compare its head."""

    def check(stage: Stage) -> None:
        if head is not None and isinstance(stage.caller, Http1Caller):
            assert stage.caller.head() == head
        else:
            assert stage.caller.hear_interim() == status

    return check


def see(part: bytes) -> Step:
    """Read until these bytes came."""
    return lambda stage: stage.caller.see(part)


def see_head(stage: Stage) -> None:
    """Read until the head of a response came."""
    stage.caller.see_head()


def uploads(size: int) -> Step:
    """Send zeros, as many as are taken; over HTTP/1.1 what follows need not wait for that."""

    def begin(stage: Stage) -> None:
        if isinstance(stage.caller, Http2Caller):
            with suppress(OSError):
                stage.caller.send(bytes(size))
        else:
            stage.threads.begin(lambda: stage.caller.send(bytes(size)))

    return begin


def leave(way: str = "close") -> Step:
    """Close, reset (over HTTP/2 the stream), or end the sending side."""
    return lambda stage: stage.caller.leave(way)


def end(trailers: Fields = ()) -> Step:
    """End a body without a length."""
    return lambda stage: stage.caller.end(trailers)


def ended(stage: Stage) -> None:
    """Read the end of the connection, and nothing before it."""
    assert stage.caller.is_ended()


def recorded(status: int | None, outcome: str = "ok", error: str = "", **expected: object) -> Step:
    """Compare the next record; of `PARTS` a part is enough, and no status is any."""

    def check(stage: Stage) -> None:
        exchange = stage.take_record()
        names = {"status", "outcome", "error", *expected}
        found = seen(exchange, names)
        for name in names.intersection(PARTS):
            if expected[name] in found[name]:  # type: ignore[operator]
                found[name] = expected[name]
        wanted = {"status": status, "outcome": outcome, "error": error} | expected
        if status is None:
            found["status"] = None
        assert found == wanted, f"{found} is on record in place of {wanted}"
        if outcome == "ok" and not found.get("is_own"):
            done = [] if "done_ns" in expected else [exchange.done_ns]
            times = [0, exchange.sent_ns, exchange.first_byte_ns, *done, exchange.ended_ns]
            assert times == sorted(times)

    return check


def unrecorded(stage: Stage) -> None:
    """Find nothing on record yet."""
    assert stage.plane.unread == 0


def pause(seconds: float) -> Step:
    return lambda stage: time.sleep(seconds)


def until_asked(stage: Stage) -> None:
    """Wait until the upstream has read a head."""
    stage.signals.wait("asked")


def until_read(stage: Stage) -> None:
    """Wait until an upstream's `reads` has what it waits for."""
    stage.signals.wait("read")


def until_gone(stage: Stage) -> None:
    """Wait until the upstream's `gone` has seen the end; over HTTP/2 its stream is cancelled."""
    stage.signals.wait("gone")
    assert set(stage.signals.resets) <= {ErrorCode.CANCEL}


def goes(stage: Stage) -> None:
    """Let the upstream's `waits` go on."""
    stage.signals.tell("go")


def stops(stage: Stage) -> None:
    """Begin to drain."""
    stage.plane.stop()
    eventually(lambda: stage.plane.engine.is_draining)


def open_websocket(stage: Stage) -> None:
    """Ask for a WebSocket, and read that it is open."""
    stage.caller.open_websocket()


def begin(fields: Fields, *, is_end: bool = True) -> Step:
    """Send any head on a stream of HTTP/2."""

    def send(stage: Stage) -> None:
        assert isinstance(stage.caller, Http2Caller)
        stage.caller.begin(fields, is_end=is_end)

    return send


def said(*messages: bytes) -> Step:
    """Compare the messages of WebSockets, that are on record."""

    def check(stage: Stage) -> None:
        found = [each.data for each in stage.messages]
        assert found == [*messages], found

    return check


def forwarded(*parts: bytes) -> Step:
    """Look for parts of the last head that reached an upstream."""

    def check(stage: Stage) -> None:
        assert [part for part in parts if part not in stage.signals.heads[-1]] == []

    return check


def withheld(*parts: bytes) -> Step:
    """Look for parts that no head may have had."""

    def check(stage: Stage) -> None:
        assert [part for part in parts if part in b"".join(stage.signals.heads)] == []

    return check


def trailed(*sections: bytes) -> Step:
    """Compare the trailers of all requests that an upstream took whole."""

    def check(stage: Stage) -> None:
        assert stage.signals.trailers == [*sections], stage.signals.trailers

    return check


def connected(count: int) -> Step:
    """Compare how many connections brought requests to the upstream."""

    def check(stage: Stage) -> None:
        assert stage.signals.connections == count

    return check


def arrived(*bodies: bytes) -> Step:
    """Compare all that the upstream has read of bodies."""

    def check(stage: Stage) -> None:
        assert stage.signals.bodies == [*bodies], stage.signals.bodies

    return check


def counted(name: str, value: object) -> Step:
    """Wait for a counter of the plane."""
    return lambda stage: eventually(lambda: getattr(stage.plane.counters(), name) == value)


def trusted(stage: Stage) -> None:
    """Let idle connections to upstreams be kept, as those of one that serves several at once."""
    stage.plane.trust_upstreams()


def until(holds: Callable[[Downstream], object]) -> Step:
    """Wait until something holds for a client connection of HTTP/1.1."""
    return lambda stage: eventually(lambda: stage.plane.has_downstream(holds))


def until_buffered(part: bytes) -> Step:
    """Wait until a worker holds the beginning of a head; of nothing, until it has the connection."""
    return until(lambda each: each._since_ns and each._reader.buffer == part)


def freed(count_of: Callable[[Plane], int]) -> Step:
    """Find that the place of each stream is free again, by a function that counts streams."""

    def check(stage: Stage) -> None:
        assert count_of(stage.plane) == 0

    return check


def then(act: Callable[[Plane], object]) -> Step:
    """Do something with the plane."""
    return lambda stage: act(stage.plane)
