"""Wide text is read as UTF-8; everything else is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.charset import to_utf8
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
