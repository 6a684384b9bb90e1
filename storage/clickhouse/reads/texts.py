"""Let the server search the literals of a prefilter.

Invariant: every row with the literals is returned.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a bound parameter

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from storage.clickhouse.texts import has_word
from storage.relational.session import Session
from storage.relational.sql import Where
from storage.search.clues import Clue

_RUN: Final = re.compile(r"\w+", re.ASCII)
_LEAST_CHARACTERS: Final = 3
"""Shorter words are part of too many others: the index takes long to answer."""


async def can_have(session: Session, where: Where, clues: Sequence[Clue]) -> list[int] | None:
    """Return the rows that may have a literal of each set; see `Session.can_have`."""
    parameters = list(where.parameters)

    def add(value: Any) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    known = [clue for clue in clues if all(word.isascii() and _RUN.search(word) for word in clue)]
    long = [clue for clue in known if min(map(_longest, clue)) >= _LEAST_CHARACTERS]
    each = [" OR ".join(f"({_has_runs(word, add)})" for word in clue) for clue in long or known]
    has_words = " AND ".join(f"({either})" for either in each) or "1 = 1"
    rows = await session.fetch_in_budget(
        f"SELECT seq FROM records WHERE {where.text} AND {has_words}", parameters, is_part=True
    )
    if rows is None:
        return None
    return [seq for (seq,) in rows]


def _has_runs(word: str, add: Callable[[Any], str]) -> str:
    return " AND ".join(has_word(run, add) for run in _RUN.findall(word))


def _longest(word: str) -> int:
    return max(map(len, _RUN.findall(word)))
