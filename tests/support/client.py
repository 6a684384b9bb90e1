"""A client that sends exactly the bytes it is told to, and reads answers strictly, one after the
other.
"""

import dataclasses
import socket
import struct
from types import TracebackType
from typing import Final, Self

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Answer:
    """One response as a strict client reads it."""

    status: int
    head: bytes
    """Status line to empty line."""
    body: bytes
    is_complete: bool = True
    """False when the connection was reset, or ended before the body did."""
    trailers: bytes = b""
    """Lines behind a chunked body, each with its CRLF."""

    def field(self, name: str) -> str | None:
        """Return a header field's value."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower().encode():
                return value.strip().decode("latin-1")
        return None


class Client:
    """One connection; closed by `with`."""

    def __init__(self, connection: socket.socket) -> None:
        """Take a connected socket over."""
        self.socket = connection
        self._buffer = b""

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

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def finish_sending(self) -> None:
        """Close the sending side."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with a reset, as a killed process does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def rest(self) -> bytes:
        """Read to the end of the connection, which must be an orderly one."""
        while data := self.socket.recv(65536):
            self._buffer += data
        found = self._buffer
        self._buffer = b""
        return found

    def is_ended(self) -> bool:
        """Whether the other side closes, in whatever way, and sends nothing more before it."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def answer(self, method: str = "GET") -> Answer:
        """Read one final answer; interim ones are passed over. A cut one is returned as incomplete."""
        while True:
            head = self.head()
            status = int(head[9:12])
            if status >= 200:
                break

        fields = {
            line.partition(b":")[0].lower(): line.partition(b":")[2].strip()
            for line in head.split(b"\r\n")[1:]
        }
        assert not (b"content-length" in fields and b"transfer-encoding" in fields)
        if method == "HEAD" or status in (204, 304):
            return Answer(status, head, b"")

        trailers = b""
        try:
            if b"content-length" in fields:
                body, is_complete = self._exactly(int(fields[b"content-length"]))
            elif fields.get(b"transfer-encoding") == b"chunked":
                body, trailers, is_complete = self._chunks()
            else:
                body = self.rest()
                is_complete = True
        except ConnectionResetError:
            body = self._buffer
            is_complete = False

        return Answer(status, head, body, is_complete, trailers)

    def head(self) -> bytes:
        """Read one head, interim or final."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(f"the connection ended within a head: {self._buffer!r}")
            self._buffer += data

        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def _received(self) -> bytes:
        """Return what came next, or nothing where the connection ended, in whatever way."""
        try:
            return self.socket.recv(1 << 18)
        except ConnectionResetError:
            return b""

    def _exactly(self, size: int) -> tuple[bytes, bool]:
        found = bytearray(self._buffer)
        while len(found) < size:
            data = self._received()
            if not data:
                return bytes(found), False
            found += data

        self._buffer = bytes(found[size:])
        return bytes(found[:size]), True

    def _chunks(self) -> tuple[bytes, bytes, bool]:
        body = b""
        while True:
            line, is_complete = self._line()
            if not is_complete:
                return body, b"", False

            size = int(line, 16)
            if not size:
                return body, *self._trailers()

            piece, is_complete = self._exactly(size + 2)
            if not is_complete:
                return body + piece, b"", False

            assert piece.endswith(b"\r\n")
            body += piece[:-2]

    def _trailers(self) -> tuple[bytes, bool]:
        trailers = b""
        while True:
            line, is_complete = self._line()
            if not line:
                return trailers, is_complete
            trailers += line + b"\r\n"

    def _line(self) -> tuple[bytes, bool]:
        while b"\r\n" not in self._buffer:
            data = self._received()
            if not data:
                return b"", False
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line, True
