"""What it means that a text has a phrase."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.search.phrase import MAX_TELLING, Phrase, SearchedText
from storage.search.words import readings, words
from tests.support.cases import each_of

WORDS = st.text(alphabet="abé漢_1", min_size=1, max_size=4)


@each_of(
    ("wanted", "is_prefix", "text", "expected"),
    [
        ("reset", False, "Connection RESET by peer", True),
        ("rese", False, "connection reset by peer", False),
        ("rese", True, "connection reset by peer", True),
        ("connection reset", False, '{"error": "connection\\nreset"}', True),
        ("connection reset", False, "connection was reset", False),
        ("connection res", True, "connection: resets", True),
        ("conn reset", True, "connection reset", False),
        ("京タ", False, "東京タワー", True),
        ("東タ", False, "東京タワー", False),
        ("zürich", False, '"z\\u00fcrich"', True),
        ("a b", False, "/x/a%20b", True),
        ("550e8400-e29b", False, "id=550E8400-E29B-41D4", True),
    ],
)
def test_phrases(wanted: str, is_prefix: bool, text: str, expected: bool) -> None:
    """Words must follow each other; only the last may go on, and only when that is asked for."""
    phrase = Phrase.of(wanted, is_prefix=is_prefix)
    assert phrase is not None
    assert phrase.is_in(SearchedText(text)) is expected


@given(st.text(alphabet='abAB1_ -/.\\n%4"', max_size=30), st.text("ab1_", min_size=1, max_size=3))
def test_a_word_is_one_of_those_of_a_reading(text: str, word: str) -> None:
    """Also where it is found without splitting the text."""
    expected = any(word in words(reading) for reading in readings(text))
    assert Phrase((word,)).is_in(SearchedText(text)) == expected


def test_nothing_is_no_phrase() -> None:
    """Separators alone are nothing to look for."""
    assert Phrase.of(" -- ") is None


def test_a_long_phrase_takes_no_longer_than_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few of its words are looked for one by one, and all of them together."""
    looked_for: list[tuple[str, ...]] = []
    can_have = SearchedText.can_have

    def note(text: SearchedText, wanted: Sequence[str]) -> bool:
        looked_for.append(tuple(wanted))
        return can_have(text, wanted)

    monkeypatch.setattr(SearchedText, "can_have", note)
    long = [f"w{number:03}" for number in range(900)] + ["longest"]
    phrase = Phrase.of(" ".join(long))
    assert phrase is not None
    assert phrase.is_in(SearchedText("a " + " ".join(long)))
    assert not phrase.is_in(SearchedText(" ".join(reversed(long))))
    assert not phrase.is_in(SearchedText(" ".join(long[:-1])))
    assert {len(wanted) for wanted in looked_for} == {MAX_TELLING}
    assert "longest" in looked_for[0]


def test_a_text_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many phrases are looked for in it."""
    read: list[str] = []

    def note(text: str) -> list[str]:
        read.append(text)
        return readings(text)

    monkeypatch.setattr("storage.search.phrase.readings", note)
    text = SearchedText("a%20b c")
    wanted = [Phrase(("b", "c")), Phrase(("a", "b")), Phrase(("c", "d"))]
    assert [phrase.is_in(text) for phrase in wanted] == [True, True, False]
    assert read == ["a%20b c"]


@given(
    st.lists(WORDS, max_size=3),
    st.lists(WORDS, min_size=1, max_size=3),
    st.lists(WORDS, max_size=3),
)
def test_a_phrase_is_found_between_others(
    before: list[str], phrase: list[str], after: list[str]
) -> None:
    """Whatever stands before and behind it, in JSON or not."""
    text = " ".join([*before, *phrase, *after])
    wanted = Phrase.of(" ".join(phrase))
    assert wanted == Phrase(tuple(words(" ".join(phrase))))
    assert wanted.is_in(SearchedText(text))
    assert wanted.is_in(SearchedText(json.dumps(json.dumps(text))))
