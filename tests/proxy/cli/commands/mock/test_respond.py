"""Answers from a recording: the whole answer, its head, a range, a 304, or the reason of a miss."""

import gzip
import json

from api.identity.places import read_request_places
from proxy.cli.commands.mock.reply import Reply
from proxy.cli.commands.mock.service import Service
from storage.record import Body
from tests.proxy.cli.commands.mock.exchanges import JSON, ask, exchange, matched, service
from tests.support.cases import each_of

FILE = exchange(
    ("GET", "/file", "", ""),
    "0123456789",
    fields=(
        'Content-Type: text/plain\nETag: "e1"\nLast-Modified: Sat, 28 Nov 2026 10:00:00 '
        "GMT\nContent-Length: 99"
    ),
)


def named(reply: Reply, name: str) -> list[str]:
    return [value for known, value in reply.fields if known.lower() == name]


@each_of(
    ("wanted", "status", "content", "span"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=4-2", 416, b"", "bytes */10"),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1, -2", 200, b"0123456789", None),
    ],
)
def test_a_range_is_taken_of_a_whole_answer(
    wanted: str, status: int, content: bytes, span: str | None
) -> None:
    """By RFC 9110 §14; a range that is not in bytes is ignored."""
    reply = ask(service(FILE), ("GET", "/file", f"Range: {wanted}", ""))
    assert (reply.status, reply.content) == (status, content)
    assert named(reply, "content-range") == ([] if span is None else [span])
    assert matched(reply).startswith("same")


def test_a_recorded_range_answers_no_other_request() -> None:
    """The same range is answered as recorded, all of it or another is a miss."""
    asked = ("GET", "/file", "Range: bytes=0-3", "")
    part = exchange(asked, "0123", status=206, fields="Content-Range: bytes 0-3/10")
    assert ask(service(part), asked).content == b"0123"
    for other in ("", "Range: bytes=4-5"):
        assert ask(service(part), ("GET", "/file", other, "")).status == 404


@each_of(
    ("lines", "status"),
    [
        ('If-None-Match: "e1"', 304),
        ('If-None-Match: W/"e1"', 304),
        ('If-None-Match: "x", "e1"', 304),
        ("If-None-Match: *", 304),
        ('If-None-Match: "e2"', 200),
        ('If-None-Match: "e2"\nIf-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT', 200),
        ("If-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT", 304),
        ("If-Modified-Since: Sat, 28 Nov 2026 09:00:00 GMT", 200),
        ("If-Modified-Since: yesterday", 200),
        ("If-Modified-Since: Sat, 28 Nov 2026 10:00:00 -0000", 304),
        ("If-Modified-Since: Sat, 28 Nov 99999 10:00:00 GMT", 200),
        ('If-Match: "e1"', 200),
        ('If-Match: "e2"', 412),
        ('Range: bytes=0-0\nIf-Range: "e1"', 206),
        ('Range: bytes=0-0\nIf-Range: "e2"', 200),
        ("Range: bytes=0-0\nIf-Range: Sat, 28 Nov 2026 10:00:00 GMT", 206),
        ("Range: bytes=0-0\nIf-Range: Sat, 28 Nov 2026 11:00:00 GMT", 200),
    ],
)
def test_conditions_are_met_by_the_recorded_validators(lines: str, status: int) -> None:
    """By RFC 9110 §13: tags before dates, weak ones but for ranges and If-Match."""
    reply = ask(service(FILE), ("GET", "/file", lines, ""))
    assert reply.status == status
    if status == 304:
        assert (reply.content, named(reply, "etag"), named(reply, "content-type")) == (
            b"",
            ['"e1"'],
            [],
        )


def test_what_was_recorded_for_a_range_is_not_cut_again() -> None:
    """Of a service that regards no ranges, or no conditions."""
    asked = ("GET", "/file", 'Range: bytes=0-3\nIf-None-Match: "e1"', "")
    assert (
        ask(service(exchange(asked, "0123456789", fields='ETag: "e1"')), asked).content
        == b"0123456789"
    )


def test_a_recorded_304_answers_its_condition_only() -> None:
    """A client without a cached copy cannot use it."""
    asked = ("GET", "/file", 'If-None-Match: "e1"', "")
    mock = service(exchange(asked, status=304, fields='ETag: "e1"'))
    assert ask(mock, asked).status == 304
    assert ask(mock, ("GET", "/file", "", "")).status == 404


def test_a_304_of_a_browsers_archive_is_what_it_showed() -> None:
    """The content of its cache: a client without one gets it, the browser's own request its 304."""
    asked = ("GET", "/file", 'If-None-Match: "e1"', "")
    mock = service(exchange(asked, "from the cache", status=304, fields='ETag: "e1"'))
    reply = ask(mock, ("GET", "/file", "", ""))
    assert (reply.status, reply.reason, reply.content) == (200, "", b"from the cache")
    assert ask(mock, ("GET", "/file", 'If-None-Match: W/"e1"', "")).status == 304


def test_head_is_answered_by_a_get() -> None:
    """With its fields and the length of its content; one that was recorded itself comes first."""
    reply = ask(service(FILE), ("HEAD", "/file", "", ""))
    assert (reply.status, reply.content, named(reply, "etag")) == (200, b"0123456789", ['"e1"'])
    own = exchange(("HEAD", "/file", "", ""), fields="Content-Length: 77\nContent-Encoding: gzip")
    reply = ask(service(FILE, own), ("HEAD", "/file", "", ""))
    assert (reply.length, named(reply, "content-encoding")) == (77, ["gzip"])


def test_a_coding_is_named_only_over_what_is_coded() -> None:
    """Archives of browsers have decoded text under the field; bytes that are still coded keep it."""
    asked = ("GET", "/a", "", "")
    for content, coding, is_named in (
        ("plain", "gzip", False), ("plain", "br", False), (gzip.compress(b"x"), "gzip", True),
        (b"\xff\xfe\x00\x01", "gzip", False), (b"\xff\xfe\x00\x01", "br", False),
    ):  # fmt: skip
        reply = ask(service(exchange(asked, content, fields=f"Content-Encoding: {coding}")), asked)
        assert named(reply, "content-encoding") == [coding] * is_named


def test_several_answers_come_in_their_order() -> None:
    """Then the last one is repeated. Requests that differ only in generated values share a
    sequence; other requests have their own.
    """

    def at(moment: str, target: str = "/job/1") -> tuple[str, str, str, str]:
        return "GET", f"{target}?at=2026-01-0{moment}T00:00:00Z", "", ""

    states = ("pending", "running", "done")
    jobs = [
        exchange(at(str(n), f"/job/{job}"), f"{state} {job}")
        for n, state in enumerate(states, 1)
        for job in (1, 2)
    ]
    mock = service(*jobs)
    assert [ask(mock, at("9")).content.decode() for _ in range(4)] == [
        f"{s} 1" for s in (*states, "done")
    ]
    assert [ask(mock, at("9", "/job/2")).content.decode() for _ in range(2)] == [
        "pending 2",
        "running 2",
    ]


def test_a_miss_names_the_nearest_and_its_first_difference() -> None:
    """And what would answer."""
    suite = [
        exchange(("POST", "/ask", JSON, json.dumps({"a": 1, "b": number, "c": 3})), name=f"n{number}")
        for number in (1, 2)
    ]  # fmt: skip
    reply = ask(service(*suite), ("POST", "/ask", JSON, '{"a": 1, "b": 2, "c": 4}'))
    said = json.loads(reply.content)
    assert reply.status == 404
    assert said["error"] == "no recorded exchange answers POST /ask"
    assert said["nearest"] == {"id": "n2", "request": "POST /ask"}
    assert said | {"first_difference": "body.c: 3 recorded, 4 asked for", "differences": 1} == said
    assert "--ignore 'body.c'" in said["hint"]
    moment = exchange(("POST", "/at", JSON, '{"at": "2026-01-01T00:00:00Z", "n": 1}'))
    reply = ask(service(moment), ("POST", "/at", JSON, '{"at": "2026-01-02T00:00:00Z", "n": 2}'))
    assert json.loads(reply.content)["first_difference"] == "body.n: 1 recorded, 2 asked for"
    other = json.loads(ask(service(*suite), ("GET", "/asks", "", "")).content)
    assert other["first_difference"] == 'method: "POST" recorded, "GET" asked for'
    accept = ask(service(FILE), ("GET", "/file", "Accept: image/png", ""))
    assert (
        json.loads(accept.content)["first_difference"]
        == 'header:accept: nothing recorded, "image/png" asked for'
    )


@each_of(
    ("places", "body", "is_found"),
    [
        (["body.t"], '{"t": 2, "items": [{"id": 1, "n": 1}]}', True),
        ([".t"], '{"items": [{"id": 1, "n": 1}]}', True),
        (["body.items[*].id", "body.t"], '{"t": 2, "items": [{"id": 9, "n": 1}]}', True),
        (["items.id", "body.t"], '{"t": 2, "items": [{"id": 9, "n": 1}]}', True),
        (["items[0].id", "body.t"], '{"t": 2, "items": [{"id": 9, "n": 1}]}', True),
        (["items[1].id", "body.t"], '{"t": 2, "items": [{"id": 9, "n": 1}]}', False),
        (["body"], "anything", True),
        (["query.t"], '{"t": 2, "items": [{"id": 1, "n": 1}]}', False),
    ],
)
def test_places_are_left_out(places: list[str], body: str, is_found: bool) -> None:
    """On both sides, also where one has nothing there."""
    recorded = exchange(("POST", "/x", JSON, '{"t": 1, "items": [{"id": 1, "n": 1}]}'), "yes")
    mock = Service([recorded], places=read_request_places(places))
    assert (ask(mock, ("POST", "/x", JSON, body)).status == 200) is is_found


def test_a_header_is_left_out() -> None:
    """One that the answer varies by."""
    recorded = exchange(("GET", "/x", "Origin: http://a", ""), fields="Vary: Origin")
    for places, status in ((["header:Origin"], 200), ([], 404)):
        mock = Service([recorded], places=read_request_places(places))
        assert ask(mock, ("GET", "/x", "Origin: http://b", "")).status == status


def test_the_host_that_is_asked_for_answers() -> None:
    """If the suite has several hosts. An unknown host, like the mock's own, matches all."""
    asked = ("GET", "/", "", "")
    mock = service(*(exchange(asked, host, host=host) for host in ("a.example", "b.example")))
    for host, answer in (
        ("b.example", b"b.example"),
        ("a.example", b"a.example"),
        ("127.0.0.1:9", b"a.example"),
    ):
        assert ask(mock, asked, host).content == answer


def test_what_was_not_kept_whole_is_left_out() -> None:
    """With the reason."""
    asked = ("GET", "/a", "", "")
    cut = exchange(asked, "be", response_body=Body(b"be", b"", 99, True, None, None))
    extension = exchange(asked, "x")
    extension.record.scheme = "chrome-extension"
    suite = (
        cut,
        exchange(asked, fields="Content-Length: 5"),
        exchange(asked, status=0),
        exchange(asked, status=101),
        exchange(asked, "x")._replace(payload=None),
        exchange(asked, status=204, fields="Content-Length: 5"),
        extension,
    )
    mock = service(*suite)
    assert mock.answers == 1
    assert mock.left_out == {
        "the body of the answer was cut": 1,
        "the body of the answer was not recorded": 1,
        "there was no answer": 1,
        "they were upgraded (WebSocket)": 1,
        "they were no requests of HTTP (chrome-extension:)": 1,
        "neither headers nor bodies were kept": 1,
    }


def test_a_body_that_was_cut_is_known_by_its_size() -> None:
    """Only the beginning of an upload is kept: a body of the same length matches."""
    part = Body(b"xx", b"", 300_000, True, None, None)
    mock = service(exchange(("PUT", "/file", "", "x" * 10), "stored", request_body=part))
    assert ask(mock, ("PUT", "/file", "", "y" * 300_000)).content == b"stored"
    assert ask(mock, ("PUT", "/file", "", "y" * 300_001)).status == 404
