"""Literals of a prefilter: every match of a search contains at least one of each set. Pure.

Strategy: a search is widened to an `and` of alternatives. Each is a few words, or parts of words,
that `storage.search.prefilter` looks for in many texts at once. Conditions without literals, like all
negations, are left out.

Invariant: a record that matches has, for each set of literals, one of them in some reading of one
of its texts.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Final, Literal

from storage.search.expression import (
    BODY_FIELDS,
    HEAD_FIELDS,
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
from storage.search.phrase import MAX_TELLING, telling
from storage.search.spelling import are_spelled, is_spelled, name_words
from storage.search.words import fold, is_unspaced, runs

Clue = tuple[str, ...]
"""Alternative literals, case-folded. Each is a word, a part of one, several words in a row of a
script without spaces, or an ASCII part of a value with its punctuation.
"""

Part = Literal["row", "heads", "bodies"]
"""A part of a stored record that can be read without the others."""
PARTS: Final[frozenset[Part]] = frozenset(("row", "heads", "bodies"))
_STRETCH: Final = re.compile(r"[ !#-.0-\[\]-~]+")
"""ASCII parts of a value, without characters that JSON escapes."""


def clues_of(expression: Expression) -> tuple[Clue, ...]:
    """Return up to `MAX_TELLING` sets of literals for the matches of a search; empty if every text
    must be read.
    """
    match expression:
        case And(parts):
            return _chosen(clue for part in parts for clue in clues_of(part))
        case Or(parts):
            return _either(map(clues_of, parts))
        case Text(phrase):
            return _each(_rows_of(phrase.words))
        case Substring(text):
            return _each(runs(fold(text)))
        case Is(field, values) if all(is_spelled(field, value) for value in values):
            return _either(_each(_stretches(value)) for value in values) or _each(name_words(field))
        case Like(field, parts) if are_spelled(field, parts):
            return _each([each for part in parts for each in _stretches(part[:-1])]) or _each(
                name_words(field)
            )
        case Is(field) | Like(field) | Has(field) | Between(field):
            return _each(name_words(field))
        case _:
            return ()


def parts_of(expression: Expression) -> frozenset[Part]:
    """Return the parts of a record that contain the literals of a search."""
    match expression:
        case And(parts) | Or(parts):
            return frozenset[Part]().union(*map(parts_of, parts))
        case Text() | Substring():
            return PARTS
        case Is(field) | Like(field) | Has(field) | Between(field):
            return frozenset((_part_of(field),))
        case _:
            return frozenset()


def _part_of(field: str) -> Part:
    kind = field.partition(".")[0]
    if kind in HEAD_FIELDS:
        return "heads"
    if kind in BODY_FIELDS:
        return "bodies"
    return "row"


def _rows_of(words: Iterable[str]) -> list[str]:
    """Join neighbouring words of scripts without spaces."""
    found: list[str] = []
    for is_alone, some in groupby(words, is_unspaced):
        row = list(some)
        found += ["".join(row)] if is_alone else row
    return found


def _stretches(text: str) -> list[str]:
    """Return the parts of a value that texts contain unchanged. Pass a part of a value without its
    last character, since a following mark may change that.
    """
    return [each for each in _STRETCH.findall(text) if any(map(str.isalnum, each))]


def _each(found: list[str]) -> tuple[Clue, ...]:
    return tuple((word,) for word in telling(list(dict.fromkeys(word.lower() for word in found))))


def _either(parts: Iterable[tuple[Clue, ...]]) -> tuple[Clue, ...]:
    """Combine the sets of several alternatives: each set of the one with each of the other."""
    found: tuple[Clue, ...] | None = None
    for part in parts:
        if found is None:
            found = part
        else:
            found = _chosen((*one, *other) for one in found for other in part)
    return found or ()


def _chosen(clues: Iterable[Clue]) -> tuple[Clue, ...]:
    """Choose the sets that most texts lack: those of few alternatives, all of them long."""
    found = list(dict.fromkeys(tuple(dict.fromkeys(clue)) for clue in clues))
    if len(found) <= MAX_TELLING:
        return tuple(found)
    return tuple(sorted(found, key=lambda clue: (-min(map(len, clue)), len(clue)))[:MAX_TELLING])
