"""Ways to the rows of a search find all of them, and examine few rows where the index of words
serves.
"""

import random

from hypothesis import given

from storage.relational.search.condition import is_sql_expressible, residual, sql_superset
from storage.relational.search.rows import ways_of
from storage.search.expression import And, Expression, Is, Like, Not, Or, Substring, Text, conjuncts
from storage.search.index.needs import NOTHING, OneOf, phrase_need
from storage.search.meaning import fulfils
from storage.search.phrase import Phrase
from storage.search.subject import Subject
from tests.contract.test_storage_search import SEARCHES, make_entry

RESET, PEER = Text(Phrase(("reset",))), Text(Phrase(("peer",)))
METHOD, HOST = Is("method", ("GET",)), Is("host", ("a",))
PART = Substring("nect")


def searches(where: Expression) -> list[Expression | None]:
    """Return the search of each way."""
    return [way.search for way in ways_of(where)]


def test_what_must_not_be_missing_is_needed() -> None:
    """Negations cancel each other, in brackets too."""
    for search in (Not(Not(RESET)), Not(Or((PEER, Not(RESET)))), Not(Not(And((RESET, Not(PEER)))))):
        assert [way.need for way in ways_of(search)] == [phrase_need(RESET.phrase)]


def test_a_word_or_a_column_are_two_ways() -> None:
    """SQL expresses the first as a whole; only rows with the word are examined."""
    column, word = ways_of(Or((RESET, METHOD)))
    assert (column.search, column.need) == (METHOD, NOTHING)
    assert residual(column.search) is None
    assert word.need == phrase_need(RESET.phrase)


def test_what_else_must_hold_must_in_both_ways() -> None:
    """Even what SQL cannot express, and of alternatives within alternatives."""
    either = Or((RESET, METHOD))
    other = Not(PEER)
    assert searches(And((either, other))) == [And((METHOD, other)), And((RESET, either, other))]
    inner = Or((And((HOST, either)), PEER))
    assert searches(inner) == [And((HOST, METHOD)), And((Or((RESET, PEER)), inner))]
    assert ways_of(inner)[1].need.others == (
        OneOf((phrase_need(RESET.phrase), phrase_need(PEER.phrase))),
    )


def test_one_way_where_two_would_examine_the_same_rows() -> None:
    """Where the index finds all alternatives, SQL does, or neither."""
    for search in (Or((RESET, PEER)), Or((RESET, PART))):
        assert searches(search) == [search]
    for said in (Or((METHOD, HOST)), METHOD, Not(METHOD)):
        assert searches(said) == [None]
    assert [way.search for way in ways_of(None)] == [None]


def test_words_of_the_path_are_looked_up_where_a_condition_is_slow() -> None:
    """An exact value or an inner part of a path is found faster by scanning than by the index."""
    for quick in (Like("path", ("", "/items/4", "")), Is("error_type", ("boom",))):
        assert [way.need for way in ways_of(quick)] == [NOTHING]
    assert [way.need for way in ways_of(Like("path", ("/a/items/", "")))] != [NOTHING]


SUBJECTS = [
    Subject(entry.record, entry.payload, tuple(call.tool_name for call in entry.tool_calls))
    for entry in map(make_entry, [random.Random(5)] * 100)
]


@given(SEARCHES)
def test_a_record_fulfils_a_search_when_it_fulfils_one_of_its_ways(search: Expression) -> None:
    """However and, or and not are combined; superset and residual together are the search."""
    parts = [part for part in searches(search) if part is not None]
    whole = [part for part in conjuncts(search) if is_sql_expressible(part)]
    for subject in SUBJECTS:
        found = not parts or any(fulfils(subject, part) for part in parts)
        assert (found and all(fulfils(subject, part) for part in whole)) == fulfils(subject, search)
        for part in parts:
            wide = sql_superset(part)
            left = residual(part)
            said = wide is None or fulfils(subject, wide)
            assert (said and (left is None or fulfils(subject, left))) == fulfils(subject, part)
