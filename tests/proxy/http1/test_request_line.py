"""The request line: every form that is taken, every one that is refused and with which code."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.errors import Refused
from proxy.http1.request_line import (
    FAST_REQUEST_LINE,
    RequestLine,
    check_host,
    parse_request_line,
)
from tests.support.cases import each_of

MAX_BYTES = 8192

TAKEN = [
    (b"GET / HTTP/1.1", (b"GET", b"/", None, False)),
    (
        b"GET /a%2Fb/%2e%2e//c;d+e?x=%00&%zz HTTP/1.1",
        (b"GET", b"/a%2Fb/%2e%2e//c;d+e?x=%00&%zz", None, False),
    ),
    (b"POST //host/ HTTP/1.0", (b"POST", b"//host/", None, True)),
    (b'GET /"<>\\^`{|}~ HTTP/1.1', (b"GET", b'/"<>\\^`{|}~', None, False)),
    (b"GET http://other/ HTTP/1.1", (b"GET", b"/", b"other", False)),
    (b"GET HTTP://Other:81/a?b HTTP/1.1", (b"GET", b"/a?b", b"Other:81", False)),
    (b"GET http://other HTTP/1.1", (b"GET", b"/", b"other", False)),
    (b"GET http://other?q HTTP/1.1", (b"GET", b"/?q", b"other", False)),
    (b"GET http://[::1]:8080/ HTTP/1.1", (b"GET", b"/", b"[::1]:8080", False)),
    (b"OPTIONS * HTTP/1.1", (b"OPTIONS", b"*", None, False)),
    (b"OPTIONS http://other HTTP/1.1", (b"OPTIONS", b"*", b"other", False)),
    (b"OPTIONS http://other/ HTTP/1.1", (b"OPTIONS", b"/", b"other", False)),
    (b"PROPFIND / HTTP/1.1", (b"PROPFIND", b"/", None, False)),
    (b"QUERY / HTTP/1.1", (b"QUERY", b"/", None, False)),
    (b"LIST /v1/secret HTTP/1.1", (b"LIST", b"/v1/secret", None, False)),
    (b"B" * 32 + b" / HTTP/1.1", (b"B" * 32, b"/", None, False)),
    (b"M-SEARCH / HTTP/1.1", (b"M-SEARCH", b"/", None, False)),
    (b"brew!1 / HTTP/1.1", (b"brew!1", b"/", None, False)),
    (b"GET /\xc3\xa4?\xff HTTP/1.1", (b"GET", b"/\xc3\xa4?\xff", None, False)),
    (b"GET http://a/\xe4 HTTP/1.1", (b"GET", b"/\xe4", b"a", False)),
]

REFUSED = [
    (b"", "bad_request"),
    (b"GET", "bad_request"),
    (b"GET /", "bad_request"),
    (b"GET  / HTTP/1.1", "bad_request"),
    (b"GET /  HTTP/1.1", "bad_request"),
    (b" GET / HTTP/1.1", "bad_request"),
    (b"GET / HTTP/1.1 ", "bad_request"),
    (b"GET\t/ HTTP/1.1", "bad_request"),
    (b"GET / HTTP/1.1\nHost: a", "bad_request"),
    (b"GET /a b HTTP/1.1", "bad_request"),
    (b"GET /a\x00b HTTP/1.1", "bad_request"),
    (b"GET /a\x7fb HTTP/1.1", "bad_request"),
    (b"GET /a#b HTTP/1.1", "bad_request"),
    (b"GET http://a/#b HTTP/1.1", "bad_request"),
    (b"GET * HTTP/1.1", "bad_request"),
    (b"GET host:443 HTTP/1.1", "bad_request"),
    (b"GET path HTTP/1.1", "bad_request"),
    (b"GET ftp://other/ HTTP/1.1", "bad_request"),
    (b"GET http://user@other/ HTTP/1.1", "bad_request"),
    (b"GET http://user:password@other/ HTTP/1.1", "bad_request"),
    (b"GET http:///path HTTP/1.1", "bad_request"),
    (b"GET http://:80/ HTTP/1.1", "bad_request"),
    (b"GET http://a:99999/ HTTP/1.1", "bad_request"),
    (b"GET http:/path HTTP/1.1", "bad_request"),
    (b"CONNECT host:443 HTTP/1.1", "method_not_allowed"),
    (b"TRACE / HTTP/1.1", "method_not_allowed"),
    (b"get / HTTP/1.1", "method_unknown"),
    (b"Connect / HTTP/1.1", "method_unknown"),
    (b"tRACE / HTTP/1.1", "method_unknown"),
    (b"B\xc3\x84 / HTTP/1.1", "bad_request"),
    (b"B" * 33 + b" / HTTP/1.1", "bad_request"),
    (b"GET http://\xc3\xa4/ HTTP/1.1", "bad_request"),
    (b"G@T / HTTP/1.1", "bad_request"),
    (b"GET / HTTP/0.9", "version_not_supported"),
    (b"GET / HTTP/1.2", "version_not_supported"),
    (b"PRI * HTTP/2.0", "http2_unsupported"),
    (b"PRI / HTTP/2.0", "version_not_supported"),
    (b"PRI / HTTP/1.1", "method_unknown"),
    (b"GET / http/1.1", "bad_request"),
    (b"GET / RTSP/1.0", "bad_request"),
    (b"GET / ICE/1.0", "bad_request"),
    (b"GET / HTTP/1.10", "bad_request"),
    (b"\x16\x03\x01\x02\x00\x01 / HTTP/1.1", "bad_request"),
    (b"GET /" + b"a" * MAX_BYTES + b" HTTP/1.1", "uri_too_long"),
]


@each_of(("line", "expected"), TAKEN)
def test_a_request_line_is_brought_into_origin_form(
    line: bytes, expected: tuple[bytes, bytes, bytes | None, bool]
) -> None:
    """Path bytes stay as they came; the authority of an absolute form is told apart."""
    assert parse_request_line(line, max_bytes=MAX_BYTES) == RequestLine(*expected)


@each_of(("line", "code"), REFUSED)
def test_anything_else_is_refused_with_the_code_that_fits(line: bytes, code: str) -> None:
    """What is refused says why, in text that is safe to show."""
    with pytest.raises(Refused) as caught:
        parse_request_line(line, max_bytes=MAX_BYTES)
    assert caught.value.code == code
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert FAST_REQUEST_LINE.match(line + b"\r\n") is None or len(line) > MAX_BYTES


@given(
    st.binary(max_size=40)
    | st.from_regex(re.compile(rb"[A-Z]{1,8} [!-~]{0,20} HTTP/1\.[01]"), fullmatch=True)
)
def test_the_fast_way_says_what_the_slow_one_says(line: bytes) -> None:
    """The expression for common request lines accepts nothing that the parser would refuse or read
    otherwise.
    """
    match = FAST_REQUEST_LINE.match(line + b"\r\n")
    if match is not None and match.end() == len(line) + 2:
        method, target, minor = match.groups()
        assert parse_request_line(line, max_bytes=MAX_BYTES) == RequestLine(
            method, target, None, minor == b"0"
        )


@each_of(
    "host",
    [b"a", b"a.example", b"a:80", b"a:", b"127.0.0.1:8080", b"[::1]", b"[::1]:80", b"a_b", b"a%20"],
)
def test_a_host_is_a_name_or_an_address(host: bytes) -> None:
    """A valid Host is returned as it came."""
    assert check_host(host) is host


@each_of(
    "host",
    [b"", b"a b", b"a,b", b"a/b", b"u@a", b"a:99999", b"a:8x", b"a:123456", b"a:80:80", b"::1", b"[::1", b"[x]", b"a?",
     b"a#", b"a\\b", b"\xc3\xa4", b"a\x00", b"a\t"],
)  # fmt: skip
def test_any_other_host_is_refused(host: bytes) -> None:
    """Userinfo, paths, lists, blanks and impossible ports are no Host."""
    with pytest.raises(Refused) as caught:
        check_host(host)
    assert caught.value.code == "bad_request"


def test_https_targets_belong_on_a_tls_port() -> None:
    """An https URL is a target only where the client speaks TLS to us (P8)."""
    line = b"GET https://a/x HTTP/1.1"
    assert parse_request_line(line, max_bytes=MAX_BYTES, is_tls=True) == RequestLine(
        b"GET", b"/x", b"a", False
    )
    with pytest.raises(Refused, match="neither a path"):
        parse_request_line(line, max_bytes=MAX_BYTES)
