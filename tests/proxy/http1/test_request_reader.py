"""Requests are cut out of bytes that arrive whole, byte by byte, or with junk behind them; nothing
else is.
"""

from functools import partial

import pytest

from proxy.http1.errors import Refused
from proxy.http1.memo.request_heads import RequestHeads
from proxy.http1.request_head import parse_request_head
from proxy.http1.request_reader import MAX_EMPTY_LINES, RequestReader
from tests.support.cases import each_of

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
CHUNKED = (
    b"PUT http://h/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
    b"chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
)
OLD = b"HEAD /d HTTP/1.0\r\n\r\n"

Seen = tuple[bytes, bytes, bytes | None, bool, bytes]


def reader(*, is_tls: bool = False) -> RequestReader:
    """Make a reader with small limits."""
    parse = partial(parse_request_head, max_headers=10, max_line_bytes=200)
    heads = RequestHeads(parse, max_line_bytes=200)
    return RequestReader(heads.read, max_head_bytes=9500, max_line_bytes=200, is_tls=is_tls)


def read(found: RequestReader, pieces: list[bytes]) -> list[Seen]:
    """Feed pieces and return the complete requests: method, target, authority, HTTP/1.0, body."""
    requests: list[Seen] = []
    body: bytes | None = None
    for piece in pieces:
        data = piece
        while data or found.buffer:
            if body is None:
                if found.read_head(data) is None:
                    break
                body = found.body
            else:
                body += found.read_body(data)

            data = b""
            if not found.is_body_due:
                requests.append(
                    (found.method, found.target, found.authority, found.is_http10, body)
                )
                body = None

    return requests


@each_of("step", [1, 2, 3, 10, 1000])
def test_any_split_gives_the_same_requests(step: int) -> None:
    """Bodies of both framings, pipelined, and the beginning of a next request that stays in the
    buffer.
    """
    raw = GET + POST + CHUNKED + OLD + GET + b"GET /junk"
    found = reader()
    assert read(found, [raw[at : at + step] for at in range(0, len(raw), step)]) == [
        (b"GET", b"/a", None, False, b""),
        (b"POST", b"/b", None, False, b"abcde"),
        (b"PUT", b"/c", b"h", False, b"abcde"),
        (b"HEAD", b"/d", None, True, b""),
        (b"GET", b"/a", None, False, b""),
    ]
    assert found.buffer == b"GET /junk"


def test_what_comes_with_the_head_is_given_with_it() -> None:
    """A whole body leaves nothing due; of a part the rest is."""
    found = reader()
    assert found.read_head(POST + GET) is not None
    assert (found.body, found.is_body_due, found.buffer) == (b"abcde", False, GET)
    found = reader()
    assert found.read_head(POST[:-2]) is not None
    assert (found.body, found.is_body_due, found.buffer) == (b"abc", True, b"")
    assert found.read_body(b"deGET") == b"de"
    assert (found.is_body_due, found.buffer) == (False, b"GET")


@each_of(
    ("raw", "code", "method"),
    [
        (b"\x16\x03\x01", "tls_on_plain_port", b""),
        (b"\x16\x03\x01\x02\x00 / HTTP/1.1\r\n\r\n", "tls_on_plain_port", b""),
        (b"\x05\x01\x00", "bad_request", b""),
        (b"GET /" + b"a" * 9000, "uri_too_long", b""),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 10_000, "header_too_large", b""),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 10_000 + b"\r\n\r\n", "header_too_large", b""),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_allowed", b""),
        (b"GET / HTTP/1.1\r\n\r\n", "bad_request", b"GET"),
        (b"GET / HTTP/1.1\nHost: a\n\n", "bad_request", b""),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b", "bad_request", b""),
        (b"GET / HTTP/1.1\r\nHost: a\rX: b", "bad_request", b""),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request", b""),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 300 + b"\r\n\r\n",
            "header_too_large",
            b"GET",
        ),
    ],
)
@each_of("step", [1, 100_000])
def test_what_cannot_be_read_is_refused_with_what_is_known(
    raw: bytes, code: str, method: bytes, step: int
) -> None:
    """The head so far is kept for the record, bounded where it is not complete."""
    found = reader()
    with pytest.raises(Refused) as refusal:
        read(found, [raw[at : at + step] for at in range(0, len(raw), step)])
    assert (refusal.value.code, found.method) == (code, method)
    assert raw.startswith(found.raw)
    assert found.raw


@each_of(
    "raw",
    [
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY UNKNOWN\r\n" + GET,
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + GET,
    ],
)
@each_of("step", [1, 100_000])
def test_a_proxy_header_that_nobody_expects_is_called_so(raw: bytes, step: int) -> None:
    """The load balancer speaks the protocol and the port does not: whoever set them up reads what
    to change.
    """
    with pytest.raises(Refused, match="set proxy_protocol") as refusal:
        read(reader(), [raw[at : at + step] for at in range(0, len(raw), step)])
    assert refusal.value.code == "bad_request"


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_empty_lines_before_a_request_are_skipped(step: int) -> None:
    """Some clients end a body with one (RFC 9112 §2.2); alone they begin nothing."""
    raw = b"\r\n" + GET + b"\r\n\r\n\r\n" + POST + b"\r\n"
    found = reader()
    assert [
        seen[:2] for seen in read(found, [raw[at : at + step] for at in range(0, len(raw), step)])
    ] == [
        (b"GET", b"/a"),
        (b"POST", b"/b"),
    ]
    assert found.buffer == b""


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_many_empty_lines_before_a_request_are_refused(step: int) -> None:
    """A few before each request pass, however many requests there are; more are nothing but work."""
    found = reader()
    for allowed in (MAX_EMPTY_LINES, MAX_EMPTY_LINES - 1):
        raw = b"\r\n" * allowed + GET
        assert len(read(found, [raw[at : at + step] for at in range(0, len(raw), step)])) == 1
    raw = b"\r\n" * (MAX_EMPTY_LINES + 1) + GET
    with pytest.raises(Refused, match="more than 16 empty lines"):
        read(found, [raw[at : at + step] for at in range(0, len(raw), step)])
    assert found.method == b""


def test_the_limit_of_a_line_holds_for_the_request_line() -> None:
    """To the byte, whichever way the line is read; its line end does not count."""
    for start in (b"GET /", b"LIST /"):
        for length in (200, 201):
            line = start + b"a" * (length - len(start) - 9) + b" HTTP/1.1"
            assert len(line) == length
            found = reader()
            raw = line + b"\r\nHost: a\r\n\r\n"

            if length == 200:
                assert found.read_head(raw) is not None
            else:
                with pytest.raises(Refused, match="201 bytes, the limit is 200"):
                    found.read_head(raw)


def test_a_bad_chunk_is_refused() -> None:
    """The framing of the connection is lost."""
    found = reader()
    assert found.read_head(CHUNKED.partition(b"3\r\n")[0]) is not None
    with pytest.raises(Refused, match="invalid chunk size line"):
        found.read_body(b"zz\r\n")


def test_https_targets_need_tls() -> None:
    """An absolute target names the scheme it came over."""
    raw = b"GET https://h/ HTTP/1.1\r\nHost: a\r\n\r\n"
    assert reader(is_tls=True).read_head(raw) is not None
    with pytest.raises(Refused):
        reader().read_head(raw)
