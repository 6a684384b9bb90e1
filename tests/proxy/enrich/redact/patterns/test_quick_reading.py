"""The quick reading of escapes, against replacing them one kind after the other."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.patterns.escape_arrays import without_backslashes
from proxy.enrich.redact.patterns.quick_reading import quick_reading
from tests.support.cases import each_of

pieces = st.sampled_from(
    [b"\\", b"\\\\", b"\\n", b'\\"', b"n", b"t", b"/", b'"', b"a", b"\\u0041", b"u0041", b"\\u00e9"]
)


@given(st.lists(pieces, max_size=40).map(b"".join))
def test_long_texts_are_read_as_short_ones(text: bytes) -> None:
    """Whatever stands beside what, also at the end: arrays say what replacing says."""
    said = without_backslashes(text).replace(b"\\u0041", b"A").replace(b"\0", b"\\")
    assert said == quick_reading(text)
    assert quick_reading(b" " * 5000 + text) == b" " * 5000 + quick_reading(text)


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
    assert quick_reading(text) == said
