"""Text with NUL is written so that it reads back and is searched as if nothing had been done to it."""

from hypothesis import given
from hypothesis import strategies as st

from storage.postgres.text import decode, encode, escape, unescape
from storage.relational.writes.codec import OWN_ID
from tests.support.cases import each_of

odd = st.text(st.sampled_from("\0\1\2\3aB\n"), max_size=12)


@given(st.text())
def test_any_text_reads_back(text: str) -> None:
    """Nothing is lost, and nothing that Postgres refuses is left."""
    assert unescape(escape(text)) == text
    assert "\0" not in escape(text)


@given(odd)
def test_no_text_is_taken_for_the_mark_of_an_own_id(text: str) -> None:
    """Both are sent in one column, and each reads back as it was."""
    assert decode(encode(text)) == text
    assert decode(encode(OWN_ID)) == OWN_ID
    assert encode(text) != encode(OWN_ID)


@given(odd, odd)
def test_a_part_is_found_exactly_where_it_is(text: str, part: str) -> None:
    """Written text contains a written part if, and only if, the text contains the part."""
    assert unescape(escape(text)) == text
    assert (escape(part) in escape(text)) == (part in text)


@each_of("text", ["", "/items", "é\U0001f600", "\t\n\x7f", "\\u0000"])
def test_other_text_is_left_alone(text: str) -> None:
    """Whoever looks into the database reads it as it was sent."""
    assert escape(text) == unescape(text) == text
