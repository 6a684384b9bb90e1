"""What a search finds has a word of each clue."""

import json

from hypothesis import given
from hypothesis import strategies as st

from storage.record import Body, Payload
from storage.relational.reads.text_index.narrow import _can_have
from storage.search.clues import clues_of
from storage.search.expression import And, Between, Expression, Has, InNetwork, Is, Like, Not, Or, Substring, Text
from storage.search.index.needs import cells_of, expression_need, terms_of
from storage.search.index.segment import unpacked
from storage.search.index.terms import Terms
from storage.search.meaning import fulfils
from storage.search.phrase import MAX_TELLING, Phrase
from storage.search.subject import Subject
from tests.storage.samples import make_record


def text(words: str) -> Text:
    return Text(Phrase(tuple(words.split(" "))))


def test_all_of_some_words() -> None:
    """Of phrases that are joined by and; not what must not be there, and not words of other scripts."""
    found = And((text("reset 東"), Text(Phrase(("pe",), is_prefix=True)), Not(text("no")), Is("method", ("GET",))))
    assert clues_of(found) == ((b"reset",), (b"pe",))
    assert clues_of(InNetwork(b"\0" * 4, b"\0" * 4)) == ()


def test_one_of_alternatives() -> None:
    """Each with each; nothing where one of them can be anything."""
    assert clues_of(Or((text("reset"), text("closed")))) == ((b"reset", b"closed"),)
    both = Or((text("connection reset"), text("peer")))
    assert clues_of(both) == ((b"connection", b"peer"), (b"reset", b"peer"))
    assert clues_of(And((both, text("by")))) == ((b"connection", b"peer"), (b"reset", b"peer"), (b"by",))
    assert clues_of(Or((text("reset"), Is("status", ("500",))))) == ()
    assert clues_of(Or((text("reset"), Not(text("peer"))))) == ()


def test_of_many_words_the_longest() -> None:
    """Each is looked for in each text, and alternatives of long phrases multiply."""
    long = text(" ".join(f"w{number:0{2 + number % 5}}" for number in range(900)))
    for search in (And((long, long)), Or((long, text("ab abc abcd abcdefgh"))), Or((long,) * 100)):
        assert len(clues_of(search)) == MAX_TELLING
    assert all(b"abcdefgh" in clue for clue in clues_of(Or((long, text("ab abc abcd abcdefgh")))))


def test_values_of_headers_and_of_members() -> None:
    """Their words, else those of their names; never what may be written otherwise, as numbers are."""
    assert clues_of(Is("header.x-tenant", ("acme-1", "other"))) == ((b"acme", b"other"), (b"1", b"other"))
    assert clues_of(Has("header.x-tenant")) == ((b"x",), (b"tenant",))
    assert clues_of(Is("body.user.0.id", ("42",))) == ((b"42",),)
    assert clues_of(Is("body.user.0.id", ("4e2",))) == ((b"user",), (b"id",))
    assert clues_of(Between("body.price", 1, 2)) == ((b"price",),)
    assert clues_of(Like("body.name", ("An", " Lee", ""))) == ((b"a",), (b"le",))
    assert clues_of(Like("body.price", ("4.", ""))) == ((b"price",),)
    assert clues_of(Substring("tion RESET")) == ((b"tion",), (b"reset",))
    assert clues_of(Is("host", ("acme",))) == ()


VALUES = st.sampled_from(
    ("Acme", "a-1", "café", "cafe\u0301", "\u212a", "a\nb", 'a"b', "a\\u0041", "%41", "x" * 70, "", "42", "4.20", "-5")
)
NUMBERS = st.sampled_from((42, 4.2, -5, -5.5, 1e21, 100.0, True, None, 10**25))
NAMES = st.sampled_from(("user", "id", "a b", "é", "0", "x-tenant"))
DOCUMENTS = st.recursive(
    VALUES | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.builds(
    "{}.{}".format,
    st.sampled_from(("body", "request_body", "response_body")),
    st.lists(NAMES, min_size=1, max_size=2).map(".".join),
) | st.sampled_from(("header.x-tenant", "request_header.x-tenant", "path", "query", "error_type"))
WANTED = VALUES | st.sampled_from(("4.2", "-5.5", "1e21", "100.0", "true", "1e25", "a", "cafe", "e"))
LEAVES: st.SearchStrategy[Expression] = (
    st.builds(Is, FIELDS, st.lists(WANTED, min_size=1, max_size=2).map(tuple))
    | st.builds(Like, FIELDS, st.lists(WANTED | st.just(""), min_size=1, max_size=3).map(tuple))
    | st.builds(Has, FIELDS)
    | st.builds(Between, FIELDS.filter(lambda field: "body" in field), st.none(), st.none())
    | st.builds(Substring, WANTED)
    | st.builds(Text, st.builds(Phrase.of, WANTED, is_prefix=st.booleans()).filter(bool))
)
SEARCHES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=4,
)


@given(SEARCHES, DOCUMENTS, st.booleans(), VALUES, WANTED)
def test_what_fulfils_a_search_has_its_clues_and_its_terms(
    search: Expression, document: object, is_ascii: bool, value: str, path: str
) -> None:
    """However values and names are escaped in JSON, and whatever folds to something else."""
    body = json.dumps(document, ensure_ascii=is_ascii).encode("utf-8", "replace").replace(b"1e+21", b"1E21")
    head = f"GET / HTTP/1.1\r\nX-Tenant: {value}".encode()
    payload = Payload(head, b"HTTP/1.1 200", Body(body, b"", len(body), False, None, None), None)
    subject = Subject(make_record(path=path, query=value, error_type=path), payload)
    if not fulfils(subject, search):
        return
    texts = [each.encode() for each in (path, value)]
    assert _can_have([*texts, head, payload.response_head, body], clues_of(search))
    terms = Terms()
    terms.add_heads([head, payload.response_head])
    terms.add_bodies([body])
    terms.add_texts([path, value])
    told, need = set(unpacked(terms.signature())), expression_need(search)
    assert cells_of(need, {term: int(term in told) for term in terms_of(need)}, 1)
