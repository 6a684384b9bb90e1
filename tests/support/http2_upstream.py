"""An upstream of HTTP/2 by an implementation that is not ours (`h2`): it answers as a function of a
test's says.
"""

import dataclasses
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

Fields = Sequence[tuple[str, str]]
OK: Final[Fields] = ((":status", "200"),)


@dataclasses.dataclass
class Request:
    """What came on one stream."""

    id: int
    fields: dict[str, str]
    body: bytes = b""
    trailers: dict[str, str] | None = None
    is_ended: bool = False
    is_answered: bool = False
    """Whether a response was begun."""
    is_begun: bool = False
    is_done: bool = False
    """Both for the answer's own use."""
    reset: int | None = None
    """The code with which it was cancelled."""


class Connection:
    """One accepted connection, as what answers sees it."""

    def __init__(
        self, connection: socket.socket, number: int, settings: dict[SettingCodes, int]
    ) -> None:
        self.socket = connection
        self.number = number
        self.h2 = H2Connection(
            H2Configuration(
                client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )  # fmt: skip
        self.h2.local_settings = Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        self.requests: dict[int, Request] = {}
        self.lock = threading.RLock()
        """Held while `h2` changes: the thread that serves, and that of the test, both speak."""
        self.is_over = False
        self.takes_all = True
        """Whether it gives credit for what comes."""

    def flush(self) -> None:
        """Send what is to be sent, in the order in which it was said."""
        with self.lock:
            self.socket.sendall(self.h2.data_to_send())

    def respond(
        self,
        request: Request,
        body: bytes = b"",
        fields: Fields = OK,
        trailers: Fields = (),
        *,
        is_end: bool = True,
    ) -> None:
        """Send a response, or its beginning."""
        request.is_answered = True
        with self.lock:
            is_alone = is_end and not (body or trailers)
            self.h2.send_headers(request.id, list(fields), end_stream=is_alone)
            if body:
                self.h2.send_data(request.id, body, end_stream=is_end and not trailers)
            if trailers:
                self.h2.send_headers(request.id, list(trailers), end_stream=True)
            self.flush()


Answer = Callable[[Connection, Request], None]


def echo(connection: Connection, request: Request) -> None:
    """Send back what was sent, once it is complete."""
    if request.is_ended:
        connection.respond(request, request.body)


class Http2Upstream:
    """Use it with `scripted`; `answer` is called with each request whenever something of it came."""

    def __init__(
        self,
        answer: Answer = echo,
        settings: dict[SettingCodes, int] | None = None,
        *,
        on_window: Answer = lambda connection, request: None,
        takes_all: bool = True,
    ) -> None:
        """Without `takes_all` no credit is given for what comes; `on_window` is called when windows
        widen.
        """
        self._answer = answer
        self._on_window = on_window
        self._settings = settings or {}
        self._takes_all = takes_all
        self._lock = threading.Lock()
        self.connections: list[Connection] = []

    @property
    def requests(self) -> list[Request]:
        """Of all connections, in order."""
        return [
            request for connection in self.connections for request in connection.requests.values()
        ]

    def __call__(self, accepted: socket.socket, number: int) -> None:
        """Serve one connection."""
        with self._lock:
            connection = Connection(accepted, len(self.connections), self._settings)
            connection.takes_all = self._takes_all
            self.connections.append(connection)
        try:
            connection.flush()
            while data := accepted.recv(65536):
                with connection.lock:
                    happened = connection.h2.receive_data(data)
                for event in happened:
                    self._take(connection, event)
                connection.flush()
        except (OSError, ProtocolError):
            pass  # the plane has gone, or what the test did was none of the protocol
        finally:
            connection.is_over = True

    def _take(self, connection: Connection, event: events.Event) -> None:
        if isinstance(event, events.WindowUpdated):
            for each in connection.requests.values():
                self._on_window(connection, each)
        elif isinstance(event, events.RequestReceived):
            request = connection.requests[event.stream_id] = Request(
                event.stream_id, _texts(event.headers)
            )
            request.is_ended = event.stream_ended is not None
            self._answer(connection, request)
        else:
            request = connection.requests.get(
                getattr(event, "stream_id", None) or 0, Request(0, {})
            )
            if request.id and self._has_news(connection, request, event):
                self._answer(connection, request)

    def _has_news(self, connection: Connection, request: Request, event: events.Event) -> bool:
        if isinstance(event, events.DataReceived):
            with connection.lock:
                request.body += event.data or b""
            if connection.takes_all and event.flow_controlled_length:
                with connection.lock:
                    size = event.flow_controlled_length
                    connection.h2.acknowledge_received_data(size, request.id)
            return True

        if isinstance(event, events.TrailersReceived):
            request.trailers = _texts(event.headers)
        elif isinstance(event, events.StreamReset):
            request.reset = int(event.error_code)
        elif isinstance(event, events.StreamEnded) and not request.is_ended:
            request.is_ended = True
            return True

        return False


def _texts(fields: object) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in fields}  # type: ignore[attr-defined]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
