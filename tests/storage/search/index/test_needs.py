"""What a search needs: joined terms, and which cells have them."""

from storage.search.expression import And, Between, Has, Is, Like, Not, Or, Substring, Text
from storage.search.index.hashes import pair_term, term
from storage.search.index.needs import (
    NOTHING,
    Need,
    OneOf,
    expression_need,
    phrase_need,
    rows_of,
    substring_need,
    terms_of,
)
from storage.search.phrase import MAX_TELLING, Phrase

A, B, C = 1, 2, 3
CELLS = {A: 0b1010, B: 0b0110, C: 0b0001}


def test_rows_of_joined_needs() -> None:
    """All of some terms, one of some needs; nothing needs no cell to tell."""
    assert rows_of(NOTHING, {}, 0b1111) == 0b1111
    assert rows_of(Need(frozenset((A, B))), CELLS, 0b1111) == 0b0010
    either = OneOf((Need(frozenset((A, B))), Need(frozenset((C,)))))
    assert rows_of(Need(others=(either,)), CELLS, 0b1111) == 0b0011
    assert rows_of(Need(frozenset((A,)), (either,)), CELLS, 0b1111) == 0b0010
    assert terms_of(Need(frozenset((A,)), (either,))) == {A, B, C}


def test_what_expressions_need() -> None:
    """One of alternatives; nothing where the index cannot tell, and nothing of what must not be
    there.
    """
    reset = Text(Phrase(("reset",)))
    peer = Text(Phrase(("peer",)))
    both = Need(frozenset((term("reset"), term("peer"))))
    assert expression_need(And((reset, peer, Not(peer), Has("path")))) == both
    either = OneOf((phrase_need(reset.phrase), phrase_need(peer.phrase)))
    assert expression_need(Or((reset, peer))) == Need(others=(either,))
    assert expression_need(Or((reset, Has("path")))) == NOTHING
    assert expression_need(Not(reset)) == NOTHING
    assert expression_need(Substring("tion RESET by pe")) == Need(
        frozenset((term("reset"), term("by")))
    )
    assert terms_of(expression_need(Is("header.x-tenant", ("acme 1",)))) == {
        term("acme"),
        term("1"),
    }
    assert terms_of(expression_need(Is("header.x-tenant", ("acmé",)))) == {
        term("x"),
        term("tenant"),
    }
    assert terms_of(expression_need(Has("header.x-tenant"))) == {term("x"), term("tenant")}
    assert terms_of(expression_need(Is("body.user.id", ("42",)))) == {term("42")}
    assert terms_of(expression_need(Between("body.user.0.id", 1, 2))) == {term("user"), term("id")}
    assert expression_need(Is("host", ("acme",))) == NOTHING
    assert terms_of(expression_need(Like("path", ("/api/users/", "")))) == {
        term("api"),
        term("users"),
    }


def test_a_phrase_needs_its_words() -> None:
    """In scripts without spaces their pairs as well; a prefix of few letters needs nothing."""
    assert terms_of(phrase_need(Phrase(("connection", "reset")))) == {
        term("connection"),
        term("reset"),
    }
    assert terms_of(phrase_need(Phrase(("東", "京")))) == {
        term("東"),
        term("京"),
        pair_term("東", "京"),
    }
    assert terms_of(phrase_need(Phrase(("con",), is_prefix=True))) == frozenset()


def test_a_long_text_needs_a_few_words() -> None:
    """Each is looked up in each segment."""
    spaced = Phrase(tuple(f"w{number:03}" for number in range(900)))
    unspaced = Phrase(("東", "京") * 900)
    assert terms_of(phrase_need(spaced)) <= {term(word) for word in spaced.words}
    assert len(terms_of(phrase_need(spaced))) == MAX_TELLING
    assert terms_of(phrase_need(unspaced)) == {
        term("東"), term("京"), pair_term("東", "京"), pair_term("京", "東"),
    }  # fmt: skip
    assert len(terms_of(substring_need(f" {' '.join(spaced.words)} "))) == MAX_TELLING
