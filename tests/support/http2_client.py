"""A client of HTTP/2 by an implementation that is not ours (`h2`), over a socket of the test's."""

import dataclasses
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

Fields = Sequence[tuple[str, str]]
GET: Final[Fields] = ((":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"))
_GOAWAY: Final = 7
POST: Final[Fields] = ((":method", "POST"), *GET[1:])


@dataclasses.dataclass
class Stream:
    """What came on one stream."""

    status: int = 0
    fields: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = dataclasses.field(default_factory=dict)
    informed: list[int] = dataclasses.field(default_factory=list)
    """Statuses of informational responses."""
    is_ended: bool = False
    reset: int | None = None
    """The code of a reset."""


class Http2Client:
    """One connection; closed by `with`."""

    def __init__(self, connection: socket.socket, *, takes_all: bool = True) -> None:
        """Begin; without `takes_all` no credit is given for what comes."""
        self.socket = connection
        self.h2 = H2Connection(
            H2Configuration(
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                header_encoding="utf-8",
            )
        )
        self.streams: dict[int, Stream] = {}
        self.goaway: tuple[int, str] | None = None
        """Code and reason of the end of the connection."""
        self.last_id = 1 << 31
        """The last stream that is served, once a GOAWAY has named it."""
        self.is_closed = False
        self.has_ended_side = False
        self._takes_all = takes_all
        self._buffer = b""
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.socket.close()

    def flush(self) -> None:
        """Send what the implementation has to send, as long as its side is open."""
        data = self.h2.data_to_send()
        if not self.has_ended_side:
            self.socket.sendall(data)

    def end_side(self) -> None:
        """End the sending side of the connection."""
        self.socket.shutdown(socket.SHUT_WR)
        self.has_ended_side = True

    def begin(self, fields: Fields = GET, body: bytes | None = None, *, is_end: bool = True) -> int:
        """Send a request, or its beginning; return its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        self.streams[stream_id] = Stream()
        self.h2.send_headers(stream_id, list(fields), end_stream=is_end and body is None)
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=is_end)
        self.flush()
        return stream_id

    def read(self) -> bool:
        """Take the next bytes; False: the connection is over."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""

        for event in self.h2.receive_data(self._without_goaways(data)) if data else ():
            self._take(event)
        if not data:
            self.is_closed = True
            return False

        self.flush()
        return True

    def _without_goaways(self, data: bytes) -> bytes:
        """Take GOAWAY frames out: `h2` takes nothing behind one, not even the streams that it
        leaves to run.
        """
        self._buffer += data
        passed = b""
        while (
            len(self._buffer) >= (end := 9 + int.from_bytes(self._buffer[:3], "big")) >= 9
            and len(self._buffer) >= 9
        ):
            frame = self._buffer[:end]
            self._buffer = self._buffer[end:]
            if frame[3] == _GOAWAY:
                self.last_id = int.from_bytes(frame[9:13], "big")
                self.goaway = int.from_bytes(frame[13:17], "big"), frame[17:].decode()
            else:
                passed += frame

        return passed

    def _take(self, event: events.Event) -> None:
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0, Stream())
        if isinstance(event, events.ResponseReceived):
            stream.fields = dict(_texts(event.headers))
            stream.status = int(stream.fields.pop(":status"))
        elif isinstance(event, events.InformationalResponseReceived):
            stream.informed.append(int(dict(_texts(event.headers))[":status"]))
        elif isinstance(event, events.TrailersReceived):
            stream.trailers = dict(_texts(event.headers))
        elif isinstance(event, events.StreamEnded):
            stream.is_ended = True
        elif isinstance(event, events.StreamReset):
            stream.reset = int(event.error_code)
        elif isinstance(event, events.DataReceived):
            stream.body += event.data or b""
            if self._takes_all and event.flow_controlled_length:
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id or 0
                )

    def answer(self, stream_id: int) -> Stream:
        """Read until a stream is over, in whatever way."""
        stream = self.streams[stream_id]
        while not stream.is_ended and stream.reset is None and self.read():
            pass
        return stream

    def ask(self, fields: Fields = GET, body: bytes | None = None) -> Stream:
        """Send a request and read its response."""
        return self.answer(self.begin(fields, body))

    def hear_out(self) -> None:
        """Read to the end of the connection."""
        while self.read():
            pass


def _texts(fields: object) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in fields]  # type: ignore[attr-defined]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
