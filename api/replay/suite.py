"""A suite: recorded exchanges in a file, one per line, as written by `sidelog export ndjson
--bodies`.

A first line may name it (`{"suite": …}`); events are left out. An HTTP Archive (HAR 1.2), also of a
browser, is read as well: each entry is converted to a line. Invariant: missing and cut parts are
marked.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from api.http.times import format_time
from api.native.projection import exact_head, octets_of
from api.replay.archive import archived
from storage.record import Body, Payload, Record

VERSION: Final = 1
MAX_HEADER_BYTES: Final = 1 << 20
"""Bytes of the first line that are read for the description of the suite."""
_KEPT: Final = (
    "outcome",
    "status",
    "method",
    "scheme",
    "host",
    "path",
    "query",
    "route_id",
    "endpoint",
    "started_at_us",
    "ended_at_us",
    "duration_us",
    "request_bytes",
    "response_bytes",
    "request_complete",
)
"""Columns of a record that a suite keeps."""
_NOTES: Final = ("coding", "omitted", "coding_error", "charset")
"""Notes about a body, in the order of its fields."""

Line = Mapping[str, Any]


class SuiteError(ValueError):
    """A file is not a suite. The message names the line and the reason."""


class Recorded(NamedTuple):
    """An exchange of a suite."""

    id: str
    record: Record
    payload: Payload | None


def header_line(name: str, query: str, saved_at_us: int, ignore: Sequence[str] = ()) -> bytes:
    """Return the first line of a suite; its replays ignore the paths in `ignore`."""
    header: dict[str, object] = {"suite": VERSION, "name": name, "query": query}
    header["saved_at"] = format_time(saved_at_us)
    if ignore:
        header["ignore"] = [*ignore]
    return msgspec.json.encode(header) + b"\n"


def read_ignored(path: Path) -> list[str]:
    """Return the paths to ignore, from the first line of a suite.

    Raises:
        SuiteError: `ignore` is not a list of strings.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            header = json.loads(file.readline(MAX_HEADER_BYTES))
        except ValueError:
            return []

    if isinstance(header, dict) and "suite" in header:
        ignored = header.get("ignore", [])
    else:
        ignored = []
    if not isinstance(ignored, list) or not all(isinstance(place, str) for place in ignored):
        raise SuiteError(
            f'{path}, line 1: expected `ignore` to be a list of places, such as [".generated_at"]'
        )

    return ignored


def read_suite(path: Path, endpoint_of: Callable[[str], str]) -> Iterator[Recorded]:
    """Yield the exchanges of a file in its order.

    `endpoint_of` returns the template of a path that has none in the file.

    Raises:
        SuiteError: the file is not a suite.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        is_suite = False
        try:
            lines: Iterable[bytes | Line] = (
                archived(file.read())
                if _is_archive(file)
                else (each for each in file if each.strip())
            )
            for number, written in enumerate(lines, 1):  # noqa: B007 - for the message
                line: Line = json.loads(written) if isinstance(written, bytes) else written
                if not isinstance(line, dict):
                    raise ValueError("expected an object")
                is_suite = is_suite or "suite" in line or "id" in line
                if line.get("suite", VERSION) != VERSION:
                    raise ValueError(
                        f"version {line['suite']}, this sidelog reads version {VERSION}"
                    )

                if "suite" not in line and line.get("kind", "exchange") == "exchange":
                    read = _recorded(line)
                    read.record.endpoint = read.record.endpoint or endpoint_of(
                        read.record.path or ""
                    )
                    yield read
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if number > 1 or is_suite:
                where = f"{path}, line or entry {number}"
            else:
                where = f"{path} is neither a suite nor an HTTP Archive, which has a `log`"
            if isinstance(error, KeyError):
                reason = f"there is no {error}"
            elif isinstance(error, ValueError):
                reason = str(error)
            else:
                reason = "a value is of another type"
            raise SuiteError(f"{where}: {reason}") from error


def read_line(line: bytes) -> Recorded:
    """Read an exchange from its line; raises as `json.loads` and `msgspec.convert` do."""
    return _recorded(json.loads(line))


def _is_archive(file: Any) -> bool:
    """Return True if a file is a single document (of one line or several) with a log."""
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
    request = line.get("request")
    response = line.get("response")
    payload = None

    if request is not None and response is not None:
        heads = [_head(half) for half in (request, response)]
        bodies = [_body(half) for half in (request, response)]
        payload = Payload(
            heads[0],
            heads[1],
            bodies[0],
            bodies[1],
            [(at, us) for at, us in line.get("timeline") or []],
        )
        payload.request_trailers, payload.response_trailers = (
            _trailers(request),
            _trailers(response),
        )

    return Recorded(str(line["id"]), record, payload)


def _head(half: Line) -> bytes:
    line, headers = exact_head(half)
    return octets_of(
        "\r\n".join([line or "HTTP/1.1", *(f"{name}: {value}" for name, value in headers)])
    )


def _trailers(half: Line) -> bytes:
    return octets_of("\r\n".join(f"{name}: {value}" for name, value in half.get("trailers") or ()))


def _body(half: Line) -> Body | None:
    shown = half.get("body")
    if shown is None:
        return None

    head, tail = (
        base64.b64decode(window)
        if shown["encoding"] == "base64"
        else window.encode(errors="replace")
        for window in (shown["head"], shown.get("tail", ""))
    )
    known = (
        shown.get("size", len(head)),
        shown.get("truncated", False),
        *(shown.get(name) for name in _NOTES),
    )
    return msgspec.convert((head, tail, *known), Body)
