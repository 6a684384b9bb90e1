"""The words of a text as arrays: the same as one by one, whatever the text."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.search.index.hashes import PREFIX_CHARACTERS, joint_term, pair_term, prefix_term, term
from storage.search.index.joints import joints_of
from storage.search.index.segment import MANY, ROW_BITS
from storage.search.index.word_arrays import Found, found_in
from storage.search.patterns import lower_ascii
from storage.search.words import is_unspaced, words
from tests.support.cases import each_of

TEXTS = st.text() | st.text(
    alphabet=st.sampled_from(
        'abnAB09_ -/.,é漢字カなﾞｶไยéß\u0301\u0323İﬁ２²㍿½Kſ，…\u00a0\ufffd가"\n\x00𝒳𐐀@:xyz'
    ),
    max_size=40,
)


OUTSIDE_ASCII = re.compile("[^\0-\x7f]")


def terms_in(text: str) -> set[int]:
    """Find the terms of a text at once."""
    return {each >> ROW_BITS for part in found(text.encode()).terms for each in part.tolist()}


def found(data: bytes) -> Found:
    """Find what a text has, in the last row."""
    return found_in(data, np.array([MANY], np.uint32))


def terms_of_each(text: str) -> Iterator[int]:
    """Find them one by one."""
    told = words(text)
    for word in told:
        yield term(word)
        start = prefix_term(word)
        if start is not None and len(word) > PREFIX_CHARACTERS:
            yield start

    for first, second in pairwise(told):
        if is_unspaced(first) and is_unspaced(second):
            yield pair_term(first, second)
    for part in OUTSIDE_ASCII.split(lower_ascii(text)):
        yield from map(joint_term, joints_of(part, is_end=True))


@given(TEXTS.filter(lambda text: not set("\\\0") & set(text)))
def test_terms_at_once_are_those_one_by_one(text: str) -> None:
    """No more and no less, where nothing is escaped."""
    text = text.encode("utf-8", "replace").decode()
    assert terms_in(text) == set(terms_of_each(text))


def check_characters(points: Iterable[int]) -> None:
    """Between letters of ASCII, alone and twice, each makes the words that it makes one by one."""
    some = [
        chr(point) for point in points if unicodedata.category(chr(point)) not in ("Cs", "Cn", "Co")
    ]
    text = "\n".join(f"ab{each}cd {each} x{each}{each}" for each in some)
    assert terms_in(text) == set(terms_of_each(text))


def test_every_alphabet_is_known() -> None:
    """All that is not in one of the large blocks, where all are alike: Han, Hangul."""
    for first in (
        *range(0x80, 0x3400, 0x80),
        *range(0xA000, 0xAC00, 0x80),
        *range(0xF900, 0x11400, 0x80),
        0x1D400,
    ):
        check_characters(range(first, first + 0x80))

    check_characters(range(0x3400, 0x110000, 997))


@pytest.mark.long
def test_every_character_is_known() -> None:
    """The same of all there are."""
    for first in range(0x80, 0x110000, 0x80):
        check_characters(range(first, first + 0x80))


@each_of("length", [1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200])
def test_words_of_any_length(length: int) -> None:
    """A word is known by its first 64 bytes, in any script."""
    for letter in "aé한𐐨":
        word = letter * length
        assert term(word) in terms_in(f"{word}")
        assert term(word) in terms_in(f"é {word}.")
        assert (term(word) == term(word + letter)) == (len(word.encode()) >= 64)


@each_of(
    ("text", "word"),
    [
        (r"a\nreset", "reset"),
        (r"a\\tReset", "reset"),
        (r"a\nüber", "über"),
        (r"\nx", "x"),
        (r"\f" + "y" * 80, "y" * 64),
    ],
)
def test_a_word_behind_an_escape_counts(text: str, word: str) -> None:
    """Its first letter may be the escape's; the word with it counts, too."""
    told = terms_in(text)
    assert term(word) in told
    assert set(terms_of_each(text)) <= told


def test_neighbours_with_an_escape_between_them_are_a_pair() -> None:
    """Its letter is no word."""
    assert pair_term("東", "京") in terms_in(r"東\n\r\n京")
    assert pair_term("東", "京") not in terms_in("東 n 京")


def test_where_an_escape_takes_part_in_a_letter_is_said() -> None:
    """`n` with a dot above is one letter, and none without it."""
    assert found("ab\\n\u0307cd".encode()).unread.tolist() == [4]
    assert found("ab\\x\u0307cd".encode()).unread.size == 0


def test_hashes_are_spread_evenly() -> None:
    """Numbers in their order have the same hash as seldom as any others: 1 200 of 200 000."""
    numbers = " ".join(map(str, range(1_000_000, 1_200_000))).encode()
    told = found(numbers).terms[0]
    assert np.unique(told).size > 200_000 - 1_500


@given(st.lists(TEXTS.filter(lambda text: "\0" not in text), min_size=1, max_size=6))
def test_terms_of_several_texts_are_found_with_their_rows(texts: list[str]) -> None:
    """Each text has those that it has alone, whatever stands beside it."""
    some = [text.encode("utf-8", "replace") for text in texts]
    rows = np.arange(len(some), dtype=np.uint32)
    told = {each for part in found_in(b"\0".join(some), rows).terms for each in part.tolist()}
    for row, text in enumerate(some):
        assert {each >> ROW_BITS for each in told if each & MANY == row} >= terms_in(text.decode())


def test_marks_in_a_row_are_no_work() -> None:
    """Nothing sorts more than some thirty of them at once."""
    texts = ["e" + "\u0301\u0323" * 30_000, "é" + "\u0323" * 60_000, "e" + "\uff9e\u0301" * 30_000]
    for text in texts:
        assert terms_in(f"{text} end") >= {term("end")}
