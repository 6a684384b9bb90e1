"""Where a value ends, wherever the text does."""

import re

import pytest

from proxy.enrich.redact.documents.extents import closing, line_end
from tests.support.cases import each_of

PARTS = re.compile(rb'"[^"]*+(?:"|\Z)|#[^\n]*|[{}\[\]]')


@each_of(
    ("text", "rest"),
    [
        (b'"a" b', b" b"),
        (b'["]", {}] b', b" b"),
        (b"[ # ]\n] b", b" b"),
        (b"[[a] b", b""),
        (b'"a', b""),
    ],
)
def test_what_is_opened_is_closed(text: bytes, rest: bytes) -> None:
    """By its own bracket or quote, not by one in a string or comment; by the end where there is
    none.
    """
    assert text[closing(text, 0, PARTS) :] == rest


@pytest.mark.parametrize(
    ("text", "start", "stop"), [(b"a\nb", 0, 1), (b"a\r\nb", 0, 1), (b"\r\n", 1, 1), (b"ab", 1, 2)]
)
def test_lines_end_before_what_breaks_them(text: bytes, start: int, stop: int) -> None:
    """Of either kind, or with the text."""
    assert line_end(text, start) == stop
