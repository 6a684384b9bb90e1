"""A record as a line of an access log: one JSON object, or NCSA combined as nginx and Apache write it. Pure.

Only what is stored is shown, so everything is redacted. Strategy: seconds are formatted once and kept, everything else
is one encoding or one `%`. Invariant: a line is one line, whatever a client sent: control characters are escaped, C1
controls and the line separators of Unicode too, as are quotes and backslashes in the columns of NCSA.
"""

import re
import time
from collections.abc import Callable
from typing import Final

import msgspec

from storage.record import Entry, Record, format_id

Formatter = Callable[[Entry], bytes]
"""Writes the line of an exchange, with its LF."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not the locale's."""
_UNSAFE: Final = re.compile(r'[\x00-\x1f"\\\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_UNSAFE_WORD: Final = re.compile(r'[\x00-\x20"\\\x7f-\xa0\u2028\u2029\ud800-\udfff]')
_UNSAFE_JSON: Final = re.compile(r"[\x7f-\x9f\u2028\u2029]")
"""What a JSON encoder lets pass and a terminal, or another reader of lines, would obey."""
_REFERER: Final = b"\r\nreferer:"


class _JsonLine(msgspec.Struct, gc=False):
    """The members of a JSON line, named as in the API's records."""

    time: str
    id: str
    method: str | None
    host: str | None
    path: str | None
    query: str | None
    status: int | None
    outcome: str
    duration_us: int
    connect_us: int | None
    first_byte_us: int | None
    upstream_us: int | None
    request_bytes: int
    response_bytes: int
    client_ip: str | None
    route_id: str | None
    service: str | None
    project: str | None
    trace_id: str | None
    user_agent: str | None
    error_type: str | None


class JsonFormatter:
    """One JSON object a line; `time` is the request's start, UTC."""

    def __init__(self) -> None:
        """Remember no second yet."""
        self._encode = msgspec.json.Encoder().encode
        self._second = -1
        self._prefix = ""

    def __call__(self, entry: Entry) -> bytes:
        """Write the line of an exchange."""
        record = entry.record
        second, us = divmod(record.started_at_us, 1_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        line = _JsonLine(
            f"{self._prefix}.{us:06d}Z", format_id(record.id), record.method, record.host, record.path, record.query,
            record.status, record.outcome, record.duration_us, record.connect_us, record.first_byte_us,
            record.upstream_us, record.request_bytes, record.response_bytes, record.client_ip, record.route_id,
            record.service, record.project, record.trace_id, record.user_agent, record.error_type,
        )  # fmt: skip
        try:
            encoded = self._encode(line)
        except UnicodeEncodeError:  # half of a surrogate pair, which no encoding has
            encoded = self._encode(_without_surrogates(line))
        if not encoded.isascii() or b"\x7f" in encoded:
            encoded = _UNSAFE_JSON.sub(_escape_json, encoded.decode()).encode()
        return encoded + b"\n"


class CommonFormatter:
    """NCSA combined: the time is the end of the exchange, as in nginx, in the local time zone.

    Bytes are those of the body. The user is the record's; the referer is known where heads are kept.
    """

    def __init__(self) -> None:
        """Remember no second yet."""
        self._second = -1
        self._time = ""

    def __call__(self, entry: Entry) -> bytes:
        """Write the line of an exchange."""
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
    query = "" if record.query is None else f"?{record.query}"
    return f"{record.method} {record.path or ''}{query} HTTP/{record.http_version or '1.1'}"


def _referer(entry: Entry) -> str | None:
    """Find the referer in the stored head, which is redacted: 0.4 us for a head of 400 bytes."""
    payload = entry.payload
    if payload is None:
        return None
    head = payload.request_head
    start = head.lower().find(_REFERER)
    if start < 0:
        return None
    return head[start + len(_REFERER) :].partition(b"\r\n")[0].strip().decode("utf-8", "replace")


def _local_time(second: int) -> str:
    """Write a second as `10/Oct/2000:13:55:36 -0700`."""
    local = time.localtime(second)
    minutes = (local.tm_gmtoff or 0) // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    clock = f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"
    return f"{local.tm_mday:02d}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year}:{clock} {zone}"


def _text(value: str | None) -> str:
    """Show a quoted column, `-` for none."""
    return _UNSAFE.sub(_escape, value) if value else "-"


def _word(value: str | None) -> str:
    """Show a column without quotes, which a blank would end."""
    return _UNSAFE_WORD.sub(_escape, value) if value else "-"


def _escape(found: re.Match[str]) -> str:
    r"""Write `\xNN` per byte, as nginx does."""
    return "".join(f"\\x{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _escape_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _without_surrogates(line: _JsonLine) -> _JsonLine:
    changes = {
        name: value.encode("utf-8", "replace").decode()
        for name in line.__struct_fields__
        if isinstance(value := getattr(line, name), str)
    }
    return msgspec.structs.replace(line, **changes)
