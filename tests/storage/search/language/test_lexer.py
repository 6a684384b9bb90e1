"""Cutting a search: names, values, quotes and escapes."""

import pytest

from storage.search.language.errors import SearchError, shown
from storage.search.language.lexer import Sign, Term, escaped, tokens
from tests.support.cases import each_of


def test_terms() -> None:
    """A name, its values, and where they stand."""
    [term] = tokens('  path:a,"b, c"d,\\*e*f')
    assert isinstance(term, Term)
    assert (term.name, term.position, term.length) == ("path", 2, 20)
    assert [value.parts for value in term.values] == [("a",), ("b, cd",), ("*e", "f")]
    assert [value.is_quoted for value in term.values] == [False, True, False]
    assert [value.position for value in term.values] == [7, 9, 17]


def test_wildcards_in_a_row_are_one() -> None:
    """They mean the same, and a pattern of thousands of parts takes half a millisecond a row."""
    [term] = tokens(f"path:{'*' * 3000}a**\\***b**")
    assert isinstance(term, Term)
    assert term.values[0].parts == ("", "a", "*", "b", "")
    assert term.length == 3015


def test_signs() -> None:
    """Brackets and operators, which are words in quotes."""
    assert [token.text for token in tokens('( Or AND not ) -x "or"') if isinstance(token, Sign)] == [
        "(", "or", "and", "not", ")", "not",
    ]  # fmt: skip
    assert [token.values[0].text for token in tokens("- a-b x-") if isinstance(token, Term)] == [
        "-",
        "a-b",
        "x-",
    ]


@each_of("text", ["!!", "\\", "*", '"', "a b", "(", ",", 'say "no"', "a*\\b"])
def test_what_is_written_is_read_as_it_is(text: str) -> None:
    """Signs of the language lose their meaning."""
    [term] = tokens(f"path:*{escaped(text)}*")
    assert isinstance(term, Term)
    assert term.values[0].parts == ("", text, "")


def test_what_cannot_be_cut() -> None:
    """A quote without an end, and a value that is not there; long texts are shown cut."""
    for text in ('"a', "a:", "a:b,", "a:,b"):
        with pytest.raises(SearchError):
            list(tokens(text))
    assert len(shown("x" * 1000)) < 110
