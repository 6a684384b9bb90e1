"""Suites: what an export wrote is read back, archives are, and what is no suite is refused with its
place.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from api.native.files.har import har_entry
from api.native.projection import detail_json
from api.replay.suite import SuiteError, header_line, read_ignored, read_suite
from storage.record import Body, Payload
from tests.api.samples import make_body, make_event, make_record

CUT = make_body(b"begin", tail=b"end", truncated=True, size=99)


def read(path: Path) -> list[Any]:
    return list(read_suite(path, lambda target: f"template of {target}"))


def written(path: Path, *lines: object) -> Path:
    path.write_bytes(
        b"".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines
        )
    )
    return path


@pytest.mark.parametrize(
    "body",
    [
        None,
        make_body("é {}".encode()),
        make_body(b"\xff\x00"),
        CUT,
        make_body(b"", omitted="level", size=7),
        make_body(b"x", coding="gzip", charset="iso8859-1", coding_error="br: damaged"),
    ],
)
def test_an_exported_exchange_is_read_back(tmp_path: Path, body: Body | None) -> None:
    """With heads, bodies and times; events and empty lines are left out."""
    record = make_record(1, seq=1, query="a=1", endpoint="/v1/users/{id}")
    payload = Payload(
        b"GET /x HTTP/1.1\r\nA: 1\r\nA: 2",
        b"HTTP/1.1 200 OK\r\nB: \xc3\xa9",
        body,
        body,
        [(3, 10), (5, 20)],
    )
    payload.request_trailers = b"X-Sum: 1"
    payload.response_trailers = b"grpc-status: 0\r\nX: \xc3\xa9"
    lines = (
        detail_json(record, payload),
        detail_json(make_event(2), None),
        detail_json(make_record(3), None),
    )
    path = written(
        tmp_path / "suite", header_line("mine", "path=x", 0), lines[0], b"\n", *lines[1:]
    )
    first, second = read(path)
    assert first.id == lines[0]["id"]
    assert first.payload == payload

    for name in (
        "path",
        "query",
        "endpoint",
        "status",
        "method",
        "started_at_us",
        "request_bytes",
        "duration_us",
    ):
        assert getattr(first.record, name) == getattr(record, name)

    assert (second.payload, second.record.endpoint) == (None, "template of /v1/users/3")


def test_a_suite_says_which_places_are_ignored(tmp_path: Path) -> None:
    """In its first line; other files say nothing."""
    named = written(tmp_path / "suite", header_line("x", "", 0, [".at", "header:x"]))
    assert read_ignored(named) == [".at", "header:x"]
    for line in (header_line("x", "", 0), b'{"ignore": ["a"]}\n', b"{\n", b"[]\n", b""):
        assert read_ignored(written(tmp_path / "other", line)) == []
    with pytest.raises(SuiteError, match="expected `ignore` to be a list of places"):
        read_ignored(written(tmp_path / "wrong", {"suite": 1, "ignore": ".at"}))


def test_octets_of_heads_come_back_as_they_were(tmp_path: Path) -> None:
    """From an export, and but for the request line from an archive of ours; text in UTF-8 stays
    such.
    """
    head = b"GET /\xe9 HTTP/1.1\r\nX-A: caf\xe9\r\nX-B: caf\xc3\xa9\r\nX-C: \xff\x80"
    answered = b"HTTP/1.1 200 Oh\xe9\r\nX-A: a\r\nX-B: caf\xe9"
    record = make_record(1, path="/%E9")
    payload = Payload(head, answered, None, None)
    shown: Any = json.loads(json.dumps(detail_json(record, payload)))
    assert (shown["request"]["latin1_lines"], shown["response"]["latin1_lines"]) == (
        [0, 1, 3],
        [0, 2],
    )
    assert shown["request"]["headers"][0] == ["X-A", "caf\xe9"]
    (one,) = read(written(tmp_path / "suite", shown))
    assert one.payload == payload
    (one,) = read(written(tmp_path / "har", {"log": {"entries": [har_entry(record, payload)]}}))
    assert one.payload.request_head.split(b"\r\n")[1:] == head.split(b"\r\n")[1:]
    assert one.payload.response_head.split(b"\r\n")[1:] == answered.split(b"\r\n")[1:]


def test_lines_of_latin1_are_those_of_the_head(tmp_path: Path) -> None:
    """A number of a line that is not there, or whose text is no Latin-1, makes no suite."""
    shown: Any = json.loads(
        json.dumps(detail_json(make_record(1), Payload(b"GET / HTTP/1.1", b"", None, None)))
    )
    shown["request"] |= {"headers": [["X-A", "\u20ac"]], "latin1_lines": [7]}
    assert read(written(tmp_path / "suite", shown))[0].payload.request_head.endswith(
        b"X-A: \xe2\x82\xac"
    )
    shown["request"]["latin1_lines"] = [1]
    with pytest.raises(SuiteError, match=r"line or entry 1: .*latin-1"):
        read(written(tmp_path / "suite", shown))


def test_an_archive_is_read(tmp_path: Path) -> None:
    """One of a browser, with fields of HTTP/2 that are none, and bodies as text or base64."""
    entry = {
        "startedDateTime": "2024-06-12T14:07:14.5Z",
        "time": 12.5,
        "request": {
            "method": "POST",
            "url": "https://example.com/a?b=%20",
            "headers": [{"name": ":method", "value": "POST"}, {"name": "X", "value": "1"}],
            "postData": {"mimeType": "text/plain", "text": "hi"},
        },
        "response": {
            "status": 200,
            "headers": [{"name": "content-type", "value": "image/png"}],
            "content": {
                "size": 2,
                "text": base64.b64encode(b"\xff\x00").decode(),
                "encoding": "base64",
            },
        },
    }
    gone = entry | {"response": {"status": 200, "bodySize": 7, "content": {"size": 7}}}
    path = tmp_path / "har"
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": [entry, gone]}}, indent=1))
    one, other = read(path)
    assert one.payload == Payload(
        b"POST /a?b=%20 HTTP/1.1\r\nX: 1",
        b"HTTP/1.1 200\r\ncontent-type: image/png",
        make_body(b"hi"),
        make_body(b"\xff\x00"),
    )
    assert (one.record.path, one.record.query, one.record.duration_us) == ("/a", "b=%20", 12_500)
    assert other.payload.response_body.omitted == "not in the archive"
    assert (one.id, other.id) == ("entry-1", "entry-2")


def test_our_own_archive_says_what_is_missing(tmp_path: Path) -> None:
    """A cut body is not taken for a whole one, and base64 not for text."""
    payload = Payload(b"POST /x HTTP/1.1", b"HTTP/1.1 200 OK", CUT, make_body(b"\xff\x00"))
    entry = har_entry(make_record(1), payload)
    binary = har_entry(
        make_record(2),
        Payload(b"POST /x HTTP/1.1", b"HTTP/1.1 200 OK", make_body(b"\xff\x00"), None),
    )
    one, other = read(written(tmp_path / "har", {"log": {"entries": [entry, binary]}}))
    assert (
        "cut: the first 5 and the last 3 of 99 bytes were kept" in one.payload.request_body.omitted
    )
    assert [one.payload.response_body.head, other.payload.request_body.head] == [b"\xff\x00"] * 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b"not json at all"], "is neither a suite nor an HTTP Archive"),
        ([b""], "is neither a suite nor an HTTP Archive"),
        ([{"log": 1}], "is neither a suite nor an HTTP Archive"),
        ([{"a": 1}], "nor an HTTP Archive, which has a `log`: there is no 'started_at_us'"),
        ([[1]], "nor an HTTP Archive, which has a `log`: expected an object"),
        (
            [{"log": {"entries": 5}}],
            "nor an HTTP Archive, which has a `log`: a value is of another type",
        ),
        ([{"id": 1}], "line or entry 1: there is no 'started_at_us'"),
        ([{"suite": 2}], "line or entry 1: version 2, this sidelog reads version 1"),
        ([header_line("x", "", 0), {"id": 1}], "line or entry 2: there is no 'started_at_us'"),
        ([header_line("x", "", 0), b"{"], "line or entry 2: Expecting"),
    ],
)
def test_what_is_no_suite_is_refused_with_its_place(
    tmp_path: Path, lines: list[Any], message: str
) -> None:
    """Never half read in silence."""
    with pytest.raises(SuiteError, match=message):
        read(written(tmp_path / "suite", *lines))
