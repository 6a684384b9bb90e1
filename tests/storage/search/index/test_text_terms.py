"""The terms of texts in every reading: what is read twice, and what is not."""

import json

import pytest

from storage.search.index import text_terms
from storage.search.index.hashes import pair_term, term
from storage.search.index.segment import FEW, MANY, ROW_BITS
from storage.search.index.text_terms import signature_of, terms_of
from storage.search.index.word_arrays import Found, Terms32, found_in
from tests.support.cases import each_of


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """List what is looked at, once for each reading."""
    looked_at: list[bytes] = []

    def note(data: bytes, rows: Terms32) -> Found:
        looked_at.append(data)
        return found_in(data, rows)

    monkeypatch.setattr(text_terms, "found_in", note)
    return looked_at


def terms_in(*texts: bytes) -> set[int]:
    """Find the terms of texts."""
    return {each >> ROW_BITS for each in terms_of(texts, range(len(texts))).tolist()}


@each_of(
    ("texts", "expected"),
    [
        ([b'{"a": "b\\nc \\"d\\" \\\\e"}', b"100% \\x41"], []),
        ([b"plain", b"/a?q=x%41b c"], [b"/a?q=xAb"]),
        ([b'{"a": "caf\\u00e9 au lait"}', b"plain"], ["café".encode()]),
        ([b'{"a": "x \\\\u00e9", "b": 1}'], [b"\\u00e9", "é".encode()]),
        (
            ["{'漢': '\\u5b57 %41'}".encode(), b"a \\u0041", b"plain"],
            ["{'漢': '\\u5b57 A'}".encode(), "{'漢': '字 %41'}\0A".encode()],
        ),
        (["b\\n\u0307c d".encode()], ["b\n\u0307c".encode()]),
    ],
)
def test_only_what_stands_around_an_escape_is_read_again(
    read: list[bytes], texts: list[bytes], expected: list[bytes]
) -> None:
    """Up to a quote or a space; of a text of a script without spaces, all."""
    read.clear()
    terms_in(*texts)
    assert read == [b"\0".join(texts), *expected]


def test_octets_are_looked_at_a_few_times(read: list[bytes]) -> None:
    """Whatever they are: as they are written, twice without escapes, once without percent signs."""
    data = bytes(range(256)) * 200 + b"\\u00e9%41" * 50
    terms_in(data, data[::-1])
    assert len(read) <= 4
    assert sum(map(len, read)) < 4 * 3 * 2 * len(data)


@each_of("text", ["東 \\u4eac", "\\u6771, %E4%BA%AC \\u4eac", '東\\u005cn"京', "\\u6771\\\\n京"])
def test_neighbours_are_pairs_whichever_of_them_is_escaped(text: str) -> None:
    """The next word of such a script may be escaped, or not."""
    for written in (text, f'{{"a": {json.dumps(text, ensure_ascii=False)}}}'):
        assert pair_term("東", "京") in terms_in(b"other", written.encode(), "été".encode())


def test_what_is_not_utf8_is_between_words() -> None:
    """In one text of several."""
    assert {term("end"), term("zürich")} <= terms_in(
        b"\xff\xfeend \xc3", "zürich".encode(), b"\xbc"
    )


def test_terms_are_written_once_and_sorted() -> None:
    """Those of several parts together; none of nothing."""
    parts = [terms_of([b"b a", b"a b c"], (3, 9)), terms_of([b"c"], (4,))]
    named = {term("a"): (3, 9), term("b"): (3, 9), term("c"): (4, 9)}
    assert signature_of(parts) == b"".join(
        (each << ROW_BITS | row).to_bytes(4, "little")
        for each, rows in sorted(named.items())
        for row in rows
    )
    assert signature_of([]) == b""


def test_of_a_term_in_many_rows_only_that_is_written() -> None:
    """Of one whose text is in many, too."""
    some = range(FEW + 1)
    for parts in (
        [terms_of([b"a"] * len(some), some)],
        [terms_of([b"a", b"a"], (1, MANY))],
    ):
        assert signature_of(parts) == (term("a") << ROW_BITS | MANY).to_bytes(4, "little")


@each_of(
    "hostile",
    [b"\0", b"a\0b\0", b"\\u0000x\\u0000", b"%00x%00", b"\\\\u0000", b'\0"\\u00e9\0%41', b""],
)
def test_zeros_in_texts_take_no_word_to_another_row(hostile: bytes) -> None:
    """However they are written."""
    texts = [b"first", hostile, "caf\\u00e9 %41x 東".encode(), hostile, b"last"]
    told = set(terms_of(texts, range(len(texts))).tolist())
    for row, words in ((0, ("first",)), (2, ("café", "ax", "東")), (4, ("last",))):
        assert told >= {term(word) << ROW_BITS | row for word in words}
    assert not any(each & MANY > len(texts) for each in told)
