"""Upstreams of a row: the same steps on a connection of HTTP/1.1 and on a stream of HTTP/2."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from tests.proxy.worker.clients import Fields
from tests.support.client import Client
from tests.support.http2_upstream import Connection, Request
from tests.support.plane import PATIENCE_S, eventually
from tests.support.ports import free_port
from tests.support.script import exactly, read_body, unchunked
from tests.support.upstream import read_head, switching

NOBODY: Final = f"http://127.0.0.1:{free_port()}"
"""An address where nothing listens."""
REASONS = {200: b"OK", 204: b"No Content", 413: b"Content Too Large"}


class Signals:
    """What the two scripts of a row tell each other."""

    def __init__(self) -> None:
        self._counts = {name: threading.Semaphore(0) for name in ("asked", "read", "go", "gone")}
        self.heads: list[bytes] = []
        """Heads of the requests that arrived over HTTP/1.1, in order."""
        self.bodies: list[bytes] = []
        """What was read of their bodies, chunks without their frames."""
        self.trailers: list[bytes] = []
        """Lines behind the chunks of the whole ones; of HTTP/2 all of them."""
        self.connections = 0
        """How many an upstream has had of those that brought requests."""
        self.resets: list[int | None] = []
        """Codes of the streams of HTTP/2 that the proxy gave up; None: its connection ended."""

    def tell(self, name: str, times: int = 1) -> None:
        self._counts[name].release(times)

    def wait(self, name: str) -> None:
        assert self._counts[name].acquire(timeout=PATIENCE_S), f"nobody told of {name!r}"


class Http1Service:
    """A connection of HTTP/1.1."""

    def __init__(self, signals: Signals, connection: socket.socket, number: int) -> None:
        self.signals = signals
        self.connection = connection
        self.number = number
        self.head = b""
        self._is_chunked = False

    def hear(self) -> bytes:
        """Read a head, or nothing at the end of the connection."""
        self.head = read_head(self.connection)
        if self.head:
            self.signals.connections = max(self.signals.connections, self.number + 1)
            self.signals.heads.append(self.head)
            self.signals.tell("asked")
        return self.head

    @property
    def path(self) -> str:
        """The path of the request that was heard last."""
        return self.head.split(b" ")[1].decode()

    def take(self) -> bool:
        """Read a whole request; return False at the end of the connection."""
        head = self.hear()
        if head:
            body = read_body(self.connection, head)
            is_chunked = b"\r\ntransfer-encoding: chunked\r\n" in head.lower()
            self.signals.bodies.append(unchunked(body) if is_chunked else body)
            self.signals.trailers.append(
                body.rpartition(b"\r\n0\r\n")[2][:-2] if is_chunked else b""
            )
        return bool(head)

    def read(self, size: int) -> None:
        """Read a part of a body."""
        self.signals.bodies.append(exactly(self.connection, size))
        self.signals.tell("read")

    def answer(
        self, status: int, body: bytes, fields: Fields, length: int | None, *, is_end: bool
    ) -> None:
        """Send a response, or its beginning; without a length a body that goes on is chunked."""
        self._is_chunked = length is None and not is_end
        if length is None and status not in (204, 304):
            length = len(body)
        framing = (
            b"Transfer-Encoding: chunked"
            if self._is_chunked
            else b"Content-Length: %d" % (length or 0)
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields).encode()
        head = b"HTTP/1.1 %d %b\r\n%b%b\r\n\r\n" % (
            status,
            REASONS.get(status, b"So"),
            lines,
            framing,
        )
        self.connection.sendall(head)
        if body:
            self.send(body)

    def send(self, data: bytes) -> None:
        """Send more of a body, or bytes as they are."""
        self.connection.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def end(self, trailers: Fields) -> None:
        """End a body without a length."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        self.connection.sendall(f"0\r\n{lines}\r\n".encode())

    def interim(self, status: int) -> None:
        """Send an interim response."""
        self.connection.sendall(b"HTTP/1.1 %d So\r\nLink: x\r\n\r\n" % status)

    def await_end(self) -> None:
        """Read until the proxy gives up the request."""
        left = bytearray()
        try:
            while data := self.connection.recv(65536):
                left += data
        except ConnectionResetError:
            pass
        self.signals.bodies.append(bytes(left))
        self.signals.tell("gone")

    def take_little(self) -> None:
        """Leave the kernel little room for what the proxy sends."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def take_all(self) -> None:
        """Do nothing: whoever reads makes room."""

    def switch(self, frames: bytes) -> None:
        """Agree to a WebSocket, and send frames behind the head."""
        self.connection.sendall(switching(self.head) + frames)

    def leave(self, way: str) -> None:
        """Close, reset, or end the sending side."""
        if way == "reset":
            Client(self.connection).reset()
        else:
            self.connection.shutdown(socket.SHUT_RDWR if way == "close" else socket.SHUT_WR)


class Http2Service:
    """A stream of HTTP/2."""

    def __init__(self, signals: Signals, connection: Connection, request: Request) -> None:
        self.signals = signals
        self.number = connection.number
        self.connection = connection
        self.request = request
        self._left: int | None = None

    def hear(self) -> bytes:
        """Note that the request came: once, as there are no others on its stream."""
        assert not self.request.is_done, "a stream has one request"
        self.request.is_done = True
        self.signals.connections = max(self.signals.connections, self.number + 1)
        self.signals.tell("asked")
        return b"a head"

    @property
    def path(self) -> str:
        """The path of the request."""
        return self.request.fields[":path"]

    def take(self) -> bool:
        """Wait for a whole request; return False if it was taken before."""
        if self.request.is_done:
            return False
        self.hear()
        eventually(lambda: self.request.is_ended)
        self.signals.bodies.append(self.request.body)
        trailers = (self.request.trailers or {}).items()
        self.signals.trailers.append("".join(f"{n}: {v}\r\n" for n, v in trailers).encode())
        return True

    def read(self, size: int) -> None:
        """Wait for a part of a body."""
        found = bytearray()
        while len(found) < size:
            eventually(lambda: self.request.body)
            with self.connection.lock:
                wanted = size - len(found)
                found += self.request.body[:wanted]
                self.request.body = self.request.body[wanted:]
        self.signals.bodies.append(bytes(found))
        self.signals.tell("read")

    def take_little(self) -> None:
        """Give no credit for what comes."""
        self.connection.takes_all = False

    def take_all(self) -> None:
        """Give credit for all that came and comes."""
        self.connection.takes_all = True
        with self.connection.lock:
            self.connection.h2.increment_flow_control_window(1 << 30)
            self.connection.h2.increment_flow_control_window(1 << 30, self.request.id)
            self.connection.flush()

    def answer(
        self, status: int, body: bytes, fields: Fields, length: int | None, *, is_end: bool
    ) -> None:
        """Send a response, or its beginning."""
        named = [(":status", str(status)), *((name.lower(), value) for name, value in fields)]
        if length is not None:
            named.append(("content-length", str(length)))
        self._left = len(body) if length is None and is_end else length
        is_alone = status in (204, 304) or (self._left == 0 and not body)
        self.connection.respond(self.request, fields=named, is_end=is_alone)
        if body:
            self.send(body)

    def send(self, data: bytes) -> None:
        """Send more of a body, as fast as windows allow."""
        h2 = self.connection.h2
        while data and not self.connection.is_over and self.request.reset is None:
            with self.connection.lock:
                piece = data[: min(h2.local_flow_control_window(self.request.id), 16_384)]
                if piece:
                    data = data[len(piece) :]
                    if self._left is not None:
                        self._left -= len(piece)
                    h2.send_data(self.request.id, piece, end_stream=self._left == 0)
                    self.connection.flush()
            if not piece:
                time.sleep(0.002)

    def end(self, trailers: Fields) -> None:
        """End a body."""
        with self.connection.lock:
            if trailers:
                self.connection.h2.send_headers(self.request.id, list(trailers), end_stream=True)
            else:
                self.connection.h2.end_stream(self.request.id)
            self.connection.flush()

    def interim(self, status: int) -> None:
        """Send an interim response."""
        with self.connection.lock:
            self.connection.h2.send_headers(
                self.request.id, [(":status", str(status)), ("link", "x")]
            )
            self.connection.flush()

    def await_end(self) -> None:
        """Wait until the proxy gives up the request."""
        eventually(lambda: self.request.reset is not None or self.connection.is_over)
        self.signals.bodies.append(self.request.body)
        self.signals.resets.append(self.request.reset)
        self.signals.tell("gone")

    def leave(self, way: str) -> None:
        """Lose the connection."""
        self.connection.socket.shutdown(socket.SHUT_RDWR)

    def switch(self, frames: bytes) -> None:
        """Never agree to a WebSocket: there are none to upstreams of HTTP/2."""
        raise NotImplementedError


Service = Http1Service | Http2Service


def stream_of(service: Service) -> Http2Service:
    """Take a service for one of HTTP/2."""
    assert isinstance(service, Http2Service)
    return service


Step = bytes | Callable[[Service], object]
Script = Sequence[Step]


def do(service: Service, script: Script) -> None:
    """Do the steps of an upstream."""
    for step in script:
        if isinstance(step, bytes):
            service.send(step)
        else:
            step(service)


# The steps.


def heard(service: Service) -> None:
    """Read the head of a request."""
    service.hear()


def taken(service: Service) -> None:
    """Read a whole request."""
    service.take()


def gone(service: Service) -> None:
    """Read until the proxy gives up the request."""
    service.await_end()


def waits(service: Service) -> None:
    """Wait for the client's `goes`."""
    service.signals.wait("go")


def ends(*trailers: tuple[str, str]) -> Step:
    """End a body without a length."""
    return lambda service: service.end(trailers)


def interim(status: int) -> Step:
    return lambda service: service.interim(status)


def pauses(seconds: float) -> Step:
    return lambda service: time.sleep(seconds)


def switches(frames: bytes = b"") -> Step:
    return lambda service: service.switch(frames)


def reads(size: int) -> Step:
    return lambda service: service.read(size)


def answers(
    status: int = 200,
    body: bytes = b"ok",
    fields: Fields = (),
    *,
    length: int | None = None,
    is_end: bool = True,
) -> Step:
    """Send a response, or with `is_end` false or a greater length its beginning."""
    return lambda service: service.answer(status, body, fields, length, is_end=is_end)


def leaves(way: str = "close") -> Step:
    return lambda service: service.leave(way)


def serves(*script: Step) -> Step:
    """Answer each request in the same way, as long as there are any."""

    def serve(service: Service) -> None:
        while service.take():
            do(service, script)

    return serve


def repeats(*script: Step) -> Step:
    """Do these steps behind the head of each request."""

    def repeat(service: Service) -> None:
        while service.hear():
            do(service, script)

    return repeat


def spoken_to(service: Service) -> None:
    """Read something, whatever it is."""
    assert isinstance(service, Http1Service)
    service.connection.recv(100)


def takes_little(service: Service) -> None:
    """Take little of what the proxy sends."""
    service.take_little()


def takes_all(service: Service) -> None:
    """Take all of it again."""
    service.take_all()


def by_connection(*scripts: Script) -> tuple[Step]:
    """Do another script on each connection, the last one on all that follow."""
    return (lambda service: do(service, scripts[min(service.number, len(scripts) - 1)]),)


SERVE = (serves(answers()),)
