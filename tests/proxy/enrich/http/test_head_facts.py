"""How heads are taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.http.head_facts import field_of, parse_head, text_of
from tests.support.cases import each_of


@each_of(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"\xc3\xa4", "\u00e4"),
        (b"\xff\\", "\\xff\\\\"),
        (b"a\\", "a\\"),
        (b"", ""),
    ],
)
def test_bytes_become_text_without_loss(raw: bytes, text: str) -> None:
    """UTF-8, else escaped, backslashes doubled then."""
    assert text_of(raw) == text


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_head_is_split(end: bytes) -> None:
    """Start line, lower-case names, values without blanks, in order; folded lines join; junk is
    left out.
    """
    head = end.join((b"GET / HTTP/1.1", b"Host:  a ", b"X: 1", b"  2", b"junk", b"x:3", b"", b""))
    assert parse_head(head) == (b"GET / HTTP/1.1", [(b"host", b"a"), (b"x", b"1 2"), (b"x", b"3")])


def test_repeated_fields_are_joined() -> None:
    """field_of joins repeated fields and tells an absent one from an empty one."""
    _, fields = parse_head(b"\r\nA: 1\r\nB:\r\nA: 2")
    assert field_of(fields, b"a") == b"1, 2"
    assert field_of(fields, b"b") == b""
    assert field_of(fields, b"c") is None


@given(st.binary(max_size=300))
def test_any_bytes_are_read(head: bytes) -> None:
    """Nothing raises, and no name keeps an upper-case letter."""
    _, fields = parse_head(head)
    assert all(name == name.lower() for name, _ in fields)
