"""The supervisor's own `/healthz` and `/readyz`, answered whatever the state of the collector.

Runs on the supervisor's selector; standard library only.
Strategy: nothing here blocks. A request is limited in bytes and in time, the response fits the
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
"""Returns the readiness, and members to show with it."""

MAX_CONNECTIONS: Final = 32
MAX_HEAD_BYTES: Final = 4096
REQUEST_TIMEOUT_S: Final = 2.0
"""Limit from the accepted connection to its end. Probes send their request at once."""
PAUSE_S: Final = 0.2
"""Pause of accepting when there are no descriptors left."""
_ACCEPTED_AT_ONCE: Final = 8
"""Connections accepted in one wake-up. Then the supervisor's other work gets a turn."""
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
    """A listening socket and its connections."""

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector, readiness: Readiness
    ) -> None:
        """Listen from now on. The caller runs the data of a selector key when its socket is
        readable.
        """
        self._selector = selector
        self._readiness = readiness
        self._connections: dict[socket.socket, _Connection] = {}
        """Open connections, oldest first."""
        self._resumes_s: float | None = None
        """Time at which accepting resumes; None while it is active."""
        self._listener = listener
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def due_s(self) -> float | None:
        """Return the seconds until `expire` is due; None if nothing is pending."""
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
        """Close all connections. The caller closes the listening socket."""
        if self._resumes_s is None:
            self._selector.unregister(self._listener)
        for connection in list(self._connections.values()):
            self._close(connection)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except OSError as error:  # no further connection, or it is already gone
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
        """Stop accepting for a while and close all connections.

        Without free descriptors the listening socket stays readable.
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
    """One connection: its input, and its state."""

    def __init__(self, accepted: socket.socket, ends_s: float) -> None:
        self.socket = accepted
        self.ends_s = ends_s
        self.is_answered = False
        self.path = b""
        self._method = b""
        self._head = b""
        self._read_bytes = 0

    def read(self) -> bool:
        """Read once; return False at the end, or if the client sends more than any request needs.

        After the response the input is still read and discarded: closing a connection with unread
        bytes resets it, which could lose the response.

        Raises:
            OSError: nothing has arrived yet, or the connection is broken.
        """
        data = self.socket.recv(MAX_HEAD_BYTES)
        self._read_bytes += len(data)
        if not self.is_answered:
            self._head += data
        return bool(data) and self._read_bytes <= 4 * MAX_HEAD_BYTES

    def status(self) -> int:
        """Return the status for the input so far; 0 while the head is incomplete."""
        if b"\r\n\r\n" not in self._head and b"\n\n" not in self._head:
            if len(self._head) > MAX_HEAD_BYTES:
                return 431
            return 0
        parts = self._head.partition(b"\n")[0].strip().split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return 400

        self._method, self.path = parts[0], parts[1].partition(b"?")[0]
        if self.path not in (b"/healthz", b"/readyz"):
            return 404

        if self._method in (b"GET", b"HEAD"):
            return 200
        return 405

    def answer(self, asked: int, status: int, body: bytes) -> None:
        """Send the response and close this side of the connection.

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
        # fits any socket's buffer
        self.socket.send(head.encode() + (b"" if self._method == b"HEAD" else body))
        self.socket.shutdown(socket.SHUT_WR)
