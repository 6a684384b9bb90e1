"""Whatever way a word is written in, its pattern finds it."""

from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.search.case_variants import ligatures, sources
from storage.search.clues import clues_of
from storage.search.expression import Substring, Text
from storage.search.phrase import Phrase
from storage.search.prefilter import pattern
from storage.search.words import decoded, fold, readings, runs, words

ASCII = ("a", "B", "s", "S", "k", "f", "i", "t", "0", "1", "_", " ", "-", "\n", "(", "%", "\\", '"')
ESCAPES = (
    *(
        "\\\\",
        "\\n",
        "\\/",
        '\\"',
        "\\u0041",
        "\\u0073",
        "\\\\u0073",
        "\\u005c",
        "\\u005cu0073",
        "\\\\\\u0075",
    ),
    *(
        "u0041",
        "\\\\u00\\u0037\\u0033",
        "\\u00df",
        "\\ud835\\udc1d",
        "\\ud835",
        "\\u0130",
        "%41",
        "%5C",
        "%C3%9F",
        "%ef",
    ),
    *("%E6%95%B0", "\\u6570", "\\\\u6570", "\\u212a", "%E2%84%AA", "\\u0308", "%CC%88"),
)
BEYOND = (
    *(
        "ß",
        "ẞ",
        "\u212a",
        "ſ",
        "ﬁ",
        "ﬅ",
        "ﬃ",
        "İ",
        "ı",
        "ǰ",
        "ŉ",
        "½",
        "²",
        "⑩",
        "⑴",
        "™",
        "㎏",
        "Ⅷ",
        "ａ",
        "Ｓ",
        "𝐬",
        "𝟏",
    ),
    *(
        "é",
        "e\u0301",
        "ö",
        "Ö",
        "o\u0308",
        "\u0308",
        "\u0323",
        "\u0301",
        "ȫ",
        "ῴ",
        "ΐ",
        "ς",
        "Σ",
        "й",
        "Й",
        "и\u0306",
    ),
    *(
        "数",
        "据",
        "死",
        "株",
        "㍿",
        "㈱",
        "⼀",
        "一",
        "豈",
        "カ\u3099",
        "ｶﾞ",
        "ガ",
        "ﾞ",
        "が",
        "ก",
        "ำ",
        "각",
        "가",
        "ᄀ",
        "ᅡ",
        "ᆨ",
    ),
    *("ㄱ", "ㅏ", "“", "…", "，", "。", "\u034f", "\u200b", "\u00ad", "\ufffd"),
)
TEXTS = st.lists(st.sampled_from((*ASCII, *ESCAPES, *BEYOND)), max_size=12).map("".join)
BYTES = st.lists(
    st.one_of(TEXTS.map(str.encode), st.sampled_from((b"\xe6", b"\xe6\x95", b"\xff", b"\xf0\x9d"))),
    max_size=4,
).map(b"".join)


@given(BYTES)
def test_every_word_of_every_reading_is_found(text: bytes) -> None:
    """Alone, among alternatives, and as a phrase of two."""
    for reading in readings(decoded(text)):
        found = words(reading)
        for word in set(found):
            assert pattern((word,)).search(text)
            assert pattern(("absentword", word)).search(text)
        for first, second in pairwise(found):
            for clue in clues_of(Text(Phrase((first, second)))):
                assert pattern(clue).search(text)


@given(BYTES, st.integers(0, 40), st.integers(1, 5))
def test_every_part_of_every_reading_is_found(text: bytes, start: int, length: int) -> None:
    """Wherever words begin and end."""
    for reading in readings(decoded(text)):
        part = fold(reading)[start : start + length]
        for clue in clues_of(Substring(part)):
            # What folds further is asked for folded, and may then be in no text.
            if fold(part) == part:
                assert pattern(clue).search(text)


def test_all_characters_that_fold_to_ascii_are_known() -> None:
    """Of the version of Unicode that folds the texts; alone and between letters."""
    written: dict[str, list[str]] = {}
    for point in (*range(0x80, 0xD800), *range(0xE000, 0x110000)):
        for run in runs(fold(chr(point))):
            if run.isascii():
                written.setdefault(run, []).append(chr(point))

    assert sum(map(len, written.values())) > 1400
    for run, characters in written.items():
        wanted = pattern((run,))
        for character in characters:
            for text in (character, quote(character), escaped(character.encode("utf-16-be").hex())):
                assert wanted.search(text.encode()), (hex(ord(character)), run, text)
        last = characters[-1]
        if fold(last) == run:
            assert pattern((f"x{run}y",)).search(f"X{last}y".encode())


def escaped(units: str) -> str:
    """Write the units of UTF-16 as escapes of JSON."""
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("timeouts", "“größte” Straße – heißt, Spaß; naïve café … ½ 数据"),
        ("class", "Straße, groß, “süß” heißt Spaßvogel"),
        ("deadlock", "dead lock \\u0064eadloc %64eadloc ﬁ ß ™ ⑩"),
        ("数据", "数, and data 据; 据数"),
    ],
)
def test_what_is_not_there_is_not_found(word: str, text: str) -> None:
    """What is frequent in texts is taken for nothing else: typographic quotes, umlauts, sharp s,
    Chinese.
    """
    assert not pattern((word,)).search(text.encode())


def test_many_and_long_alternatives_cost_little() -> None:
    """Of each only the beginning is looked for."""
    many = tuple(f"{number:03}alternative" for number in range(100))
    assert pattern(many).search(b"x" * 1000 + b"042alternative")
    long = "a" * 64
    assert pattern((long,)).search(long.encode())


def test_characters_have_their_sources() -> None:
    """Each of which folds to it; a ligature folds to several."""
    for character in "akz09_öйσ数가ガ":
        assert all(fold(source) == character for source in sources(character))
        assert character in sources(character)
    assert all(fold(character) == folded for character, folded in ligatures().items())
