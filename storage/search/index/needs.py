"""From what is searched to the terms a record must have: which of them, and how they are joined. Pure.

Invariant: what fulfils a search has what it needs. A part that the index knows nothing of needs nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from storage.search.expression import And, Between, Expression, Has, Is, Like, Or, Substring, Text
from storage.search.index.terms import pairs, prefix_term, term
from storage.search.phrase import MAX_TELLING, Phrase, telling
from storage.search.spelling import are_spelled, is_spelled, name_words
from storage.search.words import fold, words

_INNER: Final = re.compile(r"(?<=[\x00-\x2f:-@\[-^`{-\x7f])[0-9A-Za-z_]+(?=[\x00-\x2f:-@\[-^`{-\x7f])")
"""A word of ASCII between two characters of ASCII that are in no word."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a record must have: all of some terms, and one of each of some alternatives; `NOTHING` without any."""

    terms: frozenset[int] = frozenset()
    others: tuple["OneOf", ...] = ()


@dataclass(frozen=True, slots=True)
class OneOf:
    """Alternatives."""

    parts: tuple[Need, ...]


NOTHING: Final = Need()


def expression_need(expression: Expression) -> Need:
    """Tell what records need that fulfil an expression, whose negations are at its leaves."""
    match expression:
        case And(parts):
            return joined(map(expression_need, parts))
        case Or(parts):
            return _either(map(expression_need, parts))
        case Text(phrase):
            return phrase_need(phrase)
        case Substring(text):
            return substring_need(fold(text))
        case Is(field, values) if all(is_spelled(field, value) for value in values):
            phrases = map(Phrase.of, values)
            need = _either(NOTHING if phrase is None else phrase_need(phrase) for phrase in phrases)
            return _name_need(field) if need == NOTHING else need
        case Like(field, parts) if are_spelled(field, parts):
            need = joined(map(substring_need, parts))
            return _name_need(field) if need == NOTHING else need
        case Is(field) | Like(field) | Has(field) | Between(field):
            return _name_need(field)
        case _:
            return NOTHING


def phrase_need(phrase: Phrase) -> Need:
    """Tell what a text needs that has a phrase; of a long one enough to tell most texts apart."""
    whole = phrase.words[:-1] if phrase.is_prefix else phrase.words
    wanted = {term(text) for text in (*telling(whole), *islice(pairs(list(whole)), MAX_TELLING))}
    if phrase.is_prefix and (start := prefix_term(phrase.words[-1])) is not None:
        wanted.add(start)
    return Need(frozenset(wanted))


def substring_need(text: str) -> Need:
    """Tell what a text needs that contains another: the words that do not go on beyond its ends."""
    return Need(frozenset(map(term, telling([word for found in _INNER.findall(text) for word in words(found)]))))


def joined(parts: Iterable[Need]) -> Need:
    """Need all of some needs."""
    terms: frozenset[int] = frozenset()
    others: tuple[OneOf, ...] = ()
    for part in parts:
        terms |= part.terms
        others += part.others
    return Need(terms, others)


def _either(parts: Iterable[Need]) -> Need:
    """Need one of some needs: nothing, when one of them needs nothing."""
    some = tuple(parts)
    return NOTHING if NOTHING in some else Need(others=(OneOf(some),))


def _name_need(field: str) -> Need:
    return Need(frozenset(map(term, telling(name_words(field)))))


def terms_of(need: Need) -> frozenset[int]:
    """List the terms that must be looked up."""
    return need.terms.union(*(terms_of(part) for other in need.others for part in other.parts))


def cells_of(need: Need, found: Mapping[int, int], every: int) -> int:
    """Tell which cells have what is needed: `found` has the cells of each term, and in all of them bit n is cell n."""
    mask = every
    for wanted in need.terms:
        mask &= found[wanted]
    for other in need.others:
        some = 0
        for part in other.parts:
            some |= cells_of(part, found, every)
        mask &= some
    return mask
