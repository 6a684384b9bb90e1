"""The access log (`[log] access`): one line on stdout for every recorded exchange, as JSON or in
nginx's NCSA combined format.

Lines are formatted on the loop when records are built, and a thread writes them (`LogStream`),
because a write to a pipe or terminal may block. Lines that wait are bounded in bytes. Nothing waits
for stdout: lines that it did not take in time are counted and reported once, and writing goes on as
soon as it takes lines again.

A line shows only stored fields, so it is redacted. Control characters are escaped, including C1
controls and Unicode line separators, as are quotes and backslashes in NCSA columns; a client cannot
forge a second line.

A line is written when its record is built, not when it is committed, so the log goes on while the
store is away. A collector that was killed builds uncommitted records again, and their lines appear
twice under the same id.
"""

import logging
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec

from proxy.process.logs import CLOSE_S, LogStream
from proxy.process.terminal import UNSAFE, json_escaped
from storage.record import Entry, Record, format_id

log = logging.getLogger(__name__)

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Size of the lines that may wait for stdout: about 15,000 lines, one second of a sidecar under
full load.
"""
WRITE_BYTES: Final = 64 * 1024
"""Longest single write: the usual size of a pipe's buffer."""

Formatter = Callable[[Entry], bytes]
"""Writes the line of an exchange, with its LF."""

_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
"""English names of months, whatever the locale is."""
_UNSAFE: Final = re.compile(rf'["\\\t\n{UNSAFE}]')
_UNSAFE_WORD: Final = re.compile(rf'[\s"\\{UNSAFE}]')
_REFERER: Final = b"\r\nreferer:"


_COLUMNS: Final = (
    "method",
    "host",
    "path",
    "query",
    "status",
    "outcome",
    "duration_us",
    "connect_us",
    "first_byte_us",
    "upstream_us",
    "request_bytes",
    "response_bytes",
    "client_ip",
    "route_id",
    "service",
    "project",
    "trace_id",
    "user_agent",
    "error_type",
)
"""Columns of a JSON line besides time and id, named as in the API's records."""
_values_of: Final = attrgetter(*_COLUMNS)
_Line: Any = msgspec.defstruct("_Line", ["time", "id", *_COLUMNS], gc=False)
"""3.4 us a line, where a dictionary takes 4.8."""


class JsonFormatter:
    """One JSON object a line; `time` is the request's start, UTC."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._second = -1
        self._prefix = ""

    def __call__(self, entry: Entry) -> bytes:
        record = entry.record
        second, us = divmod(record.started_at_us, 1_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        line = _Line(f"{self._prefix}.{us:06d}Z", format_id(record.id), *_values_of(record))
        try:
            encoded = self._encode(line)
        except UnicodeEncodeError:  # half of a surrogate pair, which no encoding has
            encoded = self._encode(_without_surrogates(line))

        if not encoded.isascii() or b"\x7f" in encoded:
            encoded = json_escaped(encoded.decode()).encode()
        return encoded + b"\n"


class CommonFormatter:
    """NCSA combined: the time is the end of the exchange, as in nginx, in the local time zone.

    Bytes are those of the body. The user is the record's; the referer is known where heads are
    kept.
    """

    def __init__(self) -> None:
        self._second = -1
        self._time = ""

    def __call__(self, entry: Entry) -> bytes:
        record = entry.record
        second = record.ended_at_us // 1_000_000
        if second != self._second:
            self._second = second
            self._time = _local_time(second)
        line = (
            f"{_word(record.client_ip)} - {_word(record.user_id)} [{self._time}] "
            f'"{_text(_request_line(record))}" {record.status or "-"} {record.response_bytes} '
            f'"{_text(_referer(entry))}" "{_text(record.user_agent)}"\n'
        )
        return line.encode()


def _request_line(record: Record) -> str | None:
    if record.method is None:
        return None
    if record.query is None:
        query = ""
    else:
        query = f"?{record.query}"
    return f"{record.method} {record.path or ''}{query} HTTP/{record.http_version or '1.1'}"


def _referer(entry: Entry) -> str | None:
    """Return the referer from the stored, redacted head; 0.4 us for a head of 400 bytes."""
    payload = entry.payload
    if payload is None:
        return None

    head = payload.request_head
    start = head.lower().find(_REFERER)
    if start < 0:
        return None

    return head[start + len(_REFERER) :].partition(b"\r\n")[0].strip().decode("utf-8", "replace")


def _local_time(second: int) -> str:
    """Return a Unix time as local time in the form `10/Oct/2000:13:55:36 -0700`."""
    local = time.localtime(second)
    minutes = (local.tm_gmtoff or 0) // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    clock = f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"
    return f"{local.tm_mday:02d}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year}:{clock} {zone}"


def _text(value: str | None) -> str:
    """Return the text of a quoted column, escaped; `-` for an empty or unknown one."""
    if value:
        return _UNSAFE.sub(_escape, value)
    return "-"


def _word(value: str | None) -> str:
    if value:
        return _UNSAFE_WORD.sub(_escape, value)
    return "-"


def _escape(found: re.Match[str]) -> str:
    r"""Escape a character as nginx does: `\xNN` for each byte."""
    return "".join(f"\\x{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _without_surrogates(line: Any) -> dict[str, Any]:
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(line).items()
    }


_FORMATTERS: Final[dict[str, Callable[[], Formatter]]] = {
    "json": JsonFormatter,
    "common": CommonFormatter,
}


class AccessLog:
    """Writes lines to a descriptor, from its creation until `close`."""

    def __init__(
        self, form: Literal["json", "common"], fd: int, max_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        """Write to `fd`, which the caller closes; -1 stands for a stdout that is not open."""
        self._format = _FORMATTERS[form]()
        self._stream = LogStream(fd, max_bytes, self._report)
        if _is_stderr(fd):
            self._write_bytes = select.PIPE_BUF
        else:
            self._write_bytes = WRITE_BYTES

    @property
    def dropped(self) -> int:
        """Number of lines that were not written since the start."""
        return self._stream.dropped

    def observe(self, entries: Iterable[Entry]) -> None:
        """Log the exchanges among the entries; events have no line."""
        lines = [self._format(entry) for entry in entries if entry.record.kind == "exchange"]
        data = b""
        for line in lines:
            if data and len(data) + len(line) > self._write_bytes:
                self._stream.put(data)
                data = b""
            data += line

        if data:
            self._stream.put(data)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write the waiting lines within a timeout; lines that remain are counted as dropped."""
        self._stream.give_up(timeout_s)

    def _report(self, problem: str) -> None:
        if problem:
            log.warning("lines of the access log are lost: %s", problem)
        else:
            log.warning("the access log is written again", extra={"dropped": self.dropped})


def open_access_log(form: Literal["off", "json", "common"]) -> AccessLog | None:
    """Open the access log on stdout; return None if it is off."""
    if form == "off":
        return None
    return AccessLog(form, -1 if sys.stdout is None else sys.stdout.fileno())


def _is_stderr(fd: int) -> bool:
    """Whether a descriptor is the one that our own log is written to. Then only short writes stay
    in one piece (pipe(7)).
    """
    try:
        return os.path.sameopenfile(fd, 2)
    except OSError:
        return False
