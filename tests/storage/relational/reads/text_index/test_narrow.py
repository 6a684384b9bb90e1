"""Which texts can have words: all that have them, however they are written."""

from hypothesis import given
from hypothesis import strategies as st

from storage.relational.reads.text_index.narrow import _can_have, words_of
from storage.search.expression import And, Has, Not, Or, Text
from storage.search.phrase import Phrase
from storage.search.words import decoded, readings, words

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
        assert _can_have(texts, [word.encode() for word in wanted])


def test_a_word_that_is_nowhere_is_told() -> None:
    """One of several is enough."""
    texts = [b"GET /alpha HTTP/1.1", b'{"said": "Beta"}']
    assert _can_have(texts, [b"alpha", b"beta"])
    assert not _can_have(texts, [b"alpha", b"gamma"])
    assert not _can_have(["caf\u00e9 %41".encode()], [b"b"])
    assert not _can_have([], [b"alpha"])


def test_words_that_all_must_have() -> None:
    """Of phrases that stand alone or are joined by and; those of other scripts are looked for later."""
    reset, peer = Text(Phrase(("reset", "東"))), Text(Phrase(("pe",), is_prefix=True))
    assert words_of(reset) == (b"reset",)
    assert set(words_of(And((reset, peer, Not(Text(Phrase(("no",)))), Has("path"))))) == {b"reset", b"pe"}
    assert words_of(Or((reset, peer))) == ()


@given(TEXTS, TEXTS)
def test_a_phrase_is_rejected_as_its_readings_say(text: str, wanted: str) -> None:
    """What is told at a glance is what the words tell."""
    phrase = Phrase.of(wanted)
    if phrase is not None:
        assert phrase.is_in(text) == any(phrase.is_among(words(reading)) for reading in readings(text))
