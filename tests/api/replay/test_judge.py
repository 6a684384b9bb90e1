"""Answers judged by their status, the shape of their endpoint, or all of them."""

import json
from typing import Any

from api.compare.ignored import read_places
from api.replay.judge import Expect, Judge
from api.replay.suite import Recorded
from storage.record import Body, Payload
from tests.api.samples import make_body, make_record
from tests.support.cases import each_of

JSON = "application/json; charset=utf-8"


def exchange(
    body: Any, *, status: int = 200, kind: str = JSON, number: int = 1, path: str = "/users/{id}"
) -> Recorded:
    kept = body if isinstance(body, Body | None) else make_body(json.dumps(body).encode())
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nDate: now\r\nX-Version: {number}"
    record = make_record(
        number, status=status, endpoint=path, response_bytes=kept.size if kept else 0
    )
    return Recorded(
        str(number), record, Payload(b"GET /users/1 HTTP/1.1", head.encode(), None, kept)
    )


def differing(judge: Judge, recorded: Recorded, now: Recorded) -> dict[str, list[str]]:
    assert now.payload is not None
    parts = judge.judge(recorded, now.record, now.payload)
    return {part.part: [change.path for change in part.changes] for part in parts if not part.equal}


ANOTHER = {"response_body": ["."]}
USERS = [exchange({"id": n, "name": f"n{n}", "ref": "[REDACTED]"}, number=n) for n in range(20)]


@each_of(
    ("expect", "now", "found"),
    [
        ("status", exchange("other", kind="text/plain"), {}),
        ("status", exchange("other", status=404), {"status": ["status"]}),
        ("shape", exchange({"id": 99, "name": "x", "ref": None}), {}),
        ("shape", exchange({"id": "99", "ref": "x"}), {"response_body": [".name", ".id"]}),
        ("shape", exchange({"error": 1}, status=500), {"status": ["status"]}),
        ("shape", exchange([]), ANOTHER),
        ("shape", exchange(make_body(b"<html>"), kind="text/html"), {"response_headers": ["content-type"]} | ANOTHER),
        ("shape", exchange(None), ANOTHER),
        ("same", exchange({"id": 1, "name": "n1", "ref": "secret?"}), {}),
        ("same", exchange({"id": 1, "name": "n2", "ref": "[REDACTED]"}), {"response_body": [".name"]}),
        ("same", exchange({"id": 1, "name": "n1", "ref": 1}, number=2), {"response_headers": ["x-version"]}),
    ],
)  # fmt: skip
def test_each_expectation_asks_for_more(
    expect: Expect, now: Recorded, found: dict[str, list[str]]
) -> None:
    """What was redacted is not compared, dates are not."""
    judge = Judge(expect)
    judge.learn(USERS)
    assert differing(judge, USERS[1], now) == found


def test_what_was_recorded_is_as_expected() -> None:
    """By each expectation, of all kinds of bodies, cut ones among them."""
    bodies: list[Any] = [None, {"a": [1, None]}, make_body(b"\xff"), make_body(b"text")]
    bodies += [
        make_body(b'data: {"a": 1}\n\ndata: [DONE]\n\n'),
        make_body(b"", omitted="level", size=9),
    ]
    bodies.append(make_body(b'{"a": "b', truncated=True, size=99))
    suite = [exchange(body, number=n, status=200 + n % 2) for n, body in enumerate(bodies)]

    for expect in ("status", "shape", "same"):
        judge = Judge(expect)
        judge.learn(suite)
        assert [differing(judge, each, each) for each in suite] == [{}] * len(suite)


def test_fields_of_the_way_are_no_difference() -> None:
    """Those of a connection, which it lists, and of proxies; on either side, and a `Server` is one."""
    way = "Keep-Alive: timeout=5\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nVia: 1.1 a\r\nTransfer-Encoding: chunked"
    direct, passed, named = (exchange({"id": 1}) for _ in range(3))
    for each, more in ((passed, way), (named, "Server: b")):
        assert each.payload is not None
        each.payload.response_head += b"\r\n" + more.encode()
    judge = Judge("same")
    judge.learn([direct])
    assert differing(judge, direct, passed) == differing(judge, passed, direct) == {}
    assert differing(judge, direct, named) == {"response_headers": ["server"]}


def test_changes_inside_a_changed_status_are_found() -> None:
    """Where it is of the same class; an error is no answer of the endpoint, whatever is in it."""
    judge = Judge("shape")
    judge.learn(USERS)
    assert differing(judge, USERS[1], exchange({"id": 1, "ref": None}, status=201)) == {
        "status": ["status"],
        "response_body": [".name"],
    }
    assert differing(judge, USERS[1], exchange({"error": 1}, status=404)) == {"status": ["status"]}


def test_named_places_are_ignored() -> None:
    """By both expectations that look at bodies and headers."""
    expectations: list[Expect] = ["shape", "same"]
    for expect in expectations:
        judge = Judge(expect, read_places(["name", "header:content-type"]))
        judge.learn(USERS)
        now = exchange({"id": 1, "name": 7, "ref": None}, kind="application/problem+json")
        assert differing(judge, USERS[1], now) == {}


def test_what_three_recorded_answers_draw_anew_is_no_difference() -> None:
    """While its type stays."""
    judge = Judge("same")
    suite = [exchange({"at": number, "name": "a"}) for number in range(3)]
    judge.learn(suite)
    assert differing(judge, suite[0], exchange({"at": 9, "name": "a"})) == {}
    assert differing(judge, suite[0], exchange({"at": "9", "name": "b"})) == {
        "response_body": [".at", ".name"]
    }


def test_parts_of_a_multipart_answer_have_a_shape() -> None:
    """Whatever the delimiter."""
    kind = "multipart/mixed; boundary="
    bodies = [
        f'--{name}\r\n\r\n{{"n": {number}}}\r\n--{name}--'.encode()
        for name, number in (("x", 1), ("y", '"2"'))
    ]
    now = [exchange(make_body(body), kind=f"{kind}{body[2:3].decode()}") for body in bodies]
    judge = Judge("shape")
    judge.learn(now[:1])
    assert differing(judge, now[0], now[1]) == {"response_body": [".[0].content.n"]}


def test_a_stream_has_the_shape_of_its_events() -> None:
    """However many there are."""
    judge = Judge("shape")
    bodies = [
        b"".join(b'data: {"n": %d, "at": "x"}\n\n' % n for n in range(count)) for count in (3, 5)
    ]
    streams = [
        exchange(make_body(body), kind="text/event-stream", number=n)
        for n, body in enumerate(bodies)
    ]
    judge.learn(streams)
    assert differing(judge, streams[0], streams[1]) == {}
    now = exchange(make_body(b'data: {"n": "1", "at": "x"}\n\n'), kind="text/event-stream")
    assert differing(judge, streams[0], now) == {"response_body": [".[0].data.n"]}


def test_without_a_whole_recorded_body_only_its_kind_is_judged() -> None:
    """And a note says so."""
    cut = exchange(make_body(b'{"a": "b', truncated=True, size=99))
    judge = Judge("shape")
    judge.learn([cut])
    now = exchange({"other": 1})
    assert now.payload is not None
    body = judge.judge(cut, now.record, now.payload)[-1]
    assert (body.equal, body.complete, body.notes) == (
        True,
        False,
        ["no recorded body of this endpoint was kept whole"],
    )
