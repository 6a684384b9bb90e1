"""The line between supervisor and child: short text lines over a socket pair, descriptors beside them. stdlib only.

From the child: `ready`, `retired <source hex>`. To a worker: `adopt <n>`, `release <n>`, `drain`, `retire` (another one
serves from now on). To the collector: `not-ready`, `drain`, `hand-over` (another one goes on with the rings), `rings`
(with descriptors of anonymous segments; always the first line). The end of the stream means that the other side is
gone: a child then drains.
"""

import os
import socket
from typing import Final

MAX_DESCRIPTORS: Final = 64
"""Descriptors in one message; as many as there can be workers."""
EXIT_CONFIG: Final = 78
"""Exit code of a child that would end in the same way if it were started again (EX_CONFIG of sysexits.h)."""


class Control:
    """One end of the line; non-blocking to read."""

    def __init__(self, end: socket.socket) -> None:
        """Adopt one end of a `socket.socketpair()`."""
        end.setblocking(False)
        self.socket = end
        self._buffer = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, line: str, descriptors: list[int] | None = None) -> bool:
        """Send one line; False when the other side is gone or does not read."""
        try:
            if descriptors:
                socket.send_fds(self.socket, [line.encode() + b"\n"], descriptors[:MAX_DESCRIPTORS])
            else:
                self.socket.sendall(line.encode() + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> tuple[list[str], list[int], bool]:
        """Read what is there: lines, descriptors (the caller's to close), and whether the stream has ended."""
        lines: list[str] = []
        descriptors: list[int] = []
        has_ended = False
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 4096, MAX_DESCRIPTORS)
            except BlockingIOError:
                break
            except OSError:
                data, fds = b"", []
            for fd in fds:
                os.set_inheritable(fd, False)  # recv_fds of Python 3.11 drops its flags, MSG_CMSG_CLOEXEC among them
            descriptors.extend(fds)
            if not data:
                has_ended = True
                break
            *complete, self._buffer = (self._buffer + data).split(b"\n")
            lines.extend(line.decode("ascii", "replace") for line in complete)
        return lines, descriptors, has_ended

    def close(self) -> None:
        self.socket.close()
