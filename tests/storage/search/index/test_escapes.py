"""Escapes read all at once: as one by one."""

import json
from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st

from storage.search.index.escapes import percent_places, unescaped, unicode_places, unquoted
from storage.search.words import unescape
from tests.support.cases import each_of

PIECES = (
    "\\",
    "\\u",
    "\\u00e9",
    "\\u0000",
    "\\ud83d",
    "\\ude00",
    "\\uD83D\\uDE00",
    "\\u0022",
    "0",
    "4g",
    "n",
    "/",
    '"',
    "x",
    "é漢😀",
    "",
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
ADDRESSES = st.lists(
    st.sampled_from(("%", "%4", "%00", "%41", "%c3%A9", "%C3", "%A9", "%e6%bc", "é", "x", "漢")),
    max_size=12,
)


@given(TEXTS | st.text().map(json.dumps))
def test_escapes_of_json_are_read_as_one_by_one(text: str) -> None:
    """In rows, unfinished, as surrogates that are paired or not, at the end of a text."""
    assert unescaped(text.encode()).decode() == unescape(text).replace("\0", " ")


@given(ADDRESSES.map("".join) | st.text(st.characters(exclude_categories=["Cs"])).map(quote))
def test_escapes_of_addresses_are_read_as_one_by_one(text: str) -> None:
    """What results is no UTF-8, sometimes."""
    expected = unquote(text, errors="replace").replace("\0", " ")
    assert unquoted(text.encode()).decode("utf-8", "replace") == expected


@each_of(
    ("text", "expected"),
    [
        (b"", []),
        (b"\\u00e9", [0]),
        (b"\\\\u00E9", [1]),
        (b"\\u00e", []),
        (b"\\u00g0 \\uFFFF\\", [7]),
        (b"%41", []),
    ],
)
def test_where_escapes_make_letters(text: bytes, expected: list[int]) -> None:
    """Whether the backslash is escaped itself is not asked: it may be read twice."""
    assert unicode_places(text).tolist() == expected


@each_of(
    ("text", "expected"),
    [(b"", []), (b"100%", []), (b"%4", []), (b"%%41%zz%aF", [1, 7]), (b"\\u0041", [])],
)
def test_where_escapes_of_addresses_are(text: bytes, expected: list[int]) -> None:
    """A percent sign alone is none."""
    assert percent_places(text).tolist() == expected
