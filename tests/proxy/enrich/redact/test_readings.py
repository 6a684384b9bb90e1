"""What makes one text of another, as edits."""

from urllib.parse import quote_plus, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.edits import Edit, edited
from proxy.enrich.redact.readings import differing, quoting, unquoting
from tests.support.cases import each_of

texts = st.one_of(
    st.binary(max_size=40),
    st.lists(
        st.sampled_from((b"%41", b"%", b"%2", b"+", b"%2b", b"%zz", b"a", b"&", b"\xff", b"[x]")),
        max_size=12,
    ).map(b"".join),
)


@given(texts)
def test_edits_read_and_write_as_the_library_does(text: bytes) -> None:
    """Whatever is not encoded well stays."""
    assert edited(text, [*unquoting(text)]) == unquote_to_bytes(text.replace(b"+", b" "))
    assert edited(text, [*quoting(text)]) == quote_plus(text, safe="[]").encode()


@each_of(
    ("before", "after", "gone"),
    [
        (b"Cookie: a=1; b=2", b"Cookie: a=[REDACTED]; b=[REDACTED]", [b"1", b"2"]),
        (b"X: a", b"X: [REDACTED]", [b"a"]),
        (b"X:a", b"X: [REDACTED]", [b"a"]),
        (b"a1c", b"ac", [b"1"]),
        (b"aab", b"[REDACTED]b", [b"aa"]),
        (b"one two", b"[REDACTED][REDACTED]", [b"one two"]),
        (b"a b c", b"a [REDACTED] x [REDACTED]", [b"b c"]),
    ],
)
def test_what_differs_is_what_was_taken_out(before: bytes, after: bytes, gone: list[bytes]) -> None:
    """Between marks where all else is there, in its order; else all that differs."""
    edits = [*differing(before, after, b"Cookie")]
    assert edited(before, edits) == after
    assert [before[edit.start : edit.stop] for edit in edits] == gone
    assert {edit.rule for edit in edits} == {"name:cookie"}


def test_texts_that_are_the_same_differ_in_nothing() -> None:
    assert edited(b"abc", [*differing(b"abc", b"abc", b"x")]) == b"abc"
    assert [*unquoting(b"abc")] == [*quoting(b"abc")] == []
    assert [*unquoting(b"a+")] == [Edit(1, 2, b" ")]
