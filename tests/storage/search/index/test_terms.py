"""The terms of a text: whatever a search finds in it, they tell."""

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.search.index.hashes import term
from storage.search.index.needs import (
    NOTHING,
    Need,
    phrase_need,
    prefix_need,
    rows_of,
    substring_need,
    terms_of,
)
from storage.search.index.segment import FEW, MANY
from storage.search.index.terms import Terms
from storage.search.phrase import Phrase
from storage.search.words import decoded, readings, words
from tests.support.cases import each_of
from tests.support.signatures import rows_by_term

TEXTS = st.text() | st.text(
    alphabet=st.sampled_from('abcnrtuXYZ019_ -/.,:{}é漢字カなไทยéß\u0301İﬁ２²"\\%20\n\r\x00\ud800'),
    max_size=80,
)


def terms_in(texts: Iterable[bytes]) -> set[int]:
    """Gather the terms of one row as a cell does."""
    terms = Terms()
    terms.add(0, texts)
    return set(rows_by_term(terms.signature()))


def is_met(need: Need, told: set[int]) -> bool:
    """Whether a cell with some terms has what is needed."""
    return rows_of(need, {each: int(each in told) for each in terms_of(need)}, 1) == 1


def check(text: str) -> None:
    """Every word, every pair of words and every prefix of a text is told by its terms."""
    data = text.encode("utf-8", "replace")
    text = decoded(data)
    told = terms_in([data]) & terms_in([b"GET /", data, "/né漢".encode()])

    for reading in readings(text):
        found = words(reading)
        for place, word in enumerate(found):
            for phrase in (
                Phrase(tuple(found[place : place + 3])),
                Phrase((*found[max(0, place - 1) : place], word[:5]), is_prefix=True),
            ):
                assert is_met(phrase_need(phrase), told), (phrase, text)


@given(TEXTS)
def test_no_word_is_missing(text: str) -> None:
    """Words as they are written, behind escapes, within JSON, JSON in JSON and addresses."""
    plain = text.encode("utf-8", "replace").decode()
    check(f"{plain} {quote(plain)}")
    check(json.dumps([plain, json.dumps({plain[:5]: plain}, ensure_ascii=False)]))


@pytest.mark.long
@settings(max_examples=100_000)
@given(TEXTS)
def test_no_word_is_missing_of_very_many_texts(text: str) -> None:
    """The same, of a hundred thousand texts."""
    check(text)


SPACED: Final = st.text(st.sampled_from('abcuXY01 -@.{}éßﬁ"\\%20\n\0'), max_size=40)
"""Of scripts with spaces: of others, neighbours in two texts may be taken for a pair."""


@given(st.dictionaries(st.integers(0, 300), st.lists(SPACED, max_size=4), max_size=12))
def test_each_row_has_its_terms(made: dict[int, list[str]]) -> None:
    """Those that are in few rows name each of them, and all others the whole cell."""
    terms = Terms()
    expected: dict[int, set[int]] = {}
    for row, texts in made.items():
        some = [text.encode("utf-8", "replace") for text in texts]
        terms.add(row, some)
        for text in some:
            for each in terms_in([text]):
                expected.setdefault(each, set()).add(min(row, MANY))

    told = rows_by_term(terms.signature())
    assert told.keys() == expected.keys()
    for each, rows in expected.items():
        assert told[each] == ({MANY} if len(rows) > FEW or MANY in rows else rows)


@given(st.text(), st.text(), st.text())
def test_no_part_of_a_text_is_missing(before: str, part: str, after: str) -> None:
    """What a text contains, it has the terms of, wherever words begin and end."""
    text = (before + part + after).encode("utf-8", "replace")
    part = part.encode("utf-8", "replace").decode()
    assert terms_of(substring_need(part)) <= terms_in([text])


def test_large_texts_are_cut_between_words() -> None:
    """A body of megabytes is taken in steps, and one without an end of a word at once."""
    numbers = " ".join(f"word{number}" for number in range(50_000)).encode()
    told = terms_in([numbers, b"x" * 200_000, b"last"])
    assert told.issuperset(term(f"word{number}") for number in range(50_000))
    assert told.issuperset([term("x" * 64), term("last")])


def test_what_a_text_has_not_is_not_told() -> None:
    """Terms are those of whole words."""
    told = terms_in([b'{"error": "connection reset\\nby peer"}'])
    assert told.issuperset(map(term, ("error", "connection", "reset", "by", "peer")))
    assert told.isdisjoint(map(term, ("conn", "connectionreset", "peers", "eset")))


@each_of(
    ("prefix", "expected"),
    [
        ("conn", True),
        ("connect", True),
        ("cone", False),
        ("user", True),
        ("user_4", True),
        ("2026", True),
        ("202611", True),
        ("2027", False),
        ("grüs", True),
        ("grüß", True),
        ("grüe", False),
        ("прив", True),
        ("прип", False),
    ],
)
def test_a_prefix_is_looked_up_by_its_first_characters(prefix: str, expected: bool) -> None:
    """Four of them are enough, whatever they are; fewer tell of nothing."""
    told = terms_in(["connection user_42 2026 20261128 grüße привет".encode()])
    phrase = Phrase.of(prefix, is_prefix=True)
    assert phrase is not None
    assert is_met(phrase_need(phrase), told) is expected


def test_few_characters_need_nothing() -> None:
    """Three letters begin words of every cell."""
    assert prefix_need("con") == NOTHING
    assert prefix_need("東") == NOTHING


def test_a_substring_needs_the_words_within_it() -> None:
    """Those at its ends may go on beyond them."""
    assert terms_of(substring_need("tion reset by pe")) == {term("reset"), term("by")}
    assert terms_of(substring_need('"reset"')) == {term("reset")}
    assert terms_of(substring_need("reset")) == frozenset()
    assert terms_of(substring_need(" é reset é ")) == {term("reset")}


def cell_with(windows: Iterable[bytes]) -> bytes:
    """Make the signature of a cell whose rows have the same head and one window each."""
    terms = Terms()
    for row, window in enumerate(windows):
        terms.add(row, [b"GET / HTTP/1.1"], [window])
    return terms.signature()


@each_of("copies", [1, FEW, FEW + 1])
def test_a_large_window_that_comes_again_has_the_same_terms(copies: int) -> None:
    """In the same cell and in others, in any number of rows; so has a part of it."""
    text = "".join(
        f'word{number}: "caf\\u00e9 {number:x}%20ab", naïve 漢字{number} ' for number in range(400)
    )
    window = text.encode() + b"0123456789abcdef" * 64
    cells = [cell_with([window, *[b"short"] * 3, *[window] * (copies - 1)]) for _ in range(4)]
    assert set(cells) == {cells[0]}
    again = rows_by_term(cells[-1])
    assert again[term("word399")] == ({MANY} if copies > FEW else {0, *range(4, 3 + copies)})
    assert cell_with([window + b"!"]) == cell_with([window])
    assert term("another") in rows_by_term(cell_with([window + b" another"]))
