"""Heads of requests and responses: as text, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.errors import Refused
from proxy.http1.request_head import parse_request_head
from proxy.http2.errors import StreamFault
from proxy.http2.field import Field
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields, encode_request, read_request, read_trailers
from proxy.http2.response_fields import encode_response, read_response
from tests.proxy.http2.wire import GET, Fields, request, sent_fields
from tests.support.cases import each_of


def read(fields: Fields, *, is_over: bool = False) -> RequestFields:
    return read_request([Field(name, value) for name, value in fields], is_over=is_over)


def judged(head: RequestFields) -> str:
    """Say what the rules of HTTP/1.1 make of a head."""
    try:
        parse_request_head(
            b"HTTP/1.1\r\n" + head.lines + b"\r\n", max_headers=100, max_line_bytes=8192
        )
    except Refused as refused:
        return refused.message

    return ""


def test_a_request_becomes_text() -> None:
    """Host comes first, from :authority; other fields stay as they came, but for crumbs of cookies
    (F7).
    """
    head = read(
        [
            *GET,
            (b"cookie", b"a=b"),
            (b"te", b"trailers"),
            (b"x", b"y"),
            (b"cookie", b"c=d"),
            (b"host", b"A"),
        ]
    )
    assert (
        head.text == b"GET / HTTP/2\r\nHost: a\r\nte: trailers\r\nx: y\r\ncookie: a=b; c=d\r\n\r\n"
    )
    assert (head.method, head.target, head.scheme, head.content_length) == (
        b"GET",
        b"/",
        b"http",
        -1,
    )
    assert head.refusal is None
    assert judged(head) == ""


@each_of(
    ("fields", "lines", "refusal", "objection"),
    [
        (
            [*GET, (b"host", b"b")],
            b"Host: a\r\nHost: b\r\n",
            "':authority 'a' is not Host 'b'",
            "2 Host fields",
        ),
        (
            [*GET, (b"host", b"a"), (b"host", b"b")],
            b"Host: a\r\nHost: b\r\n",
            "is not Host 'b'",
            "2 Host fields",
        ),
        (
            [*GET[:3], (b"host", b"a"), (b"host", b"a")],
            b"Host: a\r\nHost: a\r\n",
            "",
            "2 Host fields",
        ),
        ([*GET[:3], (b"host", b"a")], b"Host: a\r\n", "", ""),
        (GET[:3], b"", "", "0 Host fields"),
        ([*GET[:3], (b":authority", b"u@a")], b"Host: u@a\r\n", "", "invalid host"),
        ([*GET[:3], (b":authority", b"a:99999")], b"Host: a:99999\r\n", "", "invalid host"),
        ([*GET[:3], (b":authority", b"a/b")], b"Host: a/b\r\n", "", "invalid host"),
    ],
)
def test_whom_a_request_is_for_is_said_once(
    fields: Fields, lines: bytes, refusal: str, objection: str
) -> None:
    """What cannot be told is 400: here, or by the rules of HTTP/1.1 (F6, P9)."""
    head = read(fields)
    assert head.lines == lines
    assert (head.refusal.message if head.refusal else "").find(refusal.lstrip("'")) >= 0
    assert bool(head.refusal) is bool(refusal)
    assert judged(head).startswith(objection)


def test_connect_becomes_a_request_line_that_is_refused() -> None:
    """Its target is the authority (F15, P8)."""
    head = read([(b":method", b"CONNECT"), (b":authority", b"a:443")])
    assert head.text == b"CONNECT a:443 HTTP/2\r\nHost: a:443\r\n\r\n"


def test_a_head_over_the_limit_says_so() -> None:
    """If its beginning is one at all."""
    head = read(GET, is_over=True)
    assert head.refusal is not None
    assert head.refusal.code == "header_too_large"
    with pytest.raises(StreamFault):
        read([], is_over=True)
    with pytest.raises(StreamFault, match="trailers over the limit"):
        read_trailers([], is_over=True)


NAMES = st.one_of(
    st.sampled_from([b"x", b"cookie", b"te", b"host", b":path", b":method"]),
    st.binary(max_size=9),
)
FIELD = st.tuples(NAMES, st.binary(max_size=12))


@given(st.lists(FIELD, max_size=6))
def test_no_field_ends_a_line_early(more: list[tuple[bytes, bytes]]) -> None:
    """Whatever the fields: malformed, or as many lines as fields, each with its name and value."""
    try:
        head = read([*GET, *more])
    except StreamFault:
        return

    lines = head.text.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert lines[0] == b"GET / HTTP/2"
    cookies = [value for name, value in more if name == b"cookie"]
    hosts = [value for name, value in more if name == b"host" and value.lower() != b"a"]
    others = [b"%b: %b" % (name, value) for name, value in more if name not in (b"cookie", b"host")]
    expected = [b"Host: a", *(b"Host: %b" % host for host in hosts), *others]
    assert lines[1:] == expected + ([b"cookie: " + b"; ".join(cookies)] if cookies else [])


@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=30))
def test_no_pseudo_field_ends_the_request_line_early(
    method: bytes, path: bytes, authority: bytes
) -> None:
    """There are two spaces in it, whatever is sent."""
    try:
        head = read(
            [
                (b":method", method),
                (b":scheme", b"http"),
                (b":path", path),
                (b":authority", authority),
            ]
        )
    except StreamFault:
        return

    line, host = head.text.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert line == b"%b %b HTTP/2" % (method, path)
    assert host == b"Host: " + authority
    assert len(line.split()) == 3


def test_a_request_to_an_upstream_has_one_authority() -> None:
    """No Host, and nothing of a connection of HTTP/1.1; TE only where it says trailers."""
    lines = (
        b"Connection: TE\r\nTE: trailers\r\nKeep-Alive: 1\r\nUpgrade: x\r\nHOST: b\r\nX-Y:  z \r\n"
    )
    block = encode_request(LineEncoder(), request(b"PATCH", lines), b"up:1")
    assert sent_fields(block) == [
        *(
            (b":method", b"PATCH"),
            (b":scheme", b"http"),
            (b":authority", b"up:1"),
            (b":path", b"/"),
        ),
        *((b"te", b"trailers"), (b"x-y", b"z")),
    ]
    connect = RequestFields(b"CONNECT", b"a:1", b"", b"Host: a:1\r\n", -1, None)
    assert sent_fields(encode_request(LineEncoder(), connect, b"a:1")) == [
        (b":method", b"CONNECT"),
        (b":authority", b"a:1"),
    ]


def test_a_response_becomes_text_and_fields_again() -> None:
    """Status, fields and length; names in lower case, framing of HTTP/1.1 left out."""
    head = read_response(
        [Field(b":status", b"404"), Field(b"content-length", b"5"), Field(b"x", b"y")],
        is_over=False,
    )
    assert head.text == b"HTTP/2 404\r\ncontent-length: 5\r\nx: y\r\n\r\n"
    assert (head.status, head.content_length, head.has_no_body) == (404, 5, False)
    encoder = LineEncoder()
    lines = (
        b"Server: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nContent-Length: "
        b"5\r\nTE: gzip\r\n"
    )

    for _ in range(2):
        assert sent_fields(encode_response(encoder, 404, lines)) == [
            *((b":status", b"404"), (b"server", b"x"), (b"content-length", b"5")),
        ]
