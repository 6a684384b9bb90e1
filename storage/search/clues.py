"""What can be seen at a glance to be missing: words of which everything found has at least one. Pure.

Strategy: a search is widened to an `and` of alternatives, each a few words of ASCII, or parts of some, that are looked
for as bytes in many texts at once. What none of them shows, as everything that must not be there, is left out.

Invariant: what fulfils a search has, of each clue, one of its words in some reading of one of its texts.
"""

import re
from collections.abc import Iterable
from typing import Final

from storage.search.expression import And, Between, Expression, Has, Is, Like, Or, Substring, Text
from storage.search.phrase import MAX_TELLING, telling
from storage.search.spelling import are_spelled, is_spelled, name_words
from storage.search.words import fold

Clue = tuple[bytes, ...]
"""Alternatives, of ASCII in lower case, without what is in no word."""

_RUN: Final = re.compile(r"\w+", re.ASCII)
_RUN_BEFORE_ASCII: Final = re.compile(r"\w+(?=[\x00-\x7f])", re.ASCII)
"""A mark behind it would make another letter of its last."""


def clues_of(expression: Expression) -> tuple[Clue, ...]:
    """List some clues of what a search finds, `MAX_TELLING` at most; none where everything must be looked into."""
    match expression:
        case And(parts):
            return _chosen(clue for part in parts for clue in clues_of(part))
        case Or(parts):
            return _either(map(clues_of, parts))
        case Text(phrase):
            return _each([word for word in phrase.words if word.isascii()])
        case Substring(text):
            return _each(_RUN.findall(fold(text)))
        case Is(field, values) if all(is_spelled(field, value) for value in values):
            return _either(_each(_RUN.findall(value)) for value in values) or _each(name_words(field))
        case Like(field, parts) if are_spelled(field, parts):
            return _each([run for part in parts for run in _RUN_BEFORE_ASCII.findall(part)]) or _each(name_words(field))
        case Is(field) | Like(field) | Has(field) | Between(field):
            return _each(name_words(field))
        case _:
            return ()


def _each(found: list[str]) -> tuple[Clue, ...]:
    return tuple((word.lower().encode(),) for word in telling(list(dict.fromkeys(found))))


def _either(parts: Iterable[tuple[Clue, ...]]) -> tuple[Clue, ...]:
    """Widen alternatives, each with clues of its own, to clues of them all: each with each."""
    found: tuple[Clue, ...] | None = None
    for part in parts:
        found = part if found is None else _chosen((*one, *other) for one in found for other in part)
    return found or ()


def _chosen(clues: Iterable[Clue]) -> tuple[Clue, ...]:
    """Choose those that most texts lack: of few alternatives, none of them short."""
    found = list(dict.fromkeys(tuple(dict.fromkeys(clue)) for clue in clues))
    if len(found) <= MAX_TELLING:
        return tuple(found)
    return tuple(sorted(found, key=lambda clue: (-min(map(len, clue)), len(clue)))[:MAX_TELLING])
