"""The quick reading of escapes, against replacing them one kind after the other."""

import html
import json
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.patterns.escape_arrays import without_backslashes
from proxy.enrich.redact.patterns.quick_decoding import around, quickly_decoded
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

pieces = st.sampled_from(
    [b"\\", b"\\\\", b"\\n", b'\\"', b"n", b"t", b"/", b'"', b"a", b"\\u0041", b"u0041", b"\\u00e9"]
)


@given(st.lists(pieces, max_size=40).map(b"".join))
def test_long_texts_are_read_as_short_ones(text: bytes) -> None:
    """Whatever stands beside what, also at the end: arrays say what replacing says."""
    said = without_backslashes(text).replace(b"\\u0041", b"A").replace(b"\0", b"\\")
    assert said == quickly_decoded(text)
    assert quickly_decoded(b" " * 5000 + text) == b" " * 5000 + quickly_decoded(text)


@each_of(
    ("text", "said"),
    [
        (b"plain", b"plain"),
        (b"a%20b", b"a b"),
        (b"a%3Db+c", b"a=b c"),
        (b"&quot;a&quot;", b'"a"'),
        (rb"C:\\new", rb"C:\new"),
        (rb"\\\n", b"\\\n"),
        (rb"4111\u00a01111", b"4111 1111"),
        (rb"a\f\b\v\/\u000c\x0c\u{c}\U0000000Cb", b"a\f\b\v/\f\f\f\fb"),
        (b"a&#32;b&#x20;c&nbsp;d&#160;e&#39;", b"a b c d e'"),
        (b"\\", b"\\"),
    ],
)
def test_what_is_said(text: bytes, said: bytes) -> None:
    """One level, of each kind."""
    assert quickly_decoded(text) == said


SECRETS = (
    "password=Xk39sLmQp2",
    "4111\n1111\n1111\n1111",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "ghp_" + "Ab1" * 12,
    "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0B\n" * 8,
)
WRITERS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda text: json.dumps("\n" + text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "by number": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "by two digits": lambda text: "".join(f"\\x{ord(each):02x}" for each in text),
    "percent": lambda text: quote(text, safe=""),
    "percent in JSON": lambda text: json.dumps("\t" + quote(text, safe=""))[1:-1],
    "markup": lambda text: html.escape(text).replace(" ", "&#32;"),
}
LONG = b'{"name": "a thing", "said": "a line\\nand \\"another\\"", "size": 12},\n' * 400


@each_of("writer", WRITERS)
@each_of("secret", SECRETS)
def test_the_parts_of_a_long_text_hide_as_little_as_all_of_it(secret: str, writer: str) -> None:
    """What is found in a short text is found in a long one, which is read in parts."""
    redactor = Redactor()
    part = b' "' + WRITERS[writer](secret).encode() + b'" '
    text = LONG + part + LONG
    short = redactor.redact_by_pattern(LONG[-70:] + part + LONG[:70])
    expected = LONG[:-70] + short + LONG[70:]
    assert redactor.redact_by_pattern(text) == expected


def test_only_parts_of_a_long_text_are_read_again() -> None:
    assert around(LONG, []) == b""
    assert around(LONG[:140], []) == LONG[:140]
    assert len(around(LONG + b"\\u0041" + LONG, [])) < 2000
    assert len(around(LONG, [5, 9000, 9100])) < 4000
