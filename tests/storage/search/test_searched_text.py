"""What of a stored text is searched."""

import base64
import random

from storage.record import Body
from storage.search.searched_text import readable_windows, searched_windows, without_long_runs
from storage.search.words import MAX_WORD_CHARACTERS, decoded, readings, words

G = random.Random(8)
RUN = base64.b64encode(G.randbytes(3000))


def body(head: bytes, tail: bytes = b"", **members: object) -> Body:
    return Body(head, tail, len(head), bool(tail), None, None, **members)  # type: ignore[arg-type]  # of the tests


def test_nothing_of_media() -> None:
    """However much of it reads."""
    assert list(searched_windows(body(b"GIF89a and much text", b"more", content="media"))) == []


def test_runs_of_octets() -> None:
    """What reads, apart from each other; so of the end of a body that was cut."""
    octets = body(
        b"\x00\x01Ada Lovelace\x12\x02ab\x00\x05grace.hopper\x00",
        b"\x01the end of it",
        content="octets",
    )
    assert list(searched_windows(octets)) == [b"Ada Lovelace\ngrace.hopper", b"the end of it"]
    assert list(searched_windows(body(G.randbytes(50), content="octets"))) == []


def test_all_of_a_text_but_the_rest_of_long_runs() -> None:
    """What a word of them would have is left; what has none is the same object."""
    text = b'{"image": "%b", "name": "Ada"}' % RUN
    shown = b'{"image": "%b %b", "name": "Ada"}' % (
        RUN[:MAX_WORD_CHARACTERS],
        RUN[len(RUN.rstrip(b"=")) :],
    )
    assert without_long_runs(text) == shown
    assert list(searched_windows(body(text, text))) == [shown, shown]
    assert list(readable_windows(body(text))) == [text]
    plain = b'{"name": "Ada"}'
    assert without_long_runs(plain) is plain
    assert list(searched_windows(body(b""))) == []


def test_a_word_of_what_is_searched_is_in_the_text() -> None:
    """In some reading, or as the beginning of a longer one: so whoever looks into all of it misses
    none.
    """
    pieces = [
        b"\\",
        b"/",
        b'"',
        b"%41",
        b"\xc3\xbc",
        "東".encode(),
        b"\x00",
        b"\xff",
        b"n",
        RUN[:300],
        b" words here ",
    ]
    for _ in range(300):
        data = b"".join(G.choices(pieces, k=12))
        every = [reading.casefold() for reading in readings(decoded(data))]
        for content in (None, "octets"):
            for text in searched_windows(body(data, content=content)):
                for word in {
                    word for reading in readings(decoded(text)) for word in words(reading)
                }:
                    assert any(word in reading for reading in every), (data, word)
