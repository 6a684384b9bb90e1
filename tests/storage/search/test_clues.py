"""What a search finds has a word of each clue."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from storage.record import Body, Payload
from storage.search.clues import PARTS, Clue, clues_of, parts_of
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    InNetwork,
    Is,
    Like,
    Not,
    Or,
    Substring,
    Text,
    negated_at_leaves,
)
from storage.search.index.needs import expression_need, rows_of, terms_of
from storage.search.index.terms import Terms
from storage.search.meaning import fulfils
from storage.search.phrase import MAX_TELLING, Phrase
from storage.search.prefilter import pattern
from storage.search.subject import Subject, texts_of
from tests.storage.samples import make_record
from tests.support.signatures import rows_by_term


def can_have(texts: Sequence[bytes], clues: Sequence[Clue]) -> bool:
    """Whether some of the texts have one of each clue."""
    return all(any(pattern(clue).search(text) for text in texts) for clue in clues)


def text(words: str) -> Text:
    return Text(Phrase(tuple(words.split(" "))))


def test_all_of_some_words() -> None:
    """Of phrases that are joined by and; not what must not be there, and words of scripts without
    spaces together.
    """
    found = And(
        (
            text("reset 東 京"),
            Text(Phrase(("pe",), is_prefix=True)),
            Not(text("no")),
            Is("method", ("GET",)),
        )
    )
    assert clues_of(found) == (("reset",), ("東京",), ("pe",))
    assert clues_of(InNetwork(b"\0" * 4, b"\0" * 4)) == ()


def test_one_of_alternatives() -> None:
    """Each with each; nothing where one of them can be anything."""
    assert clues_of(Or((text("reset"), text("closed")))) == (("reset", "closed"),)
    both = Or((text("connection reset"), text("peer")))
    assert clues_of(both) == (("connection", "peer"), ("reset", "peer"))
    assert clues_of(And((both, text("by")))) == (("connection", "peer"), ("reset", "peer"), ("by",))
    assert clues_of(Or((text("reset"), Is("status", ("500",))))) == ()
    assert clues_of(Or((text("reset"), Not(text("peer"))))) == ()


def test_of_many_words_the_longest() -> None:
    """Each is looked for in each text, and alternatives of long phrases multiply."""
    long = text(" ".join(f"w{number:0{2 + number % 5}}" for number in range(900)))
    for search in (And((long, long)), Or((long, text("ab abc abcd abcdefgh"))), Or((long,) * 100)):
        assert len(clues_of(search)) == MAX_TELLING
    assert all("abcdefgh" in clue for clue in clues_of(Or((long, text("ab abc abcd abcdefgh")))))


def test_values_of_headers_and_of_members() -> None:
    """Their words, else those of their names; never what may be written otherwise, as numbers are."""
    assert clues_of(Is("header.x-tenant", ("acme-1", "other"))) == (("acme-1", "other"),)
    assert clues_of(Has("header.x-tenant")) == (("x",), ("tenant",))
    assert clues_of(Is("body.user.0.id", ("42",))) == (("42",),)
    assert clues_of(Is("body.user.0.id", ("4e2",))) == (("user",), ("id",))
    assert clues_of(Between("body.price", 1, 2)) == (("price",),)
    assert clues_of(Like("body.name", ("An", " Lee", ""))) == (("a",), (" le",))
    assert clues_of(Like("body.price", ("4.", ""))) == (("price",),)
    assert clues_of(Substring("tion RESET")) == (("tion",), ("reset",))
    assert clues_of(Is("host", ("acme",))) == ()


def test_what_is_read_of_records_is_where_the_words_can_be() -> None:
    """Of a search for headers no body is inflated, and the other way round."""
    header = Is("header.x-tenant", ("acme-1",))
    body = Like("response_body.user", ("an", ""))
    assert parts_of(header) == {"heads"}
    assert parts_of(And((body, Not(header)))) == {"bodies"}
    assert parts_of(Or((header, Has("request_body.id")))) == {"heads", "bodies"}
    assert parts_of(Is("error_type", ("reset",))) == {"row"}
    assert parts_of(And((header, text("reset")))) == PARTS
    assert parts_of(Substring("reset")) == PARTS


STRINGS = st.sampled_from(
    (
        "Acme",
        "a-1",
        "caf\u00e9 x",
        "cafe\u0301",
        "\u212aa",
        "a\nb",
        'a"b c',
        "a\\u0041",
        "%41",
        "x" * 70,
        "",
        "42",
        "4.20",
    )
)
NUMBERS = st.sampled_from(
    ("42", "4.20", "-5", "-0", "-55e-1", "1E21", "1e2", "100.0", "1" + "0" * 30, "true")
)
ALL_ESCAPED = "all escaped"


def json_text(value: str, escapes: str) -> str:
    """Write a string in JSON, in one of three ways."""
    if escapes == ALL_ESCAPED:
        return '"' + "".join(f"\\u{ord(character):04x}" for character in value) + '"'
    return json.dumps(value, ensure_ascii=escapes == "ascii")


@st.composite
def payloads(draw: st.DrawFn) -> Payload:
    """Make a payload with a header and a body that have a value."""
    escapes = draw(st.sampled_from(("none", "ascii", ALL_ESCAPED)))
    value = draw(NUMBERS | STRINGS.map(lambda text: json_text(text, escapes)))
    name = json_text("user id", escapes)
    body = f'[{{{name}: {{"at": {value}}}}}, null, null, {value}]'.encode()
    head = f"GET / HTTP/1.1\r\nX-Tenant: {draw(STRINGS)}".encode()
    return Payload(head, b"HTTP/1.1 200", Body(body, b"", len(body), False, None, None), None)


@st.composite
def searches(draw: st.DrawFn, subject: Subject) -> Expression:
    """Make a search that finds something, of what is there."""
    field = draw(st.sampled_from(("body.user id.at", "request_body.3", "header.x-tenant", "path")))
    text = draw(st.sampled_from([*texts_of(subject, field), "nothing"]))
    first, last = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    part = text[first:last]
    leaves = [
        Is(field, (text, "other")), Like(field, (text[:first], text[last:])), Like(field, ("", part, "")), Has(field),
        Between(field, None, None) if "body" in field else Has(field), Substring(part),
        *[Text(phrase) for is_prefix in (True, False) if (phrase := Phrase.of(part, is_prefix=is_prefix))],
    ]  # fmt: skip
    return draw(st.sampled_from(leaves))


@given(payloads(), STRINGS, st.data())
def test_what_fulfils_a_search_has_its_clues_and_its_terms(
    payload: Payload, path: str, data: st.DataObject
) -> None:
    """However values and names are written in JSON, and whatever folds to something else."""
    subject = Subject(make_record(path=path), payload)
    parts = [data.draw(searches(subject)) for _ in range(3)]
    search = Or((And((parts[0], Not(Not(parts[1])))), parts[2]))
    assert payload.request_body is not None
    texts = [path.encode(), payload.request_head, payload.response_head, payload.request_body.head]
    terms = Terms()
    terms.add(0, texts)
    told = set(rows_by_term(terms.signature()))

    for each in (*parts, negated_at_leaves(search)):
        if fulfils(subject, each):
            assert can_have(texts, clues_of(each))
            need = expression_need(each)
            assert rows_of(need, {term: int(term in told) for term in terms_of(need)}, 1)


def test_a_mark_behind_a_letter_makes_another_of_it() -> None:
    """Where neither is written as it is, no reading has the letter."""
    name = "cafe\u0301"
    body = f'{{"name": {json_text(name, ALL_ESCAPED)}}}'.encode()
    subject = Subject(
        make_record(), Payload(b"", b"", Body(body, b"", len(body), False, None, None), None)
    )

    for search in (
        Is("body.name", (name,)),
        Like("body.name", ("cafe", "")),
        Like("body.name", ("", "e", "")),
    ):
        assert fulfils(subject, search)
        assert can_have([body], clues_of(search))
