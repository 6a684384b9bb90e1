"""A suite: recorded exchanges in a plain file, one a line, as `sidelog export ndjson --bodies` writes them.

A first line may name it (`{"suite": …}`); lines without a request, such as events, are left out. An HTTP Archive (HAR
1.2) is read as well, of a browser's too. Invariant: what was cut, or is not there, is known to be so.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from storage.record import Body, Payload, Record

VERSION: Final = 1
_CUT: Final = ("cut: ", "not kept: ")
"""How `comment` of a body begins in an archive that sidelog wrote (`api/native/files/cut_bodies.py`)."""


class SuiteError(ValueError):
    """A file is no suite; the message says where and why."""


class Recorded(NamedTuple):
    """An exchange of a suite."""

    id: str
    record: Record
    payload: Payload | None


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """The first line of a suite."""

    suite: int
    """Version of the format."""
    name: str = ""
    query: str = ""
    """The search that it was saved from."""
    saved_at: str = ""


class _Body(msgspec.Struct):
    encoding: Literal["utf-8", "base64"]
    head: str
    tail: str
    size: int
    truncated: bool
    coding: str | None = None
    omitted: str | None = None
    coding_error: str | None = None
    charset: str | None = None


class _Message(msgspec.Struct):
    start_line: str | None = None
    headers: list[tuple[str, str]] = []
    body: _Body | None = None


class _Line(msgspec.Struct):
    id: str
    started_at_us: int
    ended_at_us: int | None = None
    kind: Literal["exchange", "event"] = "exchange"
    outcome: str = "ok"
    status: int | None = None
    method: str | None = None
    scheme: str = "http"
    host: str | None = None
    path: str | None = None
    query: str | None = None
    duration_us: int | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    request_complete: bool = True
    route_id: str | None = None
    endpoint: str | None = None
    request: _Message | None = None
    response: _Message | None = None
    timeline: list[tuple[int, int]] = []


class _Field(msgspec.Struct):
    name: str
    value: str = ""


class _Text(msgspec.Struct):
    text: str | None = None
    encoding: str = ""
    comment: str = ""


class _HarRequest(msgspec.Struct, rename="camel"):
    method: str
    url: str
    headers: list[_Field] = []
    post_data: _Text | None = None
    body_size: int = 0


class _HarResponse(msgspec.Struct, rename="camel"):
    status: int
    headers: list[_Field] = []
    content: _Text | None = None
    body_size: int = 0


class _HarEntry(msgspec.Struct, rename="camel"):
    started_date_time: datetime
    request: _HarRequest
    response: _HarResponse
    time: float = 0


class _HarLog(msgspec.Struct):
    entries: list[_HarEntry]


class _Har(msgspec.Struct):
    log: _HarLog


_KEPT: Final = (
    *("outcome", "status", "method", "scheme", "host", "path", "query", "route_id", "endpoint", "started_at_us"),
    *("request_bytes", "response_bytes", "request_complete"),
)
"""Of the columns of a record."""
_LINES: Final = msgspec.json.Decoder(_Line)
_HAR: Final = msgspec.json.Decoder(_Har)


def read_suite(path: Path, endpoint_of: Callable[[str], str]) -> Iterator[Recorded]:
    """Yield the exchanges of a file, in its order; `endpoint_of` makes the template of a path that came without.

    Raises:
        SuiteError: it is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        first = file.readline()
        file.seek(0)
        found = _archived(path, file.read()) if _is_archive(first) else _lines(path, file)
        for each in found:
            if each.record.endpoint is None:
                each.record.endpoint = endpoint_of(each.record.path or "")
            yield each


def _is_archive(first: bytes) -> bool:
    with suppress(msgspec.DecodeError):
        return "log" in msgspec.json.decode(first, type=dict[str, Any])
    return True  # one document of several lines


def _lines(path: Path, file: Any) -> Iterator[Recorded]:
    for number, line in enumerate(file, 1):
        try:
            if number == 1 and b'"suite"' in line:
                header = msgspec.json.decode(line, type=Header)
                if header.suite != VERSION:
                    raise SuiteError(f"{path} has version {header.suite}, this sidelog reads version {VERSION}")
            elif line.strip() and (read := _LINES.decode(line)).kind == "exchange":
                yield Recorded(read.id, _record(read), _payload(read))
        except (msgspec.DecodeError, binascii.Error) as error:
            raise SuiteError(f"{path}, line {number}: {error}") from error


def _record(line: _Line) -> Record:
    known = {name: getattr(line, name) for name in _KEPT}
    return Record(
        seq=1, id=b"", instance="", kind="exchange", ended_at_us=line.ended_at_us or 0,
        duration_us=line.duration_us or 0, **known,
    )  # fmt: skip


def _payload(line: _Line) -> Payload | None:
    if line.request is None or line.response is None:
        return None
    request, response = line.request, line.response
    head, answered = (_head_of(half.start_line or "", half.headers) for half in (request, response))
    return Payload(head, answered, _body(request.body), _body(response.body), line.timeline)


def _head_of(start_line: str, fields: list[tuple[str, str]]) -> bytes:
    return "\r\n".join([start_line, *(f"{name}: {value}" for name, value in fields)]).encode(errors="replace")


def _body(shown: _Body | None) -> Body | None:
    if shown is None:
        return None
    windows = (shown.head, shown.tail)
    head, tail = (base64.b64decode(w) if shown.encoding == "base64" else w.encode(errors="replace") for w in windows)
    return Body(head, tail, shown.size, shown.truncated, shown.coding, shown.omitted, shown.coding_error, shown.charset)


def _archived(path: Path, text: bytes) -> Iterator[Recorded]:
    try:
        entries = _HAR.decode(text).log.entries
        for number, entry in enumerate(entries, 1):
            yield _of_archive(number, entry)
    except (ValueError, msgspec.DecodeError) as error:
        raise SuiteError(f"{path} is neither a suite nor an HTTP Archive: {error}") from error


def _of_archive(number: int, entry: _HarEntry) -> Recorded:
    request, response, url = entry.request, entry.response, urlsplit(entry.request.url)
    bodies = _text(request.post_data, request.body_size), _text(response.content, response.body_size)
    at_us = round(entry.started_date_time.timestamp() * 1e6)
    path, query = url.path or "/", url.query if "?" in entry.request.url else None
    record = Record(
        seq=1, id=b"", instance="", kind="exchange", started_at_us=at_us, ended_at_us=at_us + round(entry.time * 1000),
        status=response.status or None, method=request.method, scheme=url.scheme, host=url.netloc, path=path,
        query=query, duration_us=round(entry.time * 1000),
        request_bytes=bodies[0].size if bodies[0] else 0, response_bytes=bodies[1].size if bodies[1] else 0,
    )  # fmt: skip
    target = path if query is None else f"{path}?{query}"
    head = _head_of(f"{request.method} {target} HTTP/1.1", _fields(request.headers))
    answered = _head_of(f"HTTP/1.1 {response.status}", _fields(response.headers))
    return Recorded(f"entry-{number}", record, Payload(head, answered, *bodies))


def _fields(fields: list[_Field]) -> list[tuple[str, str]]:
    """Return the fields, without those that stand for the head of HTTP/2."""
    return [(field.name, field.value) for field in fields if not field.name.startswith(":")]


def _text(content: _Text | None, size: int) -> Body | None:
    """Read a body; one that the archive does not have is omitted, if it had any bytes."""
    if content is None or content.text is None:
        return Body(b"", b"", size, True, None, "not in the archive") if size > 0 else None
    is_base64 = "base64" in (content.encoding, *content.comment.split(", "))
    raw = base64.b64decode(content.text) if is_base64 else content.text.encode(errors="replace")
    if (loss := content.comment).startswith(_CUT):
        return Body(b"", b"", max(size, len(raw)), True, None, loss)
    return Body(raw, b"", len(raw), False, None, None)


def header_line(name: str, query: str, saved_at_us: int) -> bytes:
    """Write the first line of a suite."""
    saved_at = datetime.fromtimestamp(saved_at_us / 1e6).astimezone().isoformat(timespec="seconds")
    return msgspec.json.encode(Header(VERSION, name, query, saved_at)) + b"\n"
