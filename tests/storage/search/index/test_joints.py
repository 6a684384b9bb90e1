"""Values of several common words are told by what stands about their signs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from storage.record import Body, Payload
from storage.search.expression import Expression, Is, Like
from storage.search.index.hashes import joint_term
from storage.search.index.joints import joints_of
from storage.search.index.needs import expression_need, terms_of
from storage.search.index.terms import Terms
from storage.search.meaning import fulfils
from storage.search.subject import Subject
from tests.storage.samples import make_record
from tests.support.cases import each_of
from tests.support.signatures import rows_by_term

PIECES = st.sampled_from(
    (
        "user",
        "User-3701",
        "user-37",
        "x",
        "ab",
        "@",
        "-",
        ".",
        ":",
        "1",
        "9",
        "lee@example.com",
        "é",
        "\u0301",
        " ",
        "/",
        '"',
    )
)
VALUES = st.lists(PIECES, min_size=1, max_size=6).map("".join)


@each_of(
    ("part", "inner", "whole"),
    [
        ("user-3701", ["ser-3701"], ["ser-3701"]),
        ("user-37", [], ["ser-37"]),
        ("user-37 of", ["ser-37"], ["ser-37"]),
        ("a.lee@example.com", ["lee@exam"], ["lee@exam"]),
        ("2026-03-04t11:22:33.123z", [], []),
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", [], []),
        ("1.50", [], []),
        ("well-known", [], []),
    ],
)
def test_which_signs_have_a_joint(part: str, inner: list[str], whole: list[str]) -> None:
    """Of ids and mail addresses; what goes on beyond a part says nothing."""
    assert list(joints_of(part, is_end=False)) == inner
    assert list(joints_of(part, is_end=True)) == whole


def test_a_header_that_contains_an_id_needs_its_joint() -> None:
    """As the search box asks for it; a body that has it, too."""
    for search in (Like("header.x-user", ("", "user-3701", "")), Is("body.user", ("USER-3701",))):
        assert joint_term("ser-3701") in terms_of(expression_need(search))


@given(VALUES, VALUES, st.booleans(), st.integers(0, 30), st.integers(0, 30))
def test_what_fulfils_a_search_has_the_terms_it_needs(
    value: str, header: str, is_ascii: bool, start: int, length: int
) -> None:
    """However JSON writes it, in a header, and of any part."""
    body = json.dumps({"id": value}, ensure_ascii=is_ascii)
    if start % 3 == 0:
        body = '{"id":"' + "".join(f"\\u{ord(each):04x}" for each in value) + '"}'
    head = f"GET / HTTP/1.1\r\nX-User: {header}\r\nVia: a".encode()
    payload = Payload(head, b"", Body(body.encode(), b"", len(body), False, None, None), None)
    subject = Subject(make_record(), payload)
    terms = Terms()
    terms.add(0, [head, body.encode()])
    told = set(rows_by_term(terms.signature()))

    for field, text in (("body.id", value), ("header.x-user", header.strip(" "))):
        part = text[start : start + length]
        whole = text.upper() if text.isascii() else text
        parts = [("", part, ""), (text[:start], ""), ("", text[start:]), (whole,)]

        searches: list[Expression] = [Is(field, (text,)), *(Like(field, some) for some in parts)]
        for search in searches:
            if fulfils(subject, search):
                need = expression_need(search)
                assert need.terms <= told
                assert all(any(each.terms <= told for each in other.parts) for other in need.others)
