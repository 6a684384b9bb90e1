"""HTTP/2 at a fixed rate over a few connections: GETs, unary gRPC calls and, one in ten of all, a
stream of messages.

What a server has not begun, as its GOAWAY or reset says, is asked once more on a new connection, as
every client does.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, cast

from examples.demo import GRPC_SERVICE, framed
from proxy.cli.commands.mock.http2 import Peer
from proxy.http2 import events
from proxy.http2.request_fields import RequestFields

CONNECTIONS: Final = 4
TIMEOUT_S: Final = 60.0
_GRPC: Final = (
    b"Host: shop\r\ncontent-type: application/grpc+json\r\nte: trailers\r\ngrpc-timeout: 30S\r\n"
)


class Unbegun(Exception):
    """The server has not begun with a request."""


@dataclass(slots=True)
class Answer:
    """What came on a stream so far."""

    done: asyncio.Future[bytes]
    """The id of its record, once it is complete."""
    status: int = 0
    record_id: bytes = b""
    grpc_status: bytes = b""


class Caller(Peer):
    """The client's end of a connection."""

    def __init__(self) -> None:
        super().__init__(is_server=False)
        self._answers: dict[int, Answer] = {}
        self.is_lost = False

    async def ask(self, kind: str, number: int) -> bytes:
        """Make a request; return the id of its record.

        Raises:
            Unbegun: the server has not begun with it.
            ValueError: the answer is not what it should be.
            ConnectionError: it broke off.
        """
        method = {"http2": b"", "unary": b"Get", "stream": b"Watch"}[kind]
        if method:
            head = RequestFields(b"POST", GRPC_SERVICE.encode() + method, b"http", _GRPC, -1, None)
        else:
            lines = b"Host: shop\r\nX-Request-Id: soak2-%d\r\n" % number
            head = RequestFields(
                b"GET", b"/api/users/%d" % (1 + number % 20), b"http", lines, -1, None
            )

        stream_id = self.codec.send_request(head, b"shop", is_end=not method)
        answer = self._answers[stream_id] = Answer(asyncio.get_running_loop().create_future())
        if method:
            data = framed({"sku": "A-1001"})
            self.codec.send_data(stream_id, data, time.monotonic_ns(), is_end=True)
        self.flush()
        record_id = await answer.done
        if answer.status != 200 or (method and answer.grpc_status != b"0"):
            raise ValueError(f"{kind}: {answer.status} {answer.grpc_status.decode()}")

        return record_id

    def take(self, event: events.Event) -> None:
        """Follow the answers."""
        super().take(event)
        answer = self._answers.get(getattr(event, "stream_id", 0))
        if answer is None:
            return

        if isinstance(event, events.ResponseReceived):
            answer.status = event.head.status
            answer.record_id = _fields(event.head.lines).get(b"x-sidelog-id", b"")
        lines = event.lines if isinstance(event, events.TrailersReceived) else b""
        answer.grpc_status = _fields(lines).get(b"grpc-status", answer.grpc_status)
        if isinstance(event, events.StreamReset):
            why = f"reset with {event.code} {event.reason}"
            self._end(
                event.stream_id, Unbegun() if event.is_retryable else ConnectionResetError(why)
            )
        elif lines or getattr(event, "is_end", False):
            self._end(cast(events.TrailersReceived, event).stream_id, None)

    def _end(self, stream_id: int, error: Exception | None) -> None:
        answer = self._answers.pop(stream_id)
        if answer.done.done():
            return
        if error is None:
            answer.done.set_result(bytes.fromhex(answer.record_id.decode().replace("-", "")))
        else:
            answer.done.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        """End what runs."""
        self.is_lost = True
        for stream_id in list(self._answers):
            self._end(stream_id, ConnectionResetError(f"the connection was lost: {error}"))

    @property
    def is_usable(self) -> bool:
        """Whether it takes one more request."""
        return not self.is_lost and self.codec.free_streams > 0


def _fields(lines: bytes) -> dict[bytes, bytes]:
    return {
        name.lower(): value
        for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n"))
    }


@dataclass(slots=True)
class Http2Load:
    """Requests at a fixed rate, and what became of them."""

    port: int
    rate: float
    ids: list[bytes] = field(default_factory=list)
    """Of all answers that arrived whole."""
    errors: Counter[str] = field(default_factory=Counter)
    took: list[tuple[float, float, str]] = field(default_factory=list)
    """(when it was due, seconds until its answer, kind); a stream is not timed."""
    repeated: int = 0
    is_ending: bool = False
    _callers: list[Caller | None] = field(default_factory=lambda: [None] * CONNECTIONS)

    def take_ids(self) -> list[bytes]:
        """Return the ids of the answers since the last call, and forget them."""
        found = self.ids
        self.ids = []
        return found

    async def run(self) -> None:
        """Send until `is_ending`, and wait for the answers."""
        number = 0
        due_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            while not self.is_ending:
                number = number + 1
                due_s = due_s + 1 / self.rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                tasks.create_task(self._ask(number, due_s), name=f"stream {number}")

        for caller in self._callers:
            if caller is not None:
                caller.transport.close()

    async def _ask(self, number: int, due_s: float) -> None:
        kind = "stream" if number % 10 == 0 else ("http2", "unary")[number % 2]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    caller = await self._caller(number % CONNECTIONS)
                    try:
                        self.ids.append(await caller.ask(kind, number))
                        break
                    except Unbegun:
                        self.repeated += 1

            if kind != "stream":
                self.took.append((due_s, time.monotonic() - due_s, kind))
        except (OSError, ValueError) as error:
            self.errors[f"{kind}: {type(error).__name__}: {error}"[:80]] += 1

    async def _caller(self, place: int) -> Caller:
        caller = self._callers[place]
        if caller is None or not caller.is_usable:
            loop = asyncio.get_running_loop()
            _, caller = await loop.create_connection(Caller, "127.0.0.1", self.port)
            self._callers[place] = caller
        return caller
