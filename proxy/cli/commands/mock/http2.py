"""Answers HTTP/2 requests with prior knowledge, as gRPC clients send them without TLS.

A connection that begins with the HTTP/2 preface is HTTP/2; others are handed to aiohttp with the
bytes read so far. The codec of the data port (`proxy/http2`) judges frames, and a task answers each
stream. Invariant: at most `MAX_REQUEST_BYTES` of a request are kept, and sending waits for the
client's windows.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from api.native.projection import octets_of
from proxy.cli.commands.mock.recording import MAX_REQUEST_BYTES
from proxy.cli.commands.mock.reply import BODILESS, Reply
from proxy.cli.commands.mock.service import Service
from proxy.cli.commands.output import complain
from proxy.http2 import events, frames
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.errors import ErrorCode
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields


class Door(asyncio.Protocol):
    """A connection whose version is still unknown."""

    def __init__(
        self,
        service: Service,
        other: Callable[[], asyncio.Protocol],
        opened: set[asyncio.Transport],
    ) -> None:
        """Accept HTTP/2 connections; `other` makes the protocol for all other connections, and
        closes them.
        """
        self._service = service
        self._other = other
        self._opened = opened
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._opened.add(self._transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Remove the lost connection from the opened ones."""
        self._opened.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Pass the connection on to the protocol of its HTTP version, as soon as the version is
        clear.
        """
        self._read += data
        if frames.PREFACE.startswith(self._read[: len(frames.PREFACE)]) and len(self._read) < len(
            frames.PREFACE
        ):
            return

        is_http2 = self._read.startswith(frames.PREFACE)
        protocol = Http2(self._service, self._opened) if is_http2 else self._other()
        if not is_http2:
            self._opened.discard(self._transport)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._read)


@dataclass(slots=True)
class _Asked:
    """The request of a stream."""

    head: RequestFields
    body: bytearray = field(default_factory=bytearray)
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Peer(asyncio.Protocol):
    """One end of a connection, of a server or a client."""

    def __init__(self, *, is_server: bool) -> None:
        self.codec = Connection(
            Limits(max_header_bytes=32768), LineEncoder(), time.monotonic_ns(), is_server=is_server
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Decode received data and handle its events."""
        for event in self.codec.receive(data, time.monotonic_ns()):
            self.take(event)
        self.flush()
        if self.codec.has_more:
            self.data_received(b"")

    def take(self, event: events.Event) -> None:
        """Handle an event; subclasses add theirs."""
        if isinstance(event, events.DataReceived):
            self.codec.credit(event.stream_id, len(event.data))
        elif isinstance(event, events.StreamReset):
            self.codec.release(event.stream_id)
        elif isinstance(event, events.ConnectionEnded):
            self.transport.close()

    def flush(self) -> None:
        """Write the codec's pending output."""
        self.transport.write(self.codec.output.take())


class Http2(Peer):
    """An HTTP/2 connection of a client."""

    def __init__(self, service: Service, opened: set[asyncio.Transport]) -> None:
        """Be among the opened ones until it is lost."""
        super().__init__(is_server=True)
        self._service = service
        self._opened = opened
        self._streams: dict[int, _Asked] = {}
        self._check: asyncio.TimerHandle | None = None

    def connection_lost(self, _: Exception | None) -> None:
        """Stop what runs."""
        self._opened.discard(self.transport)
        for stream_id in [*self._streams]:
            self._forget(stream_id)
        if self._check is not None:
            self._check.cancel()

    def take(self, event: events.Event) -> None:
        """Begin to answer a complete request."""
        super().take(event)
        if isinstance(event, events.RequestReceived):
            self._streams[event.stream_id] = _Asked(event.head)
            if event.is_end:
                self._begin(event.stream_id)
        elif isinstance(event, events.DataReceived):
            self._read_body(event)
        elif isinstance(event, events.TrailersReceived):
            self._begin(event.stream_id)
        elif isinstance(event, events.StreamDrained) and event.stream_id in self._streams:
            self._streams[event.stream_id].drained.set()
        elif isinstance(event, events.StreamReset):
            self._forget(event.stream_id)

    def _read_body(self, event: events.DataReceived) -> None:
        asked = self._streams.get(event.stream_id)
        if asked is None:
            return

        asked.body += event.data
        if len(asked.body) > MAX_REQUEST_BYTES:
            self._forget(event.stream_id)
            self.codec.reset(event.stream_id, ErrorCode.ENHANCE_YOUR_CALM)
            self.codec.release(event.stream_id)
        elif event.is_end:
            self._begin(event.stream_id)

    def _begin(self, stream_id: int) -> None:
        asked = self._streams.get(stream_id)
        if asked is not None and asked.task is None:
            answering = self._answer(stream_id, asked)
            asked.task = asyncio.get_running_loop().create_task(answering, name=f"mock {stream_id}")
            asked.task.add_done_callback(partial(self._ended, stream_id))

    def _ended(self, stream_id: int, task: asyncio.Task[None]) -> None:
        """Reset a stream that could not be answered, so that its client does not wait."""
        self._streams.pop(stream_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            complain(f"stream {stream_id} was not answered: {error!r}")
            self.codec.reset(stream_id, ErrorCode.INTERNAL_ERROR)
            self.codec.release(stream_id)
            self.flush()

    def _forget(self, stream_id: int) -> None:
        asked = self._streams.pop(stream_id, None)
        if asked is not None and asked.task is not None:
            asked.task.cancel()

    async def _answer(self, stream_id: int, asked: _Asked) -> None:
        head = asked.head
        method = head.method.decode()
        target = head.target.decode("utf-8", "surrogateescape")
        host = head.lines.partition(b"\r\n")[0].removeprefix(b"Host: ").decode("utf-8", "replace")
        reply = self._service.answer(method, target, host, head.text, bytes(asked.body))
        await self._send(stream_id, asked, reply)

    async def _send(self, stream_id: int, asked: _Asked, reply: Reply) -> None:
        has_body = asked.head.method != b"HEAD" and reply.status not in BODILESS
        if not has_body:
            reply = reply._replace(trailers=())

        lines = _lines(reply.fields)
        if reply.status not in BODILESS and not reply.timeline and not reply.trailers:
            lines += b"content-length: %d\r\n" % (
                len(reply.content) if reply.length is None else reply.length
            )

        is_end = not (has_body and reply.content) and not reply.trailers
        self.codec.send_response(stream_id, reply.status, lines, is_end=is_end)
        self.flush()
        if has_body:
            await self._send_body(stream_id, asked, reply)
        if reply.trailers:
            self.codec.send_trailers(stream_id, _lines(reply.trailers), time.monotonic_ns())
            self.flush()

    async def _send_body(self, stream_id: int, asked: _Asked, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        left = len(reply.content)

        for piece, after_us in reply.pieces():
            await asyncio.sleep(began_s + after_us / 1e6 - loop.time())
            left -= len(piece)
            asked.drained.clear()
            is_end = left == 0 and not reply.trailers
            is_sent = self.codec.send_data(stream_id, piece, time.monotonic_ns(), is_end=is_end)
            self.flush()
            if not is_sent:
                await asked.drained.wait()

    def flush(self) -> None:
        """Write the codec's pending output, and continue when it asks to."""
        super().flush()
        if self._check is not None:
            self._check.cancel()
            self._check = None
        if due_ns := self.codec.next_check_ns:
            after_s = max(0, due_ns - time.monotonic_ns()) / 1e9
            self._check = asyncio.get_running_loop().call_later(after_s, self._look)

    def _look(self) -> None:
        self._check = None
        for event in self.codec.check(time.monotonic_ns()):
            self.take(event)
        self.flush()


def _lines(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return fields as lines; names are lower-case in HTTP/2 (RFC 9113 §8.2)."""
    return b"".join(octets_of(f"{name.lower()}: {value}\r\n") for name, value in fields)
