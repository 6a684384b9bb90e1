"""The searched texts of a row as one expression, covered by the server's index. Pure.

Strategy: a text may have readings that differ from it (unescaped, or with letters that fold to
others). Their additional ASCII words are stored in a column of their own, so that the server
searches one text and needs no rules for readings.

Invariant: a run of ASCII letters, digits and `_` in a folded reading of a text is a substring of
`ALL`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from storage.clickhouse.payloads import BODIES
from storage.record import Entry
from storage.relational.sql import KINDS
from storage.search.patterns import lower_ascii
from storage.search.words import decoded, fold, readings, reads_as_written

_TEXTS: Final = (
    "ifNull(path, '')", "ifNull(query, '')", "toString(error_type)", "ifNull(data, '')", "request_head",
    "response_head", *BODIES,
)  # fmt: skip
_JOINED: Final = f"arrayStringConcat(arrayConcat([{', '.join(_TEXTS)}], words), ' ')"
ALL: Final = f"lower(if(kind < {len(KINDS)}, {_JOINED}, ''))"
"""All texts of a record, in lower case. The index serves statements that contain exactly this
expression.
"""
TEXT_INDEX: Final = f"INDEX texts {ALL} TYPE text(tokenizer = splitByNonAlpha)"

_BETWEEN: Final = re.compile(r'["\s]+', re.ASCII)
"""Separator that no word and no escape spans."""
_RUN: Final = re.compile(r"[0-9a-z_]+")


def words_of(entry: Entry) -> list[str]:
    """Return the words that occur only in readings of an entry's texts."""
    found: set[str] = set()
    for text in _texts(entry):
        if not reads_as_written(text):
            found.update(*map(_other_words, set(_BETWEEN.split(text))))
    return sorted(found)


def _other_words(piece: str) -> set[str]:
    if reads_as_written(piece):
        return set()
    found = {run for reading in readings(piece) for run in _RUN.findall(fold(reading))}
    return found.difference(_RUN.findall(lower_ascii(piece)))


def _texts(entry: Entry) -> Iterator[str]:
    record = entry.record
    payload = entry.payload
    yield from (text for text in (record.path, record.query, record.error_type) if text)
    yield decoded(record.data or b"")
    if payload is not None:
        yield decoded(payload.request_head)
        yield decoded(payload.response_head)
        for body in (payload.request_body, payload.response_body):
            if body is not None:
                yield decoded(body.head)
                yield decoded(body.tail)


def has_word(word: str, add: Callable[[Any], str]) -> str:
    """Return the condition that a text contains a run of ASCII letters, digits and `_`, in any
    case.

    The index has the parts between `_`: it selects rows, and the whole run is then searched in
    them.
    """
    parts = {word, *filter(None, word.split("_"))}
    patterns = [part.replace("_", "\\_") for part in sorted(parts)]
    return " AND ".join(f"{ALL} LIKE {add(f'%{pattern}%')}" for pattern in patterns)
