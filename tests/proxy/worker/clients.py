"""Clients of a row: the same steps over HTTP/1.1, over TLS and on streams of HTTP/2."""

import contextlib
import dataclasses
import ssl
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from proxy.http2.errors import ErrorCode
from tests.support.client import Client
from tests.support.http2_client import Http2Client, Stream
from tests.support.plane import Plane

Fields = Sequence[tuple[str, str]]
Protocol = Literal["http1", "tls", "http2", "http2 over tls"]
UPGRADE: Final[Fields] = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)
OPEN: Final[Fields] = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/chat"),
)
"""How a client opens a WebSocket over HTTP/1.1, and over HTTP/2 (RFC 8441)."""
MASKED_CLOSE: Final = b"\x88\x82\0\0\0\0\x03\xe8"
"""A close frame of a client's."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request, or its beginning."""

    method: str = "GET"
    path: str = "/"
    body: bytes = b""
    fields: Fields = ()
    length: int | None = None
    """What Content-Length says; None: the size of the body, or nothing where more is to come."""
    is_end: bool = True


@dataclasses.dataclass(frozen=True)
class Heard:
    """A response, as far as it came."""

    status: int
    body: bytes
    is_whole: bool
    fields: dict[str, str]
    """Names in lower case; over HTTP/1.1 the values of one name are joined, over HTTP/2 the last counts."""
    trailers: dict[str, str]
    reset: int | None = None
    """The code of a reset of its stream."""
    trailer_lines: bytes = b""
    """Its trailers as they came, over HTTP/1.1."""


class Http1Caller:
    """A connection of HTTP/1.1, secured or not."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._is_chunked = False
        self._seen = 0
        """How much of what is buffered was looked for."""

    def ask(self, asked: Asked) -> None:
        """Begin a request."""
        self._is_chunked = asked.length is None and not asked.is_end
        fields = [("Host", "a"), *asked.fields]
        if self._is_chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif asked.length is not None or asked.body:
            fields.append(("Content-Length", str(asked.length or len(asked.body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.client.send(f"{asked.method} {asked.path} HTTP/1.1\r\n{lines}\r\n".encode())
        if asked.body:
            self.send(asked.body)

    def send(self, data: bytes) -> None:
        """Send more of its body, or, behind none, bytes as they are."""
        self.client.send(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def end(self, trailers: Fields = ()) -> None:
        """End a body without a length."""
        if self._is_chunked:
            lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
            self.client.send(f"0\r\n{lines}\r\n".encode())

    def hear(self, method: str) -> Heard:
        """Read the next response to its end, in whatever way that comes."""
        self._seen = 0
        answer = self.client.answer(method)
        return Heard(
            answer.status,
            answer.body,
            answer.is_complete,
            _fields_of(answer.head.partition(b"\r\n")[2]),
            _fields_of(answer.trailers),
            trailer_lines=answer.trailers,
        )

    def hear_interim(self) -> int:
        """Read the status of an interim response."""
        return int(self.head().split(b" ")[1])

    def head(self) -> bytes:
        """Read a head, interim or final."""
        self._seen = 0
        return self.client.head()

    def see(self, part: bytes) -> None:
        """Read until these bytes came; `hear` returns them once more."""
        while part not in self.client._buffer:
            data = self.client.socket.recv(65536)
            assert data, f"the connection ended before {part!r}: {self.client._buffer!r}"
            self.client._buffer += data
        self._seen = self.client._buffer.index(part) + len(part)

    def see_head(self) -> None:
        """Read until the head of a response came."""
        self.see(b"\r\n\r\n")

    def leave(self, way: str) -> None:
        """Close, reset, or end the sending side."""
        {
            "close": self.client.socket.close,
            "reset": self.client.reset,
            "end": self.client.finish_sending,
        }[way]()

    def open_websocket(self) -> None:
        """Ask for a WebSocket, and read the head that agrees."""
        self.ask(Asked(path="/chat", fields=UPGRADE))
        assert self.head().startswith(b"HTTP/1.1 101 ")

    def is_ended(self) -> bool:
        """Wait for the end of the connection; tell whether nothing but what was seen came before it."""
        self.client._buffer = self.client._buffer[self._seen :]
        self._seen = 0
        return self.client.is_ended()


class Http2Caller:
    """A connection of HTTP/2, each request on a stream of its own."""

    def __init__(self, client: Http2Client, *, is_slow: bool) -> None:
        """A slow one gives no credit for what comes, until it hears a whole response."""
        self.client = client
        self._is_slow = is_slow
        self._unheard: list[int] = []
        self.websocket = 0
        self.sending = 0
        self._left: int | None = None
        self._seen = 0
        """How much of the body of its WebSocket was looked for."""

    @property
    def stream(self) -> Stream:
        """The stream that was begun last."""
        return self.client.streams[self.sending]

    def ask(self, asked: Asked) -> None:
        fields = [
            (":method", asked.method),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", asked.path),
            *((name.lower(), value) for name, value in asked.fields),
        ]
        self._left = asked.length
        if asked.length is None and asked.is_end and asked.body:
            self._left = len(asked.body)
        if self._left is not None:
            fields.append(("content-length", str(self._left)))
        is_alone = asked.is_end and not self._left
        self.sending = self.client.begin(fields, is_end=is_alone)
        self._unheard.append(self.sending)
        if asked.body:
            self.send(asked.body)

    def send(self, data: bytes) -> None:
        while data and not self.stream.is_ended and self.stream.reset is None:
            room = min(self.client.h2.local_flow_control_window(self.sending), 16_384, len(data))
            if not room:
                if not self.client.read():
                    return
                continue
            if self._left is not None:
                self._left -= room
            self.client.h2.send_data(self.sending, data[:room], end_stream=self._left == 0)
            self.client.flush()
            data = data[room:]

    def end(self, trailers: Fields = ()) -> None:
        if trailers:
            self.client.h2.send_headers(self.sending, list(trailers), end_stream=True)
        elif self._left != 0:
            self.client.h2.end_stream(self.sending)
        self.client.flush()

    def hear(self, method: str) -> Heard:
        stream_id = self._unheard.pop(0)
        if self._is_slow:
            with contextlib.suppress(OSError):
                self.client.h2.increment_flow_control_window(1 << 30)
                self.client.h2.increment_flow_control_window(1 << 30, stream_id)
                self.client.flush()
        stream = self.client.answer(stream_id)
        return Heard(
            stream.status,
            stream.body,
            stream.is_ended,
            stream.fields,
            stream.trailers,
            stream.reset,
        )

    def hear_interim(self) -> int:
        while not self.stream.informed:
            assert self.client.read()
        return self.stream.informed.pop(0)

    def see(self, part: bytes) -> None:
        while part not in self.stream.body:
            assert self.client.read()
        self._seen = self.stream.body.index(part) + len(part)

    def see_head(self) -> None:
        """Read until the head of a response came."""
        while not self.stream.status:
            assert self.client.read()

    def leave(self, way: str) -> None:
        if way == "reset":
            self.client.h2.reset_stream(self.sending, ErrorCode.CANCEL)
            self.client.flush()
            self._unheard = [each for each in self._unheard if each != self.sending]
        elif way == "close":
            self.client.socket.close()
        else:
            self.client.end_side()

    def open_websocket(self) -> None:
        self._left = None
        self._seen = 0
        self.sending = self.websocket = self.client.begin(OPEN, is_end=False)
        self.see_head()
        assert self.stream.status == 200

    def begin(self, fields: Fields, *, is_end: bool) -> None:
        """Send any head."""
        self._left = None
        self.sending = self.client.begin(fields, is_end=is_end)
        self._unheard.append(self.sending)

    def is_ended(self) -> bool:
        """Wait for the end of the connection, or of the stream that was begun last; tell whether
        nothing but what was heard or seen came before it.
        """
        while self.sending and not self.stream.is_ended and self.stream.reset is None:
            if not self.client.read():
                break
        if not self.sending:
            self.client.hear_out()
        if any(self.client.streams[each].status for each in self._unheard):
            return False
        return self.sending != self.websocket or not self.stream.body[self._seen :]


def _fields_of(lines: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(None, lines.splitlines()):
        name, _, value = line.decode("latin-1").partition(":")
        values = [found[name.lower()]] if name.lower() in found else []
        found[name.lower()] = ", ".join([*values, value.strip()])
    return found


def trusting() -> ssl.SSLContext:
    """Make a context of a client that trusts every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(plane: Plane) -> Client:
    """Open a connection of HTTP/1.1 over TLS."""
    return Client(trusting().wrap_socket(plane.connect().socket))


Caller = Http1Caller | Http2Caller


@contextlib.contextmanager
def calling(plane: Plane, protocol: Protocol, *, is_slow: bool = False) -> Iterator[Caller]:
    """Open a client connection of a protocol; it is closed at the end.

    The kernel of a slow client takes little.
    """
    with plane.connect(4096 if is_slow else 0) as plain:
        if protocol == "http1":
            yield Http1Caller(plain)
        elif protocol == "http2":
            with Http2Client(plain.socket, takes_all=not is_slow) as client:
                yield Http2Caller(client, is_slow=is_slow)
        elif protocol == "tls":
            with Client(trusting().wrap_socket(plain.socket)) as secured:
                yield Http1Caller(secured)
        else:
            context = trusting()
            context.set_alpn_protocols(["h2"])
            with Http2Client(context.wrap_socket(plain.socket)) as client:
                yield Http2Caller(client, is_slow=False)
