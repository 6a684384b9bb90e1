"""From what is searched to the terms a record must have: which of them, and how they are joined. Pure.

Invariant: what fulfils a filter has what it needs. A part that the index knows nothing of needs nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from storage.query import Filter
from storage.search.index.terms import pairs, prefix_term, term
from storage.search.phrase import Phrase
from storage.search.words import words

_INNER: Final = re.compile(r"(?<=[\x00-\x2f:-@\[-^`{-\x7f])[0-9A-Za-z_]+(?=[\x00-\x2f:-@\[-^`{-\x7f])")
"""A word of ASCII between two characters of ASCII that are in no word."""


@dataclass(frozen=True, slots=True)
class All:
    """All of some terms, and of some other needs; nothing, where there are none."""

    terms: frozenset[int] = frozenset()
    others: tuple["Any", ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """One of some needs."""

    parts: tuple[All, ...]


NOTHING: Final = All()


def need_of(filter: Filter) -> All:
    """Tell what records of a filter need."""
    return substring_need(filter.text) if filter.text else NOTHING


def phrase_need(phrase: Phrase) -> All:
    """Tell what a text needs that has a phrase."""
    whole = phrase.words[:-1] if phrase.is_prefix else phrase.words
    wanted = {term(text) for text in (*whole, *pairs(list(whole)))}
    if phrase.is_prefix and (start := prefix_term(phrase.words[-1])) is not None:
        wanted.add(start)
    return All(frozenset(wanted))


def substring_need(text: str) -> All:
    """Tell what a text needs that contains another: the words that do not go on beyond its ends."""
    return All(frozenset(term(word) for found in _INNER.findall(text) for word in words(found)))


def joined(parts: Iterator[All]) -> All:
    """Need all of some needs."""
    terms: frozenset[int] = frozenset()
    others: tuple[Any, ...] = ()
    for part in parts:
        terms |= part.terms
        others += part.others
    return All(terms, others)


def terms_of(need: All) -> frozenset[int]:
    """List the terms that must be looked up."""
    return need.terms.union(*(terms_of(part) for other in need.others for part in other.parts))


def cells_of(need: All, found: Mapping[int, int], every: int) -> int:
    """Tell which cells have what is needed.

    Args:
        need: Of a filter.
        found: Term → cells that have it: bit n is cell n.
        every: All cells.
    """
    mask = every
    for wanted in need.terms:
        mask &= found[wanted]
    for other in need.others:
        some = 0
        for part in other.parts:
            some |= cells_of(part, found, every)
        mask &= some
    return mask
