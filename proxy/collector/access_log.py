"""The access log of `[log] access`: a line on stdout for every recorded exchange, made by the collector.

Strategy: lines are made on the loop as records are built, and written by a thread of its own, because a write to a pipe
or terminal may take any time and stdout, shared with other processes, may not be made non-blocking. What waits is
bounded in bytes. Invariant: nothing waits for stdout; what it did not take (too slow, closed, full) is counted and
said once, and lines are written again as soon as it takes them.

A line follows the building of its record, not the commit, so it comes while the store is away too. A collector that is
killed builds again what was not committed: those lines come twice, under the same id.
"""

import logging
import os
import select
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal

from proxy.collector.access_lines import CommonFormatter, Formatter, JsonFormatter
from storage.record import Entry

log = logging.getLogger(__name__)

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Lines that wait for stdout: some 15 000, a second of a sidecar under full load."""
WRITE_BYTES: Final = 64 * 1024
"""At most so much in one write: the usual size of a pipe."""
GATHER_S: Final = 0.05
"""How long the first line waits for others."""
CLOSE_S: Final = 1.0
"""How long a stop waits for stdout."""
_FORMATTERS: Final[dict[str, Callable[[], Formatter]]] = {"json": JsonFormatter, "common": CommonFormatter}


class AccessLog:
    """Writes lines to a descriptor; made started, ended by `close`."""

    def __init__(self, form: Literal["json", "common"], fd: int, max_bytes: int = MAX_WAITING_BYTES) -> None:
        """Write to `fd`, which stays the caller's; -1 stands for a stdout that is not open."""
        self._format = _FORMATTERS[form]()
        self._fd = fd
        self._max_bytes = max_bytes
        self._write_bytes = WRITE_BYTES if not _is_stderr(fd) else select.PIPE_BUF
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._is_closing = False
        self._has_failed = False
        self.dropped = 0
        """Lines that were not written, since the start."""
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)  # may hang in a write
        self._thread.start()

    def observe(self, entries: Iterable[Entry]) -> None:
        """Log the exchanges among entries; events are no exchanges."""
        lines = [self._format(entry) for entry in entries if entry.record.kind == "exchange"]
        if not lines:
            return
        size = sum(map(len, lines))
        with self._changed:
            if self._waiting_bytes + size > self._max_bytes:
                self._drop(len(lines), "stdout is too slow")
                return
            self._waiting_bytes += size
            was_empty = not self._lines
            self._lines += lines
            if was_empty:
                self._changed.notify()

    def beside(self, other: Callable[[list[Entry]], None]) -> Callable[[list[Entry]], None]:
        """Make an observer of both."""

        def observe(entries: list[Entry]) -> None:
            other(entries)
            self.observe(entries)

        return observe

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write what waits, for so long at most; what is left then is counted as dropped."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            with self._changed:
                self._drop(len(self._lines), "stdout is too slow")
                self._lines.clear()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._is_closing)
                if not self._is_closing and self._waiting_bytes < self._write_bytes:
                    self._changed.wait_for(lambda: self._is_closing, GATHER_S)
                lines = self._take()
                if not lines:
                    return
            error = self._write(b"".join(lines))
            with self._changed:
                self._waiting_bytes -= sum(map(len, lines))
                if error:
                    self._drop(len(lines), error)
                elif self._has_failed and not self._lines:
                    self._has_failed = False
                    log.warning("the access log is written again", extra={"dropped": self.dropped})

    def _take(self) -> list[bytes]:
        """Take whole lines for one write; a long one goes alone."""
        size = count = 0
        for line in self._lines:
            size += len(line)
            if size > self._write_bytes and count:
                break
            count += 1
        taken, self._lines = self._lines[:count], self._lines[count:]
        return taken

    def _write(self, data: bytes) -> str:
        """Write all of it, however long that takes; answer why not."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:  # another process made it so
                select.select([], [self._fd], [])
            except OSError as error:
                return (error.strerror or str(error)).lower()
        return ""

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        if count and not self._has_failed:
            self._has_failed = True
            log.warning("lines of the access log are lost: %s", reason)


def open_access_log(form: Literal["off", "json", "common"]) -> AccessLog | None:
    """Begin the access log on stdout, if there is to be one."""
    if form == "off":
        return None
    return AccessLog(form, -1 if sys.stdout is None else sys.stdout.fileno())


def _is_stderr(fd: int) -> bool:
    """Whether a descriptor is what the own log is written to: then only short writes stay in one piece (pipe(7))."""
    try:
        return os.path.sameopenfile(fd, 2)
    except OSError:
        return False
