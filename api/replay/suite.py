"""A suite: recorded exchanges in a plain file, one a line, as `sidelog export ndjson --bodies` writes them.

A first line may name it (`{"suite": …}`); events are left out. An HTTP Archive (HAR 1.2) is read as well, of a
browser's too: its entries are turned into such lines. Invariant: what was cut, or is not there, is known to be so.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from api.http.times import format_time
from storage.record import Body, Payload, Record

VERSION: Final = 1
_KEPT: Final = (
    *("outcome", "status", "method", "scheme", "host", "path", "query", "route_id", "endpoint"),
    *("started_at_us", "ended_at_us", "duration_us", "request_bytes", "response_bytes", "request_complete"),
)
"""Columns of a record."""
_NOTES: Final = ("coding", "omitted", "coding_error", "charset")
"""Of a body, in the order of its fields."""
_CUT: Final = ("cut: ", "not kept: ")
"""How `comment` of a body begins in an archive that sidelog wrote (`api/native/files/cut_bodies.py`)."""

Line = Mapping[str, Any]


class SuiteError(ValueError):
    """A file is no suite; the message says where and why."""


class Recorded(NamedTuple):
    """An exchange of a suite."""

    id: str
    record: Record
    payload: Payload | None


def header_line(name: str, query: str, saved_at_us: int) -> bytes:
    """Write the first line of a suite."""
    header = {"suite": VERSION, "name": name, "query": query, "saved_at": format_time(saved_at_us)}
    return msgspec.json.encode(header) + b"\n"


def read_suite(path: Path, endpoint_of: Callable[[str], str]) -> Iterator[Recorded]:
    """Yield the exchanges of a file, in its order; `endpoint_of` makes the template of a path that came without.

    Raises:
        SuiteError: it is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        try:
            lines: Iterable[bytes | Line] = (
                _archived(file.read()) if _is_archive(file) else (each for each in file if each.strip())
            )
            for number, written in enumerate(lines, 1):  # noqa: B007 - for the message
                line: Line = json.loads(written) if isinstance(written, bytes) else written
                if line.get("suite", VERSION) != VERSION:
                    raise ValueError(f"version {line['suite']}, this sidelog reads version {VERSION}")
                if "suite" not in line and line.get("kind", "exchange") == "exchange":
                    read = _recorded(line)
                    read.record.endpoint = read.record.endpoint or endpoint_of(read.record.path or "")
                    yield read
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            where = f"{path}, line or entry {number}" if number else f"{path} is neither a suite nor an HTTP Archive"
            raise SuiteError(f"{where}: {'there is no ' * isinstance(error, KeyError)}{error}") from error


def _is_archive(file: Any) -> bool:
    """Whether a file is one document, of one line or of several, with a log."""
    try:
        return "log" in json.loads(file.readline())
    except ValueError:
        return True
    finally:
        file.seek(0)


def _recorded(line: Line) -> Recorded:
    columns = {name: line[name] for name in _KEPT if line.get(name) is not None}
    columns |= {"seq": 1, "id": b"", "instance": "", "kind": "exchange"}
    record = msgspec.convert({"ended_at_us": columns["started_at_us"], **columns}, Record)
    request, response = line.get("request"), line.get("response")
    payload = None
    if request is not None and response is not None:
        heads, bodies = [_head(half) for half in (request, response)], [_body(half) for half in (request, response)]
        payload = Payload(heads[0], heads[1], bodies[0], bodies[1], [(at, us) for at, us in line.get("timeline") or []])
    return Recorded(str(line["id"]), record, payload)


def _head(half: Line) -> bytes:
    fields = [f"{name}: {value}" for name, value in half["headers"]]
    return "\r\n".join([half.get("start_line") or "HTTP/1.1", *fields]).encode(errors="replace")


def _body(half: Line) -> Body | None:
    shown = half.get("body")
    if shown is None:
        return None
    head, tail = (
        base64.b64decode(window) if shown["encoding"] == "base64" else window.encode(errors="replace")
        for window in (shown["head"], shown.get("tail", ""))
    )
    known = shown.get("size", len(head)), shown.get("truncated", False), *(shown.get(name) for name in _NOTES)
    return msgspec.convert((head, tail, *known), Body)


def _archived(text: bytes) -> Iterator[Line]:
    """Turn the entries of an archive into lines of a suite."""
    for number, entry in enumerate(json.loads(text)["log"]["entries"], 1):
        request, response, url = entry["request"], entry["response"], urlsplit(entry["request"]["url"])
        target = url.path + (f"?{url.query}" if url.query else "")
        sent, answered = request.get("postData"), response.get("content")
        yield {
            "id": f"entry-{number}",
            "started_at_us": round(datetime.fromisoformat(entry["startedDateTime"]).timestamp() * 1e6),
            "duration_us": round(entry.get("time", 0) * 1000),
            "method": request["method"],
            "scheme": url.scheme,
            "host": url.netloc,
            "path": url.path or "/",
            "query": url.query or None,
            "status": response["status"] or None,
            "request_bytes": max(0, request.get("bodySize", 0)),
            "response_bytes": max(0, response.get("bodySize", 0)),
            "request": _half(f"{request['method']} {target} HTTP/1.1", request, sent),
            "response": _half(f"HTTP/1.1 {response['status']}", response, answered),
        }


def _half(start_line: str, message: Line, content: Line | None) -> Line:
    """Write a request or a response, without the fields that stand for the head of HTTP/2."""
    pairs = [(each["name"], each["value"]) for each in message.get("headers", ())]
    headers = [(name, value) for name, value in pairs if not name.startswith(":")]
    return {"start_line": start_line, "headers": headers, "body": _text(content or {}, message.get("bodySize", 0))}


def _text(content: Line, size: int) -> Line | None:
    """Write a body; one that the archive does not have is omitted, if it had any bytes."""
    text, comment = content.get("text"), content.get("comment", "")
    encoding = "base64" if "base64" in (content.get("encoding"), *comment.split(", ")) else "utf-8"
    if text is None and size <= 0:
        return None
    if text is None or comment.startswith(_CUT):
        omitted = comment or "not in the archive"
        return {"encoding": encoding, "head": "", "size": max(size, 1), "truncated": True, "omitted": omitted}
    return {"encoding": encoding, "head": text}
