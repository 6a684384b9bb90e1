"""What can be seen at a glance to be missing: words of which everything found has at least one.
Pure.

Strategy: a search is widened to an `and` of alternatives, each a few words, or parts of some, that
are looked for in many texts at once (`storage.search.glance`). What none of them shows, as
everything that must not be there, is left out.

Invariant: what fulfils a search has, of each clue, one of its words in some reading of one of its
texts.
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
"""Alternatives, folded: each a word, a part of one, several words in a row of a script that has no
spaces between them, or a stretch of a value, in ASCII with its signs.
"""

Part = Literal["row", "heads", "bodies"]
"""A part of what is stored of a record, which can be read without the others."""
PARTS: Final[frozenset[Part]] = frozenset(("row", "heads", "bodies"))
_STRETCH: Final = re.compile(r"[ !#-.0-\[\]-~]+")
"""Of a value: ASCII without what JSON escapes in ways of its own."""


def clues_of(expression: Expression) -> tuple[Clue, ...]:
    """List some clues of what a search finds, `MAX_TELLING` at most; none where everything must be
    looked into.
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
    """Return the parts of a record in which the clues of a search are found."""
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
    return "bodies" if kind in BODY_FIELDS else "row"


def _rows_of(words: Iterable[str]) -> list[str]:
    """Put those of scripts without spaces together that follow each other."""
    found: list[str] = []
    for is_alone, some in groupby(words, is_unspaced):
        row = list(some)
        found += ["".join(row)] if is_alone else row
    return found


def _stretches(text: str) -> list[str]:
    """List what of a value is in a text as it is: of a part without its last character, which a
    mark may change.
    """
    return [each for each in _STRETCH.findall(text) if any(map(str.isalnum, each))]


def _each(found: list[str]) -> tuple[Clue, ...]:
    return tuple((word,) for word in telling(list(dict.fromkeys(word.lower() for word in found))))


def _either(parts: Iterable[tuple[Clue, ...]]) -> tuple[Clue, ...]:
    """Widen alternatives, each with clues of its own, to clues of them all: each with each."""
    found: tuple[Clue, ...] | None = None
    for part in parts:
        if found is None:
            found = part
        else:
            found = _chosen((*one, *other) for one in found for other in part)
    return found or ()


def _chosen(clues: Iterable[Clue]) -> tuple[Clue, ...]:
    """Choose those that most texts lack: of few alternatives, none of them short."""
    found = list(dict.fromkeys(tuple(dict.fromkeys(clue)) for clue in clues))
    if len(found) <= MAX_TELLING:
        return tuple(found)
    return tuple(sorted(found, key=lambda clue: (-min(map(len, clue)), len(clue)))[:MAX_TELLING])
