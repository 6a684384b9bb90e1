"""The control line between supervisor and child: short text lines over a socket pair.

Messages may carry descriptors. Standard library only.

* From a child: `ready`.
* From a worker: `pong`; `ring <source hex>`, with a descriptor of its file.
* From the collector: `retired <source hex>` (a ring is empty for good); `unread <n>` (number of
  workers that push
  into rings it does not read).
* To a worker: `ping`, `adopt <n>`, `release <n>`, `drain`, `retire` (another worker serves from now
  on).
* To the collector: `not-ready`, `drain`, `hand-over` (another collector continues with the rings);
  `rings <workers as JSON>`, with descriptors of rings, always the first line; `counts <JSON>` (the
  supervisor's
  counters).

The end of the stream means that the other side is gone; a child then drains.
Invariant: lines stay whole, even if the other side does not read: the unsent rest of a line is sent
before the next one.
"""

import os
import socket
from typing import Final

MAX_DESCRIPTORS: Final = 64
"""Descriptors in one message; as many as there can be workers."""
EXIT_CONFIG: Final = 78
"""Exit code of a child that would end the same way if restarted (EX_CONFIG of sysexits.h)."""


class Control:
    """One end of the control line. Reading never blocks."""

    def __init__(self, end: socket.socket) -> None:
        """Adopt one end of a `socket.socketpair()`."""
        end.setblocking(False)
        self.socket = end
        self._buffer = b""
        self._unsent = b""
        """Unsent rest of a line; at most one."""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, line: str, descriptors: list[int] | None = None) -> bool:
        """Send one line. Return False, with nothing of it sent, if the other side is gone or does
        not read.
        """
        if not self.flush():
            return False
        data = line.encode() + b"\n"
        try:
            if descriptors:
                sent = socket.send_fds(self.socket, [data], descriptors[:MAX_DESCRIPTORS])
            else:
                sent = self.socket.send(data)
        except OSError:
            return False

        self._unsent = data[sent:]
        return True

    def flush(self) -> bool:
        """Send the rest of the previous line; return False if a part of it is still left."""
        while self._unsent:
            try:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
            except OSError:
                return False
        return True

    def receive(self) -> tuple[list[str], list[int], bool]:
        """Read all available input.

        Returns:
            The lines; the descriptors, which the caller must close; and True if the stream has
            ended.
        """
        lines: list[str] = []
        descriptors: list[int] = []
        has_ended = False

        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 4096, MAX_DESCRIPTORS)
            except BlockingIOError:
                break
            except OSError:
                data = b""
                fds = []

            for fd in fds:
                # recv_fds of Python 3.11 drops its flags, including MSG_CMSG_CLOEXEC.
                os.set_inheritable(fd, False)
            descriptors.extend(fds)
            if not data:
                has_ended = True
                break

            *complete, self._buffer = (self._buffer + data).split(b"\n")
            lines.extend(line.decode("ascii", "replace") for line in complete)

        return lines, descriptors, has_ended

    def close(self) -> None:
        self.socket.close()
