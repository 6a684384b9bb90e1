"""Response heads: what is refused, how bodies are framed, what goes to the client."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.errors import UpstreamError
from proxy.http1.field_lines import UPGRADE_LINES, PlainLines
from proxy.http1.response_head import ResponseHead, accepts_websocket, parse_response_head
from tests.support.cases import each_of


def parse(text: bytes, plain: PlainLines | None = None) -> ResponseHead:
    return parse_response_head(text + b"\r\n", max_headers=10, plain=plain)


REFUSED = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: \r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
    b"HTTP/1.1 099 No\r\n",
    b"HTTP/1.1 000 No\r\n",
    b"HTTP/1.1 20 OK\r\n",
    b"HTTP/1.1 2000 OK\r\n",
    b"HTTP/1.1  200 OK\r\n",
    b"HTTP/1.1 200OK\r\n",
    b"HTTP/1.1\r\n",
    b"HTTP/1.2 200 OK\r\n",
    b"HTTP/2.0 200 OK\r\n",
    b"HTTP/0.9 200 OK\r\n",
    b"ICY 200 OK\r\n",
    b"HTTP/1.1 200 O\x00K\r\n",
    b"HTTP/1.1 200 O\x1bK\r\n",
    b"HTTP/1.1 200 OK\nA: b\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\x00\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
    b"HTTP/1.1 200 OK\r\nA : b\r\n",
    b"HTTP/1.1 200 OK\r\n: b\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 11,
]


@each_of("head", REFUSED)
def test_a_head_that_cannot_be_right_is_a_bad_response(head: bytes) -> None:
    """Whatever one of two parsers could misread is a 502."""
    with pytest.raises(UpstreamError) as caught:
        parse(head)
    assert caught.value.code == "upstream_bad_response"


FRAMED = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 05\r\n", b"Content-Length: 5\r\n", 5, 0),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding:Chunked\r\n", b"Transfer-Encoding: chunked\r\n", -1, 0),
    (b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n", -1, 0),
    (b"HTTP/1.0 200 OK\r\n", b"Transfer-Encoding: chunked\r\n", -1, 0),
    (b"HTTP/1.1 204 No Content\r\n", b"", 0, 0),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", b"", 0, 0),
    (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", b"", 0, 0),
    (b"HTTP/1.1 304 Not Modified\r\n", b"", 0, 0),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\n", 0, 0),
    (b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n", b"", 0, 0),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", b"Content-Length: 0\r\n", 0, 0),
]


@each_of(("head", "framing", "length", "head_length"), FRAMED)
def test_bodies_are_framed_anew(head: bytes, framing: bytes, length: int, head_length: int) -> None:
    """The length of a body follows from method, status and framing (RFC 9112 §6.3), in our own
    spelling.
    """
    response = parse(head)
    status_line = b"HTTP/1.1" + head.partition(b"\r\n")[0][8:] + b"\r\n"
    assert response.prefix == status_line + framing
    assert response.body_length(b"GET") == length
    assert response.body_length(b"HEAD") == head_length
    assert response.has_no_body is (response.status in (103, 204, 304))


@each_of(
    ("fields", "is_keep_alive", "keep_alive_s"),
    [
        (b"HTTP/1.1 200 OK\r\n", True, -1),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False, -1),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\n", False, -1),
        (b"HTTP/1.0 200 OK\r\n", False, -1),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True, -1),
        (b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=15, max=100\r\n", True, 15),
        (b"HTTP/1.1 200 OK\r\nKeep-Alive: max=100\r\n", True, -1),
    ],
)
def test_how_long_a_connection_may_be_kept(
    fields: bytes, is_keep_alive: bool, keep_alive_s: int
) -> None:
    """Version, Connection and Keep-Alive say it."""
    response = parse(fields)
    assert (response.is_keep_alive, response.keep_alive_s) == (is_keep_alive, keep_alive_s)


def test_fields_pass_as_they_came() -> None:
    """Hop-by-hop fields and those Connection names go; order, spelling, blanks and odd bytes stay."""
    known = PlainLines()
    head = (
        b"HTTP/1.1 200 Fine  indeed\r\nset-cookie: a\r\nSet-Cookie:b \r\nX-Drop: 1\r\nConnection: "
        b"x-drop\r\n"
        b"Trailer: T\r\nUpgrade: h2\r\nX: \xc3\xa4\xff\r\nContent-Length: 0\r\n"
    )
    for _ in range(2):
        response = parse(head, known)
        assert response.status_line == b"HTTP/1.1 200 Fine  indeed\r\n"
        assert (
            response.fields
            == b"set-cookie: a\r\nSet-Cookie:b \r\nTrailer: T\r\nX: \xc3\xa4\xff\r\n"
        )

    assert parse(b"HTTP/1.1 200\r\n").status_line == b"HTTP/1.1 200\r\n"


@pytest.mark.parametrize(
    ("status", "offer", "is_passed_on"),
    [(426, b"websocket", True), (426, b"TLS/1.2", False), (200, b"h2c", False)],
)
def test_a_426_keeps_its_offer_of_a_websocket(
    status: int, offer: bytes, is_passed_on: bool
) -> None:
    """RFC 9110 §15.5.22; of an upgrade that cannot be had here nothing is said (P7)."""
    head = parse(
        b"HTTP/1.1 %d X\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: 0\r\n"
        % (status, offer)
    )
    assert head.fields == (UPGRADE_LINES if is_passed_on else b"")


def test_event_streams_are_known_by_their_type() -> None:
    """The content type decides, each time, recalled lines included."""
    known = PlainLines()
    stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    assert [parse(stream, known).is_event_stream for _ in range(3)] == [True] * 3
    assert not parse(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX: text/event-stream\r\n"
    ).is_event_stream


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused_or_read_alike(raw: bytes) -> None:
    """What passes is one response for httptools too, with the status we say."""
    try:
        response = parse(b"HTTP/1.1 " + raw.replace(b"\r\n\r\n", b"") + b"\r\n")
    except UpstreamError:
        return

    parser = httptools.HttpResponseParser(object())
    parser.feed_data(response.prefix + b"\r\n")
    assert parser.get_status_code() == response.status


def test_a_reason_phrase_may_be_in_any_language() -> None:
    """It frames nothing, and passes as it came (RFC 9112 §4)."""
    response = parse(b"HTTP/1.1 404 F\xc3\xa4hlt \xe4\r\n")
    assert (response.status, response.status_line) == (404, b"HTTP/1.1 404 F\xc3\xa4hlt \xe4\r\n")


# The example of RFC 6455 §1.3.
WEBSOCKET_REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
WEBSOCKET_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def switching_protocols(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 101 Switching Protocols", *lines, b"", b""))


def test_the_answer_to_the_key_is_accepted() -> None:
    """Whatever the case of the names, and blanks around the values."""
    assert accepts_websocket(
        WEBSOCKET_REQUEST, switching_protocols(b"Sec-WebSocket-Accept: " + WEBSOCKET_ACCEPT)
    )
    assert accepts_websocket(
        WEBSOCKET_REQUEST,
        switching_protocols(
            b"upgrade: websocket", b"sec-websocket-accept:\t" + WEBSOCKET_ACCEPT + b" "
        ),
    )


@each_of(
    "lines",
    [
        (),
        (b"Sec-WebSocket-Accept:",),
        (b"Sec-WebSocket-Accept: " + WEBSOCKET_ACCEPT.swapcase(),),
        (
            b"Sec-WebSocket-Accept: " + WEBSOCKET_ACCEPT,
            b"Sec-WebSocket-Accept: " + WEBSOCKET_ACCEPT,
        ),
        (b"X-Sec-WebSocket-Accept: " + WEBSOCKET_ACCEPT,),
    ],
)
def test_any_other_answer_is_not_accepted(lines: tuple[bytes, ...]) -> None:
    """A missing, another, a repeated answer, and one under another name."""
    assert not accepts_websocket(WEBSOCKET_REQUEST, switching_protocols(*lines))


def test_without_a_key_no_answer_is_accepted() -> None:
    assert not accepts_websocket(
        b"GET / HTTP/1.1\r\n\r\n", switching_protocols(b"Sec-WebSocket-Accept: " + WEBSOCKET_ACCEPT)
    )
