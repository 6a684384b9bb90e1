"""An upstream that keeps every byte it is sent, by connection, and answers each whole request."""

import socket
import threading
from collections.abc import Callable

from tests.fuzz.strict import Request, Requests, read_requests

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def plain_answer(request: Request) -> bytes:
    """An answer without surprises."""
    return NO_BODY if request.method == b"HEAD" else OK


class Recording:
    """Use it with `scripted`."""

    def __init__(self, answer: Callable[[Request], bytes] = plain_answer) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._seen: dict[int, bytearray] = {}

    def __call__(self, connection: socket.socket, number: int) -> None:
        """Serve one connection."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting = b""
        while data := connection.recv(65536):
            with self._lock:
                self._seen.setdefault(number, bytearray()).extend(data)
            waiting += data
            found = read_requests(waiting)
            waiting = found.rest
            for message in found.messages:
                connection.sendall(self._answer(message))

    def take(self) -> list[bytes]:
        """What arrived since the last call, by connection, in the order they first spoke."""
        with self._lock:
            seen = self._seen
            self._seen = {}
        return [bytes(data) for data in seen.values()]

    def read(self) -> list[Requests]:
        """The same, as a strict reader reads it: no extensions, no trailers."""
        return [read_requests(data, is_canonical=True) for data in self.take()]
