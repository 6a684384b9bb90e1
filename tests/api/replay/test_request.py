"""The request that is sent again: what of it is as recorded, what must be given, and what is
refused.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.replay.request import (
    REPLAY_OF,
    Given,
    Outgoing,
    outgoing_of,
    read_given,
    refusal_of,
    replay_of,
)
from api.replay.suite import Recorded
from storage.record import Body, Payload
from tests.api.samples import make_body, make_record
from tests.support.cases import each_of


def recorded(
    head: str = "GET /a HTTP/1.1\r\nHost: service.test",
    body: Body | bytes | None = None,
    **changes: Any,
) -> Recorded:
    kept = make_body(body) if isinstance(body, bytes) else body
    record = make_record(1, **{"path": "/a", "request_bytes": kept.size if kept else 0} | changes)
    return Recorded("the-id", record, Payload(head.encode(), b"HTTP/1.1 200 OK", kept, None))


def sent(
    exchange: Recorded,
    *edits: str,
    headers: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
) -> Outgoing:
    assert refusal_of(exchange) == ""
    return outgoing_of(exchange, read_given(headers, edits, environ or {}))


def test_what_was_sent_is_sent_with_the_id_of_its_original() -> None:
    """But for what belongs to one connection, what another sidelog added, and the host."""
    head = (
        "POST /a?b=1&b=%20 HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-A: "
        "1\r\nX-A: 2\r\n"
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\nExpect: "
        "100-continue\r\nX-Sidelog-Hop: x\r\nAccept: */*"
    )
    made = sent(recorded(head, b"abc", method="POST", query="b=1&b=%20"))
    assert made == Outgoing(
        "POST",
        "/a?b=1&b=%20",
        [("X-A", "1"), ("X-A", "2"), ("Accept", "*/*"), (REPLAY_OF, "the-id")],
        b"abc",
    )


def test_octets_beyond_ascii_are_sent_as_they_were() -> None:
    """Those of the target and of values: UTF-8 as text, others as surrogates that stand for them
    (PEP 383).
    """
    head = b"GET /\xe9?q=\xe9&u=\xc3\xa9 HTTP/1.1\r\nX-A: caf\xe9\r\nX-B: caf\xc3\xa9\r\nX-C: a\r\n"
    exchange = recorded(path="/%E9", query="q=%E9&u=%C3%A9")
    assert exchange.payload is not None
    exchange.payload.request_head = head
    made = sent(exchange)
    assert (made.target, made.headers[:2]) == (
        "/\udce9?q=\udce9&u=\xe9",
        [("X-A", "caf\udce9"), ("X-B", "caf\xe9")],
    )
    assert sent(exchange, "path=/b").target == "/b?q=\udce9&u=\xe9"
    assert sent(exchange, "query.q=b").target == "/\udce9?q=b&u=\xe9"


def test_octets_of_an_absolute_target_are_sent_escaped() -> None:
    """As the path of the record has them: that form is for proxies."""
    exchange = recorded(path="/%E9")
    assert exchange.payload is not None
    exchange.payload.request_head = b"GET http://a/\xe9 HTTP/1.1\r\nHost: a\r\n"
    assert sent(exchange).target == "/%E9"


SECRETS = (
    "POST /a HTTP/1.1\r\nAuthorization: [REDACTED]\r\nCookie: a=[REDACTED]; "
    "b=[REDACTED]\r\nContent-Type: "
)
JSON_BODY = json.dumps(
    {"user": {"id": 1, "password": "[REDACTED]"}, "keys": [{"k": "x"}, {"k": "[REDACTED]"}]}
).encode()
FORM = b"user=a&password=[REDACTED]&pin=%5BREDACTED%5D"


@each_of(
    ("kind", "body", "query", "missing"),
    [
        ("application/json", JSON_BODY, None, ["body.user.password", "body.keys.k"]),
        (
            "application/x-www-form-urlencoded",
            FORM,
            "token=[REDACTED]&x=1",
            ["query.token", "body.password", "body.pin"],
        ),
        (
            "application/x-www-form-urlencoded",
            b" " + JSON_BODY,
            None,
            ["body.user.password", "body.keys.k"],
        ),
        ("text/plain", b"my [REDACTED] text", None, ["body"]),
        ("application/json", b'{"[REDACTED]": 1}', None, ["body"]),
        ("application/json", b'{"a": "[REDACTED]"', None, ["body"]),
        ("application/octet-stream", b"\xff[REDACTED]", None, ["body"]),
        ("application/json", b"[" * 900 + b'"[REDACTED]"' + b"]" * 900, None, ["body"]),
        ("application/json", b"[" * 9000 + b'"[REDACTED]"' + b"]" * 9000, None, ["body"]),
    ],
)
def test_redacted_parts_are_named(
    kind: str, body: bytes, query: str | None, missing: list[str]
) -> None:
    """Each by the name under which it can be given; given, nothing of the kind is left."""
    exchange = recorded(
        SECRETS + kind, make_body(body, size=len(body) + 9), method="POST", query=query
    )
    made = sent(exchange)
    assert sorted(made.missing) == sorted([*missing, "header authorization", "header cookie"])
    edits = [f"{name}=env:S" for name in missing]
    made = sent(
        exchange, *edits, headers=("authorization=env:S", "cookie="), environ={"S": "given"}
    )
    assert made.missing == ()
    assert "REDACTED" not in repr(made)
    assert made.headers[0] == ("Authorization", "given")
    assert [name for name, _ in made.headers] == ["Authorization", "Content-Type", REPLAY_OF]


@given(
    st.text('ab[]REDACTED=&;/% "{}:,', max_size=60),
    st.text("ab[]REDACTED=&;%", max_size=60),
    st.sampled_from(["[REDACTED]", "%5BREDACTED%5D", '{"a":"[REDACTED]"}', "a=[REDACTED]"]),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain"]),
)
def test_a_request_with_redacted_text_is_never_whole(
    text: str, query: str, mark: str, kind: str
) -> None:
    """Whatever is around it, and in whichever part: then something is missing."""
    for body, its_query, value in (
        (text + mark, None, ""),
        ("", query + mark, ""),
        ("", None, f"{query}{mark}"),
    ):
        head = f"POST /a HTTP/1.1\r\nContent-Type: {kind}\r\nX-Y: {value}"
        content = make_body(body.encode(), size=99_999) if body else None
        exchange = recorded(head, content, method="POST", query=its_query)
        assert refusal_of(exchange) or outgoing_of(exchange, Given()).missing


@each_of(
    ("changes", "reason"),
    [
        (
            {"body": make_body(b"ab", truncated=True, size=9)},
            "its body was cut: the first 2 of 9 bytes were kept",
        ),
        ({"body": make_body(b"", omitted="level", size=9)}, "its body was not kept: level"),
        ({"body": make_body(b"ab", size=9)}, "its body is not stored as it was sent: 2 of 9 bytes"),
        (
            {
                "body": make_body(
                    b'[{"omitted": "base64", "bytes": 9, "sha256": ""}]', coding="gzip"
                )
            },
            "its body is not stored as it was sent",
        ),
        ({"request_bytes": 9}, "its body is no longer stored"),
        ({"request_complete": False}, "its request was not complete"),
        ({"status": 101}, "it was upgraded (WebSocket)"),
        (
            {"head": "POST /a.B/C HTTP/2\r\nContent-Type: Application/gRPC+proto"},
            "it is a call of gRPC: sidelog get --curl ID prints a grpcurl",
        ),
        ({"method": None}, "its request has no method that can be sent again"),
        ({"method": "G T"}, "its request has no method that can be sent again"),
        ({"path": "*"}, "its target is not a valid path"),
        ({"path": "/a\r\nX: y"}, "its target is not a valid path"),
        ({"query": "a b"}, "its target is not a valid path"),
    ],
)
def test_what_is_not_as_it_was_sent_is_refused(changes: dict[str, Any], reason: str) -> None:
    """With the reason."""
    assert refusal_of(recorded(**changes)) == reason


def test_parts_are_edited_where_they_are() -> None:
    """A value is JSON if it is, in all elements of an array; other bytes of a form and a query stay
    as they were.
    """
    body = b'{"user": {"id": 1.50}, "items": [{"n": 1}, {"n": 2}]}'
    exchange = recorded("POST /a HTTP/1.1", body, method="POST", query="a=%7E&b=1")
    made = sent(
        exchange,
        "body.user.id=7",
        "body.items.n=x",
        "body.items.1.n=[3]",
        "body.other=1",
        "query.b=x y",
        "path=/z",
    )
    assert made.target == "/z?a=%7E&b=x+y"
    assert json.loads(made.body) == {"user": {"id": 7}, "items": [{"n": "x"}, {"n": [3]}]}
    assert sent(exchange, "query.none=1").body == body
    assert sent(exchange, 'body={"b": 1}').body == b'{"b": 1}'


def test_a_decoded_body_is_sent_without_its_coding() -> None:
    """And text in the charset in which it came."""
    head = "POST /a HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Type: text/plain; charset=latin-1"
    body = make_body("é".encode(), coding="gzip", charset="iso8859-1", size=40)
    made = sent(recorded(head, body, method="POST"))
    assert made.body == b"\xe9"
    assert [name for name, _ in made.headers] == ["Content-Type", REPLAY_OF]


@each_of(
    ("headers", "edits", "message"),
    [
        (["a: b=c"], [], "'a: b' and its value do not make a header"),
        (["a=b\r\nx: y"], [], "'a' and its value do not make a header"),
        (["a=env:V"], [], "'a' and its value do not make a header"),
        (["Content-Length=5"], [], "Content-Length belongs to the connection"),
        (["a"], [], "expected name=value, got 'a'"),
        (["a=env:NONE"], [], "a is to come from the environment variable NONE, which is not set"),
        ([], ["header.a=1"], "cannot edit 'header.a'"),
    ],
)
def test_what_cannot_be_given_is_refused(
    headers: list[str], edits: list[str], message: str
) -> None:
    """No value makes a second header or request."""
    with pytest.raises(ValueError, match=message):
        read_given(headers, edits, {"V": "x\ny"})
    with pytest.raises(ValueError, match="is not a valid path"):
        sent(recorded(), "path=/a HTTP/1.1\r\nX: y")


def test_a_replay_names_its_original() -> None:
    """By the header that it was sent with."""
    assert replay_of(recorded(f"GET /a HTTP/1.1\r\n{REPLAY_OF}: other")) == "other"
    assert replay_of(recorded()) == ""
