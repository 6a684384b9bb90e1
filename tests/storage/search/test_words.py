"""What a word is: runs of letters, digits and `_`, folded; and what else a stored text reads as."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.search.words import (
    MAX_WORD_CHARACTERS,
    decoded,
    fold,
    readings,
    reads_as_written,
    unescape,
    words,
)
from tests.support.cases import each_of

TEXTS = st.text() | st.text(
    alphabet=st.sampled_from('abcXYZ019_ -/.é漢字カなไทยéß\u0301İﬁ２²"\\%20nu')
)


@each_of(
    ("text", "expected"),
    [
        ("", []),
        ("  -- ..", []),
        ("GET /api/users/42?sort=name_up", ["get", "api", "users", "42", "sort", "name_up"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("café Cafe\u0301 CAFÉ", ["café", "café", "café"]),
        ("Ｗｉｄｅ ﬁne m²", ["wide", "fine", "m2"]),
        ("Привет, МИР", ["привет", "мир"]),
        ("東京タワーへgo2", ["東", "京", "タ", "ワ", "ー", "へ", "go2"]),
        ("한국어 검색", ["한국어", "검색"]),
        ("550e8400-e29b-41d4", ["550e8400", "e29b", "41d4"]),
        ("😀ok😀", ["ok"]),
        ("nul\x00in\x7fit", ["nul", "in", "it"]),
    ],
)
def test_words_of_texts(text: str, expected: list[str]) -> None:
    """Any script has words, without regard to case and to compatibility forms."""
    assert words(text) == expected


def test_long_words_are_cut() -> None:
    """A word of megabytes, such as a picture in base64, is known by its beginning."""
    assert words("x" * 100_000 + " y") == ["x" * MAX_WORD_CHARACTERS, "y"]


@pytest.mark.parametrize(
    "marks", ["\u0301\u0323", "\uff9e\u0301", "\u0344\u0323", "\U0001d165\u0301"]
)
def test_marks_in_a_row_are_sorted_in_parts(marks: str) -> None:
    """All at once take a time that grows with their square; no letter has so many."""
    folded = fold("e" + marks * 1000 + " b")
    rows = re.split(r"[\w \u034f]", folded)
    assert max(map(len, rows)) <= 90
    assert sum(map(len, rows)) >= 1900
    assert words("a" + marks * 1000 + " b")[-1] == "b"
    assert fold("é" * 1000) == "é" * 1000


@given(TEXTS, TEXTS)
def test_words_do_not_depend_on_what_stands_beside(first: str, second: str) -> None:
    """Two texts with a separator between them have the words of both."""
    assert words(f"{first}\n{second}") == words(first) + words(second)


@given(TEXTS)
def test_folding_twice_changes_nothing(text: str) -> None:
    """What is shown folded finds what it was folded from."""
    assert fold(fold(text)) == fold(text)
    assert [word for found in words(text) for word in words(found)] == words(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_is_no_other_case(text: str) -> None:
    """The short way for ASCII finds the words that the long way finds."""
    assert words(f"{text} é") == [*words(text), "é"]
    assert words(text.upper()) == words(text.lower())


@given(TEXTS.filter(lambda text: all(not 0xD800 <= ord(c) < 0xE000 for c in text)), st.booleans())
def test_escaped_text_is_read_as_it_was(text: str, ascii_only: bool) -> None:
    """A string in JSON, or in JSON in JSON, and a part of an address are found as a person writes
    them.
    """
    once = json.dumps(text, ensure_ascii=ascii_only)
    twice = json.dumps(once, ensure_ascii=ascii_only)
    assert any(words(reading) == words(text) for reading in readings(once))
    assert any(words(reading) == words(text) for reading in readings(twice))
    assert any(words(reading) == words(text) for reading in readings(quote(text)))


@given(
    st.lists(st.sampled_from(("%", "\\", "u", "0", "41", "a", "F", " ", "é")), max_size=12).map(
        "".join
    )
)
def test_what_reads_as_written_has_the_words_of_every_reading(text: str) -> None:
    """A % or a backslash alone reads as it is written."""
    found = {word for reading in readings(text) for word in words(reading)}
    assert not reads_as_written(text) or all(word in text.lower() for word in found)
    assert reads_as_written("100%, 50%zz, C:\\users, \\u12")


def test_what_is_no_escape_stays() -> None:
    """A backslash in a text that is not JSON begins no escape that JSON does not know."""
    assert readings("plain") == ["plain"]
    assert unescape(r"C:\data\users") == r"C:\data" + r"\users"
    assert "new" in words(readings(r"C:\new")[0])
    assert readings("100% of") == ["100% of"]


def test_bytes_are_read_whatever_they_are() -> None:
    """What is not UTF-8 separates words; a character cut in two is lost alone."""
    assert words(decoded(b"z\xc3\xbcrich \xff\xfeend \xc3")) == ["zürich", "end"]
