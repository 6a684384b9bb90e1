"""The words that are stored beside texts: whatever a clue may look for is in the text or in them."""

from storage.clickhouse.texts import words_of
from storage.record import Entry, Payload
from storage.search.clues import clues_of
from storage.search.expression import Substring, Text
from storage.search.phrase import Phrase
from tests.storage.samples import make_body, make_record
from tests.support.cases import each_of


def of_body(body: bytes) -> list[str]:
    return words_of(Entry(make_record(path="/a"), Payload(b"", b"", make_body(body), None)))


def test_plain_text_has_no_further_words() -> None:
    """It is looked at as it is written."""
    assert of_body(b'{"Text": "needle\\nin_a haystack 100%"}') == []


@each_of(
    ("body", "expected"),
    [
        (b'{"text":"\\u006eeedle"}', ["needle"]),
        (b'"arguments":"{\\"text\\":\\"\\\\u006eeedle\\"}"', ["needle"]),
        (b"q=n%65edle&b=2", ["needle"]),
        ("ﬁne Straße".encode(), ["fine", "strasse"]),
        ("Ｎeedle Grün".encode(), ["needle"]),
        ("Grün".encode(), []),
        (b"\xff needle", []),
    ],
)  # fmt: skip
def test_words_of_readings_are_stored(body: bytes, expected: list[str]) -> None:
    """Those that the text has not as it is written."""
    assert [word for word in of_body(body) if word in expected] == expected
    assert not {"text", "needle in"} & set(of_body(body))


def test_every_text_is_read_and_no_word_of_it_is_stored_again() -> None:
    """Path, query, error, data, heads and both windows of bodies; case is no difference."""
    escaped = [f"Plain\\u00e9 \\u006e{place}".encode() for place in range(8)]
    path, query, error, data, *payload = escaped
    bodies = make_body(payload[2]), make_body(b"", payload[3])
    record = make_record(
        path=path.decode(), query=query.decode(), error_type=error.decode(), data=data
    )
    found = words_of(Entry(record, Payload(payload[0], payload[1], *bodies)))
    assert found == [f"n{place}" for place in range(8)]


@each_of("written", ["Needle_1", "\\u004eeedle_1", "%4eeedle_1", "Ｎeedle_1", "x\\nNeedle_1"])
def test_every_clue_is_found(written: str) -> None:
    """In the text in lower case, or among its words."""
    phrase = Phrase.of("needle_1")
    assert phrase is not None
    body = f'{{"a": "{written}"}}'.encode()
    whole = " ".join((body.lower().decode(), *of_body(body)))
    for search in (Text(phrase), Substring("eedle_")):
        assert all(any(word in whole for word in clue) for clue in clues_of(search))
