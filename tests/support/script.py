"""A scripted upstream that answers each request with bytes given beforehand, and keeps what it was
sent.
"""

import socket
import threading

from tests.support.upstream import read_head, read_through

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script:
    """Use it with `scripted`: one answer per request, the last one for all that follow."""

    def __init__(self, *answers: bytes, close_after: int = 0) -> None:
        """Answer in turn; with `close_after`, close each connection after that many answers."""
        self._answers = answers or (OK,)
        self._close_after = close_after
        self._lock = threading.Lock()
        self.requests: list[bytes] = []
        """Head and body of each request as received, framing included, in order."""
        self.connections = 0

    def __call__(self, connection: socket.socket, number: int) -> None:
        """Serve one connection."""
        with self._lock:
            self.connections += 1
        served = 0
        while head := read_head(connection):
            body = read_body(connection, head)
            with self._lock:
                answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
                self.requests.append(head + body)
            connection.sendall(answer)
            served += 1
            if served == self._close_after:
                return

    @property
    def targets(self) -> list[bytes]:
        """The request targets, in order."""
        return [request.split(b" ")[1] for request in self.requests]


def read_body(connection: socket.socket, head: bytes) -> bytes:
    """Read the body that a request head announces, as it is framed."""
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked\r\n" in lower:
        raw = _line(connection)
        line = raw
        while size := int(line, 16):
            raw += exactly(connection, size + 2)
            line = _line(connection)
            raw += line

        while not raw.endswith(b"\r\n\r\n"):  # trailers
            raw += _line(connection)
        return raw

    _, found, rest = lower.partition(b"\r\ncontent-length:")
    if found:
        return exactly(connection, int(rest.partition(b"\r\n")[0]))

    return b""


def unchunked(raw: bytes) -> bytes:
    """Undo the framing of a chunked body that the proxy wrote."""
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        if not int(size, 16):
            break  # trailers follow
        body += raw[: int(size, 16)]
        raw = raw[int(size, 16) + 2 :]

    return body


def _line(connection: socket.socket) -> bytes:
    line = read_through(connection, b"\r\n")
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the proxy closed within a request")
    return line


def exactly(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("the proxy closed within a request")
        data += piece
    return bytes(data)
