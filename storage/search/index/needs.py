"""From a search to the terms that a record must have, joined by and and or. Pure.

Invariant: a record that fulfils a search has the terms it needs. Conditions that the index does not
cover need none.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

from storage.search.expression import (
    BODY_FIELDS,
    And,
    Between,
    Expression,
    Has,
    Is,
    Like,
    Or,
    Substring,
    Text,
)
from storage.search.index.hashes import PREFIX_CHARACTERS, joint_term, pair_term, prefix_term, term
from storage.search.index.joints import joints_of
from storage.search.patterns import lower_ascii
from storage.search.phrase import MAX_TELLING, Phrase, telling
from storage.search.spelling import are_spelled, is_spelled, name_words
from storage.search.words import fold, is_unspaced, words

_INNER: Final = re.compile(
    r"(?<=[\x00-\x2f:-@\[-^`{-\x7f])[0-9A-Za-z_]+(?=[\x00-\x2f:-@\[-^`{-\x7f])"
)
"""An ASCII word between two ASCII characters that are not in a word."""
_MAY_BE_RUN: Final = re.compile(r"[A-Za-z0-9+/_\-\\\r\n]+")
_MAX_WORD_RUN: Final = 100
"""Longest part of a JSON value that is looked up: less than half the length of a long run in a
text, where an escape may double a character.
"""


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement: all of some terms, and one of each set of alternatives. `NOTHING` requires
    none.
    """

    terms: frozenset[int] = frozenset()
    others: tuple["OneOf", ...] = ()


@dataclass(frozen=True, slots=True)
class OneOf:
    """Alternatives, one of which is required."""

    parts: tuple[Need, ...]


NOTHING: Final = Need()


def expression_need(expression: Expression) -> Need:
    """Return the terms needed by records that fulfil an expression. Only its leaves may be negated."""
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
            need = _either(_value_need(_outside_runs(field, value)) for value in values)
            if need == NOTHING:
                return _name_need(field)
            return need
        case Like(field, parts) if are_spelled(field, parts):
            last = len(parts) - 1
            certain = (
                _outside_runs(field, part, is_open=(place > 0, place < last))
                for place, part in enumerate(parts)
            )
            need = joined(
                _part_need(part, is_end=place == last) for place, part in enumerate(certain)
            )
            if need == NOTHING:
                return _name_need(field)
            return need
        case Is(field) | Like(field) | Has(field) | Between(field):
            return _name_need(field)
        case _:
            return NOTHING


def phrase_need(phrase: Phrase) -> Need:
    """Return the terms of a text with a phrase; for a long phrase enough to rule out most texts."""
    if phrase.is_prefix:
        whole = phrase.words[:-1]
    else:
        whole = phrase.words
    pairs = (
        (first, second)
        for first, second in pairwise(whole)
        if is_unspaced(first) and is_unspaced(second)
    )
    wanted = {
        *map(term, telling(whole)),
        *(pair_term(*pair) for pair in islice(pairs, MAX_TELLING)),
    }
    need = Need(frozenset(wanted))
    if phrase.is_prefix:
        return joined((need, prefix_need(phrase.words[-1])))

    return need


def prefix_need(prefix: str) -> Need:
    """Return the terms of a text that has a word with this prefix."""
    start = prefix_term(prefix)
    if start is None:
        return NOTHING

    longer = Need(frozenset((start,)))
    # A word of just these characters has no prefix term, only its own.
    if len(prefix) == PREFIX_CHARACTERS:
        return _either((Need(frozenset((term(prefix),))), longer))

    return longer


def substring_need(text: str) -> Need:
    """Return the terms of a text that contains a substring: its words that cannot continue beyond
    its ends.
    """
    return Need(
        frozenset(
            map(term, telling([word for found in _INNER.findall(text) for word in words(found)]))
        )
    )


def joined(parts: Iterable[Need]) -> Need:
    """Return the requirement of all parts."""
    terms: frozenset[int] = frozenset()
    others: tuple[OneOf, ...] = ()
    for part in parts:
        terms |= part.terms
        others += part.others
    return Need(terms, others)


def _outside_runs(field: str, text: str, *, is_open: tuple[bool, bool] = (False, False)) -> str:
    """Remove parts of a value that the index may lack because they belong to a long run
    (`storage.search.long_runs`).

    Args:
        field: Field of the value; only bodies have long runs.
        text: The value, or a part of it.
        is_open: Whether the value continues before the part, and after it.
    """
    if field.partition(".")[0] not in BODY_FIELDS:
        return text

    def kept(found: re.Match[str]) -> str:
        goes_on = (is_open[0] and found.start() == 0) or (is_open[1] and found.end() == len(text))
        if goes_on or len(found[0]) >= _MAX_WORD_RUN:
            return ""
        return found[0]

    return _MAY_BE_RUN.sub(kept, text)


def _either(parts: Iterable[Need]) -> Need:
    """Return the requirement of one of the parts; `NOTHING` if one of them needs nothing."""
    some = tuple(parts)
    if NOTHING in some:
        return NOTHING
    return Need(others=(OneOf(some),))


def _value_need(value: str) -> Need:
    """Return the terms of a text that contains a whole value."""
    phrase = Phrase.of(value)
    return joined(
        (NOTHING if phrase is None else phrase_need(phrase), _joint_need(value, is_end=True))
    )


def _part_need(part: str, *, is_end: bool) -> Need:
    """Return the terms of a text that contains a part of a value."""
    return joined((substring_need(part), _joint_need(part, is_end=is_end)))


def _joint_need(part: str, *, is_end: bool) -> Need:
    """Return the joint terms of a text that contains a part of a value, or its end, unchanged apart
    from escapes.
    """
    found = joints_of(lower_ascii(part), is_end=is_end)
    return Need(frozenset(map(joint_term, islice(found, MAX_TELLING))))


def _name_need(field: str) -> Need:
    return Need(frozenset(map(term, telling(name_words(field)))))


def terms_of(need: Need) -> frozenset[int]:
    """Return all terms to look up."""
    return need.terms.union(*(terms_of(part) for other in need.others for part in other.parts))


def rows_of(need: Need, found: Mapping[int, int], every: int) -> int:
    """Return the rows that can fulfil a need, as bits. `found` has the rows of each term as bits,
    `every` the bits of all rows.
    """
    mask = every
    for wanted in need.terms:
        mask &= found[wanted]
    for other in need.others:
        some = 0
        for part in other.parts:
            some |= rows_of(part, found, every)
        mask &= some

    return mask
