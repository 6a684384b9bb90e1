"""Results of large texts that occur again: for the same bytes and kind alone, within a bound."""

from typing import Final

from storage.repeated_texts import ENTRY_BYTES, MAX_SEEN, MIN_BYTES, RepeatedTexts
from tests.support.cases import each_of

TEXT: Final = bytes(range(256)) * 64


def changed(text: bytes, place: int) -> bytes:
    """The same text but for one byte."""
    return text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]


def key_again(texts: RepeatedTexts[str], text: bytes, kind: bytes = b"") -> bytes:
    """Show a text twice; return its key."""
    texts.key_of(text, kind)
    key = texts.key_of(text, kind)
    assert key is not None
    return key


def test_a_text_has_a_key_from_the_second_time_on() -> None:
    """So one that occurs once costs no digest."""
    texts = RepeatedTexts[str](1000)
    assert texts.key_of(TEXT) is None
    key = texts.key_of(TEXT)
    assert key is not None
    assert texts.get(key) is None
    texts.put(key, "read")
    assert texts.key_of(bytes(bytearray(TEXT))) == key
    assert texts.get(key) == "read"


def test_a_short_text_has_none() -> None:
    """To read it costs less."""
    texts = RepeatedTexts[str](1000)
    assert [texts.key_of(TEXT[: MIN_BYTES - 1]) for _ in range(3)] == [None] * 3
    assert key_again(texts, TEXT[:MIN_BYTES])


@each_of("place", [0, 31, 32, 5000, len(TEXT) // 2, len(TEXT) // 2 + 31, len(TEXT) - 1])
def test_a_byte_makes_another_text(place: int) -> None:
    """Wherever it stands, also where two texts look alike at a glance."""
    texts = RepeatedTexts[str](1000)
    texts.put(key_again(texts, TEXT), "read")
    assert texts.get(key_again(texts, changed(TEXT, place))) is None


def test_a_kind_makes_another_text() -> None:
    """The same bytes are read otherwise as another type."""
    texts = RepeatedTexts[str](1000)
    texts.put(key_again(texts, TEXT, b"text/css"), "read")
    assert texts.get(key_again(texts, TEXT, b"text/html")) is None
    assert texts.get(key_again(texts, TEXT, b"text/css")) == "read"


def test_a_kind_begins_where_the_text_ends() -> None:
    texts = RepeatedTexts[str](1000)
    texts.put(key_again(texts, TEXT + b"text/css"), "read")
    assert texts.get(key_again(texts, TEXT, b"text/css")) is None


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    """As many results are kept as the bound has room for."""
    texts = RepeatedTexts[str](3 * (ENTRY_BYTES + 100))
    keys = [key_again(texts, changed(TEXT, place)) for place in range(4)]
    for key in keys[:3]:
        texts.put(key, "read", 100)
    texts.put(keys[0], "again", 100)
    assert texts.get(keys[1]) == "read"
    texts.put(keys[3], "read", 100)
    assert [texts.get(key) for key in keys] == ["again", "read", None, "read"]
    texts.put(keys[2], "read", 3 * (ENTRY_BYTES + 100))
    assert [texts.get(key) for key in keys] == [None] * 4


def test_texts_that_never_come_again_are_forgotten() -> None:
    """What is known of them has a bound, too."""
    texts = RepeatedTexts[str](1000)
    texts.key_of(TEXT)
    for number in range(MAX_SEEN):
        texts.key_of(number.to_bytes(4, "big") + TEXT)
    assert texts.key_of(TEXT) is None
