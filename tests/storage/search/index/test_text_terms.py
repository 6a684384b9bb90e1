"""The terms of texts in every reading: what is read twice, and what is not."""

import json

import pytest

from storage.search.index import text_terms
from storage.search.index.hashes import pair_term, term
from storage.search.index.text_terms import packed_once, terms_of
from storage.search.index.word_arrays import Found, found_in
from tests.support.cases import each_of


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """List what is looked at, once for each reading."""
    looked_at: list[bytes] = []

    def note(data: bytes) -> Found:
        looked_at.append(data)
        return found_in(data)

    monkeypatch.setattr(text_terms, "found_in", note)
    return looked_at


def terms_in(*texts: bytes) -> set[int]:
    """Find the terms of texts."""
    return {each for part in terms_of(texts) for each in part.tolist()}


@each_of(
    ("texts", "expected"),
    [
        ([b'{"a": "b\\nc \\"d\\" \\\\e"}', b"100% \\x41"], []),
        ([b"plain", b"/a?q=x%41b c"], [b"/a?q=xAb"]),
        ([b'{"a": "caf\\u00e9 au lait"}', b"plain"], ["café".encode()]),
        ([b'{"a": "x \\\\u00e9", "b": 1}'], [b"\\u00e9", "é".encode()]),
        (
            ["{'漢': '\\u5b57 %41'}".encode(), b"a \\u0041", b"plain"],
            ["{'漢': '\\u5b57 A'}".encode(), "{'漢': '字 %41'}\nA".encode()],
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
    assert read == [b"\n".join(texts), *expected]


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
    packed = packed_once(terms_of([b"b a", b"a b c"]))
    assert packed == b"".join(number.to_bytes(4, "little") for number in sorted(map(term, "abc")))
    assert packed_once([]) == b""
