"""No row is ruled out that has a word, however it is written."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.record import Body, Payload
from storage.relational.blocks.payloads import NOWHERE, Packer, inflate
from storage.relational.reads.text_index.narrow import (
    BODIES,
    HEADS,
    _block_texts,
    _look,
    _portions,
)
from storage.search.clues import Clue
from storage.search.phrase import Phrase, SearchedText
from storage.search.prefilter import pattern
from storage.search.words import decoded, fold, readings, words

NULLS = (None, None, None)
"""Place of a row without a payload, in some databases."""
ERRORS = {0: None, 1: "a_b k", 2: "caf\u00e9"}
ESCAPED = ("\\\\", "\\u0041", "\\n", "\\/", '\\"', "%41", "%5C")
TEXTS = st.lists(
    st.sampled_from(("a", "B", "u", "0041", *ESCAPED, "\u212a", "\ufb01", "é", "京", " ", "_")),
    max_size=8,
).map("".join)


@given(
    st.lists(
        st.tuples(TEXTS, TEXTS, TEXTS, st.booleans(), st.sampled_from((0, 1, 2))),
        min_size=1,
        max_size=40,
    ),
    st.lists(
        st.lists(
            st.sampled_from(("a", "b", "k", "fi", "a_", "u0041", "京", "nowhere")),
            min_size=1,
            max_size=2,
        ),
        min_size=1,
        max_size=2,
    ),
)
def test_many_rows_are_judged_as_one_by_one(
    made: list[tuple[str, str, str, bool, int]], wanted: list[list[str]]
) -> None:
    """With or without heads, bodies, data and errors, however many rows are searched at once.

    Lengths and numbers beside a text may be taken for letters: of each row alone as of many.
    """
    packer = Packer(0)
    rows = []
    alone = []

    for seq, (path, head, body, has_payload, error) in enumerate(made):
        window = Body(body.encode(), head.encode(), 1, False, None, None)
        places = ((NOWHERE, NULLS)[seq % 2],) * 2
        if has_payload:
            places = packer.add(
                Payload(head.encode(), b"HTTP/1.1 200", window if error else None, None), seq, 0
            )

        said = None if has_payload else body.encode() or None
        rows.append((seq, path or 0, None, error, *places[0], *places[1], said))
        texts = [
            path,
            ERRORS[error] or "",
            *([] if has_payload else [body]),
            *([head, "HTTP/1.1 200"] if has_payload else []),
        ]
        alone.append(
            [text.encode() for text in [*texts, *([body, head] if has_payload and error else [])]]
        )

    packer.finish()
    blocks = {block[0]: inflate(bytes(block[-1])) for block in packer.blocks}
    clues: list[Clue] = [tuple(words) for words in wanted]
    assert [row for some in _portions(rows, (HEADS, BODIES)) for row in some] == rows

    for step in (1, 2, 3):
        told = _look(rows[::step], blocks, ERRORS, clues)
        assert told == [row[0] for row in rows[::step] if _look([row], blocks, ERRORS, clues)]
        heads = _look(rows[::step], blocks, ERRORS, clues, {"heads"})
        assert heads == [
            row[0]
            for row in rows[::step]
            if _look([(row[0], None, None, None, *row[4:7], *NOWHERE, None)], blocks, ERRORS, clues)
        ]
        assert {seq for seq in range(0, len(rows), step) if has_all(alone[seq], clues)} <= set(told)


def has_all(texts: list[bytes], clues: list[Clue]) -> bool:
    """Whether one of each clue is in a reading of a text."""
    read = [fold(reading) for text in texts for reading in readings(decoded(text))]
    return all(any(word in each for each in read for word in clue) for clue in clues)


def test_rows_that_share_a_body_share_its_words() -> None:
    """A text that is stored once is found for each of its rows, and for no other."""
    packer = Packer(0)
    shared = packer.add(Payload(b"GET / HTTP/1.1", b"", None, None), 0, 0)[0]
    other = packer.add(Payload(b"GET /deadlock HTTP/1.1", b"", None, None), 1, 0)[0]
    packer.finish()
    blocks = {block[0]: inflate(bytes(block[-1])) for block in packer.blocks}
    rows = [
        (seq, "/", None, 0, *place, *NOWHERE, None)
        for seq, place in enumerate((other, shared, other, shared))
    ]
    assert _look(rows, blocks, ERRORS, [("deadlock",)]) == [0, 2]
    assert _look(rows, blocks, ERRORS, [("get",)]) == [0, 1, 2, 3]
    assert _look(rows[1:2], blocks, ERRORS, [("deadlock",)]) == []


def test_rows_between_those_that_are_asked_for_are_not_looked_at() -> None:
    """Of a block of many rows only the bytes of those that the index names are searched."""
    packer = Packer(0)
    places = [
        packer.add(Payload(b"GET /%d deadlock" % seq, b"", None, None), seq, 0)[0]
        for seq in range(9)
    ]
    packer.finish()
    [content] = [inflate(bytes(block[-1])) for block in packer.blocks]
    rows = [(seq, 0, None, 0, *places[seq], *NOWHERE, None) for seq in (1, 2, 7)]
    texts = list(_block_texts(rows, {places[0][0]: content}, {"heads"}))
    assert [text.places for text in texts] == [[0, 1], [2]]
    assert [list(text.places_of(pattern(("deadlock",)))) for text in texts] == [[0, 1], [2]]
    assert not any(list(text.places_of(pattern(("3",)))) for text in texts)


@pytest.mark.parametrize("odd", ["%7A", "\\u007a", "\uff5a"])
def test_one_text_that_reads_otherwise_is_found_among_many(odd: str) -> None:
    """One row has the word, and only in another spelling."""
    packer = Packer(0)
    rows = []
    for seq in range(20):
        head = f"GET /{odd if seq == 13 else 'a'} HTTP/1.1".encode()
        rows.append(
            (
                seq,
                "/",
                None,
                0,
                *packer.add(Payload(head, b"", None, None), seq, 0)[0],
                *NOWHERE,
                None,
            )
        )

    packer.finish()
    blocks = {block[0]: inflate(bytes(block[-1])) for block in packer.blocks}
    assert _look(rows, blocks, ERRORS, [("z",)]) == [13]
    assert _look(rows, blocks, ERRORS, [("z",), ("get", "put")]) == [13]
    assert _look(rows, blocks, ERRORS, [("zz", "zzz")]) == []


@given(TEXTS, TEXTS)
def test_a_phrase_is_rejected_as_its_readings_say(text: str, wanted: str) -> None:
    """`is_in` finds a phrase where the words of a reading follow each other."""
    phrase = Phrase.of(wanted)
    if phrase is not None:
        assert phrase.is_in(SearchedText(text)) == any(
            follows(words(reading), phrase.words) for reading in readings(text)
        )


def follows(found: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether some words stand one after the other among those found."""
    return any(tuple(found[at : at + len(wanted)]) == tuple(wanted) for at in range(len(found)))
