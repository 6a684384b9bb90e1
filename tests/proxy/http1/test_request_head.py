"""Request heads: what is refused, what is forwarded, and that every strict parser reads it as the
same message.
"""

import asyncio
from typing import Any

import httptools
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserPy
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.errors import Refused
from proxy.http1.field_lines import HOP_BY_HOP, PlainLines
from proxy.http1.forwarded import Original, forwarded_lines
from proxy.http1.request_head import RequestHead, parse_request_head
from proxy.settings.model import HeaderSettings, RouteSettings, Settings
from proxy.worker.routes import Route
from tests.support.cases import each_of


def read(block: bytes, plain: PlainLines | None = None) -> RequestHead:
    return parse_request_head(block, max_headers=100, max_line_bytes=8192, plain=plain)


def parse(fields: bytes, version: bytes = b"1.1", host: bytes = b"Host: a\r\n") -> RequestHead:
    return read(b"HTTP/%b\r\n%b%b\r\n" % (version, host, fields))


REFUSED = [
    # Framing: P2.
    b"Content-Length: 1\r\nContent-Length: 1\r\n",
    b"Content-Length: 1\r\nContent-Length: 2\r\n",
    b"Content-Length: 1, 1\r\n",
    b"Content-Length: +1\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 0x1\r\n",
    b"Content-Length: 1_0\r\n",
    b"Content-Length: 1 0\r\n",
    b"Content-Length: \xd9\xa1\r\n",
    b"Content-Length: \r\n",
    b"Content-Length: 1.0\r\n",
    b"Content-Length: 9223372036854775808\r\n",
    b"Content-Length: 18446744073709551617\r\n",
    b"Content-Length: 99999999999999999999999\r\n",
    b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\nContent-Length: "
    b"1\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: ,chunked\r\n",
    b"Transfer-Encoding: chunked;x=y\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: \r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b'Transfer-Encoding: "chunked"\r\n',
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    # Syntax: P3.
    b"A: b\r\n folded\r\n",
    b"A: b\r\n\tfolded\r\n",
    b"A : b\r\n",
    b"A\t: b\r\n",
    b" A: b\r\n",
    b": b\r\n",
    b"\x80: b\r\n",
    b"A\x00: b\r\n",
    b"A(: b\r\n",
    b"A: \x00\r\n",
    b"A: b\x01\r\n",
    b"A: b\x7f\r\n",
    b"A: b\rc\r\n",
    b"A: b\nC: d\r\n",
    b"no colon\r\n",
    # End to end: P1.
    b"Connection: host\r\n",
    b"Connection: close, Content-Length\r\nContent-Length: 0\r\n",
    b"Connection: Authorization\r\nAuthorization: x\r\n",
    b"Connection: cookie\r\nCookie: x\r\n",
    b"Connection: a b\r\n",
    # Host is single: P9.
    b"Host: a\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n",
]


@each_of("fields", REFUSED)
def test_what_two_parsers_could_read_differently_is_refused(fields: bytes) -> None:
    """Every line of the bad input list, as `bad_request`."""
    with pytest.raises(Refused) as caught:
        parse(fields)
    assert caught.value.code == "bad_request"


@each_of(
    ("block", "code"),
    [
        (b"HTTP/1.1\r\n\r\n", "bad_request"),
        (b"HTTP/1.1\r\nHost: a,b\r\n\r\n", "bad_request"),
        (b"HTTP/1.1\r\nHost: u@a\r\n\r\n", "bad_request"),
        (b"HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_request"),
        (b"HTTP/1.1\r\nHost: a\r\nExpect: something\r\n\r\n", "expectation_failed"),
        (b"HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", "expectation_failed"),
        (b"HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 100 + b"\r\n", "header_too_large"),
        (b"HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 8190 + b"\r\n\r\n", "header_too_large"),
    ],
)
def test_limits_and_versions_have_codes_of_their_own(block: bytes, code: str) -> None:
    """Counts, lengths, expectations and Host rules are told apart."""
    with pytest.raises(Refused) as caught:
        read(block)
    assert caught.value.code == code


@each_of(
    ("fields", "expected"),
    [
        (b"", {"content_length": -1, "is_chunked": False, "is_keep_alive": True, "host": b"a"}),
        (b"content-length:  007 \r\n", {"content_length": 7}),
        (b"Content-Length: 9223372036854775807\r\n", {"content_length": (1 << 63) - 1}),
        (b"Transfer-Encoding: Chunked\r\n", {"is_chunked": True}),
        (b"Transfer-Encoding:\tchunked\r\n", {"is_chunked": True}),
        (b"Connection: close\r\n", {"is_keep_alive": False}),
        (b"Connection: keep-alive, CLOSE\r\n", {"is_keep_alive": False}),
        (b"Connection: close\r\nConnection: keep-alive\r\n", {"is_keep_alive": False}),
        (b"Connection: , ,\r\n", {"is_keep_alive": True}),
        (b"Expect: 100-Continue\r\n", {"expects_continue": True}),
        (b"X-Request-Id: ab-1_2.3\r\n", {"request_id": b"ab-1_2.3"}),
        (b"X-Request-Id: a b\r\n", {"request_id": b""}),
        (b"X-Request-Id: " + b"x" * 129 + b"\r\n", {"request_id": b""}),
        (
            b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n",
            {"forwarded_for": b"1.1.1.1, 2.2.2.2"},
        ),
        (
            b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n",
            {"forwarded_proto": b"https", "forwarded_host": b"h"},
        ),
        (b"X-Sidelog-Hop: Aa, b\r\nX-Sidelog-Hop: c\r\n", {"hops": [b"Aa", b"b", b"c"]}),
        (b"Upgrade: websocket\r\nConnection: Upgrade\r\n", {"is_websocket": True}),
        (b"Upgrade: h2c, WebSocket\r\nConnection: Upgrade\r\n", {"is_websocket": True}),
        (b"Upgrade: websocket\r\nConnection: Upgrade\r\nUpgrade: foo\r\n", {"is_websocket": True}),
        (b"Upgrade: foo\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", {"is_websocket": True}),
        (b"Upgrade: websockets\r\nConnection: Upgrade\r\n", {"is_websocket": False}),
        (b"Upgrade: websocket\r\n", {"is_websocket": False}),
        (
            b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n",
            {"is_websocket": False},
        ),
    ],
)
def test_what_a_head_says(fields: bytes, expected: dict[str, object]) -> None:
    """Framing, connection and forwarding fields are read, whatever their case and blanks."""
    head = parse(fields)
    assert {name: getattr(head, name) for name in expected} == expected


def test_http10_keeps_alive_only_when_asked() -> None:
    """The default of HTTP/1.0 is to close, and it needs no Host."""
    assert not parse(b"", b"1.0", b"").is_keep_alive
    assert parse(b"Connection: Keep-Alive\r\n", b"1.0").is_keep_alive
    assert not parse(b"Connection: Keep-Alive, close\r\n", b"1.0").is_keep_alive


FORWARDED = [
    (b"A: b\r\na:b\r\nA:  c\t\r\n", b"A: b\r\na:b\r\nA:  c\t\r\n"),
    (b"A:\r\nB: \xc3\xa4\xff\r\n", b"A:\r\nB: \xc3\xa4\xff\r\n"),
    (b"Connection: X-Hop, close\r\nX-HOP: 1\r\nY: 2\r\n", b"Y: 2\r\n"),
    (b"X-Hop: 1\r\nConnection: x-hop\r\n", b""),
    (b"".join(name + b": x\r\n" for name in sorted(HOP_BY_HOP - {b"transfer-encoding"})), b""),
    (b"Expect: 100-continue\r\n", b"Expect: 100-continue\r\n"),
    (
        b"X_Forwarded_For: 1\r\nx_request-id: 2\r\nContent_Length: 3\r\nTransfer_Encoding: "
        b"4\r\nHost_: 5\r\n",
        b"Host_: 5\r\n",
    ),
    (b"X-Forwarded-For: 1\r\nX-Forwarded-Host: 2\r\nX-Sidelog-Hop: 3\r\n", b""),
    (b"x_other: 1\r\nForwarded: for=1\r\n", b"x_other: 1\r\nForwarded: for=1\r\n"),
    (b"Cookie: a=1; sidelog_session=x; b=2\r\n", b"Cookie: a=1; b=2\r\n"),
    (b"Cookie: sidelog_session=x; b=2\r\n", b"Cookie: b=2\r\n"),
    (b"Cookie: a=1;sidelog_session=x\r\n", b"Cookie: a=1\r\n"),
    (b"Cookie: sidelog_session=x\r\n", b""),
    (b"Cookie: sidelog_session=x; sidelog_session=y\r\n", b""),
    (b"cookie:  my_sidelog_session=x;  b\r\n", b"cookie:  my_sidelog_session=x;  b\r\n"),
    (b"Cookie: a=1; __Host-sidelog_session_0a9f=x; b=2\r\n", b"Cookie: a=1; b=2\r\n"),
    (b"Cookie: a=1; __Secure-sidelog_session_0a9f=x; b=2\r\n", b"Cookie: a=1; b=2\r\n"),
    (b"Cookie: sidelog_session_0a9f=x; sidelog_session_77=y; b\r\n", b"Cookie: b\r\n"),
    (b"Cookie: sidelog_session_mine=x\r\n", b"Cookie: sidelog_session_mine=x\r\n"),
    (b"Cookie: a=sidelog_session=x\r\n", b"Cookie: a=sidelog_session=x\r\n"),
    (b"Cookie: a=1\r\nCookie: b=2\r\n", b"Cookie: a=1\r\nCookie: b=2\r\n"),
]


@each_of(("fields", "forwarded"), FORWARDED)
def test_only_what_steers_the_connection_is_taken_out(fields: bytes, forwarded: bytes) -> None:
    """Hop-by-hop fields, our own and their underscore twins go; the rest stays byte for byte, in
    order.
    """
    assert parse(fields).render() == forwarded
    known = PlainLines()
    block = b"HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"
    for _ in range(2):  # the second time most lines are recalled
        assert read(block, known).render() == forwarded


def test_a_recalled_line_is_stripped_when_connection_names_it() -> None:
    """Remembering lines does not weaken what Connection says about them."""
    known = PlainLines()
    read(b"HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n", known)
    head = read(b"HTTP/1.1\r\nHost: a\r\nX: 1\r\nConnection: x\r\n\r\n", known)
    assert head.render() == b""


def test_plain_lines_are_bounded() -> None:
    """The memory of lines starts anew when it is full; long and ever changing lines stay out of it."""
    known = PlainLines()
    for number in range(10_000):
        known.remember(b"x", b"X: %d" % number)
    assert 0 < len(known.known) <= 4096
    known.known.clear()
    known.remember(b"x", b"X: " + b"y" * 300)
    known.remember(b"authorization", b"Authorization: z")
    assert known.known == set()


def test_another_host_is_a_copy() -> None:
    """A memoised head is never changed by the request that uses it."""
    head = parse(b"A: b\r\n")
    head.rendered[0] = b"lines"
    other = head.with_host(b"other")
    assert (head.host, other.host, other.rendered, other.render()) == (
        b"a",
        b"other",
        {},
        b"A: b\r\n",
    )


# What is sent upstream is read by strict parsers as that message.

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True).map(str.encode)
VALUES = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20
).map(lambda text: text.encode("latin-1"))


def rendered(fields: bytes, route: RouteSettings) -> tuple[RequestHead, bytes] | None:
    try:
        head = parse(fields)
    except Refused:
        return None
    lines = Route(0, route, Settings()).render(head, b"me")
    lines += forwarded_lines(head, b"1.2.3.4", b"http", head.host, Original(b"1.2.3.4", b"", b""))
    return head, b"POST /path?q HTTP/1.1\r\n" + lines + b"\r\n"


class Heard:
    """What httptools reads."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.messages = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.messages += 1


def read_by_httptools(raw: bytes) -> Heard:
    heard = Heard()
    read = len(raw)
    try:
        httptools.HttpRequestParser(heard).feed_data(raw)
    except httptools.HttpParserUpgrade as end:  # a WebSocket handshake, forwarded as one
        read = end.args[0]

    assert read == len(raw)
    return heard


def read_by_aiohttp(raw: bytes) -> list[tuple[Any, Any]]:
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParserPy(BaseProtocol(loop), loop, 2**16)
        messages, _, rest = parser.feed_data(raw)
        assert rest == b""
        return list(messages)
    finally:
        loop.close()


ROUTE = RouteSettings(
    id="r",
    upstream="http://up:81",
    headers=HeaderSettings(set_request={"X-Set": "ours", "authorization": "secret"}),
)


@given(
    st.lists(st.tuples(NAMES | st.sampled_from(sorted(HOP_BY_HOP)), VALUES), max_size=8),
    st.sampled_from([0, 1, 2]),
)
def test_what_is_forwarded_is_one_message_for_every_parser(
    pairs: list[tuple[bytes, bytes]], framing: int
) -> None:
    """httptools and aiohttp's own parser read exactly the fields, the body and the end that we
    meant.
    """
    fields = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
    fields += (b"", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n")[framing]
    result = rendered(fields, ROUTE)
    if result is None:
        return

    head, raw = result
    body = (b"", b"body", b"4\r\nbody\r\n0\r\n\r\n")[framing]
    heard = read_by_httptools(raw + body)
    assert (heard.messages, heard.body) == (1, b"body" if framing else b"")
    names = [name.lower() for name, _ in heard.fields]
    for single in (b"host", b"x-forwarded-for", b"x-sidelog-hop", b"x-set", b"authorization"):
        assert names.count(single) == 1
    assert not set(names) & (HOP_BY_HOP - {b"transfer-encoding"})
    assert names.count(b"content-length") + names.count(b"transfer-encoding") == bool(framing)
    assert dict(heard.fields)[b"X-Set"] == b"ours"
    ((message, payload),) = read_by_aiohttp(raw + body)
    assert (message.method, message.path) == ("POST", "/path?q")
    assert [(name, value) for name, value in message.raw_headers] == [
        (name, value.strip(b" \t")) for name, value in heard.fields
    ]
    assert b"".join(getattr(payload, "_buffer", ())) == (b"body" if framing else b"")
    assert head.is_chunked is (framing == 2)


@given(st.binary(max_size=60))
def test_arbitrary_field_lines_are_refused_or_forwarded_alike(fields: bytes) -> None:
    """No bytes make a head that parses here and means something else, or nothing, to the next
    parser.
    """
    result = rendered(
        (b"A: b\r\n" + fields + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n", ROUTE
    )
    if result is not None:
        _, raw = result
        assert read_by_httptools(raw).messages <= 1
        assert len(read_by_aiohttp(raw)) == 1


def test_host_and_cookie_lines_are_remembered() -> None:
    """They repeat in heads that differ elsewhere; a cookie of the admin port's is cut out each
    time.
    """
    known = PlainLines()
    for number in range(2):
        head = read(
            b"HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\nX-Request-Id: %d\r\n\r\n" % number, known
        )
        assert (head.host, head.request_id) == (b"a.test", b"%d" % number)
        assert head.lines == [b"Cookie: a=1"]

    assert known.hosts == {b"Host: a.test": b"a.test"}
    assert known.known == {b"Cookie: a=1"}
    for _ in range(2):
        head = read(b"HTTP/1.1\r\nHost: a.test\r\nCookie: sidelog_session=x; a=1\r\n\r\n", known)
        assert head.lines == [b"Cookie: a=1"]
    assert b"Cookie: sidelog_session=x; a=1" not in known.known


def test_two_remembered_hosts_are_refused() -> None:
    """What was remembered is counted like what was read."""
    known = PlainLines()
    read(b"HTTP/1.1\r\nHost: a.test\r\n\r\n", known)
    with pytest.raises(Refused, match="2 Host fields"):
        read(b"HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", known)
