"""Long runs and octets: what the index leaves out no search finds by words, and fields of bodies
are found whole.
"""

import base64
import json
import random

from storage.record import Body, Content, Entry, Payload
from storage.relational.reads.text_index.batch_cells import cell_of
from storage.search.expression import Expression, Is, Like, Substring, Text
from storage.search.index.needs import expression_need, rows_of, terms_of
from storage.search.index.segment import WHOLE_CELL, rows_in
from storage.search.meaning import fulfils
from storage.search.phrase import Phrase
from storage.search.subject import Subject
from tests.storage.samples import make_record

G = random.Random(13)
RUN = base64.b64encode(G.randbytes(1500)).decode()
LINES = base64.encodebytes(G.randbytes(600)).decode()
SHORT = base64.b64encode(G.randbytes(60)).decode()


def entry(body: bytes, content: Content | None = None, data: bytes | None = None) -> Entry:
    stored = Body(body, b"", len(body), False, None, None, content=content)
    return Entry(make_record(data=data), Payload(b"POST /a HTTP/1.1", b"", stored, None))


def is_in_index(made: Entry, search: Expression) -> bool:
    """Whether the index names the cell of a record for a search."""
    signature = cell_of([made], 0).signature
    need = expression_need(search)
    found = {each: rows_in(signature, each) for each in terms_of(need)}
    return rows_of(need, found, WHOLE_CELL) != 0


def is_found(made: Entry, search: Expression) -> bool:
    """Whether a record fulfils a search, which the index then must not hide."""
    found = fulfils(Subject(made.record, made.payload), search)
    assert is_in_index(made, search) or not found, search
    return found


def word(text: str) -> Expression:
    phrase = Phrase.of(text)
    assert phrase is not None
    return Text(phrase)


def test_the_beginning_of_a_run_is_found() -> None:
    """In bodies, and in the data of events; what is around it is found as ever."""
    text = json.dumps({"image": RUN, "name": "Ada"}).encode()
    for made in (entry(text), entry(b"", data=text)):
        assert is_found(made, word("ada"))
        assert is_found(made, word(RUN.partition("/")[0]))
        assert is_found(made, Substring(RUN[:60]))
        assert not is_found(made, word(RUN[200:240]))
        assert not is_found(made, Substring(RUN[200:240]))
        assert not is_in_index(made, word(RUN[200:240]))


def test_fields_of_bodies_are_found_whole() -> None:
    """By any part of a value, be it one run or have some."""
    for value in (
        RUN,
        LINES,
        SHORT,
        f"a {RUN} b c",
        f"/files/{RUN[:300]}/x y",
        RUN.replace("+", "\n"),
        "a/b c/d",
    ):
        for dump in (
            json.dumps({"image": value}),
            json.dumps({"image": value}).replace("/", "\\/"),
        ):
            made = entry(dump.encode())
            assert is_found(made, Is("body.image", (value,)))
            for _ in range(60):
                start, stop = sorted(G.sample(range(len(value) + 1), 2))
                assert is_found(made, Like("body.image", ("", value[start:stop], "")))
                assert is_found(made, Like("body.image", (value[:start], value[stop:])))
                for search in (word("x " + value[start:stop]), Substring(value[start:stop])):
                    is_found(made, search)


def test_other_fields_need_all_their_words() -> None:
    """Heads and short values are searched whole: the index tells all of their words."""
    made = entry(b'{"a": "one-two three"}')
    assert is_found(made, Is("body.a", ("one-two three",)))
    assert not is_in_index(made, Is("body.a", ("one-two four",)))
    assert not is_in_index(made, Like("body.a", ("", "one four three", "")))
    assert not is_in_index(made, Is("header.x", (RUN,)))


def test_octets_are_found_by_what_reads() -> None:
    """Of media nothing is."""
    data = G.randbytes(500) + b"\x00\x12Ada Lovelace\x00ab cd\x00" + G.randbytes(500)
    assert is_found(entry(data, "octets"), word("ada lovelace"))
    assert not is_in_index(entry(data, "octets"), word("cd"))
    assert not is_found(entry(data, "octets"), word("cd"))
    assert is_found(entry(data), word("ab cd"))
    assert not is_found(entry(data, "media"), word("ada"))
    assert not is_in_index(entry(data, "media"), word("ada"))


def test_64_kib_of_octets_make_hardly_a_word() -> None:
    """Those of a picture none at all."""
    data = G.randbytes(65_536)
    nothing = len(cell_of([entry(b"")], 0).signature)
    assert len(cell_of([entry(data, "media")], 0).signature) == nothing
    assert len(cell_of([entry(data, "octets")], 0).signature) < nothing + 4 * 100
