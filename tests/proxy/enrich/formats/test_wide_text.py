"""Text in wide charsets: no secret hides behind its NULs, and nothing else is taken for such text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.formats.wide_text import to_utf8
from proxy.enrich.redact.redactor import Redactor

WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", WIDE)
def test_secret_in_wide_json_is_redacted(encoding: str) -> None:
    """With and without a byte order mark; the result is UTF-8."""
    body = '{"a": "ü", "password": "hunter2"}'.encode(encoding)
    assert Redactor().redact_body(body, b"", b"", False) == ('{"a": "ü", "password": "[REDACTED]"}'.encode(), b"")
    assert (
        Redactor().redact_body(body[:40], body[40:], b"", False)[0] == '{"a": "ü", "password": "[REDACTED]"}'.encode()
    )


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_cut_character_is_left_out(encoding: str, cut: int) -> None:
    """A window may end within a character; a wide tail window is dropped, its characters have no known start."""
    body = '{"password": "hunter2"}'.encode(encoding)[:-cut]
    assert Redactor().redact_body(body, body, b"", True) == (b'{"password": "[REDACTED]"', b"")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a": 1}',
        b"\x00\x00\x00\x18ftypmp42",
        b"\x00\x01\x00\x00\x00\x0f",
        b"\x1f\x8b\x08\x00",
        b"\xff\xfe\x00\xd8x\x00",
    ],
)
def test_other_bytes_are_not_wide_text(text: bytes) -> None:
    """UTF-8, media files, and what only begins like wide text."""
    assert to_utf8(text) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_taken(text: bytes) -> None:
    """Nothing raises, and what comes back is UTF-8 but for lone surrogates."""
    plain = to_utf8(text)
    assert plain is None or plain.decode("utf-8", "surrogatepass") is not None


@pytest.mark.parametrize("encoding", WIDE)
def test_surrogates_that_stand_alone_hide_nothing(encoding: str) -> None:
    """Parsers take them: a document with one is read, and so is what else it has."""
    body = '{"a": "\ud800", "password": "hunter2"}'.encode(encoding, "surrogatepass")
    assert json.loads(body)["password"] == "hunter2"
    shown, _ = Redactor().redact_body(body, b"", b"application/json", False)
    assert shown == '{"a": "\ud800", "password": "[REDACTED]"}'.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("charset", ["utf-16", "UTF-16LE", '"utf-16"', "utf16", "ucs-2", "iso-10646-ucs-2"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_content_type_says_that_text_is_wide(charset: str, encoding: str) -> None:
    """Without a byte order mark; where it is wrong, the text stays as it is."""
    kind = f"text/plain; charset={charset}".encode()
    for text, shown in (
        ("key ghp_" + "Ab1" * 12, b"key [REDACTED]"),
        ("a=1&pwd=hunter2", b"a=1&pwd=[REDACTED]"),
        ("\u4f60 and more", "\u4f60 and more".encode()),
    ):
        assert Redactor().redact_body(text.encode(encoding), b"", kind, False) == (shown, b"")
    assert Redactor().redact_body(b"plain text", b"", kind, False) == (b"plain text", b"")
    assert to_utf8(b"plain\x00\x00\xd8a\x00\x00\x00b", kind) is None


def test_a_picture_that_begins_with_a_brace_stays() -> None:
    """Of random bytes, some are surrogates; they are no text."""
    picture = b"{\x00" + bytes(range(256)) * 4
    assert to_utf8(picture) is None
    assert to_utf8(b'"\x00' + bytes(range(256)) * 4) is None
