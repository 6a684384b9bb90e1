"""Decide which parts of a field's value a text contains unchanged, so that words can tell where it
may be. Pure.

Strategy: header values and JSON strings occur in the text, or in a reading of it
(`storage.search.words`), and so do the names of headers and members. JSON numbers need not: 100.0
may be written `1e2`.

Invariant: a text that has a value of a field has the words returned here. Where that is uncertain,
no word is returned.
"""

import re
from typing import Final

from storage.search.expression import BODY_FIELDS, HEAD_FIELDS
from storage.search.subject import steps_of
from storage.search.words import words

TEXTS: Final = ("path", "query", "error_type")
_NUMERIC: Final = re.compile(r"[-+.0-9eE]*")
_WHOLE_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
"""Integers have one spelling (RFC 8259 §6) apart from `-0`, and that has the same word."""


def is_spelled(field: str, value: str) -> bool:
    """Whether every text with this value of a field contains it unchanged; only for ASCII values."""
    if not value.isascii():
        return False
    return _has_text(field) or (_kind(field) in BODY_FIELDS and _is_spelled_in_json(value))


def are_spelled(field: str, parts: tuple[str, ...]) -> bool:
    """Whether every text with a field's value made of these parts, and others, contains the parts."""
    return _has_text(field) or (
        _kind(field) in BODY_FIELDS and _NUMERIC.fullmatch("".join(parts)) is None
    )


def name_words(field: str) -> list[str]:
    """Return the words of a field's name that a text with the field has: of the header, or of the
    members on the path.
    """
    kind, _, key = field.partition(".")
    if kind in HEAD_FIELDS:
        if key.isascii():
            return words(key)
        return []
    if kind in BODY_FIELDS:
        return [
            word
            for name in steps_of(key)
            if name.isascii() and name.isprintable() and not name.isdecimal()
            for word in words(name)
        ]

    return []


def _has_text(field: str) -> bool:
    return field in TEXTS or _kind(field) in HEAD_FIELDS


def _kind(field: str) -> str:
    return field.partition(".")[0]


def _is_spelled_in_json(value: str) -> bool:
    return _WHOLE_NUMBER.fullmatch(value) is not None or _NUMERIC.fullmatch(value) is None
