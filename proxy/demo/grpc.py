"""gRPC of the demo: both ends of a call, whose frames `proxy/http2` reads and writes.

Messages are JSON (`application/grpc+json`), so that records show names without a schema.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Final, cast
from urllib.parse import urlsplit

from proxy.demo.visits import ANSWERS
from proxy.http2 import events
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.grpc import grpc_message
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields
from proxy.settings.addresses import parse_address

SERVICE: Final = "/shop.Stock/"
PACE_S: Final = 0.04
"""Between two messages, and two frames of any stream: about as fast as a language model writes."""
UNIMPLEMENTED: Final = 12

_TYPE: Final = b"content-type: application/grpc+json\r\n"


def framed(message: object) -> bytes:
    """Return a message behind its flag and length."""
    text = json.dumps(message).encode()
    return b"\0" + len(text).to_bytes(4, "big") + text


class Peer(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self, *, is_server: bool) -> None:
        self.codec = Connection(
            Limits(max_header_bytes=32768), LineEncoder(), time.monotonic_ns(), is_server=is_server
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.codec.receive(data, time.monotonic_ns()):
            self.take(event)
        self.flush()
        if self.codec.has_more:
            self.data_received(b"")

    def take(self, event: events.Event) -> None:
        """Do what an event asks for; the ends add what they are there for."""
        if isinstance(event, events.DataReceived):
            self.codec.credit(event.stream_id, len(event.data))
        elif isinstance(event, events.StreamReset):
            self.codec.release(event.stream_id)
        elif isinstance(event, events.ConnectionEnded):
            self.transport.close()

    def send(self, stream_id: int, message: object, *, is_end: bool = False) -> None:
        self.codec.send_data(stream_id, framed(message), time.monotonic_ns(), is_end=is_end)

    def flush(self) -> None:
        self.transport.write(self.codec.output.take())


class Server(Peer):
    """The service's end: it answers each call once its message is complete."""

    def __init__(self, pace_s: float = PACE_S) -> None:
        super().__init__(is_server=True)
        self._pace_s = pace_s
        self._calls: dict[int, tuple[str, bytearray]] = {}

    def take(self, event: events.Event) -> None:
        super().take(event)
        if isinstance(event, events.RequestReceived):
            self._calls[event.stream_id] = event.head.target.decode(), bytearray()
        elif isinstance(event, events.DataReceived):
            self._calls[event.stream_id][1].extend(event.data)

        if isinstance(event, events.RequestReceived | events.DataReceived) and event.is_end:
            path, body = self._calls.pop(event.stream_id)
            self._respond(event.stream_id, path, body[5:].decode(errors="replace"))

    def _respond(self, stream_id: int, path: str, message: str) -> None:
        step = ANSWERS.find(f"GRPC {path}", message)
        status = UNIMPLEMENTED
        text = f"no visit of the demo calls {path} so"
        if step is not None:
            status = int(step.status or 0)
            text = step.answer
        ending = b"grpc-status: %d\r\n" % status + (
            b"grpc-message: %b\r\n" % grpc_message(text) if text else b""
        )
        if step is not None and step.messages:
            self.codec.send_response(stream_id, 200, _TYPE)
            self._continue(stream_id, step.messages, ending)
        else:
            self.codec.send_response(stream_id, 200, _TYPE + ending, is_end=True)

    def _continue(self, stream_id: int, messages: Sequence[str], ending: bytes) -> None:
        message, *more = messages
        self.send(stream_id, json.loads(message))
        if more:
            asyncio.get_running_loop().call_later(
                self._pace_s, self._continue, stream_id, more, ending
            )
        else:
            self.codec.send_trailers(stream_id, ending, time.monotonic_ns())

        self.flush()


class Client(Peer):
    """A client's end, for one call; `status` is that of HTTP, 0 where none came."""

    def __init__(self) -> None:
        super().__init__(is_server=False)
        self.is_done = asyncio.Event()
        self.status = 0

    def take(self, event: events.Event) -> None:
        super().take(event)
        if isinstance(event, events.ResponseReceived):
            self.status = event.head.status
        if isinstance(event, events.TrailersReceived | events.StreamReset) or getattr(
            event, "is_end", False
        ):
            self.is_done.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_done.set()


async def call(url: str, path: str, message: object, headers: Mapping[str, str]) -> int:
    """Make one call over a connection of its own; return the status of HTTP, 0 where none came."""
    authority = urlsplit(url).netloc
    transport, client = await asyncio.get_running_loop().create_connection(
        Client, *parse_address(authority)
    )
    try:
        lines = b"".join(
            b"%b: %b\r\n" % (name.lower().encode(), value.encode())
            for name, value in headers.items()
        )
        head = RequestFields(
            b"POST", path.encode(), b"http", _TYPE + b"te: trailers\r\n" + lines, -1, None
        )
        client.send(client.codec.send_request(head, authority.encode()), message, is_end=True)
        client.flush()
        await client.is_done.wait()
        return client.status
    finally:
        transport.close()
