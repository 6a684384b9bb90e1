"""Which texts can have words: all that have them, however they are written."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.record import Body, Payload
from storage.relational.blocks.payloads import NOWHERE, Packer, inflate
from storage.relational.reads.text_index.narrow import _can_have, _look
from storage.search.clues import Clue
from storage.search.phrase import Phrase, SearchedText
from storage.search.words import decoded, readings, words

ERRORS = {0: None, 1: "a_b k", 2: "caf\u00e9"}
ESCAPED = ("\\\\", "\\u0041", "\\n", "\\/", '\\"', "%41", "%5C")
TEXTS = st.lists(
    st.sampled_from(("a", "B", "u", "0041", *ESCAPED, "\u212a", "\ufb01", "é", "京", " ", "_")), max_size=8
).map("".join)


@given(TEXTS, TEXTS)
def test_no_word_is_missed(first: str, second: str) -> None:
    """Neither in a text that is escaped, nor in one that folds to other letters, nor where each has some words."""
    texts = [first.encode(), second.encode()]
    had = {word for text in texts for reading in readings(decoded(text)) for word in words(reading) if word.isascii()}
    for wanted in (*([word] for word in had), sorted(had)):
        assert _can_have(texts, [(word.encode(),) for word in wanted])
        assert _can_have(texts, [(b"nowhere", *(word.encode() for word in wanted))] if wanted else [])


def test_a_word_that_is_nowhere_is_told() -> None:
    """One of several is enough."""
    texts = [b"GET /alpha HTTP/1.1", b'{"said": "Beta"}']
    assert _can_have(texts, [(b"alpha",), (b"beta",)])
    assert not _can_have(texts, [(b"alpha",), (b"gamma",)])
    assert not _can_have(["caf\u00e9 %41".encode()], [(b"b",)])
    assert not _can_have([], [(b"alpha",)])


def test_one_of_alternatives_is_enough() -> None:
    """Wherever it is, as it is written or as it reads; all of them must be missing."""
    texts = [b"GET /alpha HTTP/1.1", b'{"said": "\\u0062eta"}']
    for clue in ((b"gamma", b"alpha"), (b"beta", b"gamma"), (b"alpha", b"beta")):
        assert _can_have(texts, [clue])
        assert not _can_have(texts, [clue, (b"gamma", b"delta")])


@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS, st.booleans(), st.sampled_from((0, 1, 2))), min_size=1, max_size=40),
    st.lists(
        st.lists(st.sampled_from((b"a", b"b", b"k", b"fi", b"a_", b"u0041", b"nowhere")), min_size=1, max_size=2),
        min_size=1,
        max_size=2,
    ),
)
def test_of_many_rows_those_are_told_that_are_told_one_by_one(
    made: list[tuple[str, str, str, bool, int]], wanted: list[list[bytes]]
) -> None:
    """However many are looked into at once, with heads, bodies, data and errors or without, and others between."""
    packer = Packer(0)
    rows, alone = [], []
    for seq, (path, head, body, has_payload, error) in enumerate(made):
        window = Body(body.encode(), head.encode(), 1, False, None, None)
        places = (NOWHERE, NOWHERE)
        if has_payload:
            places = packer.add(Payload(head.encode(), b"HTTP/1.1 200", window if error else None, None), seq, 0)
        said = None if has_payload else body.encode() or None
        rows.append((seq, path or 0, None, error, *places[0], *places[1], said))
        texts = [
            path,
            ERRORS[error] or "",
            *([] if has_payload else [body]),
            *([head, "HTTP/1.1 200"] if has_payload else []),
        ]
        alone.append([text.encode() for text in [*texts, *([body, head] if has_payload and error else [])]])
    packer.finish()
    blocks = {block[0]: inflate(bytes(block[-1])) for block in packer.blocks}
    clues: list[Clue] = [tuple(words) for words in wanted]
    for step in (1, 2):
        groups = [list(group) for _, group in groupby(rows[::step], itemgetter(4, 7))]
        assert _look(groups, blocks, ERRORS, clues) == [
            seq for seq in range(0, len(rows), step) if _can_have(alone[seq], clues)
        ]


@pytest.mark.parametrize("odd", ["%7A", "\\u007a", "\uff5a"])
def test_one_text_that_reads_otherwise_is_found_among_many(odd: str) -> None:
    """A word that only it has, and as it is not written anywhere."""
    packer = Packer(0)
    rows = []
    for seq in range(20):
        head = f"GET /{odd if seq == 13 else 'a'} HTTP/1.1".encode()
        rows.append((seq, "/", None, 0, *packer.add(Payload(head, b"", None, None), seq, 0)[0], *NOWHERE, None))
    packer.finish()
    blocks = {block[0]: inflate(bytes(block[-1])) for block in packer.blocks}
    assert _look([rows], blocks, ERRORS, [(b"z",)]) == [13]
    assert _look([rows], blocks, ERRORS, [(b"z",), (b"get", b"put")]) == [13]
    assert _look([rows], blocks, ERRORS, [(b"zz", b"zzz")]) == []


@given(TEXTS, TEXTS)
def test_a_phrase_is_rejected_as_its_readings_say(text: str, wanted: str) -> None:
    """What is told at a glance is what the words tell."""
    phrase = Phrase.of(wanted)
    if phrase is not None:
        assert phrase.is_in(SearchedText(text)) == any(
            follows(words(reading), phrase.words) for reading in readings(text)
        )


def follows(found: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether some words stand one after the other among those found."""
    return any(tuple(found[at : at + len(wanted)]) == tuple(wanted) for at in range(len(found)))
