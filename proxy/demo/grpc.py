"""gRPC of the demo: a service that knows the stock of a shop, and the calls of its clients.

Strategy: `proxy/http2` reads and writes the frames at both ends. The response to a call follows from its one message.
Messages are JSON (`application/grpc+json`), so that records show names without a schema.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from proxy.demo.streams import DEFAULT_PACE_S
from proxy.http2 import events
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.grpc import grpc_message
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields
from proxy.settings.addresses import parse_address

SERVICE: Final = "/shop.Stock/"
UNITS: Final = {"A-1001": 40, "A-1002": 3, "A-1003": 0}
LOST: Final = "A-1003"
"""The connection to the warehouse that has it is lost while it is watched."""
OK, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE = 0, 3, 5, 9, 12, 14

_TYPE: Final = b"content-type: application/grpc+json\r\n"


def framed(message: object) -> bytes:
    """Return a message behind its flag and length."""
    text = json.dumps(message).encode()
    return b"\0" + len(text).to_bytes(4, "big") + text


def respond(path: str, body: bytes) -> tuple[list[dict[str, Any]], int, str]:
    """Return what a call is answered with: messages, status and its text."""
    try:
        asked = json.loads(body[5:])
        sku, units = asked["sku"], int(asked.get("units", 0))
    except (ValueError, TypeError, KeyError):
        return [], INVALID_ARGUMENT, 'the request is JSON such as {"sku": "A-1001"}'
    found = UNITS.get(sku)
    if found is None:
        return [], NOT_FOUND, f"there is no article {sku}"
    match path.removeprefix(SERVICE):
        case "Get":
            return [{"sku": sku, "units": found, "warehouse": "north"}], OK, ""
        case "Reserve" if units > found:
            return [], FAILED_PRECONDITION, f"{units} of {sku} are asked for, {found} are left"
        case "Reserve":
            return [{"reservation": f"r-{sku}-{units}", "left": found - units}], OK, ""
        case "Watch":
            messages = [{"sku": sku, "units": max(found - number, 0)} for number in range(8)]
            return (messages[:3], UNAVAILABLE, "the warehouse was lost") if sku == LOST else (messages, OK, "")
        case _:
            return [], UNIMPLEMENTED, f"there is no method {path}"


class Peer(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self, *, is_server: bool) -> None:
        self.codec = Connection(Limits(max_header_bytes=32768), LineEncoder(), time.monotonic_ns(), is_server=is_server)

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
        self.transport.writelines(self.codec.output.take())


class Server(Peer):
    """The service's end: it answers each call once its message is complete."""

    def __init__(self, pace_s: float = DEFAULT_PACE_S) -> None:
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
            self._respond(event.stream_id, *respond(path, bytes(body)))

    def _respond(self, stream_id: int, messages: list[dict[str, Any]], status: int, text: str) -> None:
        ending = b"grpc-status: %d\r\n" % status + (b"grpc-message: %b\r\n" % grpc_message(text) if text else b"")
        if messages:
            self.codec.send_response(stream_id, 200, _TYPE)
            self._continue(stream_id, messages, ending)
        else:
            self.codec.send_response(stream_id, 200, _TYPE + ending, is_end=True)

    def _continue(self, stream_id: int, messages: list[dict[str, Any]], ending: bytes) -> None:
        message, *more = messages
        self.send(stream_id, message)
        if more:
            asyncio.get_running_loop().call_later(self._pace_s, self._continue, stream_id, more, ending)
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
        if isinstance(event, events.TrailersReceived | events.StreamReset) or getattr(event, "is_end", False):
            self.is_done.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_done.set()


async def call(url: str, path: str, message: object, headers: Mapping[str, str]) -> int:
    """Make one call over a connection of its own; return the status of HTTP, 0 where none came."""
    authority = urlsplit(url).netloc
    transport, client = await asyncio.get_running_loop().create_connection(Client, *parse_address(authority))
    try:
        lines = b"".join(b"%b: %b\r\n" % (name.lower().encode(), value.encode()) for name, value in headers.items())
        head = RequestFields(b"POST", path.encode(), b"http", _TYPE + b"te: trailers\r\n" + lines, -1, None)
        client.send(client.codec.send_request(head, authority.encode()), message, is_end=True)
        client.flush()
        await client.is_done.wait()
        return client.status
    finally:
        transport.close()
