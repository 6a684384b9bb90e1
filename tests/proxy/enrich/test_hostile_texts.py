"""Texts that are made so that a search goes over them again and again: each ends, at the largest
size that may come.

A search that is not linear takes minutes for them, which the limit of a test is for.
"""

import re

import pytest

from proxy.enrich.conversations.history import _CACHE_MARK
from proxy.enrich.endpoints.endpoints import _pattern_of
from proxy.enrich.endpoints.envelopes import _FAULTS
from proxy.enrich.grpc.status import Status, status_in
from proxy.enrich.live.messages import read_message
from proxy.enrich.live.session import LiveSession
from proxy.enrich.llm.anthropic import PROVIDER as ANTHROPIC
from proxy.enrich.llm.recognise import _PART_MODEL
from proxy.enrich.redact.kinds import kind_of
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.errors import Refused
from proxy.http1.request_line import parse_request_line
from tests.support.long import long

WINDOW_BYTES = 1 << 20
"""Of a call; other bodies have less."""


def filled(before: bytes, unit: bytes, after: bytes = b"") -> bytes:
    """Repeat something until a window is full."""
    return before + unit * (WINDOW_BYTES // len(unit)) + after


@pytest.mark.parametrize(
    "text",
    [
        filled(b"set password for a=", b"\\n", b"'x'"),
        filled(b"set password for a", b"\\n", b"='x'"),
        filled(b"set password for ", b"a\\n", b"= 'x'"),
        filled(b"user a%20identified%20by'", b"%20"),
        filled(b"user a", b"%20", b"identified by 'abcdef'"),
        filled(b"user a identified by 'abcdef' ", b"user a%20"),
        filled(b"a: b\n", b" ", b"x"),
        filled(b"---\npassword: a\n", b" ", b"x"),
        filled(b"-----BEGIN PRIVATE KEY-----\n", b"PRIVATE KEY"),
        filled(b"http://a:b@", b"c:"),
        filled(b"password", b" ", b"=hunter2"),
        filled(b"password", b"+", b"=hunter2"),
        filled(b'{"password":{"a":"b"', b"\\"),
        filled(b'{"', b"\\", b'\\u0070assword":"x"}'),
        filled(b'{"password":{"message":"', b"\\", b'"}}'),
        filled(b'{"', b"pinconfirm", b'-password":"1.2.3"}'),
        filled(b'{"pwd":"', b"/", b'!"}'),
        filled(b'{"pwd":"', b"/a\\", b'!"}'),
        filled(b'{"', b"1", b'x":"y"}'),
    ],
    ids=lambda text: repr(text[:40]),
)
@pytest.mark.parametrize("content_type", [b"", long(b"application/yaml"), long(b"text/plain")])
def test_redaction_ends(text: bytes, content_type: bytes) -> None:
    """Whatever a body is called, and whichever part of it was kept."""
    redactor = Redactor()
    assert redactor.redact_body(text, b"", content_type, is_truncated=False)[0]
    assert redactor.redact_body(text[:65536], text[-65536:], content_type, is_truncated=True)[0]


def test_heads_end() -> None:
    """Names and values of parameters, cookies and fields, as long as a window."""
    redactor = Redactor()
    for text in (
        filled(b"", b"1", b"x=1"),
        filled(b"PWD=", b"/", b"!"),
        filled(b"a=", b'"', b"x"),
        filled(b"u=", b"\\"),
    ):
        assert redactor.redact_query(text)
        assert redactor.redact_path(b"/a;" + text)
        assert redactor.redact_head(
            b"GET /x?%b HTTP/1.1\r\nCookie: %b\r\nX-A: %b\r\n\r\n" % (text, text, text)
        )
        assert redactor.redact_head(b"GET / HTTP/1.1\r\n%b: 1\r\n\r\n" % text)


def test_failures_are_soon_found_or_not() -> None:
    """An answer may say anything where it would report a failure."""
    for text in (
        filled(b"", b" ", b"x"),
        filled(b"<?xml?>", b" ", b"x"),
        filled(b"", b"<D:multistatus>", b"x"),
        filled(b"<Body>", b" ", b"x"),
        filled(b"", b"<Body>", b"x"),
    ):
        assert [code for code, pattern in _FAULTS if pattern.match(text) is not None] == []

    assert status_in(b"grpc-status: 3\r\n" + filled(b"grpc-message: ", b" ", b"\r\n")) == Status(
        3, None
    )


def test_an_address_with_a_fragment_is_soon_refused() -> None:
    """It is read before anything is forwarded, on the loop that serves all."""
    with pytest.raises(Refused):
        parse_request_line(
            b"GET %b HTTP/1.1" % filled(b"http://", b"a", b"#"), max_bytes=2 * WINDOW_BYTES
        )


def test_a_segment_of_several_parameters_is_soon_compared() -> None:
    """As given by an OpenAPI description: `{owner}-{name}-{part}.json`."""
    pattern = _pattern_of("{owner}-{name}-{part}.json")
    assert pattern.fullmatch("-" * WINDOW_BYTES) is None
    assert pattern.fullmatch("a-b-c-d.json")
    assert not pattern.fullmatch("a-b-.json")
    assert _pattern_of("{a}{b}").fullmatch("ab")
    assert not _pattern_of("{a}{b}").fullmatch("a")


def test_names_of_parts_end() -> None:
    """A part may have a name as long as its window."""
    text = filled(
        b'--b\r\nContent-Disposition: form-data; name="', b"a", b'"\r\n\r\nx\r\n--b--\r\n'
    )
    assert Redactor().redact_body(
        text, b"", b"multipart/form-data; boundary=b", is_truncated=False
    ) == (text, b"")


@pytest.mark.parametrize(
    "text",
    [
        filled(b"a=", b" ", b"&"),
        filled(b"[a]", b" ", b"&"),
        filled(b"a", b" ", b"&"),
        filled(b"", b"\n", b"&"),
    ],
)
def test_the_kind_is_soon_known(text: bytes) -> None:
    """It is asked of each body without a type, and of each WebSocket message."""
    assert {kind_of(b"", text[:4096] + b"%d" % at) for at in range(2000)} <= {
        "other",
        "form",
        "assignments",
    }
    assert kind_of(b"", text) in ("other", "form")


def test_messages_that_are_no_json_are_soon_given_up() -> None:
    """A thousand may come a second, and inflate to their limit."""
    text = b'{"type":"response.create","x":[' + b"[]," * 80_000
    session = LiveSession("responses", "openai")
    for _ in range(1000):
        assert read_message(session, text, len(text), 0, is_from_model=False) is None
    assert session.pending


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (_CACHE_MARK, filled(b'{"cache_control":null', b" ", b"}")),
        (_CACHE_MARK, filled(b"[", b", ", b"]")),
        (_CACHE_MARK, filled(b"[", b",{", b" ")),
        (ANTHROPIC.content, filled(b"", b'"content_block_start"')),
        (_PART_MODEL, filled(b"", b"name=model\r\n")),
        (_PART_MODEL, filled(b"", b"name=model")),
        (_PART_MODEL, filled(b"", b"Content-Disposition: form-data; name=model\r\n")),
        (
            _PART_MODEL,
            filled(b"", b"Content-Disposition: form-data; name=model\r\n" + b"a" * 190 + b"\r\n"),
        ),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else None,
)
def test_what_is_looked_for_in_a_call_is_found_or_not(
    pattern: re.Pattern[bytes], text: bytes
) -> None:
    """None of these holds it."""
    assert pattern.search(text) is None
