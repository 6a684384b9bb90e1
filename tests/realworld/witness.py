"""A relay that copies every byte between sidelog and a server, and reads along with another parser,
h11.

What it saw is what sidelog's record has to say: the same exchanges with the same methods, paths,
statuses and sizes. It changes nothing: bytes go on as they are, and a message that h11 refuses is
kept as a fault and goes on all the same.
"""

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import h11

_READ_BYTES = 1 << 17
_MAX_HEAD_BYTES = 1 << 20
_ENDED = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)


@dataclasses.dataclass(frozen=True, order=True)
class Exchange:
    """One request and its final response; sizes are those of the bodies, without chunk framing."""

    method: str
    path: str
    """As it was sent, without the query."""
    status: int
    request_bytes: int
    response_bytes: int


class Reading:
    """Both directions of one connection, read by a pair of h11 connections; each is told what the
    other reads.
    """

    def __init__(self, seen: list[Exchange]) -> None:
        """Append to `seen`."""
        self._seen = seen
        self._requests = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._responses = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._request: h11.Request | None = None
        self._status = 0
        self._request_bytes = 0
        self._response_bytes = 0

    def feed_request(self, data: bytes) -> None:
        """Read what the client sent; empty: it ended its side."""
        self._feed(self._requests, self._responses, data)

    def feed_response(self, data: bytes) -> None:
        """Read what the server sent; empty: it ended its side."""
        self._feed(self._responses, self._requests, data)

    def finish(self) -> None:
        """Keep the exchange that was read so far, if it has a final status."""
        if self._request is not None and self._status:
            path = self._request.target.decode("latin-1").partition("?")[0]
            method = self._request.method.decode()
            self._seen.append(
                Exchange(method, path, self._status, self._request_bytes, self._response_bytes)
            )

        self._request = None
        self._status = 0
        self._request_bytes = 0
        self._response_bytes = 0

    def _feed(self, reader: h11.Connection, other: h11.Connection, data: bytes) -> None:
        if h11.SWITCHED_PROTOCOL in (reader.their_state, reader.our_state):
            return
        reader.receive_data(data)
        self._read(reader, other)

        states = (self._responses.our_state, self._responses.their_state)
        if states == (h11.DONE, h11.DONE):
            self.finish()
            self._requests.start_next_cycle()
            self._responses.start_next_cycle()
            self._read(self._requests, self._responses)
        elif h11.SWITCHED_PROTOCOL in states or all(state in _ENDED for state in states):
            self.finish()

    def _read(self, reader: h11.Connection, other: h11.Connection) -> None:
        while True:
            event = reader.next_event()
            if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
                return  # more data is needed, or the exchange before has to end first

            match event:
                case h11.Request():
                    self._request = event
                case h11.Response() | h11.InformationalResponse(status_code=101):
                    self._status = event.status_code
                case h11.Data() if reader is self._requests:
                    self._request_bytes += len(event.data)
                case h11.Data():
                    self._response_bytes += len(event.data)
                case _:
                    pass

            other.send(event)


class Witness:
    """Listens between `with` and its end, in a thread of its own; relays to one port of this
    machine.
    """

    def __init__(self, port: int) -> None:
        """Relay to `port`."""
        self.exchanges: list[Exchange] = []
        self.faults: list[Exception] = []
        """What h11 had to say against a message."""
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._is_listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness")
        self.port = 0

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        assert self._is_listening.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._relay, "127.0.0.1", limit=_READ_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        self._is_listening.set()
        await self._stopped.wait()
        server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading = Reading(self.exchanges)
        writers = [writer]
        try:
            upstream, upstream_writer = await asyncio.open_connection(
                "127.0.0.1", self._target, limit=_READ_BYTES
            )
            writers.append(upstream_writer)
            async with asyncio.TaskGroup() as copies:
                copies.create_task(self._copy(reader, upstream_writer, reading.feed_request))
                copies.create_task(self._copy(upstream, writer, reading.feed_response))
        except* OSError:
            pass  # a reset of one side is handed on as the other's end
        finally:
            reading.finish()
            for each in writers:
                each.transport.abort() if self._stopped.is_set() else each.close()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        feed: Callable[[bytes], None],
    ) -> None:
        is_understood = True
        while True:
            data = await reader.read(_READ_BYTES)
            if is_understood:
                try:
                    feed(data)
                except h11.ProtocolError as error:
                    self.faults.append(error)
                    is_understood = False

            if not data:
                break

            writer.write(data)
            await writer.drain()

        if writer.can_write_eof():
            writer.write_eof()
