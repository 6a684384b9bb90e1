"""Texts that are made so that a search goes over them again and again: each ends, at the largest size that may come.

A search that is not linear takes minutes for them, which the limit of a test is for.
"""

import re

import pytest

from proxy.enrich.conversations.history import _CACHE_MARK
from proxy.enrich.live.messages import read_message
from proxy.enrich.live.session import LiveSession
from proxy.enrich.llm.recognise import _PART_MODEL
from proxy.enrich.redact.kinds import kind_of
from proxy.enrich.redact.redactor import Redactor
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
    ],
    ids=lambda text: repr(text[:40]),
)
@pytest.mark.parametrize("content_type", [b"", long(b"application/yaml"), long(b"text/plain")])
def test_redaction_ends(text: bytes, content_type: bytes) -> None:
    """Whatever a body is called, and whichever part of it was kept."""
    redactor = Redactor()
    assert redactor.redact_body(text, b"", content_type, is_truncated=False)[0]
    assert redactor.redact_body(text[:65536], text[-65536:], content_type, is_truncated=True)[0]


def test_names_of_parts_end() -> None:
    """A part may have a name as long as its window."""
    text = filled(b'--b\r\nContent-Disposition: form-data; name="', b"a", b'"\r\n\r\nx\r\n--b--\r\n')
    assert Redactor().redact_body(text, b"", b"multipart/form-data; boundary=b", is_truncated=False) == (text, b"")


@pytest.mark.parametrize(
    "text", [filled(b"a=", b" ", b"&"), filled(b"[a]", b" ", b"&"), filled(b"a", b" ", b"&"), filled(b"", b"\n", b"&")]
)
def test_the_kind_is_soon_known(text: bytes) -> None:
    """It is asked of each body without a type, and of each WebSocket message."""
    assert {kind_of(b"", text[:4096] + b"%d" % at) for at in range(2000)} <= {"other", "form", "assignments"}
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
        (_PART_MODEL, filled(b"", b"name=model\r\n")),
        (_PART_MODEL, filled(b"", b"name=model")),
        (_PART_MODEL, filled(b"", b"Content-Disposition: form-data; name=model\r\n")),
        (_PART_MODEL, filled(b"", b"Content-Disposition: form-data; name=model\r\n" + b"a" * 190 + b"\r\n")),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else None,
)
def test_what_is_looked_for_in_a_call_is_found_or_not(pattern: re.Pattern[bytes], text: bytes) -> None:
    """None of these holds it."""
    assert pattern.search(text) is None
