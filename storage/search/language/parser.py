"""Parse the text of a search to its expression, by recursive descent. Pure.

    search = any
    any    = all { "or" all }
    all    = one { ["and"] one }
    one    = ( "-" | "not" ) one | "(" any ")" | term

docs/search.md documents it. An error about a limit names the value that exceeds it.
"""

from collections.abc import Sequence
from typing import Final

from storage.search.expression import Expression, Not, either, joined
from storage.search.language.errors import SearchError
from storage.search.language.lexer import Sign, Term, tokens
from storage.search.language.misread import refuse_misread
from storage.search.language.terms import read_term

MAX_CHARACTERS: Final = 4000
MAX_TERMS: Final = 100
"""Total number of values in all terms."""
MAX_DEPTH: Final = 20
"""Nesting depth of brackets and negations."""


def parse_search(text: str, now_us: int) -> Expression | None:
    """Parse a search; None if it is empty.

    Raises:
        SearchError: it is invalid; has the position, and what is possible there.
    """
    if len(text) > MAX_CHARACTERS:
        raise SearchError(
            f"it has {len(text)} characters, at most {MAX_CHARACTERS} are read", MAX_CHARACTERS
        )

    found = list(tokens(text))
    terms = [value for token in found if isinstance(token, Term) for value in token.values]
    if len(terms) > MAX_TERMS:
        raise SearchError(
            f"it has {len(terms)} values, at most {MAX_TERMS} are read", terms[MAX_TERMS].position
        )
    if not found:
        return None

    refuse_misread(found)
    parser = _Parser(found, len(text), now_us)
    expression = parser.any_of(0)
    parser.expect_end()
    return expression


class _Parser:
    def __init__(self, found: Sequence[Term | Sign], end: int, now_us: int) -> None:
        self._tokens = found
        self._end = end
        self._now_us = now_us
        self._at = 0

    def any_of(self, depth: int) -> Expression:
        parts = [self._all_of(depth)]
        while self._take("or"):
            parts.append(self._all_of(depth))
        return either(parts)

    def expect_end(self) -> None:
        token = self._next()
        if token is not None:
            raise SearchError("this bracket closes none", token.position, token.length)

    def _all_of(self, depth: int) -> Expression:
        parts = [self._one(depth)]
        while self._take("and") or self._begins_one():
            parts.append(self._one(depth))
        whole = joined(tuple(parts))
        assert whole is not None, "bug: there is at least one part"
        return whole

    def _one(self, depth: int) -> Expression:
        token = self._next()
        if token is None:
            raise SearchError("something to look for is missing at the end", self._end, 0)
        if depth > MAX_DEPTH:
            raise SearchError(
                f"more than {MAX_DEPTH} brackets and negations within each other", token.position
            )

        self._at += 1
        if isinstance(token, Term):
            return read_term(token, self._now_us)
        if token.text == "not":
            return Not(self._one(depth + 1))

        if token.text == "(":
            inner = self.any_of(depth + 1)
            if not self._take(")"):
                raise SearchError("this bracket is not closed", token.position)
            return inner

        raise SearchError(
            f"something to look for is expected before {token.text!r}", token.position, token.length
        )

    def _begins_one(self) -> bool:
        token = self._next()
        return isinstance(token, Term) or (token is not None and token.text in ("(", "not"))

    def _next(self) -> Term | Sign | None:
        if self._at < len(self._tokens):
            return self._tokens[self._at]
        return None

    def _take(self, text: str) -> bool:
        token = self._next()
        if isinstance(token, Sign) and token.text == text:
            self._at += 1
            return True
        return False
