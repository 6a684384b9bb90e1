"""From what is searched to the terms a record must have: which of them, and how they are joined.
Pure.

Invariant: what fulfils a search has what it needs. A part that the index knows nothing of needs
nothing.
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
"""A word of ASCII between two characters of ASCII that are in no word."""
_MAY_BE_RUN: Final = re.compile(r"[A-Za-z0-9+/_\-\\\r\n]+")
_MAX_WORD_RUN: Final = 100
"""Of a value in JSON, less than half of what is a long run in a text, where an escape may take two
for one.
"""


@dataclass(frozen=True, slots=True)
class Need:
    """What a record must have: all of some terms, and one of each of some alternatives; `NOTHING`
    without any.
    """

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
            need = _either(_value_need(_outside_runs(field, value)) for value in values)
            return _name_need(field) if need == NOTHING else need
        case Like(field, parts) if are_spelled(field, parts):
            last = len(parts) - 1
            certain = (
                _outside_runs(field, part, is_open=(place > 0, place < last))
                for place, part in enumerate(parts)
            )
            need = joined(
                _part_need(part, is_end=place == last) for place, part in enumerate(certain)
            )
            return _name_need(field) if need == NOTHING else need
        case Is(field) | Like(field) | Has(field) | Between(field):
            return _name_need(field)
        case _:
            return NOTHING


def phrase_need(phrase: Phrase) -> Need:
    """Tell what a text needs that has a phrase; of a long one enough to tell most texts apart."""
    whole = phrase.words[:-1] if phrase.is_prefix else phrase.words
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
    """Tell what a text needs that has a word with this beginning."""
    start = prefix_term(prefix)
    if start is None:
        return NOTHING

    longer = Need(frozenset((start,)))
    # Of a word that has no more characters than are looked up by, there is no other term.
    if len(prefix) == PREFIX_CHARACTERS:
        return _either((Need(frozenset((term(prefix),))), longer))

    return longer


def substring_need(text: str) -> Need:
    """Tell what a text needs that contains another: the words that do not go on beyond its ends."""
    return Need(
        frozenset(
            map(term, telling([word for found in _INNER.findall(text) for word in words(found)]))
        )
    )


def joined(parts: Iterable[Need]) -> Need:
    """Need all of some needs."""
    terms: frozenset[int] = frozenset()
    others: tuple[OneOf, ...] = ()
    for part in parts:
        terms |= part.terms
        others += part.others
    return Need(terms, others)


def _outside_runs(field: str, text: str, *, is_open: tuple[bool, bool] = (False, False)) -> str:
    """Leave out of a value what the index may not have, because it is in a long run
    (`storage.search.long_runs`).

    Args:
        field: whose value is asked for: those of bodies are found in the whole text.
        text: of the value, or a part of it.
        is_open: whether the value goes on before the part, and behind it.
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
    """Need one of some needs: nothing, when one of them needs nothing."""
    some = tuple(parts)
    if NOTHING in some:
        return NOTHING
    return Need(others=(OneOf(some),))


def _value_need(value: str) -> Need:
    """Tell what a text needs in which a value stands as a whole."""
    phrase = Phrase.of(value)
    return joined(
        (NOTHING if phrase is None else phrase_need(phrase), _joint_need(value, is_end=True))
    )


def _part_need(part: str, *, is_end: bool) -> Need:
    """Tell what a text needs in which a part of a value stands."""
    return joined((substring_need(part), _joint_need(part, is_end=is_end)))


def _joint_need(part: str, *, is_end: bool) -> Need:
    """Tell what a text needs that has a part of a value, or its end, as it is written but for
    escapes.
    """
    found = joints_of(lower_ascii(part), is_end=is_end)
    return Need(frozenset(map(joint_term, islice(found, MAX_TELLING))))


def _name_need(field: str) -> Need:
    return Need(frozenset(map(term, telling(name_words(field)))))


def terms_of(need: Need) -> frozenset[int]:
    """List the terms that must be looked up."""
    return need.terms.union(*(terms_of(part) for other in need.others for part in other.parts))


def rows_of(need: Need, found: Mapping[int, int], every: int) -> int:
    """Tell which rows can have what is needed: `found` has the rows of each term, as bits, and
    `every` has those of all.
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
