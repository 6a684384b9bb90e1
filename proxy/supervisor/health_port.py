"""The supervisor's own `/healthz` and `/readyz`, over its selector: answered whatever the collector
does. stdlib only.

Strategy: nothing here blocks. A request is limited in bytes and in time, the answer fits the
socket's buffer, and the connection closes after it. At the limit the oldest connection is closed,
so idle clients cannot keep others out. Only the request line is read, because only two paths exist
(RFC 9112 §3).

Invariant: memory and work per wake-up are bounded for any client; no error of a connection leaves
this module.
"""

import errno
import json
import selectors
import socket
import time
from collections.abc import Callable
from typing import Final

Readiness = Callable[[], tuple[bool, dict[str, object]]]
"""Whether traffic may come, and members to show beside it."""

MAX_CONNECTIONS: Final = 32
MAX_HEAD_BYTES: Final = 4096
REQUEST_TIMEOUT_S: Final = 2.0
"""From the accepted connection to its end; probes send their request at once."""
PAUSE_S: Final = 0.2
"""How long nothing is accepted when there are no descriptors."""
_ACCEPTED_AT_ONCE: Final = 8
"""In one wake-up: then the supervisor's own work has its turn."""
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class HealthPort:
    """A listening socket and the connections it has brought."""

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector, readiness: Readiness
    ) -> None:
        """Listen from now on: the caller runs the data of a selector key when its socket is
        readable.
        """
        self._selector = selector
        self._readiness = readiness
        self._connections: dict[socket.socket, _Connection] = {}
        """Oldest first."""
        self._resumes_s: float | None = None
        """When accepting goes on; None while it does."""
        self._listener = listener
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def due_s(self) -> float | None:
        """Seconds until `expire` has something to do; None when it has nothing."""
        oldest = next(iter(self._connections.values()), None)
        times_s = [] if oldest is None else [oldest.ends_s]
        times_s += [] if self._resumes_s is None else [self._resumes_s]
        if times_s:
            return max(0.0, min(times_s) - time.monotonic())
        return None

    def expire(self) -> None:
        now_s = time.monotonic()
        if self._resumes_s is not None and self._resumes_s <= now_s:
            self._resumes_s = None
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        for connection in [c for c in self._connections.values() if c.ends_s <= now_s]:
            self._close(connection)

    def close(self) -> None:
        """Close everything; the listening socket stays the caller's."""
        if self._resumes_s is None:
            self._selector.unregister(self._listener)
        for connection in list(self._connections.values()):
            self._close(connection)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except OSError as error:  # no more, or it has gone already
                if error.errno in _EXHAUSTED:
                    self._pause()
                return

            if len(self._connections) >= MAX_CONNECTIONS:
                self._close(next(iter(self._connections.values())))
            accepted.setblocking(False)
            connection = _Connection(accepted, time.monotonic() + REQUEST_TIMEOUT_S)
            self._connections[accepted] = connection
            self._selector.register(
                accepted, selectors.EVENT_READ, lambda c=connection: self._read(c)
            )
            self._read(connection)  # a probe has often sent its request already

    def _pause(self) -> None:
        """Pause accepting and close all: without free descriptors the listening socket stays
        readable.
        """
        self._selector.unregister(self._listener)
        self._resumes_s = time.monotonic() + PAUSE_S
        for connection in list(self._connections.values()):
            self._close(connection)

    def _read(self, connection: "_Connection") -> None:
        try:
            if not connection.read():
                self._close(connection)
            elif not connection.is_answered and (status := connection.status()):
                connection.answer(status, *self._body(status, connection.path))
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)

    def _body(self, status: int, path: bytes) -> tuple[int, bytes]:
        members: dict[str, object] = {"status": "ok"}
        if status != 200:
            members = {"error": _REASONS[status].lower()}
        elif path == b"/readyz":
            is_ready, shown = self._readiness()
            status = 200 if is_ready else 503
            members = {"ready": is_ready, **shown}

        return status, json.dumps(members).encode()

    def _close(self, connection: "_Connection") -> None:
        if self._connections.pop(connection.socket, None) is not None:
            self._selector.unregister(connection.socket)
            connection.socket.close()


class _Connection:
    """One connection: what it has sent, and whether it was answered."""

    def __init__(self, accepted: socket.socket, ends_s: float) -> None:
        self.socket = accepted
        self.ends_s = ends_s
        self.is_answered = False
        self.path = b""
        self._method = b""
        self._head = b""
        self._read_bytes = 0

    def read(self) -> bool:
        """Read once; False at the end, or when the client sends more than any request needs.

        After the answer the rest is read and forgotten: closed with bytes unread, the answer might
        be lost in a reset.

        Raises:
            OSError: nothing is there yet, or the connection is broken.
        """
        data = self.socket.recv(MAX_HEAD_BYTES)
        self._read_bytes += len(data)
        if not self.is_answered:
            self._head += data
        return bool(data) and self._read_bytes <= 4 * MAX_HEAD_BYTES

    def status(self) -> int:
        """Judge what came so far; 0 while the head is not whole."""
        if b"\r\n\r\n" not in self._head and b"\n\n" not in self._head:
            return 431 if len(self._head) > MAX_HEAD_BYTES else 0
        parts = self._head.partition(b"\n")[0].strip().split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return 400

        self._method, self.path = parts[0], parts[1].partition(b"?")[0]
        if self.path not in (b"/healthz", b"/readyz"):
            return 404

        return 200 if self._method in (b"GET", b"HEAD") else 405

    def answer(self, asked: int, status: int, body: bytes) -> None:
        """Send the answer and end this side.

        Raises:
            OSError: the connection is broken.
        """
        self.is_answered = True
        allow = "Allow: GET, HEAD\r\n" if asked == 405 else ""
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: "
            "application/json\r\nCache-Control: no-store\r\n"
            f"{allow}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        # Fits any socket's buffer.
        self.socket.send(head.encode() + (b"" if self._method == b"HEAD" else body))
        self.socket.shutdown(socket.SHUT_WR)
