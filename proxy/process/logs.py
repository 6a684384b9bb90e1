"""sidelog's own log: one JSON object a line on stderr, readable lines on a terminal. stdlib only.

Nothing per request is logged above DEBUG, and every message is limited in rate: a log that floods
is a failure of its own. WARN: unusual, nothing lost. ERROR: data lost, or an operator must act.

Nothing ever waits for the reader of stderr. An unread pipe accepts 64 KiB and then blocks the
writer
in the middle of its work. So one thread writes, and all others only append to a queue that is
bounded in bytes; lines that do not fit are dropped and counted. The descriptor itself stays
blocking: its flags are shared with the process that started us.
"""

import atexit
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from io import TextIOBase
from typing import Any, Final, TextIO

from proxy.process.files import write_all
from proxy.process.terminal import visible

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

RATE_BURST: Final = 20
"""Number of times that the same message (before formatting) may be logged at once."""
RATE_PERIOD_S: Final = 10.0
"""Period of this limit. Held-back messages are counted in the next one that passes."""
MAX_WAITING_BYTES: Final = 256 * 1024
CLOSE_S: Final = 1.0
"""Time that a reader gets at the end of the process for the last lines."""


class RateLimit(logging.Filter):
    """Holds back a message that repeats too fast."""

    def __init__(self) -> None:
        """Begin with nothing seen; at most 1 000 different messages are followed."""
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True to log a record, with the number of held-back equal ones; False to hold it
        back.
        """
        now = time.monotonic()
        key = f"{record.name}:{record.msg}"

        since, count = self._seen.get(key, (now, 0))
        if now - since >= RATE_PERIOD_S:
            if count > RATE_BURST:
                record.__dict__["suppressed"] = count - RATE_BURST
            since = now
            count = 0

        if len(self._seen) >= 1000:
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < RATE_BURST


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _PLAIN}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": {"WARNING": "warn", "CRITICAL": "error"}.get(
                record.levelname, record.levelname.lower()
            ),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Lines for a person."""

    def __init__(self, role: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {role}: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        return visible(f"{super().format(record)} {extra}".rstrip())


class LogStream(TextIOBase):
    """A text stream over a descriptor, which the caller closes."""

    def __init__(
        self,
        fd: int,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        on_problem: Callable[[str], object] = lambda problem: None,
    ) -> None:
        """Write to `fd` from a thread, which starts with the first line.

        `on_problem` is called with the reason when lines begin to be lost, and with "" when they
        are written again.
        """
        self._fd = fd
        self._max_waiting_bytes = max_waiting_bytes
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._on_problem = on_problem
        self._problem = ""
        self.dropped = 0
        """Number of lines that did not fit the queue, or could not be written."""

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Queue a text to be written; if the queue is full, drop and count the text. Never wait for
        a reader.
        """
        self.put(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def put(self, data: bytes) -> None:
        """Queue encoded lines, as `write` does."""
        with self._changed:
            if self._waiting_bytes + len(data) > self._max_waiting_bytes:
                self._drop(data, "its reader is too slow")
                return
            self._lines.append(data)
            self._waiting_bytes += len(data)
            if not self._thread.ident:
                self._thread.start()
                atexit.register(self.settle)
            self._changed.notify_all()

    def settle(self, timeout_s: float = CLOSE_S) -> bool:
        """Wait up to `timeout_s` until all queued lines are written; return True if they are."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting_bytes and (left_s := deadline_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return not self._waiting_bytes

    def give_up(self, timeout_s: float) -> None:
        """Wait as `settle` does, for the last time. Unwritten lines are then dropped."""
        self.settle(timeout_s)
        atexit.unregister(self.settle)
        with self._changed:
            while self._lines:
                data = self._lines.popleft()
                self._waiting_bytes -= len(data)
                self._drop(data, "its reader is too slow")

    def _drop(self, data: bytes, problem: str) -> None:
        self.dropped += max(1, data.count(b"\n"))
        if not self._problem:
            self._problem = problem
            self._on_problem(problem)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                data = self._lines.popleft()

            problem = ""
            try:
                write_all(self._fd, data)
            except OSError as error:
                problem = (error.strerror or str(error)).lower()

            with self._changed:
                self._waiting_bytes -= len(data)
                if problem:
                    self._drop(data, problem)
                elif self._problem and not self._lines:
                    self._problem = ""
                    self._on_problem("")

                self._changed.notify_all()


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr. The first line after a loss reports the number of lost lines."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._reported = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after a line about lost ones if there are any."""
        lost = lines_dropped()
        if lost > self._reported:
            record.__dict__["lines_lost"] = lost - self._reported
        super().emit(record)
        if lines_dropped() == lost:
            self._reported = lost


def lines_dropped() -> int:
    """Return the number of lines that stderr did not accept, since `detach_from_stderr`."""
    if isinstance(sys.stderr, LogStream):
        return sys.stderr.dropped
    return 0


def detach_from_stderr() -> None:
    """Make sure that no line of this process, even of a crash, waits for the reader of stderr.

    Calling it twice is harmless.
    """
    if sys.stderr is not None and not isinstance(sys.stderr, LogStream):
        sys.stderr.flush()
        sys.stderr = LogStream(sys.stderr.fileno())


def set_up_log(level: str, role: str) -> None:
    handler = LogHandler()
    handler.setFormatter(TextFormatter(role) if sys.stderr.isatty() else JsonFormatter(role))
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
